"""From an email's source to a message for a person."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dripstone.content.compile import EmailSource, Envelope, Person, Rendered, SnippetSource, compile_email
from dripstone.content.liquid import check
from dripstone.content.text import html_to_text
from tests.content.test_liquid import FRAGMENTS

UNSUBSCRIBE = "https://mail.example.com/u/to-ken"
ADDRESS = "Cave & Co\n1 Main St"


def make_envelope() -> Envelope:
    return Envelope("7.1@example.com", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), UNSUBSCRIBE)


def make_person(first_name: str | None = "Bob", fields: Mapping[str, str | None] | None = None) -> Person:
    return Person(7, "bob@example.com", first_name, fields or {})


def rendered(person: Person | None = None, *, eight_bit: bool = False, **source: Any) -> Rendered:
    defaults = {"subject": "Hi", "from_name": "Ann", "from_address": "ann@example.com", "postal_address": ADDRESS}
    email = compile_email(EmailSource(**{**defaults, **source}))
    return email.render(person or make_person(), make_envelope(), eight_bit=eight_bit)


def parsed(data: bytes) -> EmailMessage:
    message = message_from_bytes(data, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


def part(message: EmailMessage, kind: str) -> str:
    body = message.get_body((kind,))
    assert body is not None
    return str(body.get_content()).replace("\r\n", "\n")


def test_the_message_is_whole() -> None:
    mail = rendered(
        subject="Grüße an {{ subscriber.first_name }}",
        from_name="Ann, of Here",
        reply_to="help@example.com",
        content="<p>Hello {{ subscriber.first_name }}, größer</p>",
    )
    message = parsed(mail.data)
    assert message["Subject"] == mail.subject == "Grüße an Bob"
    assert str(message["From"]) == '"Ann, of Here" <ann@example.com>'
    assert str(message["To"]) == "bob@example.com"
    assert str(message["Reply-To"]) == "help@example.com"
    assert message["Date"].datetime == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert message["Message-ID"] == "<7.1@example.com>"
    assert message["List-Unsubscribe"] == f"<{UNSUBSCRIBE}>"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert message.get_content_type() == "multipart/alternative"
    assert [one.get_content_type() for one in message.iter_parts()] == ["text/plain", "text/html"]
    assert part(message, "plain") == mail.text
    assert part(message, "html") == mail.html
    assert "Hello Bob, größer" in mail.text
    assert mail.warnings == ()


def test_an_attempt_renders_the_same_bytes_again() -> None:
    assert (
        rendered(content="{{ now }} {{ 'now' | date: '%s' }}").data
        == rendered(content="{{ now }} {{ 'now' | date: '%s' }}").data
    )


@settings(max_examples=150, deadline=None)
@given(st.lists(FRAGMENTS, max_size=6).map("".join), st.none() | st.text(st.characters()), st.text(st.characters()))
def test_any_accepted_email_reaches_any_person(source: str, name: str | None, value: str) -> None:
    if check(source):
        return
    mail = rendered(
        make_person(name, {"text": value, "n": "3"}),
        subject=source,
        preview_text=source,
        content=f"<p>{source}</p><a href='{source}'>x</a>",
        template_html=None if "for" in source else "<table><tr>" + source + "</tr>{{ message_content }}</table>",
        snippets={"a": SnippetSource("block", source), "b": SnippetSource("inline", source)},
    )
    lines = mail.data.split(b"\r\n")
    assert all(len(line) <= 998 and b"\n" not in line and b"\r" not in line and b"\0" not in line for line in lines)
    message = parsed(mail.data)
    assert message.keys()[:3] == ["From", "To", "Subject"]
    assert len(message.keys()) == 9
    assert str(message["Subject"] or "") == mail.subject
    assert part(message, "plain") == mail.text
    assert part(message, "html") == mail.html
    assert UNSUBSCRIBE in mail.text
    assert UNSUBSCRIBE in mail.html


@pytest.mark.parametrize("evil", ["x\r\nBcc: all@example.com", "x\nBcc: a", "x\u2028Bcc: a", "x\r\n\r\n<html>"])
def test_a_name_cannot_inject_headers(evil: str) -> None:
    message = parsed(rendered(make_person(evil), subject="Hi {{ subscriber.first_name }}").data)
    assert "Bcc" not in message
    assert message["Subject"].startswith("Hi x")


def test_a_subscriber_who_knows_the_boundary_cannot_end_a_part() -> None:
    boundary = compile_email(EmailSource("Hi", "Ann", "ann@example.com", content="{{ subscriber.x }}")).boundary
    mail = compile_email(EmailSource("Hi", "Ann", "ann@example.com", content="{{ subscriber.x }}")).render(
        make_person(fields={"x": f"\n--{boundary}--\n"}), make_envelope()
    )
    assert len(list(parsed(mail.data).iter_parts())) == 2
    assert part(parsed(mail.data), "html") == mail.html


# -- HTML ---------------------------------------------------------------------------------------------------------


TEMPLATE = """<!DOCTYPE html><html><head><title>{{ subscriber.first_name }}</title>
<style>td { padding: 3px } a { color: red } @media (max-width: 600px) { td { padding: 1px !important } }</style>
</head><body class="{{ subscriber.theme }}">
<!--[if mso]><v:rect href="{{ subscriber_preferences_url }}"></v:rect><![endif]-->
<!--[if !mso]><!--><p>not Outlook</p><!--<![endif]-->
<table>{% for i in (1..2) %}<tr><td {% if i == 1 %}class="a"{% else %}class="b"{% endif %}>{{ i }}</td></tr>{% endfor %}
{% if subscriber.vip %}<tr><td>VIP</td></tr>{% endif %}</table>
<div>{{ message_content }}</div>
<p><a title="{{ subscriber.first_name | append: "!" }}" href="{{ unsubscribe_url }}">out</a> {{ address }}</p>
</body></html>"""


def test_liquid_survives_inlining() -> None:
    mail = rendered(make_person("B&b", {"theme": "dark"}), template_html=TEMPLATE, content="<p>Body</p>")
    assert '<body class="dark">' in mail.html
    assert "<title>B&amp;b</title>" in mail.html
    rows = re.findall(r'<tr><td\s+class="(\w)" style="padding: 3px;">(\d)</td></tr>', mail.html)
    assert rows == [("a", "1"), ("b", "2")]
    assert "VIP" not in mail.html
    assert f'<!--[if mso]><v:rect href="{UNSUBSCRIBE}"></v:rect><![endif]-->' in mail.html
    assert "<!--[if !mso]><!--><p>not Outlook</p><!--<![endif]-->" in mail.html
    assert re.search(rf'<a (?=[^>]*title="B&amp;b!")(?=[^>]*href="{UNSUBSCRIBE}")[^>]*style="color: red;">', mail.html)
    assert "@media" in mail.html
    assert mail.html.count("Unsubscribe") == 0  # the template has its own link, no second one
    assert "Cave &amp; Co<br>1 Main St" in mail.html
    assert mail.warnings == ()


def test_css_with_liquid_in_it_stays_where_it_is() -> None:
    template = "<style>a { color: {{ subscriber.c }} }</style><style>p { margin: 0 }</style>{{ message_content }}"
    mail = rendered(make_person(fields={"c": "blue"}), template_html=template, content="<p>x</p>")
    assert "<style>a { color: blue }</style>" in mail.html
    assert '<p style="margin: 0;">' in mail.html


def test_html_that_inlining_would_scramble_is_left_alone() -> None:
    link = "<a href='{{ subscriber.x }}'>y</a>"
    content = f"<style>p{{margin:0}}</style><table>{{% if subscriber.x %}}{link}{{% endif %}}</table>"
    assert check(content) == []
    mail = rendered(make_person(fields={"x": "https://x.org"}), template_html="{{ message_content }}", content=content)
    assert "https://x.org" in mail.html


def test_stylesheets_are_never_fetched() -> None:
    mail = rendered(template_html='<html><head><link rel="stylesheet" href="/etc/passwd"></head><body></body></html>')
    assert "root:" not in mail.html


def test_the_preview_text_comes_first_and_escaped() -> None:
    mail = rendered(preview_text="For {{ subscriber.first_name }}", content="<p>x</p>", person=make_person("<b>"))
    assert re.search(r"<body[^>]*>\s*<div style=\"display:none[^>]*>For &lt;b&gt;\s", mail.html)
    assert "For <b>" not in mail.text
    assert "display:none" not in rendered(content="<p>x</p>").html


@pytest.mark.parametrize("content", [None, "", "   ", "plain words", "<p>x"])
def test_any_content_makes_one_document(content: str | None) -> None:
    for template in (None, "{{ message_content }}", TEMPLATE, "no place for it"):
        mail = rendered(content=content, template_html=template)
        for tag in ("<html", "<body", "</body>", "</html>"):
            assert mail.html.lower().count(tag) == 1
        assert re.sub("<.*?>", "", content or "").strip() in mail.html


def test_a_whole_document_as_content_is_not_nested() -> None:
    content = "<!DOCTYPE html><html><head><style>i{top:0}</style></head><body bgcolor=red><i>Own</i></body></html>"
    for template in (None, "{{ message_content }}", TEMPLATE):
        mail = rendered(content=content, template_html=template)
        assert mail.html.count("<body") == mail.html.count("<html") == 1
        assert '<i style="top: 0;">Own</i>' in mail.html
        assert UNSUBSCRIBE in mail.html


# -- the footer no mail leaves without ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "template",
    [
        "{{ message_content }}",
        "<!-- {{ unsubscribe_link }} {{ address }} -->{{ message_content }}",
        "{% if subscriber.nobody %}{{ unsubscribe_link }}{{ address }}{% endif %}{{ message_content }}",
        "{% comment %}{{ unsubscribe_link }}{% endcomment %}{{ message_content }}",
    ],
)
def test_a_footer_is_added_when_the_template_shows_none(template: str) -> None:
    mail = rendered(template_html=template, content="<p>Body</p>")
    assert re.sub("<!--.*?-->", "", mail.html).count(f'<a href="{UNSUBSCRIBE}"') == 1
    assert mail.html.index("Body") < mail.html.rindex(f'<a href="{UNSUBSCRIBE}"') < mail.html.index("</body>")
    assert "Cave &amp; Co<br>1 Main St</div>" in mail.html
    assert mail.text.endswith(f"Body\n\n--------------------\nUnsubscribe <{UNSUBSCRIBE}>\nCave & Co\n1 Main St\n")


def test_no_second_footer_is_added() -> None:
    for template in (
        None,
        "{{ message_content }}<p>{{ unsubscribe_link }} {{ address }}</p>",
        "{{ message_content }}<a href='{{ subscriber_preferences_url }}'>x</a> Cave &amp; Co, 1 Main St",
        "{{ message_content }}{{ snippet.foot }}",
    ):
        mail = rendered(
            template_html=template,
            content="<p>Body</p>",
            snippets={"foot": SnippetSource("block", "<p>{{ unsubscribe_link }}<br>{{ address }}</p>")},
        )
        assert mail.html.count(UNSUBSCRIBE) == mail.text.count(UNSUBSCRIBE) == 1
        assert mail.text.count("1 Main St") == 1


ADDRESS_LINES = "Acme Inc\n1  Main St\n12345 Town"


@pytest.mark.parametrize(
    ("content", "n_lines"),
    [
        ("<p>Acme Inc wishes you well</p>", 3),  # one line of the address is not the address
        ("<p>Acme Inc</p><p>1 Main St</p>", 3),
        ("<p>Acme Inc, 1 Main St, 12345 Town</p>", 1),
        ("<p>{{ address }}</p>", 1),
        ("<p hidden>{{ address }}</p>", 3),
        ("<style>.no { display: none }</style><p class=no>Acme Inc, 1 Main St, 12345 Town</p>", 3),
        ("<!-- Acme Inc 1 Main St 12345 Town -->", 3),
        ("<p title='Acme Inc 1 Main St 12345 Town'>x</p>", 3),
        ("<p>{% if subscriber.nobody %}Acme Inc 1 Main St 12345 Town{% endif %}</p>", 3),
    ],
)
def test_the_postal_address_is_seen_whole_and_once(content: str, n_lines: int) -> None:
    mail = rendered(postal_address=ADDRESS_LINES, template_html="{{ message_content }}", content=content)
    for part_seen in (" ".join(mail.text.split()), " ".join(html_to_text(mail.html).split())):
        assert part_seen.count("12345 Town") == 1
        assert "Acme Inc 1 Main St 12345 Town" in part_seen.replace(",", "")
    footer = mail.text.rpartition("--------------------\n")[2]
    assert footer.endswith("Acme Inc\n1  Main St\n12345 Town\n") is (n_lines == 3)


@pytest.mark.parametrize(
    "hidden", ["<p hidden>{}</p>", "<p style='display:none'>{}</p>", "<!-- {} -->", "<p title='{}'>x</p>"]
)
def test_an_unsubscribe_link_that_nobody_sees_is_none(hidden: str) -> None:
    for name in ("unsubscribe_url", "unsubscribe_link"):
        content = hidden.format("{{ " + name + " }}") + "<a href='{{ unsubscribe_url }}'></a>"
        mail = rendered(template_html="{{ message_content }}", content=content)
        assert f"Unsubscribe <{UNSUBSCRIBE}>" in mail.text
        assert ">Unsubscribe</a>" in mail.html


def test_an_unsubscribe_link_over_a_page_of_the_creators_is_one() -> None:
    content = "<a href='https://mine.example/bye?to={{ unsubscribe_url | url_encode }}'>Leave</a>"
    mail = rendered(template_html="{{ message_content }}", content=content)
    assert "Unsubscribe" not in mail.text + mail.html


def test_without_a_postal_address_the_link_is_still_there() -> None:
    assert UNSUBSCRIBE in rendered(postal_address=None, template_html="{{ message_content }}").html


def test_links_are_whole_in_html_and_spelled_out_in_text() -> None:
    mail = rendered(template_html="{{ message_content }}", content="<p>{{ unsubscribe_link }}</p>")
    assert f'<a href="{UNSUBSCRIBE}">Unsubscribe</a>' in mail.html
    assert f"Unsubscribe <{UNSUBSCRIBE}>" in mail.text


# -- snippets -------------------------------------------------------------------------------------------------------


def test_snippets_stand_in_subject_text_and_html() -> None:
    mail = rendered(
        make_person("T&m"),
        subject="{{ snippet.sign-off }} {{ snippet.card }}",
        content='<div>{{ snippet.sign-off }}</div><div>{{ snippet["card"] }}</div>',
        snippets={
            "sign-off": SnippetSource("inline", "Love & <3, {{ subscriber.first_name }}"),
            "card": SnippetSource("block", "<p>Card <b>{{ subscriber.first_name }}</b>: {{ snippet.sign-off }}</p>"),
        },
    )
    assert mail.subject == "Love & <3, T&m Card T&m: Love & <3, T&m"
    assert "<div>Love &amp; &lt;3, T&amp;m</div>" in mail.html
    assert '<p style="margin: 0 0 18px;">Card <b>T&amp;m</b>: Love &amp; &lt;3, T&amp;m</p>' in mail.html
    assert "Love & <3, T&m\n\nCard T&m: Love & <3, T&m" in mail.text
    assert mail.warnings == ()


def test_an_inline_snippet_escapes_its_string_literals_and_keeps_links() -> None:
    source = "{{ subscriber.nick | default: 'R&B' }} {{ unsubscribe_link }}"
    mail = rendered(content="<p>{{ snippet.s }}</p>", snippets={"s": SnippetSource("inline", source)})
    assert f'<p style="margin: 0 0 18px;">R&amp;B <a href="{UNSUBSCRIBE}">Unsubscribe</a></p>' in mail.html


def test_a_missing_snippet_is_empty_with_a_warning() -> None:
    mail = rendered(subject="[{{ snippet.gone }}]", content="({{ snippet.gone }})")
    assert mail.subject == "[]"
    assert "()" in mail.html
    assert mail.warnings == ("snippet.gone does not exist or is not valid",)


def test_circles_and_multiplying_snippets_end() -> None:
    snippets = {"a": SnippetSource("inline", "a{{ snippet.b }}"), "b": SnippetSource("inline", "b{{ snippet.a }}")}
    mail = rendered(subject="{{ snippet.a }}", snippets=snippets)
    assert mail.subject == "ab"
    assert mail.warnings == ("snippet.a is nested too deeply",)
    many = {f"s{n}": SnippetSource("inline", f"{{{{ snippet.s{n + 1} }}}}" * 50) for n in range(20)}
    assert "snippet.s8 is nested too deeply" in rendered(subject="{{ snippet.s0 }}", snippets=many).warnings


# -- the text part ------------------------------------------------------------------------------------------------


def text_of(content: str, person: Person | None = None, **source: Any) -> str:
    mail = rendered(person, template_html="{{ message_content }}", content=content, **source)
    return mail.text.partition("\n\n--------------------")[0]


def test_entities_are_decoded_once_wherever_they_stand() -> None:
    content = '<p><a href="https://x.test/?a=1&amp;copy=2">Go</a> and &amp;lt;b&amp;gt;</p>'
    card = SnippetSource("block", content)
    mail = rendered(subject="{{ snippet.card }}", content="<p>{{ snippet.card }}</p>", snippets={"card": card})
    right = "Go <https://x.test/?a=1&copy=2> and &lt;b&gt;"
    assert text_of(content) == right
    assert mail.subject == right
    assert mail.text.startswith(right)


def test_braces_written_as_entities_are_text() -> None:
    literal = "&#123;&#123; subscriber.first_name &#125;&#125; &lbrace;% if %}"
    card = SnippetSource("block", f"<p>{literal} <img alt='{literal}'></p><a href='https://x.org/{literal}'>go</a>")
    mail = rendered(subject="{{ snippet.card }}", content="{{ snippet.card }}", snippets={"card": card})
    shown = "{{ subscriber.first_name }} {% if %}"
    assert mail.subject == f"{shown} {shown} go <https://x.org/{shown.replace(' ', '%20')}>"
    assert mail.text.startswith(f"{shown} {shown}\n\ngo <https://x.org/")


def test_control_characters_written_as_entities_do_not_reach_the_message() -> None:
    source = "<p>a&#13;b&#27;c&#x7;d&#127;e&#0;f&#xd800;g&#13;&#10;h</p><pre>a&#13;b</pre><img alt='x&#13;&#27;y'>"
    card = SnippetSource("block", source)
    mail = rendered(subject="{{ snippet.card }}", content=source + "{{ snippet.card }}", snippets={"card": card})
    assert b"\r" not in mail.data.replace(b"\r\n", b"")
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", mail.text + mail.subject)
    assert part(parsed(mail.data), "plain") == mail.text


def test_what_is_hidden_in_the_html_is_not_in_the_text() -> None:
    style = "<style>.preheader, .no { display: none !important } .yes { display: block }</style>"
    assert text_of(f"{style}<span class='preheader'>PRE</span><p>Body</p>") == "Body"
    by_person = f"{style}<p class='{{{{ subscriber.first_name }}}}'>For some</p><p>Body</p>"
    assert text_of(by_person, make_person("no")) == "Body"
    assert text_of(by_person, make_person("yes")) == "For some\n\nBody"


@pytest.mark.parametrize(
    "href", ["href='https://x.org'", "href=https://x.org", "title='{{ subscriber.x }}' href='https://x.org'"]
)
def test_a_link_behind_a_condition_keeps_its_url(href: str) -> None:
    content = f"<a {{% if subscriber.first_name %}}{href}{{% endif %}}>l</a> m"
    assert text_of(content) == "l <https://x.org> m"
    assert text_of(content, make_person(None)) == "l m"
    assert text_of("<a href='{{ subscriber.none }}'>Click</a>") == "Click"


def test_lines_of_a_value_are_those_of_the_html() -> None:
    person = make_person(fields={"note": "one\ntwo  three"})
    assert text_of("<p>{{ subscriber.note }}</p>", person) == "one two three"
    assert text_of("<p>{{ subscriber.note | newline_to_br }}</p>", person) == "one\ntwo three"
    assert text_of("<pre>{{ subscriber.note }}</pre>", person) == "one\ntwo  three"


# -- people ---------------------------------------------------------------------------------------------------------


def test_kits_variables_are_there() -> None:
    mail = rendered(
        make_person("Bob", {"last_name": "Stone", "id": "a field cannot pose as the id"}),
        content="{{ subscriber.id }}|{{ subscriber.email_address }}|"
        "{{ subscriber.first_name }}|{{ subscriber['last_name'] }}",
    )
    assert "7|bob@example.com|Bob|Stone" in mail.html


def test_what_is_missing_is_warned_about() -> None:
    content = "{{ subscriber.first_name }}{{ subscriber.pet }}{{ subscriber.x }}"
    mail = rendered(make_person(None, {"pet": None}), content=content)
    assert mail.warnings == tuple(f"subscriber.{name} is empty or unknown" for name in ("first_name", "pet", "x"))
    email = compile_email(EmailSource("{{ subscriber.first_name }}", "Ann", "ann@example.com"))
    assert email.warnings(make_person(None)) == ("subscriber.first_name is empty or unknown",)


def test_an_address_without_a_form_for_mail_is_warned_about() -> None:
    mail = rendered(Person(1, "jörg@example.com"))
    assert "To: undisclosed-recipients:;" in mail.data.decode()
    assert "SMTPUTF8" in mail.warnings[0]


def test_broken_liquid_that_was_stored_anyway_still_sends() -> None:
    mail = rendered(subject="Hi {{ oops", content="<p>Body {% if %}</p>", snippets={})
    assert mail.subject == "Hi"
    assert "Body" in mail.html
    assert "Body" in mail.text
    assert len(mail.warnings) == 2


def test_a_from_address_that_cannot_be_written_is_refused() -> None:
    with pytest.raises(ValueError, match="mail header"):
        rendered(from_address="a\r\nBcc: x@example.com")


def test_eight_bit_leaves_the_text_readable() -> None:
    assert "größer".encode() in rendered(content="<p>größer</p>", eight_bit=True).data
    assert "größer".encode() not in rendered(content="<p>größer</p>").data


@pytest.mark.parametrize("value", [None, "", "  "])
@pytest.mark.parametrize("condition", ["subscriber.first_name != blank", "blank != subscriber.first_name"])
def test_nothing_at_all_is_blank(value: str | None, condition: str) -> None:
    source = EmailSource("{% if " + condition + " %}Hi{% else %}Ho{% endif %}", "Alice", "alice@example.com")
    envelope = Envelope("1@example.com", datetime(2026, 11, 23, tzinfo=UTC), "https://example.com/u/1")
    assert compile_email(source).render(Person(1, "a@example.org", value), envelope).subject == "Ho"
    assert compile_email(source).render(Person(1, "a@example.org", "Rita"), envelope).subject == "Hi"
    unknown = EmailSource("{% if subscriber.nowhere == blank %}Ho{% endif %}", "Alice", "alice@example.com")
    assert compile_email(unknown).render(Person(1, "a@example.org", value), envelope).subject == "Ho"


names = st.text(max_size=20) | st.just("Ann & Co <x>")


@given(names, st.sampled_from(["ann@example.com", "ärger@exämple.com", "not an address"]), names, names)
def test_a_letter_from_another_sender_is_as_if_it_had_been_compiled_for_them(
    name: str, address: str, postal: str, content: str
) -> None:
    ours = EmailSource(subject="Hi", from_name="Ann", from_address="ann@example.com", content=f"<p>{content}</p>")
    theirs = replace(ours, from_name=name, from_address=address, postal_address=postal)
    letter = compile_email(ours)
    letter.written(make_person(), make_envelope())  # its stencil is cut
    try:
        expected = compile_email(theirs).written(make_person(), make_envelope())
    except ValueError:
        with pytest.raises(ValueError, match="mail header"):
            letter.from_sender(theirs)
        return
    assert letter.from_sender(theirs).written(make_person(), make_envelope()) == expected
