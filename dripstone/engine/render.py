"""4  claimed → rendered: makes messages. Snippets, templates and custom fields are read now, at send time.

Takes       claimed deliveries
Leaves      a message for each, or the reason why it must not go after all; what slow emails (slow.py) would hold up
            goes back to planned; nothing of theirs is written
A crash here means rows in `sending` that never left: rescue.py gives them back.
"""

import json
import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from collections.abc import Sequence as Series
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import structlog
from django.conf import settings
from django.db import connection

from dripstone.content.compile import Envelope, Person
from dripstone.content.liquid_cost import OverBudget
from dripstone.content.mime import mail_address
from dripstone.engine import identity, letters, queries, reasons, slow
from dripstone.engine.attempts import Outcome
from dripstone.engine.claim import Claimed
from dripstone.engine.letters import Letter
from dripstone.engine.models import Notice
from dripstone.senders import ways
from dripstone.senders.base import Outgoing
from dripstone.senders.limits import Limit
from dripstone.subscribers.models import CustomField, State

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Rendered:
    messages: list[Outgoing]
    withheld: list[Outcome]  # skipped, failed, or back to planned
    limits: dict[int, Limit]  # by account id, of those that have one: how much may go (pace)
    editions: dict[int, int]  # by delivery id, of emails of a sequence: what it is made of


def messages(
    batch: Series[Claimed],
    now: datetime,
    not_after: float = math.inf,
    *,
    eight_bit: bool = False,
    cpu: Callable[[], float] = slow.cpu,
) -> Rendered:
    """One message per claimed delivery. People who may not be mailed any more get none, except notices.

    not_after  of time.monotonic(): the end of the lease. A body that has not started by then is not sent.
    eight_bit  the mail server takes letters beyond ASCII as they are (Sender.eight_bit)
    cpu        seconds that this thread has worked
    """
    on_file = {row.subscriber_id for row in batch if row.subscriber_id is not None}
    known = people(on_file, {row.account_id for row in batch})
    printed = letters.of(batch, now)
    result, turns = Rendered([], [], printed.limits, _editions(batch, printed)), slow.Turns(batch, cpu)
    for row in turns:
        if row.email_id is None or row.subscriber_id is None:  # a notice
            one = _notice(row, printed.notices.get(row.notice_id or 0), not_after)
        elif row.subscriber_id not in known:
            one = _withheld(row, "skipped", reasons.SUBSCRIBER_DELETED)
        else:
            one = _email(row, *known[row.subscriber_id], printed.emails[row.email_id], not_after, eight_bit=eight_bit)
        if isinstance(one, Outgoing):
            result.messages.append(one)
        else:
            result.withheld.append(one)
    result.withheld.extend(turns.back())
    return result


def _editions(batch: Series[Claimed], printed: letters.Letters) -> dict[int, int]:
    of_email = {email_id: letter.edition_id for email_id, letter in printed.emails.items() if letter is not None}
    found = ((row.delivery_id, of_email.get(row.email_id or 0)) for row in batch)
    return {delivery_id: edition_id for delivery_id, edition_id in found if edition_id is not None}


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
    try:
        written = letter.compiled.written(person, _envelope(row, letter), eight_bit=eight_bit)
    except OverBudget as over:
        log.warning("message_over_budget", delivery_id=row.delivery_id, part=over.part, tag=over.where)
        return _withheld(row, "failed", reasons.LIQUID_OVER_BUDGET)
    if written.warnings:
        log.warning("message_has_gaps", delivery_id=row.delivery_id, warnings=written.warnings)
    head = (row.delivery_id, row.account_id, row.attempt)
    sender = letter.compiled.source.from_address
    return Outgoing(*head, sender, address, written.data, not_after, written.lines)


def _notice(row: Claimed, notice: Notice | None, not_after: float) -> Outgoing | Outcome:
    """A notice goes as it was rendered when it was asked for, even if the person has changed since."""
    if notice is None or not notice.message:
        return _withheld(row, "failed", reasons.NO_MESSAGE)
    if notice.account_id is None and ways.is_local(settings.DRIPSTONE_MAIL_URL):
        return _withheld(row, "failed", reasons.NO_MAIL_SERVER)  # it must not land in anybody's inbox
    head = (row.delivery_id, row.account_id, row.attempt)
    return Outgoing(*head, notice.from_address, notice.email_address, bytes(notice.message), not_after)


def _withheld(row: Claimed, status: Literal["skipped", "failed"], reason: str) -> Outcome:
    return Outcome(row.delivery_id, row.attempt, status, reason)


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
