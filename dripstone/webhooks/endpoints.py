"""Webhook endpoints: made, changed, their secrets rotated, switched off, and what they did not get sent again."""

import json
import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django.db import transaction
from django.db.models import QuerySet

from dripstone import outbound
from dripstone.accounts.models import Account
from dripstone.calls import queue, secrets
from dripstone.calls.models import Call, Receiver
from dripstone.errors import Conflict, Invalid, NotFound
from dripstone.events import reading
from dripstone.given import ABSENT, Checked, Given, as_items
from dripstone.shapes.instants import instant
from dripstone.webhooks import kinds, payloads
from dripstone.webhooks.models import Endpoint
from dripstone.webhooks.read import READER

MOST = 50  # of an account
LONGEST_DESCRIPTION = 1_000
STATUSES = ("active", "disabled")
TEST = "test"
STILL_OVERLAPS = "The previous signing secret is still within its rotation window."  # Kit's words


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
    if status == "active" and not endpoint.is_active:
        endpoint.off, endpoint.off_at, endpoint.failing_since = "", None, None
        endpoint.listens_after = reading.from_now_on(READER)
    if status == "disabled" and endpoint.is_active:
        endpoint.off, endpoint.off_at = Receiver.WhyOff.OWNER, now
        queue.end_waiting_of_switched_off(endpoint.pk, now)
    endpoint.save()
    return endpoint


@transaction.atomic
def delete(endpoint: Endpoint, now: datetime) -> None:
    """What waits for it is not sent any more. Raises NotFound."""
    queue.delete(locked(endpoint), now)


@transaction.atomic
def rotate(endpoint: Endpoint, now: datetime, *, force: bool = False) -> tuple[Endpoint, str]:
    """A new secret; the one before signs too for a day. Raises Conflict while an earlier one still does, unless forced:
    then that one ends at once. NotFound."""
    endpoint = locked(endpoint)
    if _overlaps(endpoint, now) and not force:
        raise Conflict(STILL_OVERLAPS)
    secret = secrets.make()
    endpoint.previous_secret, endpoint.secret = endpoint.secret, secrets.sealed(secret)
    endpoint.previous_secret_expires_at = now + secrets.OVERLAP
    endpoint.save(update_fields=["secret", "previous_secret", "previous_secret_expires_at"])
    return endpoint, secret


@transaction.atomic
def revoke_previous(endpoint: Endpoint) -> Endpoint:
    """Only the newest secret signs from now on. Nothing happens when that is so already. Raises NotFound."""
    endpoint = locked(endpoint)
    endpoint.previous_secret, endpoint.previous_secret_expires_at = b"", None
    endpoint.save(update_fields=["previous_secret", "previous_secret_expires_at"])
    return endpoint


def is_forced(given: Given) -> bool:
    """The `force` of a rotation. Raises Invalid."""
    read = Checked(given)
    read.drop_nulls("force")
    read.flag("force")
    return bool(read.sound().get("force"))


def _overlaps(endpoint: Endpoint, now: datetime) -> bool:
    expires_at = endpoint.previous_secret_expires_at
    return expires_at is not None and expires_at > now


def locked(endpoint: Endpoint) -> Endpoint:
    """As it is now, until the transaction ends. Raises NotFound."""
    rows = Endpoint.objects.select_for_update(no_key=True)
    found = rows.filter(pk=endpoint.pk, deleted_at=None).first()
    if found is None:
        raise NotFound
    return found


# --- Its deliveries -----------------------------------------------------------------------------------------------


def send_again(endpoint: Endpoint, now: datetime, call_ids: Iterable[int] | None = None) -> int:
    """Start over with these of its deliveries that have ended, or (None) with all that failed: with the same id and
    body, beside what is new. Returns how many. Raises Invalid while it is switched off."""
    if not endpoint.is_active:
        raise Invalid("The endpoint is disabled, so nothing can be sent to it; make it active first")
    return queue.send_again(endpoint.pk, now, call_ids)


@transaction.atomic
def send_test(endpoint: Endpoint, now: datetime) -> Call:
    """A made-up event of its first kind, to try the receiver with. Raises Invalid while it is switched off."""
    if not endpoint.is_active:
        raise Invalid("The endpoint is disabled, so nothing can be sent to it; make it active first")
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
