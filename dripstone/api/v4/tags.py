"""Tags: https://developers.kit.com/api-reference/tags"""

from functools import partial
from typing import Annotated

from django.http import HttpResponse, QueryDict
from ninja import Query, Router
from pydantic import WithJsonSchema
from typing_extensions import TypedDict

from dripstone import clock
from dripstone.api import lookup
from dripstone.api.auth import KitRequest
from dripstone.api.body import MISSING, Body, Instant, JsonParser, Name, needs, one_of_many
from dripstone.api.paging import Pagination, Paging, page
from dripstone.api.people import (
    NOBODY,
    AddressBody,
    PeopleFilters,
    addressed,
    between,
    by_address,
    keys_for,
    narrow,
    order_of,
    person_of,
    total,
)
from dripstone.api.replies import no_content, reply
from dripstone.events import causes
from dripstone.given import FromText, Given
from dripstone.shapes import subscribers as people_shapes
from dripstone.shapes import tags as shapes
from dripstone.stats import people
from dripstone.subscribers import tags
from dripstone.subscribers.models import Subscriber, Tag, Tagging

router = Router(tags=["Tags"])


class TaggedAnswer(TypedDict):
    subscriber: people_shapes.TaggedShape


class TaggedListAnswer(TypedDict):
    subscribers: list[people_shapes.ListedTaggedShape]
    pagination: Pagination


class TagBody(Body):
    model_config = needs("name")
    name: Name = MISSING


UNNAMED = TagBody()


class TagFilters(Paging):
    include: Annotated[frozenset[str], one_of_many("subscriber_count")] = frozenset()


class TaggedFilters(PeopleFilters):
    tagged_after: Instant | None = None
    tagged_before: Instant | None = None


class TagAnswer(TypedDict):
    tag: shapes.TagShape


class TagsAnswer(TypedDict):
    tags: list[shapes.TagShape]
    pagination: Pagination


@router.get("/tags", response=TagsAnswer, summary="List tags")
def list_tags(request: KitRequest, filters: Query[TagFilters]) -> HttpResponse:
    found = page(request.auth.account.tags.all(), filters, "-id")
    is_counted = "subscriber_count" in filters.include
    counts = people.active_with_tags([tag.pk for tag in found.rows]) if is_counted else {}
    shaped = [shapes.tag(tag, counts.get(tag.pk)) for tag in found.rows]
    return reply(200, tags=shaped, pagination=found.pagination)


@router.post("/tags", response={200: TagAnswer, 201: TagAnswer}, summary="Create a tag")
def create_tag(request: KitRequest, body: TagBody = UNNAMED) -> HttpResponse:
    """200 with the existing tag when the name, in any case, is taken."""
    tag, is_new = tags.create(request.auth.account.pk, body.given(), clock.now(), cause=causes.API)
    return reply(201 if is_new else 200, tag=shapes.tag(tag))


@router.put("/tags/{int:id}", response=TagAnswer, summary="Update tag name")
def update_tag(request: KitRequest, id: int, body: TagBody = UNNAMED) -> HttpResponse:
    return reply(200, tag=shapes.tag(tags.rename(_tag(request, id), body.given())))


@router.get("/tags/{int:tag_id}/subscribers", response=TaggedListAnswer, summary="List subscribers for a tag")
def list_tagged(request: KitRequest, tag_id: int, filters: Query[TaggedFilters]) -> HttpResponse:
    tag = _tag(request, tag_id)
    tagged = (filters.tagged_after, filters.tagged_before)
    rows = Tagging.objects.filter(tag=tag, subscriber__account=tag.account_id).select_related("subscriber")
    rows = narrow(between(rows, "tagged_at", *tagged), filters, "subscriber__")
    order = order_of(filters, "subscriber__", tagged_at=tagged)
    found = page(rows, filters, *order, count=total(filters, partial(people.with_tag, tag.pk)))
    keys = keys_for(request, slim=filters.slim)
    shaped = [people_shapes.subscriber(row.subscriber, keys, tagged_at=row.tagged_at) for row in found.rows]
    return reply(200, subscribers=shaped, pagination=found.pagination)


@router.post(
    "/tags/{int:tag_id}/subscribers/{int:id}",
    response={200: TaggedAnswer, 201: TaggedAnswer},
    summary="Tag a subscriber",
)
def tag_subscriber(request: KitRequest, tag_id: int, id: int) -> HttpResponse:
    return _add(request, _tag(request, tag_id), person_of(request, id))


@router.post(
    "/tags/{int:tag_id}/subscribers",
    response={200: TaggedAnswer, 201: TaggedAnswer},
    summary="Tag a subscriber by email address",
)
def tag_address(request: KitRequest, tag_id: int, body: AddressBody = NOBODY) -> HttpResponse:
    person = by_address(request, addressed(body.given(), "tag subscriber"))
    return _add(request, _tag(request, tag_id), person)


@router.delete("/tags/{int:tag_id}/subscribers/{int:id}", response={204: None}, summary="Remove tag from subscriber")
def untag_subscriber(request: KitRequest, tag_id: int, id: int) -> HttpResponse:
    tags.remove(_tag(request, tag_id), person_of(request, id), clock.now(), cause=causes.API)
    return no_content()


AddressOrNone = Annotated[str | None, WithJsonSchema({"type": "string", "minLength": 1})]


@router.delete(
    "/tags/{int:tag_id}/subscribers", response={204: None}, summary="Remove tag from subscriber by email address"
)
def untag_address(request: KitRequest, tag_id: int, email_address: AddressOrNone = None) -> HttpResponse:
    """The address is a query parameter; Kit's clients of 2025 send it in the body, which is read too."""
    given = {"email_address": email_address} if email_address else _body(request)
    person = by_address(request, addressed(given, "remove tag from subscriber"))
    tags.remove(_tag(request, tag_id), person, clock.now(), cause=causes.API)
    return no_content()


def _body(request: KitRequest) -> Given:
    if request.content_type == "application/x-www-form-urlencoded":
        return FromText(QueryDict(request.body).dict())
    return AddressBody.model_validate(JsonParser().parse_body(request) if request.body else {}).given()


def _tag(request: KitRequest, tag_id: int) -> Tag:
    return lookup.row(request.auth.account.tags.all(), tag_id)


def _add(request: KitRequest, tag: Tag, person: Subscriber) -> HttpResponse:
    tagging, is_new = tags.add(tag, person, clock.now(), cause=causes.API)
    shape = people_shapes.subscriber(person, keys_for(request), tagged_at=tagging.tagged_at)
    return reply(201 if is_new else 200, subscriber=shape)
