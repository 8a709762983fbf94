"""The owner may send an email again that failed or may not have arrived, or treat it as sent; one, or many at once.

An email sent again is in flight like any other: the next one waits for it (R5) and counts its delay from when it went
(R2). Nothing waits for a notice. The row stays the same, so Message-ID and unsubscribe link do too, and a mail program
that gets a second copy can tell.
A crash here means nothing was changed.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Sequence as Series
from datetime import datetime
from typing import NamedTuple, TypeVar

from django.db import transaction
from django.db.models import Model, QuerySet

from dripstone.engine import notes, notices, transitions, wake
from dripstone.engine.acts import places
from dripstone.engine.models import Delivery, Enrollment, Notice
from dripstone.errors import Invalid, NotFound
from dripstone.subscribers.models import State

M = TypeVar("M", bound=Model)

CHUNK = 1_000

_MAY_GO_AGAIN = (Delivery.Status.UNKNOWN, Delivery.Status.FAILED)
_SOON = "Another email is on its way to this person: try again when it has been sent"
_NO_BROADCAST = "A broadcast can't be sent again to one person"


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
        raise Invalid(_NO_BROADCAST)
    wake.senders(1)
    return row


def _email_again(delivery_id: int, enrollment_id: int, actor: str, reason: str, now: datetime) -> Delivery:
    place = places.lock(enrollment_id, now)
    row = _locked(delivery_id)
    _must_be_able_to_go(row, place, now)
    _again([(row, place)], actor, reason, now)
    return row


def _again(pairs: Series[tuple[Delivery, Enrollment]], actor: str, reason: str, now: datetime) -> None:
    marks = [(place.pk, row.email_id, place.due_at, None) for row, place in pairs]
    transitions.send_again(pairs, now)
    notes.of_people(notes.SENT_AGAIN, marks, reason, actor, now)


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
    _must_be_unknown(row)
    _treat_as_sent([row], actor, reason, now)
    return row


def _treat_as_sent(rows: Series[Delivery], actor: str, reason: str, now: datetime) -> None:
    transitions.treat_as_sent(rows)
    notices.forget([row.notice_id for row in rows if row.notice_id is not None])
    due = [(row.enrollment, row.email_id) for row in rows if row.enrollment is not None]
    marks = [(place.pk, email_id, place.due_at, place.due_at) for place, email_id in due]
    notes.of_people(notes.TREATED_AS_SENT, marks, reason, actor, now)


# --- Many at once -------------------------------------------------------------------------------------------------


class Decided(NamedTuple):
    """n_done   were decided
    refused  why others were not → how many
    """

    n_done: int
    refused: Counter[str]


Many = Callable[[list[int], str, datetime], Decided]
"""Decides about some rows of one transaction: their ids, by whom, when."""


def decide(account_id: int, delivery_ids: Iterable[int], verb: Many, actor: str, now: datetime) -> Decided:
    """`send_these_again` or `treat_these_as_sent`, a thousand in a transaction. Whoever decides about some of them at
    the same time, or sends them, comes before or after: rows are looked at once they are locked, and what can't be done
    any more is refused, with its sentence, and hinders no other.

    A crash here means some thousands were decided and the others were not.
    """
    n_done, refused = 0, Counter[str]()
    for ids in _chunks(account_id, delivery_ids):
        with transaction.atomic():
            done = verb(ids, actor, now)
        n_done, refused = n_done + done.n_done, refused + done.refused
    return Decided(n_done, refused)


def rehearse(account_id: int, delivery_ids: Iterable[int], verb: Many, actor: str, now: datetime) -> Decided:
    """What `decide` would do, by doing it and taking it back."""

    def taken_back(ids: list[int], actor: str, now: datetime) -> Decided:
        done = verb(ids, actor, now)
        transaction.set_rollback(True)
        return done

    return decide(account_id, delivery_ids, taken_back, actor, now)


def send_these_again(ids: list[int], actor: str, now: datetime) -> Decided:
    rows = {row.pk: row for row in Delivery.objects.filter(pk__in=ids)}
    standing = places.lock_all([row.enrollment_id for row in rows.values() if row.enrollment_id is not None], now)
    going: dict[int, tuple[Delivery, Enrollment]] = {}  # by place: one email at a time (R5)
    n_notices, refused = 0, Counter[str]()
    for row in _all_locked(ids):
        try:
            if row.notice_id is not None:
                _notice_again(row.pk, row.notice_id, now)
                n_notices += 1
            elif row.enrollment_id is None:
                raise Invalid(_NO_BROADCAST)
            elif row.enrollment_id in going:
                raise Invalid(_SOON)
            elif (place := standing.get(row.enrollment_id)) is None:
                raise Invalid(places.SEQUENCE_DELETED)
            else:
                _must_be_able_to_go(row, place, now)
                going[place.pk] = row, place
        except Invalid as error:
            refused[str(error)] += 1
    _again(list(going.values()), actor, "", now)
    wake.senders(len(going) + n_notices)
    return Decided(len(going) + n_notices, refused)


def treat_these_as_sent(ids: list[int], actor: str, now: datetime) -> Decided:
    done, refused = [], Counter[str]()
    for row in _all_locked(ids):
        try:
            _must_be_unknown(row)
            done.append(row)
        except Invalid as error:
            refused[str(error)] += 1
    _treat_as_sent(done, actor, "", now)
    return Decided(len(done), refused)


def _chunks(account_id: int, delivery_ids: Iterable[int]) -> Iterator[list[int]]:
    """Of the account's own, by id."""
    wanted = sorted(set(delivery_ids))
    for start in range(0, len(wanted), CHUNK):
        rows = Delivery.objects.filter(account_id=account_id, pk__in=wanted[start : start + CHUNK])
        if ids := list(rows.order_by("pk").values_list("pk", flat=True)):
            yield ids


