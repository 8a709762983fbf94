"""Subscribers come in and change: the upsert by address, and the update."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from email_validator import EmailNotValidError, validate_email

from dripstone.errors import Invalid
from dripstone.events import types
from dripstone.events.causes import Cause
from dripstone.events.record import event, record
from dripstone.subscribers.models import CustomField, State, Subscriber

MAX_FIELDS = 140  # Kit's limit per call
MAX_ADDRESS = 254  # characters, RFC 5321

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


def plain_address(email_address: str) -> str:
    """As it is kept: without blanks around it, lower case."""
    return email_address.strip().lower()


def is_address(email_address: str) -> bool:
    """Syntax only. Test domains (.test, .example) pass: what cannot be delivered shows itself when we send."""
    try:
        validate_email(email_address, check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        return False
    return len(email_address) <= MAX_ADDRESS


@transaction.atomic
def upsert(
    account_id: int,
    email_address: str,
    now: datetime,
    *,
    cause: Cause,
    first_name: str | None = None,
    state: str = State.ACTIVE,
    fields: FieldValues | None = None,
) -> Written:
    """Someone new with this state, or the one who has the address: they get the name and fields, never a state.

    email_address   as the person wrote it
    first_name      None leaves an existing name alone
    Raises Invalid for what is no address.
    """
    address = plain_address(email_address)
    if not is_address(address):
        raise Invalid("Email address is invalid")
    person, is_new = _find_or_add(account_id, address, first_name, state, now, cause)
    if not is_new and first_name is not None:
        person.first_name = first_name
    before = dict(person.fields)
    keys, unknown = _set_fields(person, fields or {})
    _save(person, now)
    _record_values(person, before, now, cause)
    return Written(person, is_new, keys, unknown)


@transaction.atomic
def update(subscriber_id: int, changes: Mapping[str, Any], now: datetime, *, cause: Cause) -> Written:
    """changes   any of first_name (None removes it), email_address, fields

    Raises Invalid when the address is none, or another subscriber's.
    """
    person = Subscriber.objects.select_for_update(no_key=True).get(pk=subscriber_id)
    if "first_name" in changes:
        person.first_name = changes["first_name"]
    if "email_address" in changes:
        person.email_address = plain_address(changes["email_address"])
        if not is_address(person.email_address):
            raise Invalid("Email address is invalid")
    before = dict(person.fields)
    keys, unknown = _set_fields(person, changes.get("fields") or {})
    try:
        with transaction.atomic():
            _save(person, now)
    except IntegrityError:
        raise Invalid("Email address has already been taken") from None
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
