# ruff: noqa: E501 (emails, as they are written)
"""HTML with Liquid in it: what is changed, and that nothing else is."""

import gc
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dripstone.content import html
from dripstone.content.compile import EmailSource, Envelope, Person, SnippetSource, compile_email
from dripstone.content.layout import DEFAULT_TEMPLATE
from dripstone.content.liquid import check
from dripstone.content.markup import markups
from tests.content.test_liquid import FRAGMENTS

ENVELOPE = Envelope("1@example.com", datetime(2026, 1, 2, tzinfo=UTC), "https://example.com/u/1")
BARE = "{{ message_content }}"
LINK = "<a href='{{ unsubscribe_url }}'>U</a>"


def sent(content: str, template: str | None = BARE, preview: str = "", **snippets: str) -> str:
    blocks = {key.replace("_", "-"): SnippetSource("block", source) for key, source in snippets.items()}
    source = EmailSource(
        "Hi", "Ann", "ann@example.com", content=content, template_html=template, snippets=blocks, preview_text=preview
    )
    return compile_email(source).render(Person(1, "bob@example.com", "Bob", {"x": "y"}), ENVELOPE).html


def whole(css: str, body: str) -> str:
    return f"<!DOCTYPE html><html><head><style>{css}</style></head><body>{body}{LINK}</body></html>"


# --- As its author wrote it ---------------------------------------------------------------------------------------------


def test_what_needs_no_change_leaves_byte_for_byte() -> None:
    content = (
        '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">'
        "<HTML xmlns=http://www.w3.org/1999/xhtml><head><LINK rel=stylesheet href='https://fonts.test/a.css?x=1&y=2'/>"
        "<!--[if gte mso 9]><xml><o:PixelsPerInch>96</o:PixelsPerInch></xml><![endif]--></head><BODY bgcolor=red>"
        "<p>&copy; caf&eacute; &lt;b> \u00a0<br/><IMG SRC=a.png alt='&#123;&#123;'/><![if !mso]>x<![endif]><tr>"
        f"<o:p>&nbsp;</o:p></td>{LINK}</BODY></HTML>"
    )
    assert sent(content) == content.replace("{{ unsubscribe_url }}", ENVELOPE.unsubscribe_url)


BRACES = ["&#123;&#123; subscriber.first_name &#125;&#125;", "&#x7b;% if %&#x7D;", "&lbrace;&lbrace; oops", "&lcub;% x"]


@pytest.mark.parametrize("braces", BRACES)
@pytest.mark.parametrize(
    "form",
    ["<p>{}</p>", "<p title='{}'>x</p>", '<img alt="{}">', "<title>{}</title>", "<table><td>{}", "<p style='{}'>"],
)
def test_braces_written_as_entities_are_never_liquid(braces: str, form: str) -> None:
    text = form.format(braces)
    for page in (
        sent(text + LINK),
        sent(text, None),
        sent(whole("p, td { color: red }", text)),
        sent("<p>x</p>", f"<html><body>{text}{BARE}{LINK}</body></html>"),
        sent("{{ snippet.card }}", None, card=text),
    ):
        assert braces in page
        assert ENVELOPE.unsubscribe_url in page  # the Liquid around it went on working


def test_braces_of_css_are_never_liquid() -> None:
    page = sent(
        whole('.q { quotes: "\\7b\\7b" "\\7b%"; color: red } @media print { .q { color: blue } }', "<p class=q>x</p>")
    )
    assert '<p class=q style="color: red;">' in page
    assert '"\\7b\\7b"' in page
    assert ENVELOPE.unsubscribe_url in page


@given(
    st.lists(FRAGMENTS, max_size=6).map("".join), st.sampled_from(["{}", "<style>p{{color:{}}}</style><p>", "<p {}>"])
)
def test_what_was_sound_liquid_is_sound_when_it_is_sent(source: str, form: str) -> None:
    content = f"<style>p{{color:red}}td{{margin:1px}}</style>{form.format(source)}<p>{source}</p>{{{{ snippet.card }}}}"
    if check(content) or check(source):
        return
    for template in (None, BARE, f"<html><body><table><tr><td>{BARE}</table>"):
        finished = html.finish(
            html.merge(template, content, DEFAULT_TEMPLATE), preheader=True, snippets={"card": f"<p>{source}"}
        )
        assert check(finished.html) == []
        assert all(check(snippet) == [] for snippet in finished.snippets.values())


