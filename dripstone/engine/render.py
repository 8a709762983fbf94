"""4  claimed → rendered: makes messages. Snippets, templates and custom fields are read now, at send time.

Takes       claimed deliveries
Leaves      a message for each, or the reason why it must not go after all, or not now; nothing is written
A crash here means rows in `sending` that never left: rescue.py gives them back.
"""

import json
import math
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from collections.abc import Sequence as Series
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import structlog
from django.db import connection

from dripstone.content.compile import Envelope, Person
from dripstone.content.mime import mail_address
from dripstone.engine import identity, letters, queries, reasons
from dripstone.engine.attempts import AT_ONCE, Outcome
from dripstone.engine.claim import Claimed
from dripstone.engine.letters import Letter
from dripstone.engine.models import Notice
from dripstone.senders.base import Outgoing
from dripstone.senders.limits import Limit
from dripstone.subscribers.models import CustomField, State

log = structlog.get_logger(__name__)

SECONDS_PER_BATCH = 2.0  # what takes longer goes back, behind the mail of others


@dataclass(frozen=True, slots=True)
class Rendered:
    messages: list[Outgoing]
    withheld: list[Outcome]  # skipped or failed, or planned again
    limits: dict[int, Limit]  # by account id, of those that have one: how much may go (pace)


def messages(
    batch: Series[Claimed],
    now: datetime,
    not_after: float = math.inf,
    *,
    eight_bit: bool = False,
    seconds: Callable[[], float] = time.monotonic,
) -> Rendered:
    """One message per claimed delivery. People who may not be mailed any more get none, except notices. When the time
    of a batch is over, the rest go back to planned untried, but never all of them.

    not_after  of time.monotonic(): the end of the lease. A body that has not started by then is not sent.
    eight_bit  the mail server takes letters beyond ASCII as they are (Sender.eight_bit)
    """
    on_file = {row.subscriber_id for row in batch if row.subscriber_id is not None}
    known = people(on_file, {row.account_id for row in batch})
    printed = letters.of(batch, now)
    result = Rendered([], [], printed.limits)
    ends_at = seconds() + SECONDS_PER_BATCH
    for number, row in enumerate(batch):
        if number and seconds() > ends_at:
            result.withheld.extend(_later(row) for row in batch[number:])
            break
        if row.email_id is None or row.subscriber_id is None:  # a notice
            one = _notice(row, printed.notices.get(row.notice_id or 0), not_after)
        else:
            one = _email(row, *known[row.subscriber_id], printed.emails[row.email_id], not_after, eight_bit=eight_bit)
        if isinstance(one, Outgoing):
            result.messages.append(one)
        else:
            result.withheld.append(one)
    return result


def _email(
    row: Claimed, person: Person, state: str, letter: Letter | None, not_after: float, *, eight_bit: bool
) -> Outgoing | Outcome:
    address = mail_address(person.email_address)
    if state != State.ACTIVE:
        return _withheld(row, "skipped", reasons.subscriber_is(state))
    if address is None:
        return _withheld(row, "failed", reasons.BAD_RECIPIENT)
    if letter is None:
        return _withheld(row, "failed", reasons.BAD_SENDER)
    written = letter.written(person, _envelope(row, letter), eight_bit=eight_bit)
    if written.warnings:
        log.warning("message_has_gaps", delivery_id=row.delivery_id, warnings=written.warnings)
    head = (row.delivery_id, row.account_id, row.attempt)
    sender = letter.compiled.source.from_address
    return Outgoing(*head, sender, address, written.data, not_after, written.lines)


def _notice(row: Claimed, notice: Notice | None, not_after: float) -> Outgoing | Outcome:
    """A notice goes as it was rendered when it was asked for, even if the person has changed since."""
    if notice is None or not notice.message:
        return _withheld(row, "failed", reasons.NO_MESSAGE)
    head = (row.delivery_id, row.account_id, row.attempt)
    return Outgoing(*head, notice.from_address, notice.email_address, bytes(notice.message), not_after)


def _withheld(row: Claimed, status: Literal["skipped", "failed"], reason: str) -> Outcome:
    return Outcome(row.delivery_id, row.attempt, status, reason)


def _later(row: Claimed) -> Outcome:
    return Outcome(row.delivery_id, row.attempt, "planned", retry_in=AT_ONCE, untried=True)


def _envelope(row: Claimed, letter: Letter) -> Envelope:
    return Envelope(
        message_id=identity.message_id(row.delivery_id),
        date=letter.date,
        unsubscribe_url=identity.unsubscribe_url(row.delivery_id),
        list_id=letter.list_id,
    )


def people(subscriber_ids: Collection[int], account_ids: Collection[int]) -> dict[int, tuple[Person, str]]:
    """People of these accounts, each with their state. Columns, not model instances: a third of the time."""
    field_keys = _field_keys(account_ids)
    found = {}
    with connection.cursor() as cursor:
        cursor.execute(queries.PEOPLE, {"subscribers": queries.ids(subscriber_ids)})
        for pk, account, address, name, values, state in cursor.fetchall():
            known = json.loads(values)
            fields = {key: known.get(field_id) for field_id, key in field_keys[account].items()}
            found[pk] = (Person(pk, address, name, fields), state)
    return found


def _field_keys(account_ids: Iterable[int]) -> dict[int, dict[str, str]]:
    """Per account: custom field id (as text, as Subscriber.fields has it) → key."""
    keys: dict[int, dict[str, str]] = defaultdict(dict)
    for field in CustomField.objects.filter(account_id__in=account_ids):
        keys[field.account_id][str(field.pk)] = field.key
    return keys
