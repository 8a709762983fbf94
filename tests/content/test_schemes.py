"""A letter's own dark colours, on any screen."""

from hypothesis import given
from hypothesis import strategies as st

from dripstone.content import layout, schemes

STYLE = "<style>:root{color-scheme:light dark}@media (prefers-color-scheme: dark){p{color:white}}</style>"


def test_its_queries_for_dark_hold_and_those_for_light_do_not() -> None:
    assert "@media (min-width: 0){p" in schemes.shown_in(STYLE, "dark")
    assert "@media (max-width: 0){p" in schemes.shown_in(STYLE, "light")
    source = '<source media="( PREFERS-color-scheme:light )" srcset="x">'
    assert schemes.shown_in(source, "dark") == '<source media="(max-width: 0)" srcset="x">'


def test_who_takes_both_schemes_takes_this_one() -> None:
    assert "color-scheme:dark}" in schemes.shown_in(STYLE, "dark")
    made = schemes.shown_in(layout.DEFAULT_TEMPLATE, "dark")
    assert '<meta name="color-scheme" content="dark">' in made
    assert schemes.shown_in('<meta name="color-scheme" content="light">', "dark").count("light") == 1


@given(st.text(alphabet="<>p style=\"'prefers-color-scheme:dark()"))
def test_text_stays_as_it_is(text: str) -> None:
    escaped = text.replace("<", "&lt;")
    assert schemes.shown_in(f"<p>{escaped}</p>", "dark") == f"<p>{escaped}</p>"
