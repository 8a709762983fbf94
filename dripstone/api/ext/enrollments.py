"""Places in sequences: who has one, their journey, what was done to a place, and what an owner may do to it."""

from datetime import datetime
from functools import partial
from typing import Any, Literal

from django.db.models import QuerySet
from django.http import HttpResponse
from ninja import Query, Router
from typing_extensions import TypedDict

from dripstone import clock
from dripstone.api import if_match, lookup
from dripstone.api.auth import KitRequest
from dripstone.api.body import MISSING, Id, QueryId, needs
from dripstone.api.ext.acting import NO_REASON, Act, Why
from dripstone.api.paging import Pagination, Paging, page
from dripstone.api.replies import reply
from dripstone.engine import notes
from dripstone.engine.acts import places
from dripstone.engine.models import Enrollment, places_of
from dripstone.explain import journey
from dripstone.given import Checked, Given
from dripstone.shapes import enrollments as shapes
from dripstone.shapes import journey as journey_shapes
from dripstone.stats import places as place_stats

router = Router(tags=["Enrollments"])


class PlaceFilters(Paging):
    sequence_id: QueryId | None = None
    subscriber_id: QueryId | None = None

    def columns(self, *names: str) -> dict[str, Any]:
        """The filters that were given, by column."""
        given = {name: getattr(self, name) for name in ("sequence_id", *names)}
        return {name: value for name, value in given.items() if value is not None}


class EnrollmentFilters(PlaceFilters):
    status: Literal["unconfirmed", "active", "completed", "removed"] | None = None


class Move(Why):
    model_config = needs("email_id")
    email_id: Id = MISSING


NOWHERE = Move()


class EnrollmentAnswer(TypedDict):
    enrollment: shapes.EnrollmentShape


class EnrollmentsAnswer(TypedDict):
    enrollments: list[shapes.EnrollmentShape]
    pagination: Pagination


class NotesAnswer(TypedDict):
    notes: list[shapes.NoteShape]
    pagination: Pagination


class JourneyAnswer(TypedDict):
    journey: journey_shapes.JourneyShape


@router.get("/enrollments", response=EnrollmentsAnswer, summary="List enrollments")
def list_enrollments(request: KitRequest, filters: Query[EnrollmentFilters]) -> HttpResponse:
    """People's places in sequences, newest first, including those who were removed or have completed."""
    rows = places_in(request, filters).filter(**filters.columns("status"))
    count = None if filters.subscriber_id is not None else partial(_count, request, filters)
    found = page(rows, filters, "-id", count=count)
    return reply(200, enrollments=[shapes.enrollment(row) for row in found.rows], pagination=found.pagination)


@router.get("/enrollments/{int:id}", response=EnrollmentAnswer, summary="Get an enrollment")
def get_enrollment(request: KitRequest, id: int) -> HttpResponse:
    row = lookup.row(Enrollment.objects.filter(account=request.auth.account), id)
    return reply(200, enrollment=shapes.enrollment(row))


@router.get("/enrollments/{int:id}/journey", response=JourneyAnswer, summary="One person's way through a sequence")
def get_journey(request: KitRequest, id: int) -> HttpResponse:
    """For each email: when it was or will be sent, with the rule and figures behind the date, or why it has none."""
    places = Enrollment.objects.filter(account=request.auth.account)
    row = lookup.row(places.select_related("sequence", "subscriber"), id)
    return reply(200, journey=journey_shapes.journey(journey.of(row, clock.now())))


@router.get("/enrollments/{int:id}/notes", response=NotesAnswer, summary="What was done to a person's place")
def list_notes(request: KitRequest, id: int, paging: Query[Paging]) -> HttpResponse:
    """Oldest first. Going on from one email to the next leaves no notes: the deliveries record that."""
    place = _place(request, id)
    found = page(place.notes.all(), paging, "id")
    return reply(200, notes=shapes.notes_of(place, found.rows), pagination=found.pagination)


