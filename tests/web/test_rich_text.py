"""Rich text keeps every letter: what leaves the editor shows what went in, or the editor says what it would drop."""

import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import django_prose_editor
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dripstone
from dripstone.content import liquid
from dripstone.web.headers import content_security_policy

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

ROOT = Path(dripstone.__file__).parent
FILES = {
    "/rich.js": ROOT / "web/static/web/rich.js",
    "/tiptap.js": Path(django_prose_editor.__file__).parent / "static/django_prose_editor/editor.js",
}
LETTERS = [
    *sorted((Path(__file__).parents[1] / "content/letters").glob("*.html")),
    *sorted((ROOT / "ops/demo/content").glob("*.html")),
]


TORN = "Liquid that begins in one element and ends in another"


@pytest.fixture(scope="module")
def rich(chromium: "Browser") -> Iterator["Page"]:
    """A page with `rich` on it, under the policy of our pages. It must never complain."""
    page, complaints = chromium.new_page(), list[str]()
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.route("**/*", _serve)
    page.goto("http://rich.example/")
    page.evaluate(
        """async () => {
          const [tiptap, { make, spoken }] = await Promise.all([import("/tiptap.js"), import("/rich.js")])
          window.rich = { ...make(tiptap), spoken }
        }"""
    )
    yield page
    page.close()
    assert complaints == []


def _serve(route: "Route") -> None:
    path = route.request.url.removeprefix("http://rich.example")
    if path in FILES:
        route.fulfill(body=FILES[path].read_bytes(), content_type="text/javascript")
    else:
        body, policy = "<!doctype html><title>Rich</title><div id=room></div>", content_security_policy()
        route.fulfill(body=body, content_type="text/html", headers={"Content-Security-Policy": policy})


def through(rich: "Page", source: str) -> tuple[list[str], str]:
    """What the editor would drop, and what it writes."""
    result: Any = rich.evaluate("source => [rich.report(source), rich.write(rich.read(source))]", source)
    return result[0], result[1]


def tags(source: str) -> list[str]:
    return [piece.text for piece in liquid.pieces(source) if piece.is_liquid]


@pytest.mark.parametrize("letter", LETTERS, ids=lambda path: path.stem)
def test_a_letter_keeps_what_it_shows_or_is_said_to_lose_something(rich: "Page", letter: Path) -> None:
    source = letter.read_text()
    lost, written = through(rich, source)
    if lost:
        return
    assert tags(written) == tags(source)
    assert through(rich, written) == ([], written)
    assert words(written) == words(source)


def words(source: str) -> list[str]:
    return re.sub(r"<[^>]*>|&nbsp;", " ", source).split()


@pytest.mark.parametrize(
    "source",
    [
        "",
        'Hello {{ subscriber.first_name | default: "friend" }}',
        "<p>a</p>\n{% if a < b %}\n<p>b</p>\n{% else %}\n<p>c</p>\n{% endif %}",
        '<p><a href="{{ unsubscribe_url }}">un</a> <b>b<i>x</i></b> <strong>s</strong></p>\n{{ snippet.sign-off }}',
        "<p><a href='{{ x | default: \"a&b\" }}?q=1&amp;b=2'>y</a></p>",
        '<img src="https://x.example/y.png" alt="">\n<p><img src="https://x.example/z.png"></p>',
        '<p><img src="https://x.example/y.png" alt="A cat" width="20" height="10">{% raw %}{{ x }}{% endraw %}</p>',
        '<ol start="4" type="a">\n<li value="9">a</li>\n<li><p>c</p></li>\n</ol>',
        "<p>a<br>b<br><br>c</p>\n<hr>\n<h2>x</h2>\n<h4>y</h4>",
        "<blockquote>c <em>d</em></blockquote>",
        "<p>&nbsp;</p>\n<p></p>\n<p>a &lt; b &amp;amp; c</p>",
        "<p>x<sub>1</sub><sup>2</sup> <u>u</u> <s>s</s> <del>d</del> <code>c</code></p>",
    ],
)
def test_it_gives_back_the_very_source(rich: "Page", source: str) -> None:
    assert through(rich, source) == ([], source)


