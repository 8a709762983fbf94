"""4  claimed → rendered: deliveries become messages. Snippets, templates and custom fields are read now, at send time.

Takes       claimed deliveries
Leaves      a message for each, and the deliveries that must not go after all, with the reason; nothing is written
A crash here means rows in `sending` that never left: rescue.py gives them back.
"""

import json
import math
from collections import defaultdict
from collections.abc import Iterable
from collections.abc import Sequence as Series
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from typing import Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import structlog
from django.conf import settings
from django.db import connection

from dripstone import signing
from dripstone.accounts.models import Account
from dripstone.content.compile import CompiledEmail, EmailSource, Envelope, Person, SnippetSource, compile_email
from dripstone.content.mime import mail_address
from dripstone.content.models import EmailTemplate, Snippet
from dripstone.engine import queries, reasons
from dripstone.engine.attempts import Outcome
from dripstone.engine.claim import Claimed
from dripstone.senders.base import Outgoing
from dripstone.senders.limits import Limit
from dripstone.sequences.models import SequenceEmail
from dripstone.subscribers.models import CustomField, State

log = structlog.get_logger(__name__)

COMPILED_VERSIONS = 256  # kept per process; one holds its templates' source, some tens of KB


@dataclass(frozen=True, slots=True)
class Rendered:
    messages: list[Outgoing]
    withheld: list[Outcome]  # skipped or failed
    limits: dict[int, Limit]  # by account id, of those that have one: how much may go (pace)


def messages(
    batch: Series[Claimed], now: datetime, not_after: float = math.inf, *, eight_bit: bool = False
) -> Rendered:
    """One message per claimed delivery; people who may not be mailed any more are withheld.

    not_after  of time.monotonic(): the end of the lease. A body that has not started by then never does.
    eight_bit  the mail server takes letters beyond ASCII as they are (Sender.eight_bit)
    """
    people = _people(batch)
    compiled = _compiled({row.email_id for row in batch}, now)
    result = Rendered([], [], {})
    for row in batch:
        (person, state), email = people[row.subscriber_id], compiled[row.email_id]
        address = mail_address(person.email_address)
        if state != State.ACTIVE:
            result.withheld.append(_withheld(row, "skipped", reasons.subscriber_is(state)))
        elif address is None:
            result.withheld.append(_withheld(row, "failed", reasons.BAD_RECIPIENT))
        elif email is None:
            result.withheld.append(_withheld(row, "failed", reasons.BAD_SENDER))
        else:
            data, warnings = email.compiled.written(person, _envelope(row, email.date), eight_bit=eight_bit)
            sender = email.compiled.source.from_address
            head = (row.delivery_id, row.account_id, row.attempt)
            if not email.limit.is_none:
                result.limits[row.account_id] = email.limit
            result.messages.append(Outgoing(*head, sender, address, data, not_after))
            if warnings:
                log.warning("message_has_gaps", delivery_id=row.delivery_id, warnings=warnings)
    return result


def _withheld(row: Claimed, status: Literal["skipped", "failed"], reason: str) -> Outcome:
    return Outcome(row.delivery_id, row.attempt, status, reason)


def message_id(delivery_id: int) -> str:
    """The same over all attempts, and no two deliveries share it. Without angle brackets."""
    return f"{signing.make('message', delivery_id)}@{_domain()}"


def unsubscribe_url(delivery_id: int) -> str:
    return f"{settings.DRIPSTONE_URL}/u/{signing.make('unsubscribe', delivery_id)}"


def _domain() -> str:
    """This installation's own name: Message-IDs must not depend on what a creator may edit between two attempts."""
    return _domain_of(settings.DRIPSTONE_URL)


@cache
def _domain_of(url: str) -> str:
    host = urlsplit(url).hostname or ""
    return host if host and not host.replace(".", "").isdigit() and ":" not in host else "dripstone.localhost"


def _envelope(row: Claimed, date: datetime) -> Envelope:
    return Envelope(
        message_id=message_id(row.delivery_id),
        date=date,
        unsubscribe_url=unsubscribe_url(row.delivery_id),
        list_id=f"sequence-{row.sequence_id}.{_domain()}",
    )


