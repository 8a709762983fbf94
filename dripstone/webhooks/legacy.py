"""Webhooks of before, which Kit calls legacy: one kind of event each, one event per call, unsigned."""

from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Model, QuerySet

from dripstone.accounts.models import Account
from dripstone.calls import queue
from dripstone.calls.models import Receiver
from dripstone.errors import Invalid
from dripstone.events import reading
from dripstone.given import Checked, Given
from dripstone.purchases.models import Product
from dripstone.sequences.models import Sequence
from dripstone.subscribers.models import CustomField, Form, Tag
from dripstone.webhooks import endpoints, kinds
from dripstone.webhooks.models import Webhook
from dripstone.webhooks.read import READER

MOST = 200  # of an account
NEITHER = "`event` and `target` parameters must be provided"  # Kit's words
THINGS: dict[str, type[Model]] = {
    "form_id": Form,
    "tag_id": Tag,
    "sequence_id": Sequence,
    "custom_field_id": CustomField,
    "product_id": Product,
}


def of(account: Account) -> QuerySet[Webhook]:
    return Webhook.objects.filter(account=account, deleted_at=None)


def check(account: Account, given: Given) -> dict[str, Any]:
    """Sound values: the URL, the kind of event, and the id of the thing it is about. Raises Invalid."""
    if not given.get("target_url") or not given.get("event"):
        raise Invalid(NEITHER)
    read = Checked(given)
    endpoints.read_url(read, "target_url")
    values: dict[str, Any] = {"thing_id": None}
    if (event := read.part("event", required=("name",))) is not None:
        values |= _event(account, event)
    read.raise_problems()
    return {"url": read.values["target_url"], **values}


def _event(account: Account, read: Checked) -> dict[str, Any]:
    name = read.take("name")
    if not isinstance(name, str) or name not in kinds.LEGACY:
        read.refuse("name", _why_not(name))
        return {}
    kind = kinds.LEGACY[name]
    if not kind.member:
        return {"event": name}
    if read.given.get(kind.member) is None:
        if not kind.is_optional:
            read.blank(kind.member)
        return {"event": name}
    read.id(kind.member)
    thing_id = read.values.get(kind.member)
    if thing_id is not None and not _is_there(account, kind.member, thing_id):
        read.refuse(kind.member, f"{read.path(kind.member)}: there is no such {kind.member.removesuffix('_id')}")
    return {"event": name, "thing_id": thing_id}


def _is_there(account: Account, member: str, thing_id: int) -> bool:
    return THINGS[member]._default_manager.filter(account=account, pk=thing_id).exists()


def _why_not(name: object) -> str:
    if name in kinds.NOT_YET_LEGACY:
        return f"event.name: {name} is not available yet, since clicks are not recorded"
    return f"event.name must be one of: {', '.join(kinds.LEGACY)}"


@transaction.atomic
def create(account: Account, given: Given, now: datetime, *, application_id: int | None = None) -> Webhook:
    """It hears of what happens from now on. Raises Invalid."""
    values = check(account, given)
    Account.objects.select_for_update(no_key=True).get(pk=account.pk)
    if of(account).count() >= MOST:
        raise Invalid(f"An account can't have more than {MOST} webhooks; delete one first")
    return Webhook.objects.create(
        account=account,
        kind=Receiver.Kind.WEBHOOK,
        application_id=application_id,
        listens_after=reading.from_now_on(READER),
        created_at=now,
        **values,
    )


@transaction.atomic
def delete(webhook: Webhook, now: datetime) -> None:
    queue.delete(webhook, now)