# --- What is inlined ----------------------------------------------------------------------------------------------------


def test_only_styles_for_the_screen_are_inlined() -> None:
    for media in ("print", "(max-width: 600px)", "screen and (max-width: 600px)", "speech"):
        style = f'<style media="{media}">.np{{display:none}}</style>'
        page = sent(f"<html><head>{style}</head><body><p class=np>x</p>{LINK}</body></html>")
        assert style in page
        assert "<p class=np>" in page
    for media in ("", "all", "screen", "SCREEN", "print, screen"):
        page = sent(
            f"<html><head><style media='{media}'>p{{margin:0}}</style></head><body><p>x</p>{LINK}</body></html>"
        )
        assert '<p style="margin: 0;">x' in page
        assert "<style" not in page


def test_important_only_settles_the_order_of_what_is_inlined() -> None:
    page = sent(
        whole(
            ".m{display:none!important}.m{display:block}@media(max-width:9px){.m{display:block!important}}",
            "<p class=m>",
        )
    )
    assert '<p class=m style="display: none;">' in page
    assert "@media(max-width:9px){.m{display:block!important}}" in page


def test_a_weaker_rule_that_stays_does_not_win_by_its_importance() -> None:
    page = sent(whole("p.a{color:green!important} p, .later{color:red!important}", "<p class=a>"))
    assert '<p class=a style="color: green;">' in page
    assert "p.a{color:green!important}" in page  # `p, .later` stays, and would win otherwise


def test_rules_stay_for_what_liquid_may_bring() -> None:
    rules = ["p { margin: 1px }", ".on { color: red }"]
    for content in ("<p>x</p>{{ subscriber.x | default: '<p class=on>' }}", "<p class='{{ subscriber.x }}'>x</p>"):
        page = sent(whole(" ".join(rules), content))
        assert rules[1] in page
        assert "margin: 1px;" in page
    assert rules[0] not in sent(whole(" ".join(rules), "<p>{{ subscriber.x }}</p>"))


def test_a_block_snippet_has_the_styles_of_the_place_where_it_stands() -> None:
    sign_off = "<p>Bye <a href='https://y.test'>{{ subscriber.first_name }}</a></p>"
    page = sent(
        whole(
            ".a p{color:red}.b p{color:blue}a{top:0}",
            "<div class=a>{{ snippet.bye }}</div><div class=b>{{ snippet['bye'] }}</div>",
        ),
        bye=sign_off,
    )
    styled = '<p style="color: {};">Bye <a href=\'https://y.test\' style="top: 0;">Bob</a></p>'
    assert f"<div class=a>{styled.format('red')}</div><div class=b>{styled.format('blue')}</div>" in page


def test_a_rule_for_everything_is_for_what_can_be_seen() -> None:
    page = sent(whole("*{top:0}", "<p>x</p>").replace("<head>", "<head><title>t</title><meta name=a>"))
    assert "<html><head><title>t</title><meta name=a><style>*{top:0}</style></head>" in page
    assert '<body style="top: 0;"><p style="top: 0;">' in page
    assert '<html style="top: 0;">' in sent(whole("html{top:0}", "<p>x</p>"))


def test_an_own_style_keeps_its_place_in_the_cascade() -> None:
    css = "p{color:red;margin:1px;top:0!important}"
    assert '<p style="margin: 1px; color:#000; top: 0;">' in sent(whole(css, '<p style="color:#000">'))
    assert "<p style='color: red; margin: 1px; font-family:&quot;A&quot;; top: 0;'>" in sent(
        whole(css, "<p style='font-family:&quot;A&quot;'>")
    )
    assert 'style="color: red; margin: 1px; {{' not in sent(whole(css, "<p style='{{ subscriber.x }}'>"))


