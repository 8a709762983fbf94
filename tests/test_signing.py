from hypothesis import given
from hypothesis import strategies as st

from dripstone import signing

numbers = st.lists(st.integers(min_value=0, max_value=2**63 - 1), max_size=4)


@given(numbers)
def test_it_reads_what_it_made(parts: list[int]) -> None:
    assert signing.read("unsubscribe", signing.make("unsubscribe", *parts)) == tuple(parts)


@given(numbers)
def test_a_token_of_another_kind_is_nothing(parts: list[int]) -> None:
    assert signing.read("confirm", signing.make("unsubscribe", *parts)) is None


@given(st.text(max_size=300))
def test_it_survives_whatever_stands_in_a_link(token: str) -> None:
    assert signing.read("unsubscribe", token) is None


@given(numbers, st.data())
def test_a_changed_token_is_nothing(parts: list[int], data: st.DataObject) -> None:
    token = signing.make("unsubscribe", *parts)
    at = data.draw(st.integers(0, len(token) - 2))  # the last character may carry unused bits
    other = data.draw(st.sampled_from([c for c in "abcXYZ019-_" if c != token[at]]))
    assert signing.read("unsubscribe", token[:at] + other + token[at + 1 :]) is None


def test_a_token_stays_the_same_and_needs_no_quoting() -> None:
    token = signing.make("unsubscribe", 7, 8)
    assert token == signing.make("unsubscribe", 7, 8)
    assert token.replace("-", "").replace("_", "").isalnum()
