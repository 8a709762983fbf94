# ruff: noqa: E501 (emails, as they are written)
"""What people see is what the creator wrote, with <style> and without: compared in a real browser."""

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from dripstone.content.compile import EmailSource, Person, SnippetSource
from tests.content.looking import differences, source_and_message, without_conditions, without_styles

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ANN = Person(1, "ann@example.com", "Ann", {"vip": "yes", "colour": "rgb(1, 2, 3)", "theme": "gold"})
EVE = Person(2, "eve@example.com", None, {"vip": None, "colour": "blue", "theme": None})

SNIPPETS = {
    "sign-off": SnippetSource("block", "<p>Bye <a href='https://y.test'>me</a></p><ul><li>One</li></ul>"),
    "card": SnippetSource(
        "block",
        "<table class=card><tr><td class=pad>Card</td></tr></table>{{ snippet.sign-off }}{{ unsubscribe_link }}",
    ),
    "name": SnippetSource("inline", "{{ subscriber.first_name | default: 'friend' }}"),
    "styled": SnippetSource("block", "<style>.own { color: #123456 }</style><p class=own style='margin:1px'>Own</p>"),
}

FLUID = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><meta name="x-apple-disable-message-reformatting">
<!--[if mso]><style>* { font-family: sans-serif !important; }</style><![endif]-->
<style>
html, body { margin: 0 auto !important; padding: 0 !important; height: 100% !important; width: 100% !important; }
* { -ms-text-size-adjust: 100%; -webkit-text-size-adjust: 100%; }
div[style*="margin: 16px 0"] { margin: 0 !important; }
#MessageViewBody, #MessageWebViewDiv { width: 100% !important; }
table, td { mso-table-lspace: 0pt !important; mso-table-rspace: 0pt !important; }
table { border-spacing: 0 !important; border-collapse: collapse !important; table-layout: fixed !important; margin: 0 auto !important; }
img { -ms-interpolation-mode: bicubic; }
a { text-decoration: none; }
a[x-apple-data-detectors], .unstyle-auto-detected-links a { border-bottom: 0 !important; color: inherit !important; }
.im { color: inherit !important; }
.a6S { display: none !important; opacity: 0.01 !important; }
img.g-img + div { display: none !important; }
@media only screen and (min-device-width: 320px) and (max-device-width: 374px) { u ~ div .email-container { min-width: 320px !important; } }
</style>
<style>
.button-td, .button-a { transition: all 100ms ease-in; }
.button-td-primary:hover, .button-a-primary:hover { background: #555555 !important; border-color: #555555 !important; }
@media screen and (max-width: 600px) {
  .email-container { width: 100% !important; margin: auto !important; }
  .stack-column, .stack-column-center { display: block !important; width: 100% !important; max-width: 100% !important; }
  .stack-column-center { text-align: center !important; }
  .center-on-narrow { text-align: center !important; display: block !important; margin-left: auto !important; float: none !important; }
  table.center-on-narrow { display: inline-block !important; }
  .email-container p { font-size: 17px !important; }
}
:root { color-scheme: light dark; supported-color-schemes: light dark; }
@media (prefers-color-scheme: dark) {
  .email-bg { background: #111111 !important; }
  .darkmode-bg { background: #222222 !important; }
  h1, h2, p, li, .darkmode-text, .email-container a:not([class]) { color: #F7F7F9 !important; }
  td.button-td-primary, td.button-td-primary a { background: #ffffff !important; border-color: #ffffff !important; color: #222222 !important; }
  td.button-td-primary:hover { background: #cccccc !important; }
  .dark-img { display: block !important; width: auto !important; }
  .light-img { display: none; display: none !important; }
}
</style></head>
<body width="100%" style="margin: 0; padding: 0 !important; mso-line-height-rule: exactly; background-color: #222222;" class="email-bg">
<center role="article" style="width: 100%; background-color: #222222;" class="email-bg">
<!--[if mso | IE]><table role="presentation"><tr><td><![endif]-->
<div style="max-width: 680px; margin: 0 auto;" class="email-container">
<div style="margin: 16px 0;">Android</div>
<table align="center" role="presentation" width="100%" style="margin: auto;">
<tr><td style="padding: 20px 0; text-align: center"><img src="x.png" width="200" alt="logo" class="light-img">
<div class="dark-img" style="display: none">Dark logo</div></td></tr>
<tr><td class="darkmode-bg" style="padding: 20px; font-family: sans-serif; color: #555555;">
<h1 style="margin: 0 0 10px 0; font-size: 25px;">Hello {{ snippet.name }}</h1><p style="margin: 0;">Text <a href="https://x.test">link</a></p>
<table role="presentation"><tr><td class="button-td button-td-primary" style="border-radius: 4px; background: #222222;">
<a class="button-a button-a-primary" href="https://x.test" style="background: #222222; color: #ffffff; padding: 13px;">Button</a></td></tr></table>
</td></tr>
<tr>{% for i in (1..2) %}<td class="stack-column-center" width="50%"><p>Column {{ i }}</p></td>{% endfor %}</tr>
</table>{{ message_content }}<p>{{ unsubscribe_link }} {{ address }}</p></div></center></body></html>"""

PLAIN = """<!doctype html><html><head><style media="all" type="text/css">
body { font-family: Helvetica, sans-serif; font-size: 16px; line-height: 1.3; background-color: #f4f5f6; margin: 0; padding: 0; }
table { border-collapse: separate; width: 100%; }
table td { font-family: Helvetica, sans-serif; font-size: 16px; vertical-align: top; }
.container { margin: 0 auto !important; max-width: 600px; padding: 0; padding-top: 24px; width: 600px; }
.footer td, .footer p, .footer span, .footer a { color: #9a9ea6; font-size: 16px; text-align: center; }
p { font-weight: normal; margin: 0; margin-bottom: 16px; }
a { color: #0867ec; text-decoration: underline; }
.btn { box-sizing: border-box; min-width: 100% !important; width: 100%; }
.btn > tbody > tr > td { padding-bottom: 16px; }
.btn table td { background-color: #ffffff; border-radius: 4px; text-align: center; }
.btn a { background-color: #ffffff; border: solid 2px #0867ec; color: #0867ec; display: inline-block; padding: 12px 24px; }
.btn-primary table td { background-color: #0867ec; }
.btn-primary a { background-color: #0867ec; border-color: #0867ec; color: #ffffff; }
@media all { .btn-primary table td:hover { background-color: #ec0867 !important; } }
.last { margin-bottom: 0; } .first { margin-top: 0; } .mt0 { margin-top: 0; }
.preheader { color: transparent; display: none; height: 0; mso-hide: all; opacity: 0; visibility: hidden; width: 0; }
@media only screen and (max-width: 640px) {
  .main p, .main td, .main span { font-size: 16px !important; }
  .container { padding: 0 !important; padding-top: 8px !important; width: 100% !important; }
  .btn table, .btn a { font-size: 16px !important; max-width: 100% !important; width: 100% !important; }
}
@media all {
  .ExternalClass { width: 100%; } .ExternalClass, .ExternalClass p { line-height: 100%; }
  .apple-link a { color: inherit !important; font-family: inherit !important; text-decoration: none !important; }
  #MessageViewBody a { color: inherit; text-decoration: none; }
}
</style></head><body><table role="presentation" class="body"><tr><td>&nbsp;</td><td class="container"><div class="content">
<span class="preheader">Preheader</span><table role="presentation" class="main"><tr><td class="wrapper"><p>Hi</p>{{ message_content }}
<table role="presentation" class="btn btn-primary"><tbody><tr><td align="left"><table role="presentation"><tbody><tr>
<td><a href="https://x.test">Call</a></td></tr></tbody></table></td></tr></tbody></table><p class="last">End</p></td></tr></table>
<div class="footer"><table><tr><td class="content-block"><span class="apple-link">{{ address }}</span> {{ unsubscribe_link }}</td></tr></table></div>
</div></td><td>&nbsp;</td></tr></table></body></html>"""

WHOLE = "<!DOCTYPE html><html><head><style>{css}</style></head><body>{body}<p>{{ unsubscribe_link }} {{ address }}</p></body></html>"


def whole(css: str, body: str) -> str:
    return WHOLE.replace("{css}", css).replace("{body}", body)


# By name: template (None: the built-in one) and content.
EMAILS: dict[str, tuple[str | None, str]] = {
    "a letter": (None, "<h1>Hi</h1><p>One <a href='https://x.test'>two</a></p><ul><li>a<li>b</ul><blockquote><p>q</p></blockquote>"),
    "a letter with a block snippet": (None, "<p>Hi</p>{{ snippet.sign-off }}{% if subscriber.vip %}{{ snippet.card }}{% endif %}"),
    "fluid": (FLUID, "<p>Body</p><h2>More</h2>{{ snippet.card }}"),
    "plain": (PLAIN, "<p class='mt0'>Body</p>{{ snippet.sign-off }}"),
    "for print": (None, whole("p{color:#111} .np{color:#222}", "<p class=np>a</p>")
        .replace("</head>", "<style media=print>.np{display:none}</style></head>")),
    "on phones only": (None, whole(
        ".m{display:none!important;mso-hide:all}.d{display:block}"
        "@media (max-width:600px){.m{display:block!important}.d{display:none!important}}", "<p class=m>m</p><p class=d>d</p>")),
    "dark without important": (None, whole(
        "body{background:#fff;color:#000}p{color:#111}.w{color:red}#i{color:green}"
        "@media (prefers-color-scheme:dark){body{background:#000;color:#fff}p{color:#eee}a{color:#8cf}}",
        "<p>a <a href=x>l</a></p><p class=w>w</p><p id=i>i</p><p style='color:#555'>own</p>")),
    "a weak dark rule before the base": (None, whole(
        "@media (prefers-color-scheme:dark){p{color:#eee;margin-left:9px}}p{color:#111;margin:3px}", "<p>a</p>")),
    "media of style elements": (None, whole("p{margin:1px}", "<p class=a>a</p>").replace("</head>",
        "<style media='screen and (max-width:600px)'>.a{color:red}</style><style media='screen, print'>.a{padding:2px}</style>"
        "<style media='(prefers-color-scheme: dark)'>.a{margin:7px}</style></head>")),
    "supports and screen": (None, whole(
        "td{font-family:Arial}@media screen{td{font-family:'Web Font',Arial}}@supports (display:grid){.g{display:grid;color:red}}"
        ".g{color:blue}@font-face{font-family:'Web Font';src:url(x.woff)}@import url(https://f.test/a.css);",
        "<table><tr><td>a</td></tr></table><div class=g>g</div>")),
    "order and importance": (None, whole(
        "p{color:red!important}.b{color:blue}#c{color:green}p.b{margin:1px!important}.b{margin:2px}",
        "<p>a</p><p class=b>b</p><p id=c style='color:#777'>c</p><p class=b style='color:#777!important;margin:9px'>d</p>")),
    "shorthands": (None, whole(
        ".x{margin:10px;border:1px solid red}.x{margin-left:5px}.y{border-top-color:blue}p{margin-left:2px}"
        "@media (max-width:600px){.x{margin-left:0!important;border-color:green!important}}",
        "<p class='x y'>a</p><div class=x style='margin-top:3px'>b</div>")),
    "values that not all understand": (None, whole(
        "p{width:300px;width:min(300px,90%);color:#123456;color:bogus(1)}.a{width:bogus}", "<p class=a>a</p><p>b</p>")),
    "places in a list": (None, whole(
        "li:first-child{color:red}li:nth-child(2n){color:blue}li+li{margin-top:4px}li:not(.z){padding:1px}p:last-of-type{margin:0}",
        "<ul><li>1</li><li class=z>2</li><li>3</li></ul><p>a</p><p>b</p>")),
    "places among Liquid": (None, whole(
        "li:first-child{color:red}li+li{margin-top:4px}tr:nth-child(2n) td{background:#eee}",
        "<ul>{% if subscriber.vip %}<li>vip</li>{% endif %}<li>2</li>{% for i in (1..2) %}<li>x</li>{% endfor %}</ul>"
        "<table>{% for i in (1..3) %}<tr><td>{{ i }}</td></tr>{% endfor %}</table>")),
    "conditional classes": (None, whole(
        ".on{color:red}.off{color:gray}td{padding:3px}.gold{color:gold!important}p.x{color:#010101}",
        "<p class='{% if subscriber.vip %}on{% else %}off{% endif %} x'>a</p><p class='{{ subscriber.theme }}'>b</p>"
        "<table><tr><td {% if subscriber.vip %}class='on'{% else %}class='off'{% endif %}>c</td></tr></table>"
        "<p {% if subscriber.vip %}style='margin:0'{% endif %} class=x>d</p>")),
    "elements that Liquid opens": (None, whole(
        ".a p{color:red}.b p{color:blue}p{margin:2px}",
        "{% if subscriber.vip %}<div class=a>{% else %}<div class=b>{% endif %}<p>in</p></div><p>after</p>"
        "<div class=a><p>x</p>{% if subscriber.vip %}</div><div class=b>{% endif %}<p>y</p></div>")),
    "Liquid in CSS": (None, whole(
        ".c{color:{{ subscriber.colour }};margin:1px}{% if subscriber.vip %}.v{color:red}{% endif %}", "<p class=c>a</p><p class=v>b</p>")
        .replace("</head>", "<style>.c{padding:2px}p{color:#222}</style></head>")),
    "elements from strings": (None, whole(
        "p b{color:red}i{color:green}@media (max-width:600px){i{color:blue}}",
        "<p>{{ subscriber.first_name | default: '<b>friend</b>' }}</p>{% capture t %}<p><i>i</i></p>{% endcapture %}"
        "<div class=q>{{ t }}</div><i>j</i>")),
    "tags left open": (None, whole(
        "td{padding:2px}.o b{color:red}p b{margin:1px}li{color:#333}p{margin:4px}div>p{color:blue}",
        "<div class=o><p>One<p>Two <b>bold<p>Three</p></div></b></span><p>Four<table><tr><td>1<td>2<tr><td>3</table>"
        "<table><div>before</div><tr><td>x</td></tr></table><a href=x>1<a href=y>2</a><ul><li>a<li>b</ul>")),
    "without a doctype": ("<html><body class=A>{{ message_content }}<p>{{ unsubscribe_link }} {{ address }}</p></body></html>", "<style>.a{color:red}.A p{margin:2px}</style><p>x</p>"),
    "for mail programs": (None, whole(
        "[data-ogsc] .x{color:#fff}u + .body .x{margin:1px}.x{color:#000}.ExternalClass *{line-height:100%}"
        ".x:hover{color:red}a:visited{color:blue}a:link{color:#0a0}p:first-letter{color:red}.x::before{content:'\\201c'}",
        "<p class=x>a <a href=y>l</a></p>")),
    "style in the body": (None, "<p class=z>a</p><style>.z{color:red}.y{margin:1px}</style>{{ snippet.styled }}<p class='z own'>b</p>"),
    "variables and nesting": (None, whole(
        ":root{--c:#123456}p{color:var(--c);& b{color:blue}.n &{margin:2px}> i{color:#0f0}}"
        "@media (prefers-color-scheme:dark){:root{--c:#fedcba}}*{box-sizing:border-box}",
        "<p>a<b>b</b><i>i</i></p><div class=n><p>c</p></div>")),
    "quotation marks and entities": (None, whole(
        "p{font-family:\"Segoe UI\",'Gill Sans';background:url(x.png?a=1&copy=2)}.q{quotes:'\"' \"'\"}",
        "<p style='color:red;font-family:&quot;Courier New&quot;;'>a</p><p class=q style=margin:0>b</p><p class=q style=\"\">c</p>")),
}  # fmt: skip


@pytest.fixture(scope="module")
def page(chromium: "Browser") -> "Page":
    return chromium.new_page(viewport={"width": 1200, "height": 900})


# Where Liquid decides what there is, or a browser guesses, only <style> can say how it looks.
UNCERTAIN = {
    "places among Liquid",
    "conditional classes",
    "elements that Liquid opens",
    "Liquid in CSS",
    "elements from strings",
    "tags left open",
}


def email(template: str | None, content: str) -> EmailSource:
    return EmailSource(
        "Hi",
        "Ann",
        "ann@example.com",
        content=content,
        template_html=template,
        snippets=SNIPPETS,
        postal_address="1 Main St\nTown",
    )


@pytest.mark.parametrize("name", EMAILS)
def test_it_looks_as_it_was_written(name: str, page: "Page") -> None:
    pairs = [source_and_message(email(*EMAILS[name]), person) for person in (ANN, EVE)]
    assert differences(page, pairs) == []


@pytest.mark.parametrize("name", [name for name in EMAILS if name not in UNCERTAIN])
def test_without_style_elements_it_looks_as_it_was_written_without_conditions(name: str, page: "Page") -> None:
    source, message = source_and_message(email(*EMAILS[name]), ANN)
    assert differences(page, [(without_conditions(source), without_styles(message))]) == []


# --- Generated emails ---------------------------------------------------------------------------------------------------

SIMPLE = st.sampled_from(["p", "td", "a", "b", "*", ".a", ".b", "#i", "p.a", "[title]", ".c", "div"])
ODD = st.sampled_from(
    [":hover", ":first-child", ":last-child", ":nth-child(2n)", ":not(.a)", ":is(.a, p)", "::before", ":only-child"]
)
SELECTOR = st.one_of(
    SIMPLE,
    SIMPLE,
    st.builds("{}{}".format, SIMPLE, ODD),
    st.builds("{}{}{}".format, SIMPLE, st.sampled_from([" ", ">", "+", "~"]), SIMPLE),
    st.builds("{}, {}".format, SIMPLE, SIMPLE),
)
VALUE = st.sampled_from(
    [
        *[
            "color:red",
            "color:#00f",
            "color:green",
            "margin:3px",
            "margin-left:7px",
            "padding:1px 2px",
            "padding-top:9px",
        ],
        *["font-size:20px", "font:italic 15px serif", "border:1px solid red", "border-top-color:blue", "display:block"],
        *[
            "display:none",
            "background:#eee",
            "background-color:yellow",
            "width:50%",
            "width:nonsense",
            "text-align:center",
        ],
    ]
)
MEDIA = st.sampled_from(["(max-width:600px)", "(min-width:601px)", "(prefers-color-scheme:dark)", "print", "screen"])
KINDS = st.sampled_from(["", "", "", " media=screen", " media=print", " media='(max-width:600px)'"])


def styles(selector: st.SearchStrategy[str], importance: list[str], in_media: list[str]) -> st.SearchStrategy[str]:
    """A few <style> elements, with the values of `importance` behind declarations, and in @media those of `in_media`."""

    def rules(ends: list[str]) -> st.SearchStrategy[str]:
        said = st.lists(st.builds("{}{}".format, VALUE, st.sampled_from(ends)), min_size=1, max_size=3).map(";".join)
        return st.lists(st.builds("{}{{{}}}".format, selector, said), min_size=1, max_size=4).map("".join)

    plain, group = rules(importance), st.builds("@media {}{{{}}}".format, MEDIA, rules(in_media))
    css = st.lists(st.one_of(plain, plain, group), min_size=1, max_size=4).map("".join)
    one = st.builds("<style{}>{}</style>".format, KINDS if importance == in_media else st.just(""), css)
    return st.lists(one, min_size=1, max_size=3).map("".join)


ANY_STYLES = styles(SELECTOR, ["", "", "", "!important"], ["", "", "", "!important"])
NAMING = SELECTOR.filter(lambda selector: "*" not in selector)  # which is not for <html>
# As mails have it: media queries with `!important` throughout, or no `!important` at all.
USUAL_STYLES = st.one_of(
    styles(NAMING.filter(lambda selector: ":hover" not in selector), ["", "", "!important"], ["!important"]),
    styles(NAMING, [""], [""]),
)

ATTRIBUTES = st.sampled_from(
    [
        "",
        "",
        " class=a",
        " class='b a'",
        " class=b id=i",
        " title=t",
        " style='color:#777'",
        " class=a style='margin:1px!important'",
        ' class=c style="padding:4px;border-top-color:red"',
    ]
)
LEAF = st.sampled_from(["x", "<b>y</b>", "<a href='https://x.test' class=b>z</a>"])
BLOCK = st.recursive(
    st.builds("<p{}>{}</p>".format, ATTRIBUTES, st.lists(LEAF, max_size=2).map("".join)),
    lambda inner: st.one_of(
        st.builds("<div{}>{}</div>".format, ATTRIBUTES, st.lists(inner, max_size=3).map("".join)),
        st.builds(
            "<table{}><tbody><tr><td{}>{}</td><td>{}</td></tr></tbody></table>".format,
            ATTRIBUTES,
            ATTRIBUTES,
            inner,
            inner,
        ),
    ),
    max_leaves=5,
)
BODY = st.lists(BLOCK, min_size=1, max_size=4).map("".join)
LIQUID = st.sampled_from(
    [
        "{{% if subscriber.vip %}}{}{{% endif %}}{}",
        "{{% if subscriber.vip %}}{}{{% else %}}{}{{% endif %}}",
        "{{% for i in (1..2) %}}{}{{% endfor %}}{}",
        "<div class='{{% if subscriber.vip %}}a{{% else %}}b{{% endif %}}'>{}</div>{}",
        "<div {{% if subscriber.vip %}}class=a{{% endif %}}>{}</div>{}",
        "{{% if subscriber.vip %}}<div class=a>{{% else %}}<div class=b>{{% endif %}}{}</div>{}",
        "<p style='{{% if subscriber.vip %}}color:red;{{% endif %}}margin:2px'>{}</p>{}",
        "{}{{{{ subscriber.colour | default: '<i>i</i>' }}}}{}",
        "{{{{ snippet.sign-off }}}}{}{}",
        "{}<style>.b{{{{color:{{{{{{{{ subscriber.colour }}}}}}}}}}}}</style>{}".replace("{{{{", "{{").replace(
            "}}}}", "}}"
        ),
    ]
)
LIQUID_BODY = st.builds(lambda form, one, other: form.format(one, other), LIQUID, BODY, BODY)
FOOT = "<p>{{ unsubscribe_link }}</p>{{ address }}"


def document(css: str, body: str) -> EmailSource:
    return email(None, f"<!DOCTYPE html><html><head>{css}</head><body>{body}{FOOT}</body></html>")


in_browser = settings(
    max_examples=12,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # making a failing example smaller would take minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@in_browser
@given(st.lists(st.tuples(ANY_STYLES, st.one_of(BODY, LIQUID_BODY)), min_size=6, max_size=6))
def test_any_email_looks_as_it_was_written(page: "Page", emails: list[tuple[str, str]]) -> None:
    pairs = []
    for css, body in emails:
        people = (ANN, EVE) if "{%" in body else (ANN,)
        pairs += [source_and_message(document(css, body), person) for person in people]
    assert differences(page, pairs) == []


@in_browser
@given(st.lists(st.tuples(USUAL_STYLES, BODY), min_size=6, max_size=6))
def test_without_style_elements_any_email_keeps_what_has_no_condition(
    page: "Page", emails: list[tuple[str, str]]
) -> None:
    pairs = []
    for css, body in emails:
        source, message = source_and_message(document(css, body), ANN)
        pairs.append((without_conditions(source), without_styles(message)))
    assert differences(page, pairs) == []
