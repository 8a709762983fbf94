"""The short way (stencil.py) against the long one: the same message for everybody it is used for."""

from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes, policy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dripstone.content import mime
from dripstone.content.compile import (
    CompiledEmail,
    EmailSource,
    Envelope,
    Person,
    SnippetSource,
    compile_email,
)
from dripstone.senders.base import Lines

ENVELOPE = Envelope("7@example.com", datetime(2026, 11, 23, 9, tzinfo=UTC), "https://example.com/u/abc-_9?x=1&y=2")
SNIPPETS = {
    "sign-off": SnippetSource("inline", "Yours & <always>, {{ subscriber.first_name | default: 'friend' }}"),
    "offer": SnippetSource("block", "<p class=o>{{ subscriber.city }}: <b>50 %</b> {{ snippet.sign-off }}</p>"),
    "clever": SnippetSource("inline", "{% if subscriber.city == 'Rome' %}Ciao{% endif %}"),
}
SOURCE = EmailSource(
    subject="Hello {{ subscriber.first_name | default: 'friend' }} in {{ subscriber.city }}",
    preview_text="For {{ subscriber.first_name | default: 'friend' }}",
    content="<style>p { color: red }</style><p title='{{ subscriber.city }}'>Dear {{ subscriber.first_name | "
    "default: 'friend' }} ({{ subscriber.email_address }}),</p><a href='https://x.org/?c={{ subscriber.city }}'>map of "
    "{{ subscriber.city }}</a><p>Grüße &amp; more</p>{{ snippet.offer }}",
    from_name="Ann",
    from_address="ann@example.com",
    postal_address="1 Long Lane\nSpringfield",
    snippets=SNIPPETS,
)
EMAIL = compile_email(SOURCE)
DOTTED_EMAIL = compile_email(
    replace(SOURCE, content="<p>Dear\n{{ subscriber.city }}\n.{{ subscriber.first_name }}</p>")
)
ASCII_EMAIL = compile_email(replace(SOURCE, content="<p>\nDear {{ subscriber.city }}</p>\n"))


def person(first_name: str | None = "Rita", city: str | None = "Rome") -> Person:
    return Person(7, "rita@example.org", first_name, {"city": city})


def parsed(data: bytes) -> list[str]:
    """Headers and both bodies, decoded: two encodings of one message are equal here."""
    message = message_from_bytes(data, policy=policy.default)
    text, html = (message.get_body((kind,)) for kind in ("plain", "html"))
    assert text is not None
    assert html is not None
    return [*map(str, message.items()), text.get_content(), html.get_content()]


def is_same(email: CompiledEmail, reader: Person, *, eight_bit: bool = False) -> bool:
    written = email.written(reader, ENVELOPE, eight_bit=eight_bit)
    data, rendered = written.data, email.render(reader, ENVELOPE, eight_bit=eight_bit)
    assert written.warnings == rendered.warnings
    found = mime.lines_of(data)
    assert found.end_in_crlf or not written.lines.end_in_crlf
    assert written.lines.may_have_dots or not found.may_have_dots
    assert max(map(len, data.split(b"\r\n"))) <= 998
    return parsed(data) == parsed(rendered.data)


STRANGE = ["R & <b>", "\ue000 \ue100\ue001", " x ", "New York <b>", "#", "a\nb", "=", "ü" * 300, ".", "..x"]
names = st.none() | st.text(max_size=40) | st.sampled_from(STRANGE)


@given(names, names, st.booleans())
def test_it_makes_the_message_that_rendering_makes(first_name: str | None, city: str | None, eight_bit: bool) -> None:
    for email in (EMAIL, ASCII_EMAIL, DOTTED_EMAIL):
        assert email.stencil is not None
        assert is_same(email, person(first_name, city), eight_bit=eight_bit)


@given(st.integers(0, 90), st.integers(0, 90), st.text("aü= ", max_size=90), st.sampled_from(["x", "é", "=", "&"]))
def test_a_server_that_takes_seven_bits_gets_no_line_too_long(before: int, after: int, city: str, letter: str) -> None:
    content = f"<p>é{letter * before}{{{{ subscriber.city }}}}{letter * after}{{{{ subscriber.city }}}}</p>"
    email = compile_email(replace(SOURCE, content=content))
    data = email.message(person(city=city or None), ENVELOPE)
    assert data.isascii()
    assert b"quoted-printable" in data
    assert max(map(len, data.partition(b"quoted-printable")[2].split(b"\r\n"))) <= 76
    assert is_same(email, person(city=city or None))


