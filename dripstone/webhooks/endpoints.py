"""Webhook endpoints: made, changed, deleted, tried out. What all receivers have in common is in receivers.py."""

import json
import uuid
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django.db import transaction
from django.db.models import QuerySet

from dripstone import outbound
from dripstone.accounts.models import Account
from dripstone.calls import queue, secrets
from dripstone.calls.models import Call, Receiver
from dripstone.errors import Invalid, NotFound
from dripstone.events import reading
from dripstone.given import ABSENT, Checked, Given, as_items
from dripstone.shapes.instants import instant
from dripstone.webhooks import kinds, payloads, receivers
from dripstone.webhooks.models import Endpoint
from dripstone.webhooks.read import READER

MOST = 50  # of an account
LONGEST_DESCRIPTION = 1_000
STATUSES = ("active", "disabled")
TEST = "test"


def of(account: Account) -> QuerySet[Endpoint]:
    return Endpoint.objects.filter(account=account, deleted_at=None)


def check(given: Given, *, is_new: bool) -> dict[str, Any]:
    """Sound values of `url`, `events`, `name`, `description` and, of one that is there, `status`. Raises Invalid."""
    read = Checked(given, required=("url", "events") if is_new else ())
    read_url(read, "url")
    _read_events(read)
    read.text_or_null("name", 255)
    read.text_or_null("description", LONGEST_DESCRIPTION)
    if not is_new:
        read.choice("status", STATUSES)
    return read.sound()


def read_url(read: Checked, name: str) -> None:
    read.words(name)
    if (url := read.values.get(name)) is not None:
        try:
            outbound.check(url.strip(), name)
            read.values[name] = url.strip()
        except Invalid as problem:
            read.problems += problem.problems


def _read_events(read: Checked) -> None:
    value = read.take("events", as_items)
    if value is ABSENT:
        return
    if value is None or value == []:
        read.blank("events")
    elif not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        read.wrong("events", 'must be an array of event types, such as ["subscriber.created"]')
    elif len(value) > 100:
        read.wrong("events", "can't have more than 100 entries")
    elif unknown := [one for one in dict.fromkeys(value) if one not in kinds.ENDPOINT]:
        for one in unknown:
            read.refuse("events", _why_not(one))
    else:
        read.values["events"] = sorted(set(value))


def _why_not(name: str) -> str:
    shown = "".join(letter if letter.isprintable() else "?" for letter in name[:60])
    if name.startswith(kinds.NOT_YET_ENDPOINT):
        return f"events: {shown} is not available yet"
    return f"events: {shown} is no event type; there are: {', '.join(kinds.ENDPOINT)}"


@transaction.atomic
def create(
    account: Account, given: Given, now: datetime, *, application_id: int | None = None, application_name: str = ""
) -> tuple[Endpoint, str]:
    """It, and its secret, which is told here and never again. It hears of what happens from now on.

    application_id  the app that makes it, whose own it is
    Raises Invalid.
    """
    values = check(given, is_new=True)
    Account.objects.select_for_update(no_key=True).get(pk=account.pk)  # two at once do not pass the limit together
    if of(account).count() >= MOST:
        raise Invalid(f"An account can't have more than {MOST} webhook endpoints; delete one first")
    secret = secrets.make()
    endpoint = Endpoint.objects.create(
        account=account,
        kind=Receiver.Kind.ENDPOINT,
        url=values["url"],
        name=(values.get("name") or "").strip() or urlsplit(values["url"]).hostname or values["url"][:255],
        description=values.get("description") or "",
        events=values["events"],
        secret=secrets.sealed(secret),
        application_id=application_id,
        application_name=application_name,
        listens_after=reading.from_now_on(READER),
        created_at=now,
    )
    return endpoint, secret


@transaction.atomic
def update(endpoint: Endpoint, given: Given, now: datetime) -> Endpoint:
    """Change the values given. Raises Invalid, NotFound."""
    values = check(given, is_new=False)
    endpoint = locked(endpoint)
    status = values.pop("status", None)
    if not (values.get("name") or "x").strip():
        values.pop("name")
    for name, value in values.items():
        setattr(endpoint, name, value)
    endpoint.save()
    if status is not None:
        receivers.switch(endpoint.pk, now, on=status == "active")
    return of(endpoint.account).get(pk=endpoint.pk)


@transaction.atomic
def delete(endpoint: Endpoint, now: datetime) -> None:
    """What waits for it is not sent any more. Raises NotFound."""
    queue.delete(locked(endpoint), now)


def is_forced(given: Given) -> bool:
    """The `force` of a rotation. Raises Invalid."""
    read = Checked(given)
    read.drop_nulls("force")
    read.flag("force")
    return bool(read.sound().get("force"))


def locked(endpoint: Endpoint) -> Endpoint:
    """As it is now, until the transaction ends. Raises NotFound."""
    rows = Endpoint.objects.select_for_update(no_key=True)
    found = rows.filter(pk=endpoint.pk, deleted_at=None).first()
    if found is None:
        raise NotFound
    return found


@transaction.atomic
def send_test(endpoint: Endpoint, now: datetime) -> Call:
    """A made-up event of its first kind, to try the receiver with. Raises Invalid while it is switched off."""
    receivers.must_be_on(endpoint)
    (call_id,) = queue.ids(1)
    event = {
        "id": str(uuid.uuid4()),
        "type": endpoint.events[0],
        "created": instant(now),
        "data": _sample(endpoint.events[0], now),
    }
    call = Call(
        pk=call_id,
        receiver_id=endpoint.pk,
        account_id=endpoint.account_id,
        about=TEST,
        n_events=1,
        body=payloads.delivery(call_id, [json.dumps(event, separators=(",", ":"))]),
        planned_at=now,
        next_attempt_at=now,
    )
    queue.plan([call])
    queue.wake()
    return call


def _sample(kind: str, now: datetime) -> dict[str, Any]:
    """Of nobody: an id that no row has."""
    made = {"created_at": instant(now)}
    person = {
        "id": 0,
        "first_name": "Test",
        "email_address": "test@example.com",
        "state": "active",
        **made,
        "fields": {},
    }
    things: dict[str, dict[str, Any]] = {
        "tag": {"id": 0, "name": "Test", **made},
        "form": {"id": 0, "name": "Test", **made},
        "custom_field": {"id": 0, "name": "ck_field_0_test", "key": "test", "label": "Test"},
        "sequence": {"id": 0, "name": "Test", "hold": False, "repeat": False, **made, "updated_at": instant(now),
                     "email_template_id": None, "active": True},
    }  # fmt: skip
    found = {"subscriber": person} if kind.startswith("subscriber.") else {}
    thing = kinds.SUBJECTS.get(kinds.ENDPOINT[kind][0])
    return found | ({thing: things[thing]} if thing else {})