@pytest.mark.parametrize(
    ("source", "lost"),
    [
        ("<table><tr><td>x</td></tr></table>", ["a table"]),
        ('<p class="big">x</p>', ["the class of a paragraph"]),
        ('<p style="color: red">x</p><div>y</div>', ["the style of a paragraph", "a box (div)"]),
        ("<style>p { color: red }</style><p>x</p>", ["a style sheet"]),
        ("<!doctype html><html><body><p>x</p></body></html>", ["a whole document (html, head, body)"]),
        ("<p>a</p><!-- for Outlook --><p>b</p>", ["a comment"]),
        ("<p {% if x %}class='a'{% endif %}>x</p>", ["Liquid inside a tag"]),
        ("<ul>{% for a in b %}<li>x</li>{% endfor %}</ul>", ["Liquid between the items of a list"]),
        ("<p>{{ never", ["Liquid that never ends"]),
        ("<p>&#123;&#123; x &#125;&#125;</p>", ["braces that are text and not Liquid"]),
        ('<p><a name="top"></a>x</p>', ["a link"]),
        ("{% if x %}<p>{% else %}<h2>{% endif %}x", [TORN]),
        ("<p>{% if x %}<b>y{% endif %}</b></p>", [TORN]),
    ],
)
def test_it_says_what_it_would_drop(rich: "Page", source: str, lost: list[str]) -> None:
    assert through(rich, source)[0] == lost


WORDS = ["word", " ", "two  words", "&nbsp;", "&amp;", "<br>", "<!-- c -->", "<i></i>", "<span>s</span>"]
LIQUID = ['{{ subscriber.city | default: "there" }}', "{% if a %}", "{% endif %}"]
MARKED = ["<strong>bold</strong>", "<b>b</b>", "<em>it</em>", '<a href="https://x.example/?a=1&amp;b=2">link</a>']
NESTED = ['<a href="{{ unsubscribe_url }}"><strong>un</strong>do</a>', '<img src="https://x.example/y.png" alt="y">']
LISTS = ["<ul><li>{}</li></ul>", "<ol><li>{}</li>\n<li>x</li></ol>", "<li>{}</li>"]
FORMS = ["<p>{}</p>", "<h2>{}</h2>", "<blockquote>{}</blockquote>", "{}\n", "<p>{}", "<hr>{}", "<div>{}</div>"]

LINES = st.lists(st.sampled_from(WORDS + LIQUID + MARKED + NESTED), max_size=4).map("".join)
BLOCKS = st.recursive(
    LINES,
    lambda inner: st.builds(
        lambda form, parts: form.format("".join(parts)),
        st.sampled_from([*LISTS, *FORMS, "<table><tr><td>{}</td></tr></table>"]),
        st.lists(inner, max_size=3),
    ),
    max_leaves=8,
)


@settings(max_examples=40)
@given(st.lists(BLOCKS, min_size=1, max_size=12))
def test_whatever_it_keeps_it_keeps_for_good(rich: "Page", sources: list[str]) -> None:
    for source in sources:
        lost, written = through(rich, source)
        if lost:
            continue
        # Two links to one place, side by side, are one.
        assert [tag for tag, _ in groupby(tags(written))] == [tag for tag, _ in groupby(tags(source))], source
        assert through(rich, written) == ([], written), source


def test_it_tells_nobody_of_a_change_when_it_opens(rich: "Page") -> None:
    told = rich.evaluate(
        """async (source) => {
          const told = []
          const editor = rich.open(document.querySelector("#room"), source, { onChange: (html) => told.push(html) })
          await new Promise((done) => setTimeout(done))
          const before = told.length
          editor.commands.insertContentAt(editor.state.doc.content.size - 1, " {{ subscriber.city }} too")
          editor.destroy()
          return [before, told.at(-1)]
        }""",
        "<p>Hello   {{ subscriber.first_name }}</p>",
    )
    assert told == [0, "<p>Hello {{ subscriber.first_name }} {{ subscriber.city }} too</p>"]


@pytest.mark.parametrize(
    ("tag", "spoken"),
    [
        ('{{ subscriber.first_name | default: "friend" }}', "first name, or “friend”"),
        ("{{ subscriber.favourite_cave }}", "favourite cave"),
        ("{{- snippet.sign-off -}}", "snippet: sign-off"),
        ("{{ unsubscribe_url }}", "address to unsubscribe"),
        ("{% if subscriber.city != blank %}", "if subscriber.city != blank"),
    ],
)
def test_a_chip_says_what_it_stands_for(rich: "Page", tag: str, spoken: str) -> None:
    assert rich.evaluate("tag => rich.spoken(tag)", tag) == spoken
