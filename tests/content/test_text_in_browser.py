"""The text part against a real browser: its words are those that Chromium shows of the HTML part, in the same order.

The browser is 1000 px wide, light, and runs no scripts, as mail clients do. Links' URLs and images' alternative texts,
which a browser does not count as text, are left out of the comparison, and so are the marks of lists.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dripstone.content.compile import EmailSource, Envelope, Person, Rendered, SnippetSource, compile_email
from dripstone.content.text import html_to_text

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

# As people write them. "Seen" is seen in each, and what says "Unseen" is not.
LETTERS = sorted((Path(__file__).parent / "letters").glob("*.html"))

# innerText counts what is drawn with nothing as text: an element without room, without opacity, letters of no size.
SHOWN = """() => {
  const all = [...document.body.querySelectorAll("*")], gone = [], blank = [];
  for (const element of all) {
    const style = getComputedStyle(element);
    const clips = style.overflowX !== "visible" || style.overflowY !== "visible";
    const isEmpty = element.offsetWidth === 0 || element.offsetHeight === 0;
    if (style.opacity === "0" || (clips && isEmpty && style.display !== "none")) gone.push(element);
    if (parseFloat(style.fontSize) === 0)
      blank.push(...[...element.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE));
  }
  blank.forEach((node) => { node.data = ""; });
  gone.forEach((element) => { element.replaceChildren(); });
  return document.body.innerText;
}"""


@pytest.fixture(scope="module")
def browser_page(chromium: "Browser") -> Iterator["Page"]:
    context = chromium.new_context(
        viewport={"width": 1000, "height": 800}, color_scheme="light", java_script_enabled=False, offline=True
    )
    yield context.new_page()
    context.close()


def rendered(content: str, **source: Any) -> Rendered:
    envelope = Envelope(
        "7.1@example.com", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "https://mail.example.com/u/to-ken"
    )
    email = compile_email(
        EmailSource(
            **{"subject": "Hi", "from_name": "Ann", "from_address": "ann@example.com", **source},
            content=content,
            postal_address="Cave & Co\n1 Main St",
        )
    )
    return email.render(Person(7, "bob@example.com", "Bob", {"class": "gone"}), envelope)


def words(text: str) -> list[str]:
    return [word.casefold() for word in text.split() if re.search(r"\w", word)]


def words_of_text(text: str) -> list[str]:
    text = re.sub(r"\[alt[^\]]*\]", "", text)
    text = re.sub(r" ?<https?://[^<>\s]+>", "", text)
    return words(re.sub(r"^ *(\*|-?\w+\.)( |$)", "", text, flags=re.MULTILINE))


def words_shown(page: "Page", html: str) -> list[str]:
    page.set_content(html)
    return words(page.evaluate(SHOWN))


@pytest.mark.parametrize("path", LETTERS, ids=lambda path: path.stem)
def test_the_text_says_what_the_page_shows(browser_page: "Page", path: Path) -> None:
    letter = path.read_text()
    said = words_of_text(html_to_text(letter))
    assert said == words_shown(browser_page, letter)
    assert "seen" in " ".join(said).replace("unseen", "hidden")
    assert not [word for word in said if "unseen" in word]
    for template in (None, "{{ message_content }}"):
        mail = rendered(letter, template_html=template, preview_text="Never seen in either")
        assert words_of_text(mail.text) == words_shown(browser_page, mail.html)


def test_a_block_snippet_is_hidden_by_the_styles_of_the_page(browser_page: "Page") -> None:
    mail = rendered(
        "<style>.gone { display: none }</style><p>Seen</p>{{ snippet.card }}"
        "<p class='{{ subscriber.class }}'>Unseen</p>",
        snippets={"card": SnippetSource("block", "<p>Card</p><p class='gone'>Unseen</p>")},
    )
    assert words_of_text(mail.text) == words_shown(browser_page, mail.html)
    assert "Unseen" not in mail.text


# --- Generated pages ----------------------------------------------------------------------------------------------

STYLES = """
.a { display: none } .b { display: block } .d { visibility: hidden }
.e { visibility: visible } .f { white-space: pre-line } .g { display: none !important } #h { display: inline }
.a .b, p > .m { display: none } .i + .i { display: none } .j ~ .j { visibility: hidden } .k { float: left }
.l { font-size: 0 } .m { font-size: 12px } .n { opacity: 0 } .o { max-height: 0; overflow: hidden } .p { display: flex }
@media (max-width: 600px) { .q { display: block !important } .r { display: none } }
@media screen and (min-width: 601px) { .q { display: none } .a.r { display: block } }
@media (prefers-color-scheme: dark), print { .s { display: none } .t { display: inline } }
@media not print { .t { display: none } }
@layer low, high; @layer high { .u { display: block !important } .v { display: none } } .v { visibility: visible }
@layer low { .u { display: none !important } .v { display: block } } @layer low.deep { .w { display: none } }
@supports (display: grid) and (not (-moz-appearance: none)) { .x { display: none } }
@supports not (display: flex) { .y { display: none } }
.y { & .b { display: none } > .x { display: block } .a & { visibility: hidden } &.v { display: none }
     @media print { display: none } @supports (color: red) { .k { display: none } } }
