"""What endpoints, webhooks of before and callbacks have in common: switched on and off, rotated, sent to again."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from dripstone.accounts.models import Account
from dripstone.calls import queue, secrets
from dripstone.calls.models import Call, Receiver
from dripstone.errors import Conflict, Invalid, NotFound
from dripstone.events import reading
from dripstone.webhooks.models import Endpoint, Webhook
from dripstone.webhooks.read import READER

STILL_OVERLAPS = "The previous signing secret is still within its rotation window."  # Kit's words
IS_OFF = "It is disabled, so nothing can be sent to it; make it active first"


def of(account: Account) -> QuerySet[Receiver]:
    return Receiver.objects.filter(account=account, deleted_at=None)


def locked(receiver_id: int) -> Receiver:
    """As it is now, until the transaction ends. Raises NotFound."""
    found = Receiver.objects.select_for_update(no_key=True).filter(pk=receiver_id, deleted_at=None).first()
    if found is None:
        raise NotFound
    return found


@transaction.atomic
def switch(receiver_id: int, now: datetime, *, on: bool) -> None:
    """On, it hears of what happens from then on. Off, what waits for it has failed. Raises NotFound."""
    receiver = locked(receiver_id)
    if on == receiver.is_active:
        return
    if on:
        _listen_from_now_on(receiver)
        _set(receiver, off="", off_at=None, failing_since=None)
    else:
        _set(receiver, off=Receiver.WhyOff.OWNER, off_at=now)
        queue.end_waiting_of_switched_off(receiver.pk, now)


def _listen_from_now_on(receiver: Receiver) -> None:
    kind: type[Endpoint] | type[Webhook] = Endpoint if receiver.kind == Receiver.Kind.ENDPOINT else Webhook
    kind.objects.filter(pk=receiver.pk).update(listens_after=reading.from_now_on(READER))


@transaction.atomic
def rotate(receiver_id: int, now: datetime, *, force: bool = False) -> str:
    """A new secret, told here; the one before signs too for a day. Raises Conflict while an earlier one still does,
    unless forced: then that one ends at once. NotFound."""
    receiver = locked(receiver_id)
    if overlaps(receiver, now) and not force:
        raise Conflict(STILL_OVERLAPS)
    secret = secrets.make()
    expires_at = now + secrets.OVERLAP
    _set(
        receiver, previous_secret=receiver.secret, secret=secrets.sealed(secret), previous_secret_expires_at=expires_at
    )
    return secret


@transaction.atomic
def revoke_previous(receiver_id: int) -> None:
    """Only the newest secret signs from now on. Nothing happens when that is so already. Raises NotFound."""
    _set(locked(receiver_id), previous_secret=b"", previous_secret_expires_at=None)


def overlaps(receiver: Receiver, now: datetime) -> bool:
    """Whether two secrets sign."""
    expires_at = receiver.previous_secret_expires_at
    return expires_at is not None and expires_at > now


def _set(receiver: Receiver, **values: Any) -> None:
    Receiver.objects.filter(pk=receiver.pk).update(**values)


# --- Its deliveries -----------------------------------------------------------------------------------------------


def deliveries(receiver: Receiver) -> QuerySet[Call]:
    return Call.objects.filter(receiver=receiver.pk)


def must_be_on(receiver: Receiver) -> None:
    if not receiver.is_active:
        raise Invalid(IS_OFF)


def send_again(receiver: Receiver, now: datetime, call_ids: Iterable[int] | None = None) -> int:
    """Start over with these of its deliveries that have ended, or (None) with all that failed: with the same id and
    body, beside what is new. Returns how many. Raises Invalid while it is switched off."""
    must_be_on(receiver)
    return queue.send_again(receiver.pk, now, call_ids)
