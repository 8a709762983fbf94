"""Plain text from HTML. That it says what a browser shows is held by test_text_in_browser.py."""

from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dripstone.content import media
from dripstone.content.text import html_to_text


def test_it_reads_like_a_letter() -> None:
    html = (
        "<style>p{}</style><h1>Hello</h1><p>One   two<br>three</p><ul><li>first</li><li>second</li></ul>"
        '<p>See <a href="https://example.com/?a=1&amp;b=2">the page</a>.</p><!-- hidden -->'
        '<p><a href="https://x.org">https://x.org</a> <img src="i.png" alt="A cave"></p>'
    )
    assert html_to_text(html) == (
        "Hello\n\nOne two\nthree\n\n  * first\n  * second\n\nSee the page <https://example.com/?a=1&b=2>.\n\n"
        "https://x.org A cave"
    )


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ('<a href="https://x.org"><img src="i" alt="Shop"></a>', "Shop <https://x.org>"),
        ('<a href="https://x.org"><img src="i"></a>', "<https://x.org>"),
        ('<a href="https://x.org"></a>gone', "gone"),
        ('<a href="https://x.org" style="display:none">gone</a>here', "here"),
        (
            '<a href="">Click</a> <a>no</a> <a href="#top">up</a> <a href=" javascript:x()">script</a>',
            "Click no up script",
        ),
        ('<a href="mailto:a@x.org">a@x.org</a> <a href="mailto:a@x.org">Write</a>', "a@x.org Write <mailto:a@x.org>"),
        ('<a href="https://x.org/?a=1&copy=2">Go </a>now', "Go <https://x.org/?a=1&copy=2> now"),
        ('<a href="https://x.org/?a=1&amp;copy=2&amp;amp;">Go</a>', "Go <https://x.org/?a=1&copy=2&amp;>"),
        ('<a href="\nhttps://x.org/a b?<c>\t">Go</a>', "Go <https://x.org/a%20b?%3Cc%3E>"),
        ('<a href="https://x.org"><table><tr><td>in<p>out</p></td></tr></table></a>', "in\n\nout <https://x.org>"),
        ('<a href="https://x.org">broken<br></a>line', "broken <https://x.org>\nline"),
        ('<a href="https://x.org">broken<br><br></a>line', "broken <https://x.org>\n\nline"),
        ('<p>See <a href="https://x.org/a">this</a>, or <b>that</b>.</p>', "See this <https://x.org/a>, or that."),
    ],
)
def test_a_link_is_followed_by_its_url(html: str, text: str) -> None:
    assert html_to_text(html) == text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("&amp;lt;b&amp;gt; &lt;b&gt; &amp;amp;", "&lt;b&gt; <b> &amp;"),
        (
            "<p>&#123;&#123; subscriber.first_name &#125;&#125; &lbrace;% if %}</p>",
            "{{ subscriber.first_name }} {% if %}",
        ),
        ("<img alt='&amp;copy; A &amp; B'>", "&copy; A & B"),
    ],
)
def test_entities_are_decoded_once(html: str, text: str) -> None:
    assert html_to_text(html) == text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<ol start=4><li>four<li>five</ol>", " 4. four\n 5. five"),
        ("<ol><li value=9>nine<li>ten<li value=-1>minus</ol>", " 9. nine\n10. ten\n-1. minus"),
        ("<ol reversed><li>c<li>b<li>a</ol>", " 3. c\n 2. b\n 1. a"),
        ("<ol reversed start=10><li>x<li value=3>y<li>z</ol>", "10. x\n 3. y\n 2. z"),
        ("<ol type=a start=26><li>z<li>aa</ol>", " z. z\naa. aa"),
        ("<ol type=I start=3><li>3<li>4</ol>", "III. 3\nIV. 4"),
        ("<ol type=i start=3999><li>x<li>y</ol>", "mmmcmxcix. x\n4000. y"),
        ("<ol type=A start=0><li>x</ol>", " 0. x"),
        ("<ol start=x><li>one<li value=y>two</ol>", " 1. one\n 2. two"),
        ("<ol><li style='display:none'>gone<li>one</ol>", " 1. one"),
        ("<ol style='list-style-type:lower-roman'><li>one<li type=1>two</ol>", " i. one\nii. two"),
        ("<ul style='list-style:none'><li>bare<ul><li>dot</ul></ul>", "    bare\n      * dot"),
        ("<ul><li>a<ol><li>b<li>c</ol>d</ul>", "  * a\n     1. b\n     2. c\n    d"),
        ("<ul><li><p>a</p><p>b</p><li></ul>", "  * a\n\n    b\n\n  *"),
        (
            "<dl><dt>Term</dt><dd>Definition</dd><dt>Other</dt><dd>Meaning</dd></dl>",
            "Term\n    Definition\nOther\n    Meaning",
        ),
        ("<blockquote><p>Said<br>so</p></blockquote>", "    Said\n    so"),
    ],
)
def test_lists_are_numbered_as_they_are_shown(html: str, text: str) -> None:
    assert html_to_text(html) == text


def test_layout_tables_make_no_columns() -> None:
    html = "<table><tr><td><table><tr><td><p>Hello</p></td></tr></table></td></tr><tr><td>a</td><td>b</td></tr></table>"
    assert html_to_text(html) == "Hello\n\na b"


