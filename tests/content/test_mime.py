"""What leaves is well-formed whatever goes in. The standard library's parser is the judge."""

import quopri
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dripstone.content import mime
from dripstone.content.liquid import clean

ANY_TEXT = st.text(st.characters(), max_size=300)
LINES = st.lists(st.text(st.characters(), max_size=60) | st.just("=_b") | st.just("--=_b") | st.just("x" * 1200)).map(
    "\n".join
)


def parsed(data: bytes) -> EmailMessage:
    message = message_from_bytes(data, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


def well_formed(data: bytes) -> bool:
    lines = data.split(b"\r\n")
    return all(len(line) <= 998 and b"\n" not in line and b"\r" not in line and b"\0" not in line for line in lines)


@given(ANY_TEXT)
def test_any_subject_comes_back(text: str) -> None:
    header = mime.unstructured("Subject", text)
    assert all(len(line) <= 76 for line in header.split("\r\n"))
    assert str(parsed(header.encode("ascii") + b"\r\n\r\n")["Subject"] or "") == mime.one_line(text)


@pytest.mark.parametrize("evil", ["\r\nBcc: a@example.com", "\nX: y", "a\u2028Bcc: x", "\x0bBcc: x", "\r\n\r\n<html>"])
def test_nothing_is_injected(evil: str) -> None:
    headers = [mime.unstructured("Subject", evil), mime.mailbox("From", evil, "ann@example.com")]
    message = parsed("\r\n".join(headers).encode("ascii") + b"\r\n\r\nbody")
    assert message.keys() == ["Subject", "From"]
    assert message.get_content().strip() == "body"


@given(st.text(st.characters(), max_size=30) | st.text(st.characters(max_codepoint=126), max_size=150))
def test_any_display_name_comes_back(name: str) -> None:
    header = mime.mailbox("From", name, "ann@example.com")
    assert all(len(line) <= 120 for line in header.split("\r\n"))
    (address,) = parsed(header.encode("ascii") + b"\r\n\r\n")["From"].addresses
    assert address.addr_spec == "ann@example.com"
    # Before 3.12 the parser keeps the white space between two encoded words of a name, which RFC 2047 tells it to drop.
    assert address.display_name.replace(" ", "") == mime.one_line(name).replace(" ", "")


@pytest.mark.parametrize(
    ("address", "on_the_wire"),
    [
        ("ann@example.com", "ann@example.com"),
        ("ann+x.y@sub.example.com", "ann+x.y@sub.example.com"),
        ("ann@münchen.de", "ann@xn--mnchen-3ya.de"),
        ('"a b"@example.com', '"a b"@example.com'),
        ("jörg@example.com", None),
        ("ann@example.com\r\nBcc: x@example.com", None),
        ("ann@exa mple.com", None),
        ("a..b@example.com", None),
        ("ann", None),
        ("ann@", None),
        ("<ann@example.com>", None),
        ("a,b@example.com", None),
    ],
)
def test_addresses_are_given_their_form_for_mail(address: str, on_the_wire: str | None) -> None:
    assert mime.mail_address(address) == on_the_wire


@given(st.text(st.characters(), max_size=40))
def test_any_text_as_an_address_is_safe(text: str) -> None:
    found = mime.mail_address(text)
    assert found is None or (found.isascii() and found.isprintable())


@given(LINES, LINES, st.booleans())
def test_any_bodies_come_back(plain: str, page: str, eight_bit: bool) -> None:
    plain, page = clean(plain), clean(page)
    parts = [
        mime.part("text/plain", plain, "=_b", eight_bit=eight_bit),
        mime.part("text/html", page, "=_b", eight_bit=eight_bit),
    ]
    data = mime.alternative(["From: ann@example.com"], parts, "=_b")
    assert well_formed(data)
    first, second = parsed(data).iter_parts()
    for part, text in ((first, plain), (second, page)):
        payload = part.get_payload(decode=True)
        assert isinstance(payload, bytes)
        assert payload.decode().replace("\r\n", "\n") == text


@given(st.lists(st.text("aé =.\n\tÿ", max_size=90) | st.integers(60, 80).map(lambda n: "é" + "x" * n), min_size=1))
def test_no_quoted_line_is_longer_than_76_octets_wherever_the_text_was_cut(pieces: list[str]) -> None:
    quoted = b"".join([*map(mime.quoted, pieces[:-1]), mime.quoted(pieces[-1], is_last=True)])
    assert max(map(len, quoted.split(b"\r\n"))) <= 76
    decoded = quopri.decodestring(quoted).decode().replace("\r\n", "\n")
    assert decoded == "".join(pieces)


def test_the_lightest_transfer_encoding_is_taken() -> None:
    assert b"Encoding: 7bit" in mime.part("text/plain", "plain", "=_b", eight_bit=False)
    assert b"Encoding: quoted-printable" in mime.part("text/plain", "größer", "=_b", eight_bit=False)
    assert b"Encoding: 8bit" in mime.part("text/plain", "größer", "=_b", eight_bit=True)
    assert b"Encoding: quoted-printable" in mime.part("text/plain", "x" * 999, "=_b", eight_bit=True)
