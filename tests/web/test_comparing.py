"""What differs between two texts, word by word."""

from hypothesis import given
from hypothesis import strategies as st

from dripstone.web import comparing
from dripstone.web.comparing import GONE, NEW, SAME, Piece

TEXTS = st.text(alphabet="ab \n.<p>é", max_size=60)


def test_it_names_the_words_that_changed() -> None:
    assert comparing.words("Dear Ann, come on Monday.", "Dear Ann, come on Tuesday.") == [
        Piece(SAME, "Dear Ann, come on "),
        Piece(GONE, "Monday"),
        Piece(NEW, "Tuesday"),
        Piece(SAME, "."),
    ]


@given(TEXTS, TEXTS)
def test_both_texts_can_be_read_from_it(before: str, after: str) -> None:
    pieces = comparing.words(before, after)
    assert "".join(one.text for one in pieces if one.kind != NEW) == before
    assert "".join(one.text for one in pieces if one.kind != GONE) == after


def test_equal_texts_are_one_piece() -> None:
    assert comparing.words("a\nb", "a\nb") == [Piece(SAME, "a\nb")]
    assert comparing.words("", "") == []


def test_very_long_texts_are_not_searched() -> None:
    before, after = "a\n" * 5_000, "b\n" * 5_000
    assert comparing.words(before, after) == [Piece(GONE, before), Piece(NEW, after)]


def test_html_is_compared_by_its_blocks_not_by_its_line_breaks() -> None:
    assert comparing.in_lines("<p>a\n  b</p><ul> <li>c</li>\n</ul>") == "<p>a b</p>\n<ul>\n<li>c</li>\n</ul>"
    assert comparing.in_lines("<p>a b</p>\n\n<ul><li>c</li></ul>") == "<p>a b</p>\n<ul>\n<li>c</li>\n</ul>"