def test_white_space_is_kept_where_it_is_shown() -> None:
    assert html_to_text("<pre>  a\n\n    b  c\n</pre>d\n e") == "  a\n\n    b  c\n\nd e"
    assert html_to_text("<p style='white-space:pre-line'>a  b\nc</p>") == "a b\nc"
    assert html_to_text("<p>a<br><br>b<br></p>c") == "a\n\nb\n\nc"


@pytest.mark.parametrize("void", ["wbr", "source", "embed", "input", "br", "img", "col", "unknown /", "p", "b", "i><u"])
def test_no_text_is_lost_behind_many_elements_in_a_row(void: str) -> None:
    text = html_to_text(f"<p>{f'ab<{void}>' * 300}</p><p>SECOND</p>")
    assert text.count("ab") == 300
    assert text.endswith("SECOND")


def test_tables_in_tables_are_no_matter_how_deep() -> None:
    html = "<table><tr><td>" * 190 + "<p>in</p><a href='https://x.org'>side</a>" + "</td></tr></table>" * 190 + "out"
    assert html_to_text(html) == "in\n\nside <https://x.org>\nout"


def test_a_page_that_nests_too_deep_keeps_its_words_but_not_its_styles() -> None:
    html = (
        "<head><style>p { top: 0 }</style></head>"
        + "<div>" * 1000
        + "Said &amp;amp; done<!-- aside --><script>x</script>"
    )
    assert html_to_text(html) == "Said &amp; done"


def test_brackets_that_nest_too_deep_hide_nothing() -> None:
    deep = "(" * 40_000 + ")" * 40_000
    for css in (f"@media {deep} {{ p {{ display: none }} }}", f"p:not{deep} {{ display: none }}",
                f"@supports selector{deep} {{ p {{ display: none }} }}"):  # fmt: skip
        assert html_to_text(f"<style>{css}</style><p>Said</p>") == "Said"


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("(display: grid)", True),
        ("(display: grid) and (color: red)", True),
        ("(display: nonsense) or (color: red)", True),
        ("not (display: grid)", False),
        ("(not (display: nonsense))", True),
        ("(-moz-appearance: none)", False),
        ("(-webkit-touch-callout: none)", False),  # Safari's, on phones
        ("(-webkit-appearance: none)", True),
        ("(--of-ours: 1)", True),
        ("selector(a > b)", True),
        ("selector(::-moz-selection)", False),
        ("not selector(::-moz-selection)", True),
        ("(display)", False),
        ("display: grid", False),
        ("(display: grid) and (color: red) or (top: 0)", False),
        ("not not (display: nonsense)", False),
        ("", False),
    ],
)
def test_what_is_supported(condition: str, holds: bool) -> None:
    html = f"<style>@supports {condition} {{ .gone {{ display: none }} }}</style><p>Said</p><p class=gone>Gone</p>"
    assert (html_to_text(html) == "Said") == holds


@pytest.mark.parametrize(
    ("query", "holds"),
    [
        ("", True),
        ("screen", True),
        ("print", False),
        ("only screen and (max-width: 600px)", False),
        ("screen and (min-width:600px)", True),
        ("(max-width: 62.5em)", True),
        ("(max-width: 62em)", False),
        ("print, (min-width: 10in)", True),
        ("not print", True),
        ("not screen and (min-width: 1px)", False),
        ("not all and (min-width: 2000px)", True),
        ("(width >= 1000px)", True),
        ("(400px < width <= 700px)", False),
        ("(700px < width)", True),
        ("(min-width: 1px) and (max-width: 2000px)", True),
        ("(max-width: 1px) or (min-width: 2px)", True),
        ("not (max-width: 1px)", True),
        ("((max-width: 1px) or (not print))", False),
        ("(prefers-color-scheme: dark)", False),
        ("(prefers-color-scheme: light)", True),
        ("(orientation: landscape) and (hover)", True),
        ("(-webkit-min-device-pixel-ratio: 0)", True),
        ("(-webkit-min-device-pixel-ratio: 2)", False),
        ("(min-resolution: 192dpi)", False),
        ("(yahoo)", False),
        ("not (yahoo)", False),
        ("screen and", False),
        ("(min-width: calc(1px + 1px))", False),
        ("((((", False),
    ],
)
def test_a_media_query_is_asked_of_a_wide_light_screen(query: str, holds: bool) -> None:
    assert media.holds(query) is holds


def test_styles_made_to_take_long_do_not() -> None:
    deep = "<div>" * 150 + "x" + "</div>" * 150
    wide = "<b class=x>y</b>" * 20_000
    for css in (
        "b " + "div " * 12 + "{ display: none }",
        "div:not(div div div div) { display: none }",
        "b ~ b { display: none } " * 500,
        "b ~ " * 5_000 + "b { display: none }",
        "b { display: block } " * 50_000,
    ):
        started = perf_counter()
        assert "x" in html_to_text(f"<style>{css}</style>{deep}{wide}")
        assert perf_counter() - started < 10


TAGS = st.sampled_from(
    [
        *(
            "<p>",
            "</div>",
            "<table>",
            "<a href=",
            "<!--",
            "x",
            "&#0;",
            "<",
            "<ul><li>",
            "<img alt=y>",
            "'",
            ">",
            "</a>",
        ),
        *("<ol reversed><li value=", "<style>", "p{display:", "@media(", "}", "<td style='", "<frameset>", "<svg>"),
        *("<select>", "<template>", "<br>"),
    ]
)


@given(st.text() | st.lists(TAGS).map("".join))
def test_it_never_raises(html: str) -> None:
    assert isinstance(html_to_text(html), str)
