"""Subscribers come in and change: the upsert by address, and the update."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction

from dripstone.errors import Invalid
from dripstone.events import types
from dripstone.events.causes import Cause
from dripstone.events.models import Event
from dripstone.events.record import event, record
from dripstone.given import MAX_NAME, Checked, Given, plain_address
from dripstone.postgresql import prepared
from dripstone.postgresql.compiled import Compiled, Parameter
from dripstone.subscribers import remembered
from dripstone.subscribers.fields import keys_of
from dripstone.subscribers.models import State, Subscriber, locked

MAX_FIELDS = 140  # Kit's limit per call
MAX_VALUES = 65_536  # bytes of all values of a person; a list shows a thousand people
STATES = ("active", "cancelled", "bounced", "complained", "inactive")  # in the order in which Kit lists them
_LABELS = {"email_address": "Email address", "first_name": "First name"}
_BLANKS = {"email_address": "Email address is invalid"}

_LOCKED = Compiled(
    lambda: Subscriber.objects.select_for_update(no_key=True).filter(
        account=Parameter("account"), email_address=Parameter("address")
    )
)
# Purpose: add someone new. If another call is just adding them, it waits for that one to commit and then returns no
# row. This needs no savepoint, as a violated constraint would. Whoever was deleted and must not be mailed is added as
# they are remembered (remembered.py), and a complaint outweighs all: one probe of remembered_once.
_ADD = """
INSERT INTO subscribers_subscriber (account_id, email_address, first_name, state, fields, created_at, updated_at,
                                    canceled_at)
SELECT %(account_id)s::bigint, %(email_address)s::text, %(first_name)s::text, state, %(fields)s::jsonb,
       %(now)s::timestamptz, %(now)s::timestamptz,
       CASE WHEN state = 'cancelled' THEN COALESCE(since, %(now)s::timestamptz) END
FROM (SELECT CASE WHEN 'complained' IN (given.state, r.state) THEN 'complained' ELSE COALESCE(r.state, given.state) END,
             r.since
      FROM (VALUES (%(state)s::text)) given (state)
      LEFT JOIN subscribers_remembered r ON r.account_id = %(account_id)s AND r.digest = %(digest)s
     ) as_whom (state, since)
