"""What compiling made of a letter, packed and unpacked: the same messages, byte for byte, or nothing at all."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dripstone.content import precompiled
from dripstone.content.compile import CompiledEmail, EmailSource, Envelope, Person, SnippetSource, compile_email
from dripstone.content.liquid_cost import OverBudget

ENVELOPE = Envelope("7@example.com", datetime(2026, 11, 23, 9, tzinfo=UTC), "https://example.com/u/abc-_9?x=1&y=2")
SNIPPETS = {
    "sign-off": SnippetSource("inline", "Yours & <always>, {{ subscriber.first_name | default: 'friend' }}"),
    "offer": SnippetSource("block", "<p class=o>{{ subscriber.city }}: <b>50 %</b> {{ snippet.sign-off }}</p>"),
    "clever": SnippetSource("inline", "{% if subscriber.city == 'Rome' %}Ciao{% endif %}"),
}
SOURCE = EmailSource(
    subject="Hello {{ subscriber.first_name | default: 'friend' }}",
    preview_text="For {{ subscriber.first_name | default: 'friend' }}",
    content="<style>p { color: red }</style><p>Dear {{ subscriber.first_name }}</p>"
    "<a href='https://x.org/?c={{ subscriber.city }}'>{{ subscriber.city }}</a><p>Grüße</p>{{ snippet.offer }}",
    from_name="Ann",
    from_address="ann@example.com",
    postal_address="1 Long Lane\nSpringfield",
    snippets=SNIPPETS,
)
LETTERS = sorted((Path(__file__).parent / "letters").glob("*.html"))
READERS = [Person(7, "rita@example.org", name, {"city": city}) for name in ("Rita", None) for city in ("Rome & co", "")]


def messages(email: CompiledEmail) -> list[object]:
    """Of all readers, in both ways over the wire, and what each reads, or why nobody gets it."""
    made: list[object] = []
    for reader in READERS:
        for eight_bit in (False, True):
            try:
                made.append(email.written(reader, ENVELOPE, eight_bit=eight_bit))
                made.append(email.render(reader, ENVELOPE, eight_bit=eight_bit))
            except OverBudget as over:
                made.append(over.part)
    return made


def unpacked(source: EmailSource) -> CompiledEmail:
    email = precompiled.unpack(source, precompiled.pack(compile_email(source)))
    assert email is not None
    return email


@pytest.mark.parametrize("path", LETTERS, ids=lambda path: path.stem)
def test_a_letter_that_was_kept_gives_the_same_messages(path: Path) -> None:
    content = path.read_text()
    for text in (content, f"{{{{ snippet.offer }}}}{content}<p>{{{{ subscriber.city }}}}</p>"):
        source = replace(SOURCE, content=text)
        assert messages(unpacked(source)) == messages(compile_email(source))


PIECES = [
    *("<p>", "</p>", "<style>p { margin: 1px }</style>", "<table><tr><td>", "</html>", "a b", "\n.", "Grüße", "\ue000"),
    *("{{ subscriber.city }}", "{{ subscriber.first_name | default: 'x' }}", "{{ snippet.offer }}", "{{ address }}"),
    *("{{ snippet.clever }}", "{% if subscriber.city %}", "{% endif %}", "{{ unsubscribe_url }}", "<a href='#"),
    *("'>x</a>", "{{ unsubscribe_link }}", "{{ now | date: '%Y' }}", "{{ broken", "{% for i in (1..9999999) %}"),
    *("{% endfor %}", "{{ 'a\ud800' }}", "\x00", "{{ message_content }}"),
]
texts = st.lists(st.sampled_from(PIECES), max_size=8).map("".join)


@given(texts, texts, st.none() | texts, st.sampled_from(["", "rtl"]))
def test_made_up_letters_too(subject: str, content: str, template: str | None, direction: str) -> None:
    source = replace(SOURCE, subject=subject, content=content, template_html=template, direction=direction)
    assert messages(unpacked(source)) == messages(compile_email(source))


@given(st.integers(0), st.integers(1, 255), st.integers(0))
def test_a_damaged_row_is_no_row(at: int, bits: int, length: int) -> None:
    packed = precompiled.pack(compile_email(SOURCE))
    damaged = bytearray(packed)
    damaged[at % len(packed)] ^= bits
    email = precompiled.unpack(SOURCE, bytes(damaged))
    assert email is None or messages(email) == messages(compile_email(SOURCE))  # zlib's head may say the same otherwise
    assert precompiled.unpack(SOURCE, packed[: length % len(packed)]) is None
    assert precompiled.unpack(SOURCE, packed + b"x") is None


def test_whatever_a_letter_is_made_of_makes_another_digest() -> None:
    changes: dict[str, Any] = {
        "subject": "x",
        "from_name": "x",
        "from_address": "x@example.com",
        "preview_text": None,
        "content": "x",
        "template_html": "",
        "snippets": SNIPPETS | {"offer": SnippetSource("inline", SNIPPETS["offer"].source)},
        "reply_to": "x@example.com",
        "postal_address": "x",
        "language": "de",
        "direction": "rtl",
    }
    others = [replace(SOURCE, **{name: value}) for name, value in changes.items()]
    assert len(others) == len(EmailSource.__dataclass_fields__)
    digests = {precompiled.digest(1, source) for source in (SOURCE, *others)}
    assert len({*digests, precompiled.digest(2, SOURCE)}) == len(others) + 2
    assert precompiled.digest(1, SOURCE) == precompiled.digest(1, replace(SOURCE))


def test_other_code_makes_another_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    before = precompiled.digest(1, SOURCE)
    monkeypatch.setattr(precompiled, "_LIBRARIES", ())
    precompiled._code.cache_clear()
    assert precompiled.digest(1, SOURCE) != before
    precompiled._code.cache_clear()
