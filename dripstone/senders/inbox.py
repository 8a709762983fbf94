"""inbox://: what is sent is stored in PostgreSQL and shown, and nothing leaves the machine. The default.

A crash here means: a batch is stored whole or not at all; when the answer to COMMIT is lost, its messages are unknown.
"""

import logging
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from functools import reduce
from operator import or_
from typing import Any

from django.db import Error, IntegrityError, InterfaceError, OperationalError, connection, transaction
from django.db.models import Q, QuerySet

from dripstone import clock
from dripstone.given import plain_address
from dripstone.senders import reasons
from dripstone.senders.base import Answer, Kind, Outgoing, printable, withheld
from dripstone.senders.flight import FlightLog
from dripstone.senders.inbox_reading import address_in, contents, header
from dripstone.senders.models import CapturedMessage

log = logging.getLogger(__name__)

SOURCES_AT_A_TIME = 20
NEAR = 10_000  # ids, within which all copies of a message are
# Purpose: messages to any of some addresses, in any case; of a copy the first of them. Reads the account's.
_TO_ANY = """
SELECT COALESCE(original_id, id) FROM senders_capturedmessage
WHERE account_id = %(account)s AND upper("to") IN (SELECT upper(one) FROM unnest(%(addresses)s::text[]) one)
"""
KEPT = "250 2.0.0 Kept in the local inbox"


class InboxSender:
    """One statement and one commit per batch."""

    eight_bit = False

    def __init__(self, flight: FlightLog | None = None) -> None:
        self._flight = flight

    def hand_over(self, messages: Sequence[Outgoing]) -> Iterator[list[Answer]]:
        overdue = [message for message in messages if message.is_overdue]
        yield [withheld(message.delivery_id, reasons.LEASE_OVER, given_back=True) for message in overdue]
        messages = [message for message in messages if message not in overdue] if overdue else messages
        if not messages:
            return
        is_logged = self._start(messages)
        kind, reason = _store(messages) if is_logged else ("temporary", reasons.FLIGHT_LOG)
        answer = Answer(0, kind, reason=reason, about="us") if reason else Answer(0, kind, KEPT)
        for message in messages:
            if self._flight is not None:
                self._flight.ended(message.delivery_id, message.attempt, kind)
        yield [answer._replace(delivery_id=message.delivery_id) for message in messages]

    def limit_connections(self, n_connections: int) -> None:
        """It has none."""

    def close(self, *, for_good: bool = False) -> None:
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
    return CapturedMessage(
        account_id=message.account_id,
        to=message.rcpt_to,
        from_address=address_in(header(head, "From")) or message.mail_from,
        subject=header(head, "Subject"),
        message_id=header(head, "Message-ID"),
        sent_at=now,
        raw=message.data,
    )


def keep(row: CapturedMessage, recipients: Sequence[str]) -> None:
    """A message for each recipient, of which only the first keeps the source. All or none."""
    with transaction.atomic():
        row.to = recipients[0]
        row.save()
        copies = [_copy(row, to) for to in recipients[1:]]
        CapturedMessage.objects.bulk_create(copies)


def _copy(row: CapturedMessage, to: str) -> CapturedMessage:
    return CapturedMessage(
        account_id=row.account_id,
        to=to,
        from_address=row.from_address,
        subject=row.subject,
        message_id=row.message_id,
        sent_at=row.sent_at,
        raw=b"",
        original=row,
    )


@transaction.atomic
def delete(message: CapturedMessage) -> None:
    """One of several recipients' copies leaves the source to the next."""
    row = CapturedMessage.objects.select_for_update().filter(pk=message.pk).first()
    if row is None:
        return
    if row.original_id is None:
        _hand_on(row)
    row.delete()


def _hand_on(row: CapturedMessage) -> None:
    """Copies were stored right behind it, at the same instant."""
    near = CapturedMessage.objects.filter(account=row.account_id, pk__gt=row.pk, pk__lte=row.pk + NEAR)
    copies = near.filter(original=row.pk, sent_at=row.sent_at).order_by("pk")
    if (heir := copies.select_for_update().defer("raw").first()) is not None:
        copies.exclude(pk=heir.pk).update(original=heir)
        heir.raw, heir.original = row.raw, None
        heir.save(update_fields=["raw", "original"])


def messages(account_id: int, to: str | None = None) -> QuerySet[CapturedMessage]:
    """The account's captured mail, oldest first, without its source; `to` is an address, in any spelling."""
    found = CapturedMessage.objects.filter(account_id=account_id).order_by("id").defer("raw")
    return found if to is None else found.filter(_to(to, plain_address(to)))


def _to(*addresses: str) -> Q:
    """To any of these, in any case."""
    return reduce(or_, (Q(to__iexact=address) for address in addresses))


def forget(account_id: int, addresses: Collection[str]) -> int:
    """Deletes what was captured for somebody, under any of these addresses, and copies of the same messages to others:
    they name them. Returns how many. Reads the account's messages, without their sources."""
    of_account = CapturedMessage.objects.filter(account_id=account_id)
    with connection.cursor() as cursor:
        cursor.execute(_TO_ANY, {"account": account_id, "addresses": list(addresses)})
        ids = [pk for (pk,) in cursor.fetchall()]
    return of_account.filter(Q(pk__in=ids) | Q(original_id__in=ids)).delete()[0] if ids else 0


def sources(messages: Sequence[CapturedMessage]) -> Iterator[bytes]:
    """The source of each. Few are held at a time: each may have ten megabytes."""
    for start in range(0, len(messages), SOURCES_AT_A_TIME):
        some = messages[start : start + SOURCES_AT_A_TIME]
        wanted = {message.original_id or message.pk for message in some}
        found = dict(CapturedMessage.objects.filter(pk__in=wanted).values_list("pk", "raw"))
        yield from (bytes(found.get(message.original_id or message.pk, b"")) for message in some)


def shapes(messages: Sequence[CapturedMessage]) -> Iterator[dict[str, Any]]:
    """Messages as `/ext/v1/inbox` shows them."""
    for message, source in zip(messages, sources(messages), strict=True):
        read = contents(source)
        yield {
            "id": message.pk,
            "to": message.to,
            "from": message.from_address,
            "subject": message.subject,
            "sent_at": message.sent_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "message_id": message.message_id,
            "headers": read.headers,
            "text": read.text,
            "html": read.html,
        }
