import base64
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dripstone import signing

numbers = st.lists(st.integers(min_value=0, max_value=2**63 - 1), max_size=4)
ids = st.integers(min_value=0, max_value=2**63 - 1)
CHARACTERS = "abcXYZ019-_."

Maker = Callable[[str, int], str]
MAKERS = [signing.make, signing.make_quick]


@given(numbers)
def test_it_reads_what_it_made(parts: list[int]) -> None:
    assert signing.read("unsubscribe", signing.make("unsubscribe", *parts)) == tuple(parts)


@given(ids)
def test_it_reads_what_it_made_quickly(number: int) -> None:
    assert signing.read("unsubscribe", signing.make_quick("unsubscribe", number)) == (number,)


@pytest.mark.parametrize("make", MAKERS)
@given(number=ids)
def test_a_token_of_another_kind_is_nothing(make: Maker, number: int) -> None:
    assert signing.read("confirm", make("unsubscribe", number)) is None


@given(st.text(max_size=300) | st.from_regex(r"[0-9]{0,30}\.[A-Za-z0-9_.-]{0,40}", fullmatch=True))
def test_it_survives_whatever_stands_in_a_link(token: str) -> None:
    assert signing.read("unsubscribe", token) is None


@pytest.mark.parametrize("make", MAKERS)
@given(number=ids, data=st.data())
def test_a_changed_token_is_nothing(make: Maker, number: int, data: st.DataObject) -> None:
    token = make("unsubscribe", number)
    at = data.draw(st.integers(0, len(token) - 2))  # the last character of the long form may carry unused bits
    other = data.draw(st.sampled_from([c for c in CHARACTERS if c != token[at]]))
    assert signing.read("unsubscribe", token[:at] + other + token[at + 1 :]) is None


@given(ids, st.sampled_from(["0", "00", "+", " ", "_", "\u0661"]))
def test_a_number_has_one_spelling(number: int, before: str) -> None:
    assert signing.read("unsubscribe", before + signing.make_quick("unsubscribe", number)) is None


@given(ids, ids)
def test_no_token_of_one_form_is_one_of_the_other(one: int, other: int) -> None:
    """Neither as it is, nor with the signature of one in the form of the other."""
    long, quick = signing.make("unsubscribe", one), signing.make_quick("unsubscribe", other)
    assert "." not in long
    assert quick.count(".") == 1
    raw = base64.urlsafe_b64decode(long + "=" * (-len(long) % 4))[: signing.SIGNATURE_BYTES]
    number, _, signature = quick.partition(".")
    assert signing.read("unsubscribe", f"{one}.{base64.urlsafe_b64encode(raw).decode()}") is None
    mixed = base64.urlsafe_b64encode(base64.urlsafe_b64decode(signature) + number.encode()).rstrip(b"=").decode()
    assert signing.read("unsubscribe", mixed) is None


@given(st.sets(st.tuples(st.sampled_from(["message", "unsubscribe"]), ids), min_size=2, max_size=20))
def test_no_two_rows_share_a_token(rows: set[tuple[str, int]]) -> None:
    tokens = {signing.make(kind, number) for kind, number in rows}
    tokens |= {signing.make_quick(kind, number) for kind, number in rows}
    assert len(tokens) == 2 * len(rows)


@pytest.mark.parametrize("make", MAKERS)
def test_a_token_stays_the_same_and_needs_no_quoting(make: Maker) -> None:
    token = make("unsubscribe", 7)
    assert token == make("unsubscribe", 7)
    assert token.translate(str.maketrans("", "", "-_.")).isalnum()


def test_what_was_given_out_stays_valid_for_ever(settings: Any) -> None:
    """Letter by letter, with a key of the test's own: links in old emails must never stop working."""
    settings.SECRET_KEY = "a key that never changes, of forty letters"
    long, quick = "7qg1xld_d-5MtWtPKa2_NDcxMQ", "4711.0jij9VGTNpXPrjJnckS_"
    assert (signing.make("unsubscribe", 4711), signing.make_quick("unsubscribe", 4711)) == (long, quick)
    assert signing.read("unsubscribe", long) == signing.read("unsubscribe", quick) == (4711,)


def test_a_long_key_counts_to_its_end(settings: Any) -> None:
    tokens = set()
    for end in "ab":
        settings.SECRET_KEY = "k" * 100 + end
        tokens.add(signing.make_quick("unsubscribe", 1))
    assert len(tokens) == 2


# --- Seals ------------------------------------------------------------------------------------------------------


@given(st.binary(max_size=200))
def test_a_seal_opens_as_what_it_was_made(data: bytes) -> None:
    sealed = signing.seal("answer", data)
    assert signing.unseal("answer", sealed) == data
    assert signing.unseal("webhook", sealed) is None
    assert signing.seal("answer", data) != sealed


@given(data=st.binary(max_size=50), where=st.integers(min_value=0), bit=st.integers(min_value=0, max_value=7))
def test_a_seal_that_was_touched_opens_no_more(data: bytes, where: int, bit: int) -> None:
    sealed = bytearray(signing.seal("answer", data))
    sealed[where % len(sealed)] ^= 1 << bit
    assert signing.unseal("answer", bytes(sealed)) is None


@given(st.binary(max_size=40))
def test_what_is_no_seal_does_not_open(data: bytes) -> None:
    assert signing.unseal("answer", data) is None


def test_another_secret_key_opens_nothing(settings: Any) -> None:
    sealed = signing.seal("answer", b"whsec_x")
    settings.SECRET_KEY = "another key, which is long enough for this"
    assert signing.unseal("answer", sealed) is None
