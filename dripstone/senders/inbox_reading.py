"""What a captured message says: its headers, its text, its HTML. Any bytes may have come through the inbox's door.

What is not made like a message, or so that reading it would take long, is shown raw. Python's parser takes time that
grows with the square of a header's length, with the depth of its parts, and ends in a RecursionError.
"""

import codecs
import contextlib
import email
import email.policy
import email.utils
import re
from collections.abc import Iterator
from email.header import decode_header, make_header
from email.message import Message
from typing import Any, NamedTuple

MOST_BYTES = 6_000_000  # two bodies of a megabyte each, quoted-printable
MOST_LINES = 200_000
MOST_CONTAINERS = 20  # parts that have parts
MOST_PARTS = 1_000
MOST_HEADER_CHARACTERS = 10_000
MOST_CHARACTERS = 2_000_000  # of a body that are shown

CONTAINER = re.compile(rb"(?:multipart|message)/", re.IGNORECASE)
FOLD = re.compile(r"\r?\n(?=[ \t])")
HEADER = {
    name: re.compile(rb"(?:^|\n)" + name.encode() + rb":[ \t]*((?:[^\r\n]|\r?\n[ \t])*)", re.IGNORECASE)
    for name in ("From", "Subject", "Message-ID")
}
# Python's own, which no mail program knows. Some take time that grows with the square of the length.
NO_CHARSETS = {"idna", "mbcs", "oem", "palmos", "punycode", "raw_unicode_escape", "undefined", "unicode_escape"}


class Contents(NamedTuple):
    headers: dict[str, str]
    """Decoded and unfolded, in the order of their first appearance; several of one name joined by newlines."""
    text: str | None  # with \n line ends; None: there is no such part
    html: str | None
    attachments: tuple["Attachment", ...] = ()


class Attachment(NamedTuple):
    name: str  # "" when it has none
    content_type: str
    n_bytes: int  # as it travels, undecoded


def contents(raw: bytes) -> Contents:
    """Never raises."""
    try:
        if _is_too_much(raw):
            return _as_it_came(raw)
        parsed = email.message_from_bytes(raw, policy=_SHORT_HEADERS)
        text, html = _text(parsed, "text/plain"), _text(parsed, "text/html")
        return Contents(_headers(parsed), text, html, tuple(_attachments(parsed)))
    except Exception:  # any: Python's parser has many, RecursionError among them
        return _as_it_came(raw)


def header(head: bytes, name: str) -> str:
    """A header of HEADER, decoded; "" when there is none. Cheap, and never raises."""
    found = HEADER[name].search(head)
    return _decoded(found[1][:MOST_HEADER_CHARACTERS].decode("utf-8", "replace")) if found else ""


def address_in(text: str) -> str:
    """The address of a From header; "" when there is none."""
    try:
        return email.utils.parseaddr(text)[1]
    except RecursionError:  # "((((…"
        return ""


def _is_too_much(raw: bytes) -> bool:
    return (
        len(raw) > MOST_BYTES
        or raw.count(b"\n") > MOST_LINES
        or raw.count(b"\n--") > MOST_PARTS
        or sum(1 for _ in CONTAINER.finditer(raw)) > MOST_CONTAINERS
    )


def _as_it_came(raw: bytes) -> Contents:
    return Contents({}, _storable(raw[:MOST_CHARACTERS].decode("utf-8", "replace")), None)


class _ShortHeaders(email.policy.Compat32):
    """Headers as they came, the long ones cut."""

    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
        name, value = super().header_source_parse(sourcelines)
        return name, value[:MOST_HEADER_CHARACTERS]


_SHORT_HEADERS = _ShortHeaders()


def _headers(parsed: Message) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in parsed.raw_items():
        text = _decoded(str(value).encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
        found[name] = f"{found[name]}\n{text}" if name in found else text
    return found


def _text(parsed: Message, kind: str) -> str | None:
    """The first part of this kind that is no attachment."""
    for part in _leaves(parsed):
        if part.get_content_type() == kind and part.get_content_disposition() != "attachment":
            payload = part.get_payload(decode=True)
            text = _in_charset(payload if isinstance(payload, bytes) else b"", part.get_content_charset("utf-8"))
            return _storable(text.replace("\r\n", "\n")[:MOST_CHARACTERS])
    return None


def _attachments(parsed: Message) -> Iterator[Attachment]:
    """Whatever a mail program would offer to save: parts that say so, and those that are no text."""
    for part in _leaves(parsed):
        if part.get_content_disposition() == "attachment" or part.get_content_maintype() not in ("text", "multipart"):
            payload = part.get_payload()
            n_bytes = len(payload) if isinstance(payload, str) else 0
            yield Attachment(_decoded(part.get_filename("")), _storable(part.get_content_type()), n_bytes)


def _leaves(part: Message) -> Iterator[Message]:
    """Parts without parts, in order. A message that came along as a part is not opened."""
    if part.get_content_maintype() == "multipart":
        payload: Any = part.get_payload()
        for each in payload if isinstance(payload, list) else []:
            yield from _leaves(each)
    else:
        yield part


def _in_charset(payload: bytes, charset: str) -> str:
    try:
        if codecs.lookup(charset).name.replace("-", "_") not in NO_CHARSETS:
            return payload.decode(charset)
    except (LookupError, ValueError):  # unknown, or bytes that it does not have
        pass
    return payload.decode("utf-8", "replace")


def _decoded(value: str) -> str:
    """Unfolded, RFC 2047 decoded."""
    text = FOLD.sub("", value).strip()
    if "=?" in text:
        with contextlib.suppress(Exception):  # an unknown charset, bad base64: shown as it came
            text = str(make_header(decode_header(text)))
    return _storable(text)


def _storable(text: str) -> str:
    """Without what UTF-8 or PostgreSQL do not keep: lone surrogates, NUL."""
    return text.encode("utf-8", "replace").decode().replace("\0", "")
