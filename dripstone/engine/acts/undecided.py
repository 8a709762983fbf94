"""The owner may send an email again that failed or may not have arrived, or treat it as sent.

An email sent again is in flight like any other: the next one waits for it (R5) and counts its delay from when it went
(R2). Nothing waits for a notice. The row stays the same, so Message-ID and unsubscribe link do too, and a mail program
that gets a second copy can tell.
A crash here means nothing was changed.
"""

from datetime import datetime
from typing import TypeVar

from django.db import transaction
from django.db.models import Model, QuerySet

from dripstone.engine import notes, notices, transitions, wake
from dripstone.engine.acts import places
from dripstone.engine.models import Delivery, Enrollment, Notice
from dripstone.errors import Invalid, NotFound
from dripstone.sequences.models import SequenceEmail
from dripstone.subscribers.models import State

M = TypeVar("M", bound=Model)

_MAY_GO_AGAIN = (Delivery.Status.UNKNOWN, Delivery.Status.FAILED)


def undecided(account_id: int) -> QuerySet[Delivery]:
    """Oldest first. Index delivery_ended_unsent."""
    return Delivery.objects.filter(account_id=account_id, status=Delivery.Status.UNKNOWN).order_by("pk")


@transaction.atomic
def send_again(delivery_id: int, actor: str, reason: str, now: datetime) -> Delivery:
    """One more attempt, right away. Raises Invalid when it must not go, or another email is on its way to them, and
    NotFound."""
    origin = _there(Delivery.objects.filter(pk=delivery_id).first())
    if origin.enrollment_id is not None:
        row = _email_again(delivery_id, origin.enrollment_id, actor, reason, now)
    elif origin.notice_id is not None:
        row = _notice_again(delivery_id, origin.notice_id, now)
    else:
        raise Invalid("A broadcast can't be sent again to one person")
    wake.senders(1)
    return row


def _email_again(delivery_id: int, enrollment_id: int, actor: str, reason: str, now: datetime) -> Delivery:
    place = places.lock(enrollment_id, now)
    row = _locked(delivery_id)
    _must_be_able_to_go(row, place)
    due_before = place.due_at
    transitions.send_again(row, place, now)
    notes.of_person(place, notes.SENT_AGAIN, row.email_id, reason, actor, now, due_before=due_before, due_after=None)
    return row


def _notice_again(delivery_id: int, notice_id: int, now: datetime) -> Delivery:
    """Leaves no note: notes are about places."""
    notice = _there(Notice.objects.select_related("subscriber").filter(pk=notice_id).first())
    row = _locked(delivery_id)
    _must_not_have_arrived(row)
    if notice.kind == notices.CONFIRMATION and notice.subscriber is not None:
        notices.must_wait_for_click(notice.subscriber)
    transitions.send_notice_again(row, now)
    return row


@transaction.atomic
def treat_as_sent(delivery_id: int, actor: str, reason: str, now: datetime) -> Delivery:
    """It counts as sent at the moment it was handed over. Nothing else changes: the person has gone on since."""
    row = _locked(delivery_id)
    if row.status != Delivery.Status.UNKNOWN:
        raise Invalid(f"It is known what became of this email: it is {row.status}")
    transitions.treat_as_sent(row)
    if row.notice_id is not None:
        notices.forget([row.notice_id])
    if row.enrollment is not None:
        due, kind = row.enrollment.due_at, notes.TREATED_AS_SENT
        notes.of_person(row.enrollment, kind, row.email_id, reason, actor, now, due_before=due, due_after=due)
    return row


def _locked(delivery_id: int) -> Delivery:
    rows = Delivery.objects.select_for_update(no_key=True, of=("self",)).select_related("enrollment")
    return _there(rows.filter(pk=delivery_id).first())


def _there(row: M | None) -> M:
    """Its reader may have been deleted since somebody looked."""
    if row is None:
        raise NotFound
    return row


def _must_not_have_arrived(row: Delivery) -> None:
    if row.status not in _MAY_GO_AGAIN:
        raise Invalid(f"Only an email that failed or is unknown can be sent again; this one is {row.status}")


def _must_be_able_to_go(row: Delivery, place: Enrollment) -> None:
    _must_not_have_arrived(row)
    if place.subscriber.state != State.ACTIVE:
        raise Invalid(f"This person can't be mailed: the subscriber is {place.subscriber.state}")
    if place.status == Enrollment.Status.REMOVED:
        raise Invalid("This person has been removed from the sequence: nothing of it is sent to them")
    if place.run != row.run:
        raise Invalid("This person has started again since: the email belongs to an earlier run")
    if place.in_flight:
        raise Invalid("Another email is on its way to this person: try again when it has been sent")
    email = SequenceEmail.objects.get(deliveries=row)
    if email.deleted_at is not None or not email.published:
        raise Invalid("The email is not published any more, so it can't be sent again")
    if email.is_held:
        raise Invalid("The email is on hold: release it first")
    places.must_be_sendable(place, email)
