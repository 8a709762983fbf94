"""Ours: what an owner may do to one person's place in a sequence, and what has been done to it."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from django.http import HttpResponse
from ninja import Query, Router
from pydantic import AfterValidator
from typing_extensions import TypedDict

from dripstone import clock
from dripstone.api import if_match, lookup
from dripstone.api.auth import KitRequest
from dripstone.api.body import Body, Id
from dripstone.api.ext_engine import DeliveryAnswer, EnrollmentAnswer
from dripstone.api.paging import Pagination, Paging, page
from dripstone.api.replies import reply
from dripstone.engine.acts import edits, places, undecided
from dripstone.engine.models import Delivery, Enrollment
from dripstone.shapes import sequences as shapes

router = Router(tags=["People in sequences"])

MAX_REASON = 1000  # characters


def _reason(text: str | None) -> str | None:
    if text is not None and len(text) > MAX_REASON:
        raise ValueError(f"is too long (maximum is {MAX_REASON} characters)")
    return text


class Why(Body):
    """Kept with the note about the act."""

    reason: Annotated[str | None, AfterValidator(_reason)] = None


class Move(Why):
    email_id: Id


class NotesAnswer(TypedDict):
    notes: list[shapes.NoteShape]
    pagination: Pagination


NO_REASON = Why()


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
    """Whatever the schedule says. 422 when they are paused or excluded, or the email or sequence is not live."""
    return _done(request, id, places.send_now, body)


@router.post("/enrollments/{int:id}/move", response=EnrollmentAnswer, summary="Move a person to an email")
def move(request: KitRequest, id: int, body: Move) -> HttpResponse:
    """It comes next, its delay counted from now. An email they have had is sent again, in a new run."""

    def verb(enrollment_id: int, actor: str, reason: str, now: datetime) -> Enrollment:
        return places.move_to(enrollment_id, body.email_id, actor, reason, now)

    return _done(request, id, verb, body)


@router.post("/enrollments/{int:id}/restart", response=EnrollmentAnswer, summary="Restart a person")
def restart(request: KitRequest, id: int, body: Why = NO_REASON) -> HttpResponse:
    """From the first email, in a new run, whatever `repeat` says."""
    return _done(request, id, places.restart, body)


@router.post("/enrollments/{int:id}/remove", response=EnrollmentAnswer, summary="Remove a person")
def remove(request: KitRequest, id: int, body: Why = NO_REASON) -> HttpResponse:
    """What is planned for them is not sent."""
    return _done(request, id, places.remove, body)


@router.get("/enrollments/{int:id}/notes", response=NotesAnswer, summary="What was done to a person's place")
def list_notes(request: KitRequest, id: int, paging: Query[Paging]) -> HttpResponse:
    """Oldest first. The ordinary way, one email after the other, leaves no notes: the deliveries say it."""
    found = page(_place(request, id).notes.all(), paging, "id")
    return reply(200, notes=[shapes.note(row) for row in found.rows], pagination=found.pagination)


@router.post("/deliveries/{int:id}/send_again", response=DeliveryAnswer, summary="Send an email again")
def send_again(request: KitRequest, id: int, body: Why = NO_REASON) -> HttpResponse:
    """One that failed, or of which nobody knows whether it arrived. 422 when it may not go right now."""
    return _decided(request, id, undecided.send_again, body)


@router.post("/deliveries/{int:id}/treat_as_sent", response=DeliveryAnswer, summary="Treat an unknown email as sent")
def treat_as_sent(request: KitRequest, id: int, body: Why = NO_REASON) -> HttpResponse:
    """At the moment it was handed over. Nothing else changes."""
    return _decided(request, id, undecided.treat_as_sent, body)


@router.post("/sequences/{int:id}/reschedule", response={202: dict[str, str]}, summary="Reschedule waiting people")
def reschedule(request: KitRequest, id: int) -> HttpResponse:
    """Everybody who waits gets their date anew, by today's delays and schedule. Done in the background."""
    with if_match.held(request, id):
        edits.reschedule(request.auth.account, id, clock.now(), request.auth.actor)
    return reply(202)


def _done(
    request: KitRequest, id: int, verb: Callable[[int, str, str, datetime], Enrollment], body: Why
) -> HttpResponse:
    row = verb(_place(request, id).pk, request.auth.actor, (body.reason or "").strip(), clock.now())
    return reply(200, enrollment=shapes.enrollment(row))


def _decided(
    request: KitRequest, id: int, verb: Callable[[int, str, str, datetime], Delivery], body: Why
) -> HttpResponse:
    found = lookup.row(Delivery.objects.filter(account=request.auth.account), id)
    row = verb(found.pk, request.auth.actor, (body.reason or "").strip(), clock.now())
    return reply(200, delivery=shapes.delivery(row))


def _place(request: KitRequest, id: int) -> Enrollment:
    return lookup.row(Enrollment.objects.filter(account=request.auth.account), id)