@router.post("/enrollments/{int:id}/pause", response=EnrollmentAnswer, summary="Pause a person")
def pause(request: KitRequest, id: int, body: Why = NO_REASON) -> HttpResponse:
    """They stay where they are and are sent nothing of this sequence until resumed."""
    return _done(request, id, places.pause, body)


@router.post("/enrollments/{int:id}/resume", response=EnrollmentAnswer, summary="Resume a person")
def resume(request: KitRequest, id: int, body: Why = NO_REASON) -> HttpResponse:
    """What fell due meanwhile goes right away (hours) or at the next send day and hour (days)."""
    return _done(request, id, places.resume, body)


@router.post("/enrollments/{int:id}/skip", response=EnrollmentAnswer, summary="Skip a person's next email")
def skip(request: KitRequest, id: int, body: Why = NO_REASON) -> HttpResponse:
    """The delay of the email after it starts now."""
    return _done(request, id, places.skip, body)


@router.post("/enrollments/{int:id}/send_now", response=EnrollmentAnswer, summary="Send a person's next email now")
def send_now(request: KitRequest, id: int, body: Why = NO_REASON) -> HttpResponse:
    """Ignores the schedule. 422 when they are paused or excluded, or the email or sequence is not live."""
    return _done(request, id, places.send_now, body)


@router.post("/enrollments/{int:id}/move", response=EnrollmentAnswer, summary="Move a person to an email")
def move(request: KitRequest, id: int, body: Move = NOWHERE) -> HttpResponse:
    """It comes next, its delay counted from now. An email they have had is sent again, in a new run."""
    return _done(request, id, moving(body.given()), body)


def moving(given: Given) -> Act:
    """The act of a move. Raises Invalid."""
    read = Checked(given, required=("email_id",))
    notes.read_reason(read)
    read.id("email_id")
    email_id = read.sound()["email_id"]

    def act(enrollment_id: int, actor: str, reason: str, now: datetime) -> Enrollment:
        return places.move_to(enrollment_id, email_id, actor, reason, now)

    return act


@router.post("/enrollments/{int:id}/restart", response=EnrollmentAnswer, summary="Restart a person")
def restart(request: KitRequest, id: int, body: Why = NO_REASON) -> HttpResponse:
    """From the first email, in a new run, even when `repeat` is off."""
    return _done(request, id, places.restart, body)


@router.post("/enrollments/{int:id}/remove", response=EnrollmentAnswer, summary="Remove a person")
def remove(request: KitRequest, id: int, body: Why = NO_REASON) -> HttpResponse:
    """What is planned for them is not sent."""
    return _done(request, id, places.remove, body)


def _done(request: KitRequest, id: int, act: Act, body: Why) -> HttpResponse:
    reason, place = notes.reason_of(body.given()), _place(request, id)
    with if_match.held_place(request, place, body.given()):
        row = act(place.pk, request.auth.actor, reason, clock.now())
    return reply(200, enrollment=shapes.enrollment(row))


def places_in(request: KitRequest, filters: PlaceFilters) -> QuerySet[Enrollment]:
    account = request.auth.account
    if filters.subscriber_id is not None:
        return places_of(account.pk, filters.subscriber_id).filter(**filters.columns())
    return Enrollment.objects.filter(account=account, sequence__in=account.sequences.all(), **filters.columns())


def _count(request: KitRequest, filters: EnrollmentFilters) -> int:
    """Kept counts of the sequence that was asked for, or of all."""
    sequences = request.auth.account.sequences.all()
    if filters.sequence_id is not None:
        sequences = sequences.filter(pk=filters.sequence_id)
    counts = place_stats.by_status(sequences.values_list("pk", flat=True))
    return sum(n for (_, status), n in counts.items() if filters.status in (None, status))


def _place(request: KitRequest, id: int) -> Enrollment:
    return lookup.row(Enrollment.objects.filter(account=request.auth.account), id)
