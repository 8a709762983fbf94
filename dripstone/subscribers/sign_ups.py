"""Sign-ups: what somebody typed into a form, and the row of one that must be clicked.

What comes in at the door is anybody's word: about themselves, or about a stranger. So it is checked against what the
form asks, cut to a size, and never shown in a mail.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from dripstone.errors import Invalid
from dripstone.events.causes import Cause
from dripstone.given import MAX_NAME, Checked, Given, plain_address
from dripstone.subscribers import fields, subscribe
from dripstone.subscribers.forms import Origin
from dripstone.subscribers.models import CustomField, Form, SignUp, State, Subscriber

LASTS = timedelta(days=30)  # what a link confirms
KEPT_DAYS = 90  # so that an old link can say what became of it
MAX_VALUE = 2_000  # characters of a field that a stranger fills in
_LINK = re.compile(r"://|\bwww\.", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Asked:
    """A sound sign-up. `values`: by the custom field's id as text."""

    email_address: str
    first_name: str | None = None
    values: Mapping[str, str] = field(default_factory=dict)
    origin: Origin = field(default_factory=Origin)

    @property
    def is_of_a_robot(self) -> bool:
        """A name that holds a link is nobody's name: it is there to be mailed to strangers."""
        return bool(self.first_name and _LINK.search(self.first_name))


def read(form: Form, given: Given, origin: Origin) -> Asked:
    """given   `email_address`; `first_name` and `fields`, as far as the form asks for them. A field goes by its key, or
            by its name, which stays when the key changes. Kit's forms say `fields[first_name]`: so may ours

    Raises Invalid with every problem. Nothing in it depends on who is on file.
    """
    labels = {"email_address": "Email address", "first_name": "First name"}
    blanks = {"email_address": "Email address can't be blank"}
    read = Checked(given, required=("email_address",), labels=labels, blanks=blanks)
    if (given.get("email_address") or "") == "":
        read.blank("email_address")
    else:
        read.address("email_address")
    read.text_or_null("first_name", MAX_NAME)
    read.texts("fields", subscribe.MAX_FIELDS)
    values = _values(form, read)
    sound = read.sound()
    name = sound.get("first_name") or sound.get("fields", {}).get("first_name") or ""
    if len(name) > MAX_NAME:
        raise Invalid.member("first_name", f"First name is too long (maximum is {MAX_NAME} characters)")
    name = name.strip() if form.asks_first_name else ""
    return Asked(plain_address(sound["email_address"]), name or None, values, origin)


def _values(form: Form, read: Checked) -> dict[str, str]:
    typed: Mapping[str, str | None] = read.values.get("fields", {})
    found = {}
    for one in asked_fields(form) if typed else ():
        value = (typed.get(one.key) or typed.get(one.name) or "").strip()
        if len(value) > MAX_VALUE:
            read.refuse(f"fields.{one.key}", f"{one.label} is too long (maximum is {MAX_VALUE} characters)")
        elif value:
            found[str(one.pk)] = value
    return found


def asked_fields(form: Form) -> list[CustomField]:
    """In the form's order. Those that were deleted are gone."""
    found = CustomField.objects.filter(account=form.account_id).in_bulk(form.field_ids) if form.field_ids else {}
    return [found[pk] for pk in form.field_ids if pk in found]


# --- Who it is ----------------------------------------------------------------------------------------------------


def person_of(form: Form, asked: Asked, now: datetime, *, cause: Cause) -> tuple[Subscriber, bool]:
    """Whoever has the address, locked, and whether they are new. A new one is active with single opt-in, else inactive;
    or as they are remembered, if they were deleted and must not be mailed."""
    if (person := subscribe.locked_by_address(form.account_id, asked.email_address)) is not None:
        return person, False
    state = State.ACTIVE if form.opt_in == Form.OptIn.SINGLE else State.INACTIVE
    given = _given(form.account_id, asked.first_name, asked.values)
    given |= {"email_address": asked.email_address, "state": state.value}
    written = subscribe.upsert(form.account_id, given, now, cause=cause)
    return written.subscriber, written.is_new


def fill_blanks(person: Subscriber, asked: Asked, now: datetime, *, cause: Cause) -> None:
    """Of somebody on file who did not have to click: what is known of them stays, since a stranger may have typed."""
    name = asked.first_name if not person.first_name else None
    missing = {key: value for key, value in asked.values.items() if not person.fields.get(key)}
    _write(person, name, missing, now, cause)


def write(person: Subscriber, row: SignUp, now: datetime, *, cause: Cause) -> None:
    """Of somebody who has clicked: they said it themselves."""
    _write(person, row.first_name, row.fields, now, cause)


def _write(person: Subscriber, name: str | None, values: Mapping[str, str], now: datetime, cause: Cause) -> None:
    """Who has as much on file as one may have keeps it as it is."""
    if not subscribe.has_room(person, values):
        values = {}
    if name or values:
        subscribe.update(person.pk, _given(person.account_id, name, values), now, cause=cause)


def _given(account_id: int, name: str | None, values: Mapping[str, str]) -> dict[str, Any]:
    keys = fields.keys_of(account_id) if values else {}
    given: dict[str, Any] = {"fields": {keys[pk]: value for pk, value in values.items() if pk in keys}}
    return given | ({"first_name": name} if name else {})


# --- The row ------------------------------------------------------------------------------------------------------


def begin(person: Subscriber, form: Form | None, asked: Asked | None, now: datetime) -> SignUp:
    """It waits from now on. asked: what was typed; None when the API asks somebody to confirm"""
    typed: dict[str, Any] = {}
    if asked is not None:
        typed = {"first_name": asked.first_name, "fields": dict(asked.values), **asked.origin.columns()}
    return SignUp.objects.create(
        subscriber=person, form=form, email_address=person.email_address, asked_at=now, **typed
    )


def is_open(row: SignUp, now: datetime) -> bool:
    """Whether its link confirms something, as far as the row and its person's address say."""
    is_theirs = row.email_address == row.subscriber.email_address
    return row.status == SignUp.Status.WAITING and not has_lapsed(row, now) and is_theirs


def has_lapsed(row: SignUp, now: datetime) -> bool:
    return now - row.asked_at > LASTS


def recent(person: Subscriber, since: datetime) -> list[SignUp]:
    """By sign_up_of_subscriber."""
    return list(SignUp.objects.filter(subscriber=person, asked_at__gt=since).order_by("-asked_at"))


def waiting(person: Subscriber, form: Form | None) -> Iterable[SignUp]:
    return SignUp.objects.filter(subscriber=person, form=form, status=SignUp.Status.WAITING)
