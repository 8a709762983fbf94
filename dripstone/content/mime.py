"""Messages on the wire, by hand: the standard library's EmailMessage takes 2.4 ms for what takes microseconds here.

Everything here returns bytes or ASCII text that is safe to put between CRLFs: no line over 998 octets, nothing from
people's data that could start a header or end a part. (RFC 5322, 2045 to 2047, 2183.)
"""

import re
from base64 import b64encode
from binascii import b2a_qp
from datetime import datetime
from email.utils import format_datetime
from functools import lru_cache

import idna

from dripstone.senders.base import Lines

MAX_LINE = 998  # octets without CRLF, RFC 5322 2.1.1
FOLD_AT = 76
MAX_QUOTED = 76  # octets of a quoted-printable line, RFC 2045 6.7 (5)

_ATOM = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~. -]*")
_LOCAL_PART = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_QUOTED_LOCAL_PART = re.compile(r'"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\[\x20-\x7e])*"')
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_NOT_FOR_HEADERS = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


def one_line(text: str) -> str:
    """A header's value: white space and control characters, runs of them, become one space each."""
    if text.isprintable() and "  " not in text:  # of white space only the space itself is printable
        return text.strip(" ")
    return _NOT_FOR_HEADERS.sub(" ", text).strip(" ")


@lru_cache(maxsize=256)  # a batch has one instant, in as many zones as it has sequences
def date(instant: datetime) -> str:
    """`Date: …`, in the instant's own zone."""
    return f"Date: {format_datetime(instant)}"


def unstructured(name: str, text: str) -> str:
    """A header of free text, folded: `Subject: …`. Any text is safe."""
    text = one_line(text)
    room = FOLD_AT - len(name) - 2
    if text.isascii() and "=?" not in text and len(text) < room:
        return f"{name}: {text}"
    if text.isascii() and "=?" not in text and all(len(word) < room for word in text.split(" ")):
        return _folded(f"{name}: {text}")
    return f"{name}: {_encoded_words(text, len(name) + 2)}"


def _folded(line: str) -> str:
    """Break before a space wherever a line would grow past 76; the caller saw to it that no word is that long."""
    lines: list[str] = []
    current = ""
    for word in line.split(" "):
        if (lines or " " in current) and len(current) + 1 + len(word) > FOLD_AT:
            lines.append(current)
            current = ""
        current = f"{current} {word}" if current or lines else word
    return "\r\n".join([*lines, current])


def _encoded_words(text: str, used: int) -> str:
    """RFC 2047 base64 words of at most 75 octets, lines of at most 76, no character split over two words."""
    words, rest = [], text.encode("utf-8", "replace")
    room = (FOLD_AT - used - len("=?utf-8?b??=")) // 4 * 3
    while len(rest) > room:
        end = room
        while rest[end] & 0xC0 == 0x80:  # in the middle of a character
            end -= 1
        words.append(rest[:end])
        rest, room = rest[end:], 45
    return "\r\n ".join(f"=?utf-8?b?{b64encode(word).decode('ascii')}?=" for word in [*words, rest])