"""
EXAMPLES = 60
CLASSES = st.lists(st.sampled_from("abdefghijklmnopqrstuvwxy"), max_size=2).map(" ".join)
STYLE = st.sampled_from(
    ["", "", "", "display:none", "display:block", "visibility:hidden", "white-space:pre", "font:0/0 a", "color:red"]
)
BOXES = ["div", "p", "span", "b", "i", "h2", "blockquote", "section", "center", "u"]
NESTS = [
    *("<table><tr><td{0}>{1}</td><td>{2}</td></tr></table>", "<ul><li{0}>{1}</li><li>{2}</li></ul>"),
    *("<ol start=3><li>{1}</li><li{0}>{2}</li></ol>", "<dl><dt{0}>{1}</dt><dd>{2}</dd></dl>"),
    *("<a href='https://x.example/'{0}>{1}</a>{2}", "<pre{0}> {1}\n\n  {2}</pre>", "{1}<br>{2}", "{1}<wbr>{2}"),
    *("{1}<hr>{2}", "{1}<img src=x alt='[alt one]'>{2}", "<details{0}><summary>{1}</summary>{2}</details>"),
    *(
        "<div hidden>{1}</div>{2}",
        "<fieldset><legend{0}>{1}</legend>{2}</fieldset>",
        "{1}<!-- x --><script>x</script>{2}",
    ),
]
WORDS = st.text("ab&lt;é ", min_size=0, max_size=6) | st.sampled_from(
    ["one two", " x", "y ", "&amp;lt;", "\n", "&nbsp;", ""]
)


def nest(inside: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    attributes = st.builds(' class="{}" style="{}"'.format, CLASSES, STYLE)
    boxes = st.builds("<{0}{1}>{2}{3}</{0}>".format, st.sampled_from(BOXES), attributes, inside, inside)
    return boxes | st.builds(
        lambda shape, *parts: shape.format(*parts), st.sampled_from(NESTS), attributes, inside, inside
    )


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.recursive(WORDS, nest, max_leaves=12), min_size=1, max_size=4).map("".join))
def test_it_does_for_any_page(browser_page: "Page", body: str) -> None:
    page = f"<!DOCTYPE html><html><head><style>{STYLES}</style></head><body>{body}</body></html>"
    mail = rendered(page)
    assert words_of_text(mail.text) == words_shown(browser_page, mail.html)


# --- Generated rules ----------------------------------------------------------------------------------------------

SAYS = st.sampled_from(
    ["display:none", "display:block", "display:inline", "visibility:hidden", "visibility:visible", "colour:red",
     "display:none!important", "display:block!important", "display:nonsense"]
).map("{};".format)  # fmt: skip
SELECTORS = st.sampled_from(
    [".a", ".b", "p", "div .c", ".a > .b", ".b + p", "p, .c", ".a.b", "#one", "p:not(.a)", "& .a", "&.b", ".b &", "> p",
     "+ .c", "& + &", ".a, & > .c", "&.c"]
)  # fmt: skip
GROUPS = st.sampled_from(
    ["@layer one", "@layer two", "@layer two.one", "@layer", "@supports (display: grid)", "@supports selector(:not(p))",
     "@supports (not (display: grid))", "@supports (-moz-appearance: none) or (color: red)",
     "@supports (display: nonsense)", "@media screen", "@media print", "@container (min-width: 9000px)"]
)  # fmt: skip


def blocks(inside: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    contents = st.lists(inside, max_size=3).map(" ".join)
    return st.builds("{} {{ {} }}".format, SELECTORS | GROUPS, contents)


RULES = st.lists(
    st.recursive(SAYS, blocks, max_leaves=6) | st.sampled_from(["@layer two, one;", "@layer three;"]), max_size=5
)
PEOPLE = """<div id="one" class="a">one <p class="b">two</p> <p class="a b">three</p> <span class="c">four</span></div>
<div class="b">five <div class="c">six <p>seven</p> <b class="a">eight</b></div> <p class="c">nine</p></div>"""


NUMBERS = re.compile("one|two|three|four|five|six|seven|eight|nine")


@settings(max_examples=3 * EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(RULES.map("\n".join))
def test_rules_in_layers_and_in_rules_count_as_in_the_browser(browser_page: "Page", css: str) -> None:
    page = f"<!DOCTYPE html><html><head><style>{css}</style></head><body>{PEOPLE}</body></html>"
    said, shown = html_to_text(page), " ".join(words_shown(browser_page, page))
    assert NUMBERS.findall(said) == NUMBERS.findall(shown)  # without looking at the spaces between them