def _all_locked(delivery_ids: list[int]) -> list[Delivery]:
    """With their emails, which nobody changes while their sequences are held (places.lock)."""
    rows = Delivery.objects.select_for_update(no_key=True, of=("self",)).select_related("enrollment", "email")
    return list(rows.filter(pk__in=delivery_ids).order_by("pk"))


def _locked(delivery_id: int) -> Delivery:
    return _there(next(iter(_all_locked([delivery_id])), None))


def _there(row: M | None) -> M:
    """Its reader may have been deleted since somebody looked."""
    if row is None:
        raise NotFound
    return row


# --- What may be decided ------------------------------------------------------------------------------------------


def _must_be_unknown(row: Delivery) -> None:
    if row.status != Delivery.Status.UNKNOWN:
        raise Invalid(f"It is known what became of this email: it is {row.status}")


def _must_not_have_arrived(row: Delivery) -> None:
    if row.status not in _MAY_GO_AGAIN:
        raise Invalid(f"Only an email that failed or is unknown can be sent again; this one is {row.status}")


def _must_be_able_to_go(row: Delivery, place: Enrollment, now: datetime) -> None:
    _must_not_have_arrived(row)
    if place.subscriber.state != State.ACTIVE:
        raise Invalid(f"This person can't be mailed: the subscriber is {place.subscriber.state}")
    if place.status == Enrollment.Status.REMOVED:
        raise Invalid("This person has been removed from the sequence: nothing of it is sent to them")
    if place.run != row.run:
        raise Invalid("This person has started again since: the email belongs to an earlier run")
    if place.in_flight:
        raise Invalid(_SOON)
    email = row.email
    if email is None or email.deleted_at is not None or not email.published:
        raise Invalid("The email is not published any more, so it can't be sent again")
    if email.is_held:
        raise Invalid("The email is on hold: release it first")
    places.must_be_sendable(place, email, now)