@lru_cache(maxsize=1024)  # asked twice for every message: for the envelope and for To
def mail_address(address: str) -> str | None:
    """An address as SMTP takes it without SMTPUTF8: the domain in IDNA. None when there is no such form."""
    local, _, domain = address.rpartition("@")
    if not (_LOCAL_PART.fullmatch(local) or _QUOTED_LOCAL_PART.fullmatch(local)) or len(address) > 320:
        return None
    try:
        domain = domain if domain.isascii() else idna.encode(domain, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        return None
    return f"{local}@{domain}" if _DOMAIN.fullmatch(domain) and len(domain) <= 253 else None


def mailbox(header: str, name: str, address: str) -> str:
    """`From: "Ann, of Here" <ann@example.com>`. Raises ValueError when the address has no form for mail."""
    plain = mail_address(address)
    if plain is None:
        raise ValueError(f"{address!r} cannot be written in a mail header")
    name = one_line(name)
    if not name:
        return f"{header}: {plain}"
    if not name.isascii() or "=?" in name or len(name) > 60:
        phrase = _encoded_words(name, len(header) + 2)
    elif _ATOM.fullmatch(name) and "." not in name:
        phrase = name
    else:
        phrase = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    gap = "\r\n " if len(phrase) + len(plain) + len(header) > FOLD_AT - 6 else " "
    return f"{header}: {phrase}{gap}<{plain}>"


def part(content_type: str, text: str, boundary: str, *, eight_bit: bool) -> bytes:
    """One body part with its headers, for `multipart/alternative`.

    text       \\n line ends, no control characters (liquid.clean)
    eight_bit  the receiving server announced 8BITMIME: what is not ASCII may travel as it is
    The transfer encoding is the lightest that is right: 7bit, 8bit, else quoted-printable.
    """
    body = text.encode("utf-8", "replace")
    ascii_only = body.isascii()
    if not (ascii_only or eight_bit) or not _fits(body) or boundary.encode("ascii") in body:
        encoding, body = "quoted-printable", b2a_qp(body, istext=True)
    else:
        encoding = "7bit" if ascii_only else "8bit"
    return part_head(content_type, encoding) + body.replace(b"\n", b"\r\n")


def part_head(content_type: str, encoding: str) -> bytes:
    """A body part's headers and the empty line after them. ASCII only."""
    return (f'Content-Type: {content_type}; charset="utf-8"\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n').encode(
        "ascii"
    )


def crlf(piece: str) -> bytes:
    """A piece of a body as it is, for 7bit and 8bit."""
    return piece.encode("utf-8", "replace").replace(b"\n", b"\r\n")


def quoted(piece: str, *, is_last: bool = False) -> bytes:
    """A piece of a quoted-printable body. Each but the last ends with a soft line break, so that they fit together."""
    if not piece:
        return b""
    if len(piece) < MAX_QUOTED and piece.isascii() and piece.isalnum() and not is_last:
        return piece.encode() + b"=\r\n"  # a name, as most values are: a third of the time
    body = b2a_qp(piece.encode("utf-8", "replace"), istext=True).replace(b"\n", b"\r\n")
    if is_last:
        return body
    return (body if len(body) < MAX_QUOTED else _with_room(body)) + b"=\r\n"


def _with_room(body: bytes) -> bytes:
    """A last line that is full has no room for the `=` of a soft line break: it is broken once more, between octets."""
    if len(body) - (body.rfind(b"\n") + 1) < MAX_QUOTED:
        return body
    at = len(body) - 3
    while b"=" in body[at - 2 : at]:
        at -= 1
    return body[:at] + b"=\r\n" + body[at:]


def _fits(body: bytes) -> bool:
    return len(body) <= MAX_LINE or max(map(len, body.split(b"\n"))) <= MAX_LINE


def lines_of(data: bytes) -> Lines:
    """What there is to know about the lines of a message or a part, found by looking."""
    n_lines = data.count(b"\r\n")
    end_in_crlf = data.count(b"\n") == data.count(b"\r") == n_lines and data.endswith(b"\r\n")
    return Lines(end_in_crlf, data.startswith(b".") or b"\n." in data or b"\r." in data)


def lines(parts: list[Lines]) -> Lines:
    """Of a message made of such parts: its headers and boundaries end in CRLF and begin with no dot."""
    return Lines(all(one.end_in_crlf for one in parts), any(one.may_have_dots for one in parts))


def alternative(headers: list[str], parts: list[bytes], boundary: str) -> bytes:
    """The whole message: headers, then the parts, plainest first."""
    limit = b"\r\n--" + boundary.encode("ascii")
    head = "\r\n".join([*headers, "MIME-Version: 1.0", f'Content-Type: multipart/alternative; boundary="{boundary}"'])
    opened = b"".join(limit + b"\r\n" + one for one in parts)
    return head.encode("ascii") + b"\r\n" + opened + limit + b"--\r\n"
