"""What the lists of subscribers have in common: of the account, a tag, a form or a sequence."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Literal, NotRequired, TypeVar

from django.db.models import Model, QuerySet
from typing_extensions import TypedDict

from dripstone.api import lookup
from dripstone.api.auth import KitRequest
from dripstone.api.body import MISSING, Address, Body, Flag, Instant, needs
from dripstone.api.paging import Beyond, Paging
from dripstone.given import Checked, Given
from dripstone.postgresql.compiled import Compiled
from dripstone.shapes import subscribers as shapes
from dripstone.stats import engagement
from dripstone.subscribers import fields
from dripstone.subscribers.models import NAME_KEY, Subscriber

M = TypeVar("M", bound=Model)
_BY_ID = Compiled(lambda: Subscriber.objects.filter(account=lookup.ACCOUNT, pk=lookup.ID))

_NOT_NARROWING = {*Paging.model_fields, "status", "slim", "include", "sort_field", "sort_order"}


class PeopleFilters(Paging):
    """Only active people unless `status` says otherwise. After and before are exclusive."""

    status: Literal["active", "inactive", "bounced", "complained", "cancelled", "all"] = "active"
    created_after: Instant | None = None
    created_before: Instant | None = None
    slim: Flag = False


class AddressBody(Body):
    """The person a call is about, when their id is not in its path."""

    model_config = needs("email_address")
    email_address: Address = MISSING


NOBODY = AddressBody()


class SubscriberAnswer(TypedDict):
    subscriber: shapes.PersonShape


class WrittenAnswer(TypedDict):
    subscriber: shapes.PersonShape
    warnings: NotRequired[list[str]]


def narrow(rows: QuerySet[M], filters: PeopleFilters, person: str = "") -> QuerySet[M]:
    """`person` leads from a row to its subscriber: "subscriber__" for taggings, form subscriptions, enrollments."""
    if filters.status != "all":
        rows = rows.filter(**{f"{person}state": filters.status})
    return between(rows, f"{person}created_at", filters.created_after, filters.created_before)


def between(rows: QuerySet[M], column: str, after: Instant | None, before: Instant | None) -> QuerySet[M]:
    """Both ends are exclusive; None leaves one open."""
    if after:
        rows = rows.filter(**{f"{column}__gt": after})
    if before:
        rows = rows.filter(**{f"{column}__lt": before})
    return rows


def order_of(filters: PeopleFilters, person: str = "", **instants: tuple[Instant | None, Instant | None]) -> list[str]:
    """Newest first: by the instant that is filtered by, which has an index, else by the person's id.

    instants   `tagged_at=(after, before)`: filters of the row itself, which come before those of the person
    """
    unique = f"-{person}id" if not person else "-subscriber_id"
    for column, given in (*instants.items(), (f"{person}created_at", (filters.created_after, filters.created_before))):
        if any(given):
            return [f"-{column}", unique]
    return [unique]


@dataclass(frozen=True, slots=True)
class Order:
    """How people are listed: what `page` needs to know beside the rows."""

    rows: QuerySet[Subscriber]
    keys: list[str]
    beyond: Beyond[Subscriber] | None = None


def in_order(rows: QuerySet[Subscriber], account_id: int, field: str, order: str, now: datetime) -> Order:
    """Opens and clicks are not recorded: everybody has none, so the order by them is the order by id."""
    sign = "-" if order == "desc" else ""
    keys = [f"{sign}{key}" for key in (*_KEYS.get(field, ()), "id")]
    if field == "first_name":
        return Order(rows.annotate(name_key=NAME_KEY), keys)
    if field == "engagement__sent":
        return Order(rows, keys, partial(_ranked, engagement.Ranking(rows, account_id, now)))
    return Order(rows, keys)


_KEYS = {
    **{field: (field,) for field in ("created_at", "updated_at", "email_address")},
    **dict.fromkeys(("cancelled_at", "canceled_at"), ("canceled_at",)),
    "first_name": ("name_key",),
    "engagement__sent": ("n_sent",),
}


def _ranked(
    ranking: engagement.Ranking, edge: Sequence[Any], walk: Sequence[str], n: int, *, or_at: bool = False
) -> list[Subscriber]:
    key = (edge[0], edge[1]) if edge else None
    found = ranking.beyond(key, n, is_descending=walk[0].startswith("-"), or_at=or_at)
    people = Subscriber.objects.in_bulk([pk for _, pk in found])
    for n_sent, pk in found:
        if pk in people:  # else they were deleted just now
            people[pk].n_sent = n_sent  # type: ignore[attr-defined]
    return [people[pk] for _, pk in found if pk in people]


def total(filters: PeopleFilters, count: Callable[[str], int]) -> Callable[[], int] | None:
    """The kept count by state, where nothing else is filtered by; None: the rows must be counted."""
    narrowing = filters.model_fields_set - _NOT_NARROWING
    return None if any(getattr(filters, name) for name in narrowing) else lambda: count(filters.status)


def person_of(request: KitRequest, subscriber_id: int) -> Subscriber:
    """Raises NotFound."""
    return lookup.own(_BY_ID, request.auth.account, subscriber_id)


def addressed(given: Given, purpose: str) -> Checked:
    """A body that names somebody by address. purpose: `tag subscriber`."""
    missing = f"Either subscriber id or email address is required to {purpose}"
    return Checked(given, required=("email_address",), blanks={"email_address": missing})


def by_address(request: KitRequest, read: Checked) -> Subscriber:
    """Raises NotFound, and Invalid with every problem of the body."""
    read.words("email_address")
    return lookup.subscriber_by_address(request.auth.account.pk, read.sound()["email_address"])


def keys_for(request: KitRequest, *, slim: bool = False) -> shapes.FieldKeys | None:
    """The custom fields to show; None shows none."""
    return None if slim else fields.keys_of(request.auth.account.pk)
