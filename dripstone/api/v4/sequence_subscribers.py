"""People in a sequence: https://developers.kit.com/api-reference/sequences (subscribers)"""

from collections.abc import Callable
from functools import partial

from django.db.models import Q, QuerySet
from django.http import HttpResponse
from ninja import Query, Router
from typing_extensions import TypedDict

from dripstone import clock
from dripstone.api import lookup
from dripstone.api.auth import KitRequest
from dripstone.api.body import Instant
from dripstone.api.paging import Pagination, page
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
)
from dripstone.api.replies import no_content, reply
from dripstone.api.v4.sequences import sequence_of
from dripstone.engine import enroll, reasons
from dripstone.engine.acts import places
from dripstone.engine.models import Enrollment, Entry
from dripstone.errors import Invalid, NotFound
from dripstone.sequences.models import Sequence
from dripstone.shapes import subscribers as shapes
from dripstone.stats import places as stats
from dripstone.subscribers.models import State, Subscriber

router = Router(tags=["Sequences"])


class EnteredAnswer(TypedDict):
    subscriber: shapes.EnteredShape


class EnteredListAnswer(TypedDict):
    subscribers: list[shapes.ListedEnteredShape]
    pagination: Pagination


LEFT = (State.CANCELLED, State.BOUNCED, State.COMPLAINED)

# Nobody who was taken out. Whom their state has ended is listed under it as long as it is one of these, as at Kit.
# The database says the same of each place in Entry.listed_as, for counts and for `added_*`.
LISTED = ~Q(status=Enrollment.Status.REMOVED) | (
    Q(removed_reason__in=[reasons.subscriber_is(state) for state in LEFT]) & Q(subscriber__state__in=LEFT)
)


class InSequenceFilters(PeopleFilters):
    added_after: Instant | None = None
    added_before: Instant | None = None


@router.get(
    "/sequences/{int:sequence_id}/subscribers", response=EnteredListAnswer, summary="List subscribers for a sequence"
)
def list_in_sequence(request: KitRequest, sequence_id: int, filters: Query[InSequenceFilters]) -> HttpResponse:
    """`added_at` is the entry, or the latest restart."""
    sequence = sequence_of(request, sequence_id)
    added = (filters.added_after, filters.added_before)
    rows = Enrollment.objects.filter(LISTED, sequence=sequence, subscriber__account=sequence.account_id)
    rows = narrow(rows.select_related("subscriber"), filters, "subscriber__")
    order = order_of(filters, "subscriber__")
    if any(added):
        rows = rows.filter(entry__in=_entries(sequence, filters))
        order = ["-entry__entered_at", "-id"]
    found = page(rows, filters, *order, count=_total(sequence, filters))
    keys = keys_for(request, slim=filters.slim)
    shaped = [shapes.subscriber(row.subscriber, keys, added_at=row.entered_at) for row in found.rows]
    return reply(200, subscribers=shaped, pagination=found.pagination)


def _total(sequence: Sequence, filters: InSequenceFilters) -> Callable[[], int] | None:
    """Kept; of people who were added within some time, counted from an index of entries alone."""
    if filters.created_after or filters.created_before:
        return None
    if filters.added_after or filters.added_before:
        return _entries(sequence, filters).count
    return partial(stats.listed, sequence.pk, filters.status)


def _entries(sequence: Sequence, filters: InSequenceFilters) -> QuerySet[Entry]:
    """Of places that are LISTED, and were entered within the time that is asked for."""
    rows = between(Entry.objects.filter(sequence=sequence), "entered_at", filters.added_after, filters.added_before)
    return rows.exclude(listed_as="") if filters.status == "all" else rows.filter(listed_as=filters.status)


@router.post(
    "/sequences/{int:sequence_id}/subscribers",
    response={200: EnteredAnswer, 201: EnteredAnswer},
    summary="Add subscriber to sequence by email address",
)
def add_address(request: KitRequest, sequence_id: int, body: AddressBody = NOBODY) -> HttpResponse:
    person = by_address(request, addressed(body.given(), "add subscriber to sequence"))
    return _add(request, sequence_of(request, sequence_id), person.pk)


@router.post(
    "/sequences/{int:sequence_id}/subscribers/{int:id}",
    response={200: EnteredAnswer, 201: EnteredAnswer},
    summary="Add subscriber to sequence",
)
def add_subscriber(request: KitRequest, sequence_id: int, id: int) -> HttpResponse:
    return _add(request, sequence_of(request, sequence_id), id)


@router.delete(
    "/sequences/{int:sequence_id}/subscribers/{int:id}",
    response={204: None},
    summary="Remove subscriber from sequence (not in Kit)",
)
def remove_subscriber(request: KitRequest, sequence_id: int, id: int) -> HttpResponse:
    """What is planned for them is not sent. 404 when they are not in it."""
    place = _place(sequence_of(request, sequence_id), person_of(request, id))
    places.remove(place.pk, request.auth.actor, "", clock.now())
    return no_content()


def _place(sequence: Sequence, person: Subscriber) -> Enrollment:
    places = Enrollment.objects.filter(sequence=sequence, subscriber=person)
    place = places.exclude(status=Enrollment.Status.REMOVED).first()
    if place is None:
        raise NotFound
    return place


def _add(request: KitRequest, sequence: Sequence, subscriber_id: int) -> HttpResponse:
    """201 when this put them in, 200 when they were there already (R12). Raises NotFound for somebody unknown."""
    if not sequence.active:
        person_of(request, subscriber_id)  # a 404 comes first
        raise Invalid("Sequence is inactive")
    ids = [subscriber_id] if subscriber_id <= lookup.MAX_ID else []
    entry = enroll.add(sequence, ids, "api", clock.now()).get(subscriber_id)
    if entry is None:
        raise NotFound
    shape = shapes.subscriber(entry.person, keys_for(request), added_at=entry.enrollment.entered_at)
    return reply(201 if entry.added else 200, subscriber=shape)
