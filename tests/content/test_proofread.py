"""Pictures without words, links that lead nowhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dripstone.content.proofread import Flaw, flaws


def test_a_picture_needs_words_or_says_that_it_needs_none() -> None:
    source = '<img src="/a.png"><img src="/b.png" alt="A cat"><img src="/c.png" alt=""><img src="/d.gif" width="1">'
    assert list(flaws(source)) == [Flaw("alt", "/a.png")]


@pytest.mark.parametrize(
    "href",
    [
        "https://example.com/a?b=1&amp;c=2",
        "mailto:ann@example.com",
        "tel:+3312345",
        "#top",
        "{{ unsubscribe_url }}",
        "{{ subscriber.site }}/x",
        "http://localhost:8000/",
    ],
)
def test_it_lets_good_links_be(href: str) -> None:
    assert list(flaws(f'<a href="{href}">x</a>')) == []


@pytest.mark.parametrize(
    ("href", "why"),
    [
        ("", "has no address"),
        ("#", "leads nowhere"),
        ("example.com/course", "is no whole address: in an email it must begin with https://"),
        ("/course", "is no whole address: in an email it must begin with https://"),
        ("https://", "names no website"),
        ("https://https://example.com", "names no website"),
        ("http://[x", "is no address that a browser understands"),
        ("javascript:alert(1)", "begins with javascript:, which mail programs do not open"),
        ("https://example.com/a b", "holds a space"),
    ],
)
def test_it_says_what_is_wrong_with_a_link(href: str, why: str) -> None:
    assert list(flaws(f"<p><a href='{href}'>x</a></p>")) == [Flaw("link", href, why)]


def test_what_stands_in_a_comment_is_not_looked_at() -> None:
    assert list(flaws('<!-- <a href="x"><img src="y"> --><a name="top"></a>')) == []


@given(st.text(alphabet="<>a img href='\"=/{}%#:h. -"))
def test_it_never_fails(source: str) -> None:
    list(flaws(source))
