"""Subscribers: https://developers.kit.com/api-reference/subscribers"""

from functools import partial
from typing import Annotated, Any, Literal

from django.db.models import QuerySet
from django.http import HttpResponse
from ninja import Query, Router
from pydantic import WithJsonSchema
from typing_extensions import TypedDict

from dripstone import clock
from dripstone.api import extras
from dripstone.api.auth import KitRequest
from dripstone.api.body import (
    MISSING,
    Address,
    Addresses,
    Body,
    Instant,
    NameOrNull,
    needs,
    one_of_many,
    one_of_or_null,
)
from dripstone.api.paging import Pagination, Paging, page
from dripstone.api.people import (
    Order,
    PeopleFilters,
    WrittenAnswer,
    between,
    in_order,
    keys_for,
    narrow,
    order_of,
    person_of,
    total,
)
from dripstone.api.replies import no_content, reply
from dripstone.engine import transitions
from dripstone.errors import Invalid
from dripstone.events import causes
from dripstone.shapes import subscribers as shapes
from dripstone.shapes import tags as tags_shapes
from dripstone.shapes.instants import instant
from dripstone.stats import people
from dripstone.subscribers import locations, subscribe
from dripstone.subscribers.models import Subscriber, Tagging

router = Router(tags=["Subscribers"])


class KnownAnswer(TypedDict):
    subscriber: shapes.KnownShape


class PeopleAnswer(TypedDict):
    subscribers: list[shapes.ListedShape]
    pagination: Pagination


LATER = 10  # custom fields; above that Kit answers 202 and writes afterwards


# --- Bodies -----------------------------------------------------------------------------------------------------


_STRINGS = {
    "type": ["object", "null"],
    "maxProperties": subscribe.MAX_FIELDS,
    "additionalProperties": {"type": ["string", "null"]},
}
Fields = Annotated[Any, WithJsonSchema(_STRINGS)]


class SubscriberBody(Body):
    model_config = needs("email_address")
    email_address: Address = MISSING
    first_name: NameOrNull = MISSING
    state: Annotated[Any, one_of_or_null(*subscribe.STATES)] = MISSING
    fields: Fields = MISSING


NOBODY = SubscriberBody()


class SubscriberChanges(Body):
    email_address: Address = MISSING
    first_name: NameOrNull = MISSING
    fields: Fields = MISSING


# --- Reading ----------------------------------------------------------------------------------------------------


class SubscriberFilters(PeopleFilters):
    email_address: Addresses | None = None
    updated_after: Instant | None = None
    updated_before: Instant | None = None
    sort_field: Literal[
        "id",
        "created_at",
        "updated_at",
        "cancelled_at",
        "canceled_at",
        "engagement__sent",
        "engagement__opens",
        "engagement__clicks",
        "engagement__open_rate",
        "engagement__click_rate",
    ] = "id"
    sort_order: Literal["asc", "desc"] = "desc"
    include: Annotated[frozenset[str], one_of_many(*extras.PERSON)] = frozenset()


@router.get("/subscribers", response=PeopleAnswer, summary="List subscribers")
def list_subscribers(request: KitRequest, filters: Query[SubscriberFilters]) -> HttpResponse:
    _check_combination(filters)
    # Not account.subscribers, which would give each row its account, one by one: a tenth of the call.
    rows = narrow(Subscriber.objects.filter(account=request.auth.account), filters)
    rows = between(rows, "updated_at", filters.updated_after, filters.updated_before)
    if filters.email_address:
        rows = rows.filter(email_address__in=filters.email_address)
    account_id = request.auth.account.pk
    order = _ordered(rows, account_id, filters)
    count = total(filters, partial(people.of_account, account_id))
    found = page(order.rows, filters, *order.keys, count=count, beyond=order.beyond)
    keys = keys_for(request, slim=filters.slim)
    shaped = [shapes.subscriber(person, keys) for person in found.rows]
    for shape, more in zip(shaped, extras.of_people(found.rows, filters.include), strict=True):
        shape.update(more)  # type: ignore[typeddict-item]
    return reply(200, subscribers=shaped, pagination=found.pagination)


