import pytest
from hypothesis import given
from hypothesis import strategies as st

from dripstone.web.marking import pieces


@given(st.text(max_size=60), st.lists(st.text(min_size=1, max_size=5), max_size=3))
def test_the_pieces_are_the_text(text: str, words: list[str]) -> None:
    assert "".join(piece.text for piece in pieces(text, words)) == text


@pytest.mark.parametrize(
    ("text", "words", "marked"),
    [
        ("María García", ["mar", "gar"], ["Mar", "Gar"]),
        ("María García", ["ia"], []),
        ("Zoe\u0301 Łódź", ["zoe", "lodz"], ["Zoe\u0301", "Łódź"]),
        ("Straße", ["strass"], ["Straß"]),
        ("Ask for one thing", ["o", "one"], ["one"]),
        ("O’Brien", ["brien"], ["Brien"]),
        ("", ["a"], []),
    ],
)
def test_it_marks_what_was_typed_at_the_beginning_of_words(text: str, words: list[str], marked: list[str]) -> None:
    assert [piece.text for piece in pieces(text, words) if piece.is_found] == marked