def test_what_an_ordinary_message_is_known_to_be() -> None:
    """The built-in layout has a style sheet, with a dot at the start of lines."""
    plain = replace(SOURCE, template_html="{{ message_content }}", content="<p>Dear {{ subscriber.city }}</p>")
    at_line_start = replace(plain, content="<p>Dear\n{{ subscriber.city }}</p>")
    for source, city, known in (
        (SOURCE, "Rome", Lines(end_in_crlf=True, may_have_dots=True)),
        (plain, ".com", Lines(end_in_crlf=True, may_have_dots=False)),
        (at_line_start, "Rome", Lines(end_in_crlf=True, may_have_dots=False)),
        (at_line_start, ".com", Lines(end_in_crlf=True, may_have_dots=True)),
    ):
        assert compile_email(source).written(person(city=city), ENVELOPE, eight_bit=True).lines == known


def test_as_it_is_the_bytes_are_the_same_too() -> None:
    for eight_bit in (False, True):
        written = ASCII_EMAIL.message(person(), ENVELOPE, eight_bit=eight_bit)
        assert written == ASCII_EMAIL.render(person(), ENVELOPE, eight_bit=eight_bit).data
    assert EMAIL.message(person(), ENVELOPE, eight_bit=True) == EMAIL.render(person(), ENVELOPE, eight_bit=True).data


@pytest.mark.parametrize(
    "content",
    [
        "{% if subscriber.city == 'Rome' %}Ciao{% endif %}",
        "{% assign city = subscriber.city %}{{ city }}",
        "{% capture city %}{{ subscriber.city }}{% endcapture %}{% if city == 'Rome' %}Ciao{% endif %}",
        "{{ subscriber.city | upcase }}",
        "{{ 'x' | append: subscriber.city }}",
        "{{ subscriber[key] }}",
        "{{ subscriber.id }}",
        "{{ subscriber.city | default: 'A & B' }}",
        "{{ 'now' | date: '%Y' }}",
        "{{ now }}",
        "{{ unsubscribe_url | url_encode }}",
        "{{ snippet.clever }}",
        "{{ snippet.sign-off | upcase }}",
        "{% if snippet.sign-off contains 'Rita' %}Ciao{% endif %}",
        "{% if preview_text contains 'Rita' %}Ciao{% endif %}",
        "{{ preview_text | upcase }}",
        "{% cycle subscriber.city, 'b' %}",
        "{% if subscriber.city == subscriber.first_name %}Ciao{% endif %}",
        "{% if subscriber.city and subscriber.id > 5 %}Ciao{% endif %}",
        "{% for letter in subscriber.city %}{{ letter }}{% endfor %}",
        "a \ue000 b",
        "<style>.Rome { display: none }</style><p class='{{ subscriber.city }}'>Ciao</p>",
        "<style>p { display: {{ subscriber.city }} }</style><p>Ciao</p>",
        "<p style='color: {{ subscriber.city }}'>Ciao</p>",
        "<ol start='{{ subscriber.city }}'><li>Ciao</li></ol>",
        "<a href='{{ subscriber.city }}'>Ciao</a>",
    ],
)
def test_where_a_value_decides_liquid_runs_for_everybody(content: str) -> None:
    email = compile_email(replace(SOURCE, content=content))
    assert email.stencil is None
    assert is_same(email, person())


@pytest.mark.parametrize(
    "content",
    [
        "{% if address != blank %}{{ address }}{% endif %}{{ unsubscribe_link }}",
        "{% comment %}{{ subscriber.city | upcase }}{% endcomment %}{{ subscriber.city }}",
        "{% raw %}{{ subscriber.city | upcase }}{% endraw %}",
        "{{ snippet.missing }}{{ nonsense }}",
        "{% if subscriber.city %}In {{ subscriber.city }}{% else %}Nowhere{% endif %}",
        "{% if subscriber.city != blank %}In {{ subscriber.city }}{% endif %}",
        "{% if subscriber.city == blank %}Nowhere{% endif %}",
        "{% unless subscriber.city %}Nowhere{% endunless %}",
        "{% if subscriber.unknown %}Never{% endif %}",
        "{{ subscriber.city | default: 'a' }}{{ subscriber.city | default: 'b' }}{{ subscriber.city }}",
        "",
    ],
)
def test_where_no_value_decides_it_is_cut(content: str) -> None:
    email = compile_email(replace(SOURCE, content=content))
    assert email.stencil is not None
    assert is_same(email, person())
    assert is_same(email, person(first_name=None))
    assert is_same(email, person(city=None))
    assert is_same(email, person(city=""))