def _check_combination(filters: SubscriberFilters) -> None:
    """Raises Invalid."""
    problems = []
    if filters.status != "cancelled":
        if filters.sort_field in ("cancelled_at", "canceled_at"):
            problems.append(f"The status param must be `cancelled` if sort_field is `{filters.sort_field}`")
        if "canceled_at" in filters.include:
            problems.append("The status param must be `cancelled` if include is `canceled_at`")
    if filters.email_address and filters.sort_field.startswith("engagement__"):
        problems.append("The email_address param cannot be used if sort_field is an engagement field")
    if problems:
        raise Invalid(problems)


def _ordered(rows: QuerySet[Subscriber], account_id: int, filters: SubscriberFilters) -> Order:
    if "sort_field" not in filters.model_fields_set and filters.sort_order == "desc":
        return Order(rows, order_of(filters, updated_at=(None, filters.updated_before)))
    return in_order(rows, account_id, filters.sort_field, filters.sort_order, clock.now())


@router.get("/subscribers/{int:id}", response=KnownAnswer, summary="Get a subscriber")
def get_subscriber(request: KitRequest, id: int) -> HttpResponse:
    person = person_of(request, id)
    shape = shapes.subscriber(person, keys_for(request))
    shape["canceled_at"] = instant(person.canceled_at) if person.canceled_at else None
    shape["location"] = shapes.location(locations.of([person.pk]).get(person.pk))
    return reply(200, subscriber=shape)


class SubscriberTagsAnswer(TypedDict):
    tags: list[tags_shapes.SubscriberTagShape]
    pagination: Pagination


@router.get(
    "/subscribers/{int:subscriber_id}/tags", response=SubscriberTagsAnswer, summary="List tags for a subscriber"
)
def list_tags_of_subscriber(request: KitRequest, subscriber_id: int, paging: Query[Paging]) -> HttpResponse:
    rows = Tagging.objects.filter(subscriber=person_of(request, subscriber_id)).select_related("tag")
    found = page(rows, paging, "-id")
    shaped = [tags_shapes.subscriber_tag(tagging) for tagging in found.rows]
    return reply(200, tags=shaped, pagination=found.pagination)


# --- Writing ----------------------------------------------------------------------------------------------------


@router.post(
    "/subscribers",
    response={200: WrittenAnswer, 201: WrittenAnswer, 202: WrittenAnswer},
    summary="Create a subscriber",
)
def create_subscriber(request: KitRequest, body: SubscriberBody = NOBODY) -> HttpResponse:
    """An upsert by address: someone who is there already keeps their state."""
    written = subscribe.upsert(request.auth.account.pk, body.given(), clock.now(), cause=causes.API)
    return _written(request, written, 201 if written.is_new else 200)


@router.put("/subscribers/{int:id}", response={200: WrittenAnswer, 202: WrittenAnswer}, summary="Update a subscriber")
def update_subscriber(request: KitRequest, id: int, body: SubscriberChanges) -> HttpResponse:
    person = person_of(request, id)
    return _written(request, subscribe.update(person.pk, body.given(), clock.now(), cause=causes.API), 200)


def _written(request: KitRequest, written: subscribe.Written, status: int) -> HttpResponse:
    """Above ten custom fields Kit writes later and shows null until then. Ours are written; the answer is Kit's."""
    members: dict[str, Any] = {"subscriber": shapes.subscriber(written.subscriber, keys_for(request))}
    if len(written.keys) > LATER:
        status = 202
        members["subscriber"]["fields"] |= dict.fromkeys(written.keys)
    if written.unknown:
        members["warnings"] = [f"Unknown custom field ignored: {key}" for key in written.unknown]
    return reply(status, **members)


@router.post("/subscribers/{int:id}/unsubscribe", response={204: None}, summary="Unsubscribe subscriber")
def unsubscribe(request: KitRequest, id: int) -> HttpResponse:
    transitions.cancel(person_of(request, id).pk, clock.now(), cause=causes.API)
    return no_content()