def _people(batch: Series[Claimed]) -> dict[int, tuple[Person, str]]:
    """The people of a batch, each with their state. Columns, not model instances: a third of the time."""
    field_keys = _field_keys({row.account_id for row in batch})
    people = {}
    with connection.cursor() as cursor:
        cursor.execute(queries.PEOPLE, {"subscribers": queries.ids({row.subscriber_id for row in batch})})
        for pk, account, address, name, values, state in cursor.fetchall():
            known = json.loads(values)
            fields = {key: known.get(field_id) for field_id, key in field_keys[account].items()}
            people[pk] = (Person(pk, address, name, fields), state)
    return people


def _field_keys(account_ids: Iterable[int]) -> dict[int, dict[str, str]]:
    """Per account: custom field id (as text, as Subscriber.fields has it) → key."""
    keys: dict[int, dict[str, str]] = defaultdict(dict)
    for field in CustomField.objects.filter(account_id__in=account_ids):
        keys[field.account_id][str(field.pk)] = field.key
    return keys


@dataclass(frozen=True, slots=True)
class _Ready:
    """An email ready to be filled in. `date`: this instant in the sequence's zone, for Date and for `now` in Liquid."""

    compiled: CompiledEmail
    date: datetime
    limit: Limit  # of its account


def _compiled(email_ids: Iterable[int], now: datetime) -> dict[int, _Ready | None]:
    """Compiling happens once per version of everything an email is made of. None: it cannot be written as mail."""
    emails = SequenceEmail.objects.filter(pk__in=email_ids).select_related(
        "email_template", "sequence__email_template", "sequence__sending_address", "account"
    )
    accounts = {email.account_id for email in emails}
    snippets = _snippets(accounts)
    defaults = {row.account_id: row for row in EmailTemplate.objects.filter(account__in=accounts, is_default=True)}
    ready: dict[int, _Ready | None] = {}
    for email in emails:
        source = _source(email, defaults.get(email.account_id), snippets[email.account_id])
        try:
            date = now.astimezone(ZoneInfo(email.sequence.time_zone))
            limit = Limit(email.account.per_second, email.account.per_day)
            ready[email.pk] = _Ready(_compile(source), date, limit)
        except ValueError:
            ready[email.pk] = None
    return ready


def _snippets(account_ids: Iterable[int]) -> dict[int, tuple[tuple[str, str, str], ...]]:
    found: dict[int, list[tuple[str, str, str]]] = defaultdict(list)
    for snippet in Snippet.objects.filter(account_id__in=account_ids).order_by("key"):
        body = snippet.content if snippet.snippet_type == Snippet.Type.INLINE else snippet.value_html or ""
        found[snippet.account_id].append((snippet.key, snippet.snippet_type, body))
    return defaultdict(tuple, {account_id: tuple(rows) for account_id, rows in found.items()})


@dataclass(frozen=True, slots=True)
class _Source:
    """All that a compiled email depends on, as a cache key: same values, same compilation."""

    subject: str
    preview_text: str | None
    content: str | None
    template_html: str | None
    snippets: tuple[tuple[str, str, str], ...]
    from_name: str
    from_address: str
    postal_address: str


def _source(email: SequenceEmail, default: EmailTemplate | None, snippets: tuple[tuple[str, str, str], ...]) -> _Source:
    template = email.email_template or email.sequence.email_template or default
    account: Account = email.account
    sender = email.sequence.sending_address
    return _Source(
        subject=email.subject,
        preview_text=email.preview_text,
        content=email.content,
        template_html=template.html if template else None,
        snippets=snippets,
        from_name=sender.from_name,
        from_address=sender.email_address,
        postal_address=account.postal_address,
    )


@lru_cache(maxsize=COMPILED_VERSIONS)
def _compile(source: _Source) -> CompiledEmail:
    return compile_email(
        EmailSource(
            subject=source.subject,
            preview_text=source.preview_text,
            content=source.content,
            template_html=source.template_html,
            snippets={key: SnippetSource(kind, body) for key, kind, body in source.snippets},
            from_name=source.from_name,
            from_address=source.from_address,
            postal_address=source.postal_address,
        )
    )
