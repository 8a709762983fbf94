"""Ours: what happened in the account, or to one person, and by what."""

from typing import Annotated

from django.db.models import QuerySet
from django.http import HttpResponse
from ninja import Query, Router
from pydantic import StringConstraints
from typing_extensions import TypedDict

from dripstone.api.auth import KitRequest
from dripstone.api.paging import Pagination, Paging, page
from dripstone.api.people import person_of
from dripstone.api.replies import reply
from dripstone.events import log
from dripstone.events.models import Event
from dripstone.shapes import events as shapes

router = Router(tags=["Events"])


class EventFilters(Paging):
    """`type` is a kind of event, such as `subscriber.tag_added`. `cause` is `api`, `owner`, `subscriber`, `form`,
    `import`, `bulk`, `rule` or `automation`, anywhere in the chain, with a number (`rule 7`) for that one alone; `time`
    for what nobody brought about."""

    type: Annotated[str, StringConstraints(max_length=100)] = ""
    cause: Annotated[str, StringConstraints(max_length=100)] = ""


class EventsAnswer(TypedDict):
    events: list[shapes.HappenedShape]
    pagination: Pagination


@router.get("/events", response=EventsAnswer, summary="What happened in the account")
def list_events(request: KitRequest, filters: Query[EventFilters]) -> HttpResponse:
    """The newest first, as far back as events are kept, each with who or what brought it about."""
    return _told(request, filters, log.matching(request.auth.account.pk, kind=filters.type, cause=filters.cause))


@router.get("/subscribers/{int:id}/events", response=EventsAnswer, summary="What happened to a subscriber")
def list_events_of_person(request: KitRequest, id: int, filters: Query[EventFilters]) -> HttpResponse:
    """The same about one person."""
    person = person_of(request, id)
    rows = log.matching(request.auth.account.pk, kind=filters.type, cause=filters.cause)
    return _told(request, filters, rows.filter(subscriber_id=person.pk))


def _told(request: KitRequest, filters: EventFilters, rows: QuerySet[Event]) -> HttpResponse:
    found = page(rows, filters, "-id")
    events = shapes.happened(found.rows, request.auth.account.pk)
    return reply(200, events=events, pagination=found.pagination)