def test_quotation_marks_do_not_end_the_attribute() -> None:
    page = sent(whole("p{font-family:\"Segoe UI\",'It\\'s',serif}", "<p>x<p style=''>y"))
    assert "&quot;It's&quot;" in page
    assert "'Segoe UI'" in page


# --- Content within a template ------------------------------------------------------------------------------------------


def test_language_direction_and_looks_of_a_document_survive_its_template() -> None:
    template = f"<html><head></head><body>{BARE}{LINK}</body></html>"
    content = "<html lang=he><body dir=rtl class='a b' bgcolor=#eee style='color:\"red\"'><p>שלום</p></body></html>"
    assert (
        '<div lang="he" dir="rtl" class="a b" style="background-color:#eee; color:&quot;red&quot;"><p>שלום</p></div>'
        in sent(content, template)
    )
    assert "<div><p>" not in sent("<html><body><p>x</p></body></html>", template)
    assert f"<body><p>x</p>{LINK[:9]}" in sent("<html><body><p>x</p></body></html>", template)
    assert "<div {% if" not in sent(
        "<html><body {% if subscriber.x %}dir=rtl{% endif %}><p>x</p></body></html>", template
    )
    assert "<div dir=rtl><p>" in sent(
        "<html><body {% if subscriber.x %}dir=rtl{% endif %}><p>x</p></body></html>", template
    )


def test_a_document_of_its_own_keeps_its_language_and_the_built_in_template_claims_none() -> None:
    assert '<html lang="de">' in sent(f'<html lang="de"><body>{LINK}</body></html>', None)
    assert "lang=" not in sent("<p>x</p>", None)


def test_styles_and_fonts_of_a_document_go_into_the_head_of_its_template() -> None:
    fonts = "<link rel=stylesheet href=https://f.test>"
    style = "<style>@media print{i{top:0}}</style>"
    page = sent(
        f"<html><head><title>t</title>{fonts}{style}</head><body><i>x</i></body></html>",
        f"<html><head></head><body>{BARE}</body></html>",
    )
    assert f"<head>{fonts}{style}</head>" in page
    assert "<title>" not in page


@pytest.mark.parametrize(
    ("written", "sent_as"),
    [
        ("<meta charset=iso-8859-1>", '<meta charset="utf-8">'),
        ("<meta charset='UTF-8'>", "<meta charset='UTF-8'>"),
        (
            '<META http-equiv="Content-Type" content="text/html; charset=windows-1252" />',
            '<META http-equiv="Content-Type" content="text/html; charset=utf-8" />',
        ),
        ("<meta name=viewport content=width=device-width>", "<meta name=viewport content=width=device-width>"),
    ],
)
def test_no_meta_denies_that_the_message_is_utf_8(written: str, sent_as: str) -> None:
    assert f"<head>{sent_as}</head>" in sent(f"<html><head>{written}</head><body>{LINK}</body></html>")


@pytest.mark.parametrize(
    "start", ["<html>", "<html><head><title>t</title></head>", "<html><style>p{top:0}</style>", "<!-- c --><html> "]
)
def test_the_preview_text_comes_first_in_a_document_without_a_body_tag(start: str) -> None:
    page = sent(f"{start}<p>Body</p>{LINK}</html>", preview="Soon")
    assert page.index("<body>\n<div style") < page.index("Soon") < page.index("Body</p>")


def test_the_preview_text_has_no_faint_or_tiny_letters() -> None:
    page = sent("<p>x</p>", None, preview="Soon")
    hidden = page[page.index("<div style") : page.index("Soon")]
    assert "display:none" in hidden
    assert "color" not in hidden
    assert "font-size" not in hidden


# --- Hostile sources ----------------------------------------------------------------------------------------------------

