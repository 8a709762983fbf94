"""From an Outgoing to the bytes of its SMTP transaction. Pure."""

import email
import email.policy
import re
from functools import lru_cache
from typing import NamedTuple

import idna

from dripstone.senders import reasons
from dripstone.senders.base import Outgoing
from dripstone.senders.smtp.open import Features

# What may stand between < and > in a command: no space, control character or angle bracket, so no injection.
ASCII_MAILBOX = re.compile(r"[!-;=?-~]+@[!-;=?-~]+")
ANY_MAILBOX = re.compile(
    r"[^\x00-\x20\x7f-\xa0\u2028\u2029<>@\ud800-\udfff]+@[^\x00-\x20\x7f-\xa0\u2028\u2029<>@\ud800-\udfff]+"
)
LONE_NEWLINE = re.compile(rb"\r(?!\n)|(?<!\r)\n")


class Unsendable(Exception):
    """This server can never take this message. reason: as in Answer."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Transaction(NamedTuple):
    """Two commands, and the body with its final dot."""

    mail: bytes
    rcpt: bytes
    body: bytes


def transaction(message: Outgoing, features: Features) -> Transaction:
    """Raises Unsendable."""
    sender, sender_utf8 = _sender(message.mail_from)
    recipient, recipient_utf8 = _mailbox(message.rcpt_to, reasons.BAD_RECIPIENT)
    data, may_have_dots = message.data, message.lines.may_have_dots
    if not message.lines.end_in_crlf:
        data = _crlf(data)
    options = b""
    if not data.isascii():
        if features.eight_bit:
            options = b" BODY=8BITMIME"
        else:
            data, may_have_dots = _seven_bit(data), True
    if sender_utf8 or recipient_utf8:
        if not features.utf8:
            raise Unsendable(reasons.SMTPUTF8_NOT_OFFERED)
        options += b" SMTPUTF8"
    if features.size:
        options += b" SIZE=%d" % len(data)
    body = _stuffed(data) if may_have_dots else data + b".\r\n"
    return Transaction(b"MAIL FROM:<%b>%b\r\n" % (sender, options), b"RCPT TO:<%b>\r\n" % recipient, body)


@lru_cache(maxsize=64)  # the same one for a whole email
def _sender(address: str) -> tuple[bytes, bool]:
    return _mailbox(address, reasons.BAD_SENDER) if address else (b"", False)


def _mailbox(address: str, if_bad: str) -> tuple[bytes, bool]:
    """Bytes for the command, and whether they need SMTPUTF8. A non-ASCII domain alone has an ASCII form.

    if_bad  the reason when SMTP cannot carry the address
    """
    if address.isascii():
        if ASCII_MAILBOX.fullmatch(address):
            return address.encode(), False
    elif ANY_MAILBOX.fullmatch(address):
        local, _, domain = address.rpartition("@")
        try:
            ascii_domain = idna.encode(domain, uts46=True).decode()
        except idna.IDNAError:
            raise Unsendable(if_bad) from None
        return f"{local}@{ascii_domain}".encode(), not local.isascii()
    raise Unsendable(if_bad)


def _crlf(data: bytes) -> bytes:
    """Only CRLF ends a line. A lone CR or LF before a dot is how a second message is smuggled past some servers."""
    n_lines = data.count(b"\r\n")
    if data.count(b"\n") != n_lines or data.count(b"\r") != n_lines:
        data = LONE_NEWLINE.sub(b"\r\n", data)
    return data if data.endswith(b"\r\n") else data + b"\r\n"


def _seven_bit(data: bytes) -> bytes:
    """The slow way out (milliseconds) for servers without 8BITMIME, which are rare today."""
    message = email.message_from_bytes(data, policy=email.policy.compat32.clone(cte_type="7bit", linesep="\r\n"))
    converted = _crlf(message.as_bytes())
    if not converted.isascii():
        raise Unsendable(reasons.EIGHT_BIT_NOT_OFFERED)
    return converted


def _stuffed(data: bytes) -> bytes:
    """Dot-stuffed (RFC 5321 § 4.5.2), with the final dot."""
    if b"\r\n." in data:
        data = data.replace(b"\r\n.", b"\r\n..")
    return b"%b%b.\r\n" % (b"." if data.startswith(b".") else b"", data)
