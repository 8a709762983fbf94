"""inbox://: what is sent is stored in PostgreSQL and shown, and nothing leaves the machine. The default.

A crash here means: a batch is stored whole or not at all; when the answer to COMMIT is lost, its messages are unknown.
"""

import contextlib
import email
import email.policy
import email.utils
import logging
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from email.header import decode_header, make_header
from email.message import EmailMessage
from typing import Any

from django.db import Error, IntegrityError, InterfaceError, OperationalError, transaction
from django.db.models import QuerySet

from dripstone import clock
from dripstone.senders import reasons
from dripstone.senders.base import Answer, Kind, Outgoing, printable, withheld
from dripstone.senders.flight import FlightLog
from dripstone.senders.models import CapturedMessage

log = logging.getLogger(__name__)

HEADER = {
    name: re.compile(rb"(?:^|\n)" + name.encode() + rb":[ \t]*((?:[^\r\n]|\r?\n[ \t])*)", re.IGNORECASE)
    for name in ("From", "Subject", "Message-ID")
}
FOLD = re.compile(r"\r?\n(?=[ \t])")


class InboxSender:
    """One statement and one commit per batch."""

    eight_bit = False

    def __init__(self, flight: FlightLog | None = None) -> None:
        self._flight = flight

    def hand_over(self, messages: Sequence[Outgoing]) -> Iterator[Answer]:
        overdue = [message for message in messages if message.is_overdue]
        yield from (withheld(message.delivery_id, reasons.LEASE_OVER, given_back=True) for message in overdue)
        messages = [message for message in messages if message not in overdue] if overdue else messages
        if not messages:
            return
        is_logged = self._start(messages)
        kind, reason = _store(messages) if is_logged else ("temporary", reasons.FLIGHT_LOG)
        for message in messages:
            if self._flight is not None:
                self._flight.ended(message.delivery_id, message.attempt, kind)
            if kind == "sent":
                yield Answer(message.delivery_id, kind, "250 2.0.0 Kept in the local inbox")
            else:
                yield Answer(message.delivery_id, kind, reason=reason, about="us")

    def limit_connections(self, n_connections: int) -> None:
        """It has none."""

    def close(self) -> None:
        """Nothing to give back."""

    def _start(self, messages: Sequence[Outgoing]) -> bool:
        """Into the flight log. False: it cannot be written, so nothing may be stored."""
        if self._flight is None:
            return True
        try:
            for message in messages:
                self._flight.started(message.delivery_id, message.attempt)
        except OSError as error:
            log.error("flight_log_failed", extra={"error": str(error), "n_messages": len(messages)})
            return False
        return True


def _store(messages: Sequence[Outgoing]) -> tuple[Kind, str]:
    is_written = False
    try:
        rows = captured(messages)
        with transaction.atomic():
            CapturedMessage.objects.bulk_create(rows)
            is_written = True
    except (OperationalError, InterfaceError) as error:
        log.warning("inbox_store_failed", extra={"error": printable(str(error)), "n_messages": len(messages)})
        # The connection broke while committing: perhaps it was committed.
        return ("unknown", reasons.CUT_AFTER_BODY) if is_written else ("temporary", reasons.CUT_BEFORE_BODY)
    except (Error, IntegrityError, ValueError) as error:
        log.warning("inbox_store_failed", extra={"error": printable(str(error)), "n_messages": len(messages)})
        return "temporary", reasons.INBOX_NOT_WRITABLE
    return "sent", ""


def captured(messages: Sequence[Outgoing]) -> list[CapturedMessage]:
    """Their rows, not saved yet; sent_at is now."""
    now = clock.now()
    return [_captured(message, now) for message in messages]


def _captured(message: Outgoing, now: datetime) -> CapturedMessage:
    head = message.data.partition(b"\r\n\r\n")[0]
    address = email.utils.parseaddr(_header(head, "From"))[1]
    return CapturedMessage(
        account_id=message.account_id,
        to=message.rcpt_to,
        from_address=address or message.mail_from,
        subject=_header(head, "Subject"),
        message_id=_header(head, "Message-ID"),
        sent_at=now,
        raw=message.data,
    )


def messages(account_id: int, to: str | None = None) -> QuerySet[CapturedMessage]:
    """The account's captured mail, oldest first; `to` is an address, in any case."""
    found = CapturedMessage.objects.filter(account_id=account_id).order_by("id")
    return found if to is None else found.filter(to__iexact=to)


def shape(message: CapturedMessage) -> dict[str, Any]:
    """A message as `/ext/v1/inbox` shows it. `headers` is name → value, several of one name joined by newlines."""
    parsed = parse(message)
    return {
        "id": message.pk,
        "to": message.to,
        "from": message.from_address,
        "subject": message.subject,
        "sent_at": message.sent_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "message_id": message.message_id,
        "headers": headers(parsed),
        "text": part(parsed, "plain"),
        "html": part(parsed, "html"),
    }


def parse(message: CapturedMessage) -> EmailMessage:
    return email.message_from_bytes(bytes(message.raw), policy=email.policy.default)


def headers(parsed: EmailMessage) -> dict[str, str]:
    """Decoded and unfolded, in the order of their first appearance."""
    found: dict[str, str] = {}
    for name, value in parsed.raw_items():
        text = _decoded(str(value))
        found[name] = f"{found[name]}\n{text}" if name in found else text
    return found


def part(parsed: EmailMessage, subtype: str) -> str | None:
    """The text of the plain or html part, with \\n line ends; None when there is no such part."""
    body = parsed.get_body((subtype,))
    if body is None:
        return None
    try:
        text = body.get_content()
    except (LookupError, ValueError):  # an unknown charset, or bytes that it does not have
        payload = body.get_payload(decode=True)
        text = payload.decode("utf-8", "replace") if isinstance(payload, bytes) else str(payload)
    return str(text).replace("\r\n", "\n")


def _header(head: bytes, name: str) -> str:
    found = HEADER[name].search(head)
    return _decoded(found[1].decode("utf-8", "replace")) if found else ""


def _decoded(value: str) -> str:
    """Unfolded, RFC 2047 decoded, without NUL (PostgreSQL keeps none)."""
    text = FOLD.sub("", value).strip()
    if "=?" in text:
        with contextlib.suppress(LookupError, ValueError):  # an unknown charset: shown as it came
            text = str(make_header(decode_header(text)))
    return text.encode("utf-8", "replace").decode().replace("\0", "")