PIECES = [
    *("<!--", "<!", "<?", "<style", "<a <!--", "<!--{{x}}", "<!--{{ message_content }}", "<style>", "<script", "<title>"),
    *("<a b='", '<a "', "<a b", "</a", "</", "<", "<html", "<html>", "<head>", "</head", "<body", "<body>", "</body", "<link rel=stylesheet"),
    *("<p>", "<td>", "<table>", "<div>", "</div>", "<b>", "<b><p>", "<b></p>", "<li><dd>", "<table><b>", "<svg/>", "<font><table>"),
    *("<style>p{a:b}</style>", "<p class='a b' style='a:b'>", "{% if x %}<p>{% endif %}", "{% if x %}<div>", "<p {{ x }}>", "{{ snippet.b }}"),
    *("&#123;", "-->", "]]>", "<i id={n}>", "<b id={n}><p>", "<meta charset=x>", "</style>", "<plaintext>", "{% assign a = '<' %}"),
]  # fmt: skip

FORMS: dict[str, Callable[[str], EmailSource]] = {
    "document in a template": lambda text: EmailSource(
        "s", "A", "a@b.c", content="<html>" + text, template_html=f"<html><head></head><body>{BARE}"
    ),
    "template": lambda text: EmailSource("s", "A", "a@b.c", content="<p>x</p>", template_html=text + BARE),
    "snippet": lambda text: EmailSource(
        "s",
        "A",
        "a@b.c",
        content="{{ snippet.a }}",
        snippets={"a": SnippetSource("block", text), "b": SnippetSource("block", "x")},
    ),
}

CSS_PIECES = [
    *("p{color:red}", ".a{color:red}", "p,", "p ", "p>", "p~", "p:is(", "p:not(", "p:has(a){b:c}", "p{", "p{& &{", "@media x{", "/*", "["),
    *("p{a:(", 'p{a:"', "p:hover{color:red}p{color:blue}", "@media x{p{color:red}}p{color:blue!important}", "p:nth-child(2n){a:b}", "\\"),
    *("[style*=a]{b:c}", "*{a:b}", "@a;", "}", "p{color:red;", "<!--", "url(", "div p{color:red}"),
]  # fmt: skip


def seconds(work: Callable[[], object]) -> float:
    """Of CPU, without the collector of garbage, which looks through all that the other tests left."""
    gc.disable()
    try:
        started = process_time()
        work()
        return process_time() - started
    finally:
        gc.enable()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("piece", PIECES)
def test_twice_the_html_takes_twice_the_time(piece: str, form: str) -> None:
    def page(n: int) -> Callable[[], object]:
        text = "".join(piece.replace("{n}", str(i)) for i in range(n))
        source = FORMS[form](text)
        template, blocks = source.template_html, {key: one.source for key, one in source.snippets.items()}
        return lambda: html.finish(
            html.merge(template, source.content or "", DEFAULT_TEMPLATE), preheader=True, snippets=blocks
        )

    assert_linear(page, n=300)


@pytest.mark.parametrize("body", ["<p class=a>x</p>" * 50, "<div>" * 150 + "<p>x"])
@pytest.mark.parametrize("piece", CSS_PIECES)
def test_twice_the_css_takes_twice_the_time_or_is_refused(piece: str, body: str) -> None:
    def page(n: int) -> Callable[[], object]:
        source = f"<!DOCTYPE html><html><head><style>{piece * n}</style></head><body>{body}</body></html>"
        return lambda: html.finish(source, preheader=True)

    assert_linear(page, n=100)


def assert_linear(page: Callable[[int], Callable[[], object]], n: int) -> None:
    """Eight times as much may take 24 times as long, where quadratic work would take 64. The better of up to three."""
    small, large = page(n), page(8 * n)
    first, second = seconds(small), seconds(large)
    for _ in range(2):
        if second > 24 * max(first, 0.02):
            first, second = max(first, seconds(small)), min(second, seconds(large))
    assert second <= 24 * max(first, 0.02)


def test_markup_is_found_without_looking_back() -> None:
    for piece in PIECES:
        source = "<html>" + piece * 2_000
        places = [(one.start, max(one.end, one.outer_end)) for one in markups(source)]
        assert all(start < end for start, end in places)
        assert all(end <= start for (_, end), (start, _) in pairwise(places))
