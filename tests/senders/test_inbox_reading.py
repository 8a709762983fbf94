"""Whatever comes through the inbox's door can be shown, soon."""

import json
import time
from collections.abc import Callable
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dripstone.senders import inbox_reading
from dripstone.senders.inbox_reading import contents


def nested_multiparts(n: int) -> bytes:
    heads = "".join(f"Content-Type: multipart/mixed; boundary=b{i}\r\n\r\n--b{i}\r\n" for i in range(n))
    return f"Subject: deep\r\n{heads}Content-Type: text/plain\r\n\r\nHi".encode()


def in_charset(charset: str, body: bytes) -> bytes:
    return b"Content-Type: text/plain; charset=%b\r\n\r\n%b" % (charset.encode(), body)


SHOWN_RAW: dict[str, bytes] = {
    "1,500 nested multiparts": nested_multiparts(1500),
    "2,000 nested messages": b"Content-Type: message/rfc822\r\n\r\n" * 2000,
    "in capitals": b"CONTENT-TYPE: MESSAGE/RFC822\r\n\r\n" * 2000,
    "many parts": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 100_000,
    "ten megabytes": b"Subject: x\r\n\r\n" + b"x" * 10_000_000,
    "short lines": b"Subject: x\r\n\r\n" + b"\r\n" * 4_000_000,
    "many headers": b"a: b\r\n" * 300_000,
}


@pytest.mark.parametrize("raw", SHOWN_RAW.values(), ids=SHOWN_RAW)
def test_what_would_take_long_is_shown_raw(raw: bytes) -> None:
    read = contents(raw)
    assert read.text is not None
    assert read.text == raw[: inbox_reading.MOST_CHARACTERS].decode()
    assert (read.headers, read.html) == ({}, None)


SHOWN: dict[str, tuple[bytes, str | None]] = {
    "unicode_escape": (in_charset("unicode_escape", b"\\ud800"), "\\ud800"),
    "raw_unicode_escape": (in_charset("raw-unicode-escape", b"\\ud800"), "\\ud800"),
    "punycode": (in_charset("punycode", b"kse-qla" * 1000), "kse-qla" * 1000),
    "idna": (in_charset("idna", b"xn--kse-qla"), "xn--kse-qla"),
    "no text encoding": (in_charset("hex", b"6869"), "6869"),
    "unknown charset": (in_charset("klingon", b"qapla\xff"), "qapla\ufffd"),
    "empty charset": (in_charset('""', b"hi"), "hi"),
    "charset that is none": (in_charset('"\x00/../"', b"hi"), "hi"),
    "Latin-1": (in_charset("iso-8859-1", b"Gr\xfc\xdfe"), "Gr\u00fc\u00dfe"),
    "bytes its charset does not have": (in_charset("utf-8", b"a\xff\xfeb"), "a\ufffd\ufffdb"),
    "NUL": (in_charset("utf-8", b"a\0b"), "ab"),
    "UTF-16 cut in half": (in_charset("utf-16", b"\xff\xfeh\0i"), None),
    "bad base64": (b"Content-Transfer-Encoding: base64\r\n\r\n!!!a", None),
    "unknown transfer encoding": (b"Content-Transfer-Encoding: x-rot26\r\n\r\nhi", "hi"),
    "multipart without a boundary": (b"Content-Type: multipart/mixed\r\n\r\nhi", None),
    "parentheses": (b"Content-Disposition: " + b"(" * 5000 + b"\r\n\r\nhi", "hi"),
    "long parameters": (b"Content-Type: text/plain; " + b"a=b; " * 400_000 + b"\r\n\r\nhi", "hi"),
    "folded parameters": (b"Content-Type: text/plain;" + b"\r\n a=b;" * 100_000 + b"\r\n\r\nhi", "hi"),
    "numbered parameters": (b"Content-Type: text/plain; " + b"a*0=b; " * 200_000 + b"\r\n\r\nhi", "hi"),
    "nothing": (b"", ""),
}


@pytest.mark.parametrize(("raw", "text"), SHOWN.values(), ids=SHOWN)
def test_odd_messages_are_shown_as_far_as_they_go(raw: bytes, text: str | None) -> None:
    began = time.process_time()
    read = contents(raw)
    assert time.process_time() - began < 2
    json.dumps(read).encode()
    if text is not None:
        assert read.text == text


@pytest.mark.parametrize(
    ("header", "shown"),
    [
        (b"=?utf-8?b?a?=", "=?utf-8?b?a?="),
        (b"=?unicode_escape?q?\\ud800?=", None),
        (b"=?hex?q?6869?=", "=?hex?q?6869?="),
        (b"=?utf-8?q?a=00b?=", "ab"),
        (b"Gr\xc3\xbc\xc3\x9fe", "Gr\u00fc\u00dfe"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"=?utf-8?q?x?= " * 100_000, None),
    ],
)
def test_odd_headers_are_shown_as_far_as_they_go(header: bytes, shown: str | None) -> None:
    raw = b"Subject: " + header + b"\r\n\r\nhi"
    for found in (contents(raw).headers["Subject"], inbox_reading.header(raw, "Subject")):
        found.encode()
        assert len(found) <= inbox_reading.MOST_HEADER_CHARACTERS
        if shown is not None:
            assert found == shown


def test_an_address_in_ten_thousand_parentheses_is_none() -> None:
    assert inbox_reading.address_in("(" * 10_000) == ""


def test_attachments_are_not_the_text() -> None:
    mail = EmailMessage()
    mail.set_content("text")
    mail.add_alternative("<p>html</p>", subtype="html")
    mail.add_attachment("attached", filename="a.txt")
    mail.add_attachment(EmailMessage())
    assert contents(mail.as_bytes())[1:3] == ("text\n", "<p>html</p>\n")
    kinds = [(one.name, one.content_type) for one in contents(mail.as_bytes()).attachments]
    assert kinds == [("a.txt", "text/plain"), ("", "message/rfc822")]
    only = EmailMessage()
    only.add_attachment("attached", filename="a.txt")
    assert contents(only.as_bytes())[1:3] == (None, None)


@given(st.binary(max_size=300), st.sampled_from([bytes, lambda tail: nested_multiparts(3) + tail]))
def test_any_bytes_can_be_shown(tail: bytes, made: Callable[[bytes], bytes]) -> None:
    read = contents(made(tail))
    text = json.dumps(read)
    text.encode()
    assert "\\u0000" not in text
