"""Subscribers come in and change: the upsert by address, and the update."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction

from dripstone.errors import Invalid
from dripstone.events import types
from dripstone.events.causes import Cause
from dripstone.events.record import event, record
from dripstone.given import MAX_NAME, Checked, Given, plain_address
from dripstone.subscribers.models import CustomField, State, Subscriber

MAX_FIELDS = 140  # Kit's limit per call
STATES = ("active", "cancelled", "bounced", "complained", "inactive")  # in the order in which Kit lists them
_LABELS = {"email_address": "Email address", "first_name": "First name"}
_BLANKS = {"email_address": "Email address is invalid"}

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

    is_new   the address is asked for, and `state` (of somebody new) is read
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
    """Someone new with this state, or the one who has the address: they get the name and fields, never a state.

    given   `email_address` as the person wrote it; `first_name`, null leaves an existing name alone; `fields` by key;
            `state`, active unless it says otherwise
    Raises Invalid with every problem.
    """
    values = check(given, is_new=True)
    first_name = values.get("first_name")
    state = values.get("state") or State.ACTIVE.value
    person, is_new = _find_or_add(account_id, values["email_address"], first_name, state, now, cause)
    if not is_new and first_name is not None:
        person.first_name = first_name
    before = dict(person.fields)
    keys, unknown = _set_fields(person, values.get("fields", {}))
    _save(person, now)
    _record_values(person, before, now, cause)
    return Written(person, is_new, keys, unknown)


@transaction.atomic
def update(subscriber_id: int, given: Given, now: datetime, *, cause: Cause) -> Written:
    """given   any of `first_name` (null removes it), `email_address`, `fields`

    Raises Invalid with every problem, and when the address is another subscriber's.
    """
    values = check(given, is_new=False)
    person = Subscriber.objects.select_for_update(no_key=True).get(pk=subscriber_id)
    person.first_name = values.get("first_name", person.first_name)
    person.email_address = values.get("email_address", person.email_address)
    before = dict(person.fields)
    keys, unknown = _set_fields(person, values.get("fields", {}))
    try:
        with transaction.atomic():
            _save(person, now)
    except IntegrityError:
        raise Invalid.member("email_address", "Email address has already been taken") from None
    _record_values(person, before, now, cause)
    return Written(person, keys=keys, unknown=unknown)


def _find_or_add(
    account_id: int, address: str, first_name: str | None, state: str, now: datetime, cause: Cause
) -> tuple[Subscriber, bool]:
    """The person, locked, and whether they are new."""
    person, is_new = Subscriber.objects.select_for_update(no_key=True).get_or_create(
        account_id=account_id,
        email_address=address,
        defaults={
            "first_name": first_name,
            "state": state,
            "canceled_at": now if state == State.CANCELLED else None,
            "created_at": now,
            "updated_at": now,
        },
    )
    if is_new:
        kinds = [types.SUBSCRIBER_CREATED] + ([types.SUBSCRIBER_ACTIVATED] if state == State.ACTIVE else [])
        record(event(kind, account_id, now, cause=cause, subscriber_id=person.pk) for kind in kinds)
    return person, is_new


def _set_fields(person: Subscriber, values: FieldValues) -> tuple[list[str], list[str]]:
    """Sets the values on the person, unsaved. Returns the keys that were written and the unknown ones."""
    known = CustomField.objects.filter(account_id=person.account_id, key__in=list(values))
    ids = {field.key: str(field.pk) for field in known}
    for key, field_id in ids.items():
        if values[key] is None:
            person.fields.pop(field_id, None)
        else:
            person.fields[field_id] = values[key]
    return sorted(ids), sorted(set(values) - set(ids))


def _record_values(person: Subscriber, before: Mapping[str, str], now: datetime, cause: Cause) -> None:
    """An event per field whose value is another one now."""
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