ON CONFLICT (account_id, email_address) DO NOTHING RETURNING id, state, canceled_at
"""

FieldValues = Mapping[str, str | None]  # by field key; None and "" both mean: no value


@dataclass(frozen=True, slots=True)
class Written:
    """keys      custom fields that were written
    unknown   keys the account has no field for, passed over
    """

    subscriber: Subscriber
    is_new: bool = False
    keys: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


def check(given: Given, *, is_new: bool) -> dict[str, Any]:
    """Sound values of `email_address`, `first_name`, `fields` and `state`, for the members that were given.

    is_new   the address is required, and `state` is read
    Pure. Raises Invalid with every problem.
    """
    read = Checked(given, required=("email_address",) if is_new else (), labels=_LABELS, blanks=_BLANKS)
    read.address("email_address")
    read.text_or_null("first_name", MAX_NAME)
    if is_new:
        read.choice_or_null("state", STATES)
    read.texts("fields", MAX_FIELDS)
    values = read.sound()
    return values | ({"email_address": plain_address(values["email_address"])} if "email_address" in values else {})


@transaction.atomic
def upsert(account_id: int, given: Given, now: datetime, *, cause: Cause) -> Written:
    """Add someone new with this state, or update the person who has the address: they get name and fields, never a
    state. Whoever was deleted and must not be mailed comes back as they went (remembered.py).

    given   `email_address` as the person wrote it; `first_name`, null leaves an existing name alone; `fields` by key;
            `state`, active unless it says otherwise
    Raises Invalid with every problem.
    """
    values = check(given, is_new=True)
    address, first_name, fields = values["email_address"], values.get("first_name"), values.get("fields", {})
    person = _LOCKED.first(account=account_id, address=address)
    while person is None:
        state = values.get("state") or State.ACTIVE.value
        added = _added(account_id, address, first_name, state, fields, now, cause)
        if added is not None:
            return added
        person = _LOCKED.first(account=account_id, address=address)
    if first_name is not None:
        person.first_name = first_name
    before = dict(person.fields)
    keys, unknown = _set_fields(person, fields)
    _check_size(person.fields, before)
    _save(person, now)
    _record_values(person, before, now, cause)
    return Written(person, keys=keys, unknown=unknown)


@transaction.atomic
def update(subscriber_id: int, given: Given, now: datetime, *, cause: Cause) -> Written:
    """given   any of `first_name` (null removes it), `email_address`, `fields`

    Raises Invalid with every problem, and when the address is another subscriber's, or that of somebody who was deleted
    and must not be mailed; NotFound.
    """
    values = check(given, is_new=False)
    person = locked(subscriber_id)
    person.first_name = values.get("first_name", person.first_name)
    person.email_address, old_address = values.get("email_address", person.email_address), person.email_address
    if person.email_address != old_address:
        remembered.must_be_free(person.account_id, person.email_address)
    before = dict(person.fields)
    keys, unknown = _set_fields(person, values.get("fields", {}))
    _check_size(person.fields, before)
    try:
        with transaction.atomic():
            _save(person, now)
    except IntegrityError:
        raise Invalid.member("email_address", "Email address has already been taken") from None
    _record_values(person, before, now, cause)
    return Written(person, keys=keys, unknown=unknown)


def _added(
    account_id: int,
    address: str,
    first_name: str | None,
    state: str,
    fields: FieldValues,
    now: datetime,
    cause: Cause,
) -> Written | None:
    """Adds someone new; None if another call added them meanwhile."""
    columns: dict[str, Any] = {"account_id": account_id, "email_address": address, "first_name": first_name}
    draft = Subscriber(account_id=account_id)
    keys, unknown = _set_fields(draft, fields)
    _check_size(draft.fields, {})
    asked = {"state": state, "fields": json.dumps(draft.fields), "now": now}
    rows = prepared.rows(_ADD, columns | asked | {"digest": remembered.digest_of(account_id, address)})
    if not rows:
        return None
    written = dict(zip(("pk", "state", "canceled_at"), rows[0], strict=True))
    person = Subscriber(**columns, **written, fields=draft.fields, created_at=now, updated_at=now)
    person._state.adding = False
    record(_arrival(person, now, cause))
    _record_values(person, {}, now, cause)
    return Written(person, True, keys, unknown)


def _arrival(person: Subscriber, now: datetime, cause: Cause) -> Iterator[Event]:
    """Whoever comes back as they were remembered: the event says so."""
    kept: dict[str, Any] = {}
    if person.state in remembered.STATES and remembered.lift(person.account_id, person.email_address):
        kept = {"remembered_as": person.state}
    yield event(types.SUBSCRIBER_CREATED, person.account_id, now, cause=cause, subscriber_id=person.pk, **kept)
    if person.state == State.ACTIVE:
        yield event(types.SUBSCRIBER_ACTIVATED, person.account_id, now, cause=cause, subscriber_id=person.pk)


def _set_fields(person: Subscriber, values: FieldValues) -> tuple[list[str], list[str]]:
    """Sets the values on the person, unsaved. Returns the keys that were written and the unknown ones."""
    known = keys_of(person.account_id) if values else {}
    ids = {key: field_id for field_id, key in known.items() if key in values}
    for key, field_id in ids.items():
        if values[key] is None:
            person.fields.pop(field_id, None)
        else:
            person.fields[field_id] = values[key]
    return sorted(ids), sorted(set(values) - set(ids))


def has_room(person: Subscriber, values: Mapping[str, str]) -> bool:
    """Whether these values, by field id, fit beside what is on file."""
    return _n_bytes({**person.fields, **values}) <= MAX_VALUES


def locked_by_address(account_id: int, address: str) -> Subscriber | None:
    """Whoever has it, locked until the transaction ends. address: as given.plain_address writes it"""
    return _LOCKED.first(account=account_id, address=address)


def _check_size(after: Mapping[str, str], before: Mapping[str, str]) -> None:
    """Whoever has more than the limit from an earlier version keeps it, and can only get less."""
    size = _n_bytes(after)
    if size > MAX_VALUES and size > _n_bytes(before):
        raise Invalid.member("fields", f"fields can't hold more than {MAX_VALUES // 1024} KB for a person")


def _n_bytes(values: Mapping[str, str]) -> int:
    return sum(len(value.encode()) for value in values.values())


def _record_values(person: Subscriber, before: Mapping[str, str], now: datetime, cause: Cause) -> None:
    """An event per field whose value has changed."""
    changed = {key for key in before.keys() | person.fields.keys() if before.get(key, "") != person.fields.get(key, "")}
    record(
        event(
            types.FIELD_VALUE_UPDATED,
            person.account_id,
            now,
            cause=cause,
            subscriber_id=person.pk,
            subject_id=int(key),
            value=person.fields.get(key) or None,
        )
        for key in sorted(changed, key=int)
    )


def _save(person: Subscriber, now: datetime) -> None:
    person.updated_at = now
    person.save(update_fields=["email_address", "first_name", "fields", "updated_at"])
