"""Decides about mail that is overdue after a long silence: the operator chooses, then sending goes on (pulse.py).

Takes       the decision; people due and deliveries ready in sequences that may send
Leaves      send: everything as it is, and the rules for an outage decide (R4)
            next-slot: no overdue email goes right away; each waits for its sequence's next day and hour
            skip: every overdue email counts as sent when it was due, and so does each that would have gone by now
            Broadcasts and notices belong to no sequence and have no slot: they go, or count as sent.
A crash here means sending is still halted, with some people done; deciding again continues with the rest.
"""

from collections.abc import Sequence as Series
from datetime import datetime, timedelta
from typing import Literal, get_args

import structlog
from django.db import connection, transaction

from dripstone import clock, words
from dripstone.engine import advance, counters, follow, plan, pulse, queries, reasons, schedule, transitions, wake
from dripstone.engine.advance import Place, Standing
from dripstone.engine.models import Delivery, Enrollment
from dripstone.engine.plan import Due
from dripstone.sequences.models import Sequence, SequenceEmail

log = structlog.get_logger(__name__)

Choice = Literal["send", "next-slot", "skip"]
CHOICES: tuple[Choice, ...] = get_args(Choice)

AFTER = timedelta(seconds=1)  # without it, a slot at this very instant would mean right away


def why_halted(now: datetime, zone: str = "UTC") -> str:
    """Why nothing is sent, without what to do; empty when sending may go on. It is shown to every account, so it names
    no totals.

    zone  of the reader
    """
    if clock.is_virtual():
        return ""
    row = pulse.read()
    if row.beat_at is not None and pulse.is_ahead(row, now):
        return (
            f"Sending is halted: the engine last ran on {words.moment(row.beat_at, zone)}, which lies ahead of this "
            f"machine's clock ({words.when(now, zone)}). Either the clock is wrong now, or it was then."
        )
    if row.halted_at is None or row.halted_after is None:
        return ""
    return (
        f"Sending is halted: the engine had not run since {words.moment(row.halted_after, zone)}, and mail is "
        "overdue. After a restored backup some of it may have been sent already."
    )


def how_much(now: datetime) -> str:
    """What is overdue in all accounts together, as a sentence. Only the operator may see it."""
    found = pulse.overdue(now)
    if found.oldest is None:
        return "Nothing is overdue."
    verb = "is" if found.n == 1 else "are"
    return f"{words.count(found.n, 'email')} {verb} overdue, the oldest since {words.moment(found.oldest, 'UTC')}."


def resume(choice: Choice, now: datetime) -> int:
    """Decide about everything overdue, then let sending go on. Returns how many emails were moved or skipped."""
    n_decided = _decide(choice, now)
    while choice != "send" and pulse.overdue(now).n:  # a sequence was passed over because it was being edited
        n_decided += _decide(choice, now)
    pulse.resume(now)
    wake.engine()
    log.warning("sending_resumed", late=choice, decided=n_decided)
    return n_decided


def _decide(choice: Choice, now: datetime) -> int:
    for sequence_id in follow.pending():
        follow.everybody(sequence_id, now)
    return {"send": _nothing, "next-slot": _to_next_slots, "skip": _skip}[choice](now)


def _nothing(now: datetime) -> int:
    return 0


def _active() -> list[int]:
    return list(Sequence.objects.filter(active=True, deleted_at=None).order_by("pk").values_list("pk", flat=True))


# --- Next slot --------------------------------------------------------------------------------------------------


def _to_next_slots(now: datetime) -> int:
    n_moved = 0
    for sequence_id in _active():
        n_moved += _planned_to_next_slot(sequence_id, now)
        while n_places := _due_to_next_slot(sequence_id, now):
            n_moved += n_places
    return n_moved + _without_a_place(queries.PUT_OFF_OVERDUE_WITHOUT_A_PLACE, now)


@transaction.atomic
def _without_a_place(statement: str, now: datetime) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement, {"now": now, "until": now + AFTER, "reason": reasons.OVERDUE_SKIPPED})
        n_decided: int = cursor.rowcount
    return n_decided


@transaction.atomic
def _planned_to_next_slot(sequence_id: int, now: datetime) -> int:
    sequence = plan.lock_if_sending(sequence_id)
    if sequence is None:
        return 0
    ready = Delivery.objects.filter(sequence=sequence, status=Delivery.Status.PLANNED, ready_at__lte=now)
    emails = SequenceEmail.objects.filter(pk__in=ready.values("email_id"))
    return sum(
        ready.filter(email=email).update(ready_at=_slot(sequence, email, now), unparked_at=now) for email in emails
    )


@transaction.atomic
def _due_to_next_slot(sequence_id: int, now: datetime) -> int:
    sequence = plan.lock_if_sending(sequence_id)
    due = plan.take_due([sequence_id], now, plan.PLAN_BATCH) if sequence else []
    if sequence is None or not due:
        return 0
    emails = SequenceEmail.objects.in_bulk({place.email_id for place in due})
    plan.move([(place, _slot(sequence, emails[place.email_id], now)) for place in due], reasons.OVERDUE_MOVED, now)
    return len(due)


def _slot(sequence: Sequence, email: SequenceEmail, now: datetime) -> datetime:
    """Delays in hours have no slot. They take the sequence's here, since nothing must go at once."""
    return schedule.next_slot(now + AFTER, advance.schedule_of(sequence, email))


# --- Skip -------------------------------------------------------------------------------------------------------


def _skip(now: datetime) -> int:
    n_skipped = 0
    for sequence_id in _active():
        while n_places := _skip_planned(sequence_id, now):
            n_skipped += n_places
        while n_places := _skip_due(sequence_id, now):
            n_skipped += n_places
    n_without_a_place = _without_a_place(queries.SKIP_OVERDUE_WITHOUT_A_PLACE, now)
    counters.on_commit(skipped=n_without_a_place)
    return n_skipped + n_without_a_place


@transaction.atomic
def _skip_planned(sequence_id: int, now: datetime) -> int:
    """Ready and not sent: ends when it was planned."""
    if plan.lock_if_sending(sequence_id) is None:
        return 0
    ready = Delivery.objects.filter(sequence=sequence_id, status=Delivery.Status.PLANNED, ready_at__lte=now)
    flying = list(ready.order_by("enrollment_id").values_list("enrollment_id", flat=True)[: plan.PLAN_BATCH])
    _lock(flying)
    with connection.cursor() as cursor:
        cursor.execute(queries.SKIP_OVERDUE, {"enrollments": flying, "reason": reasons.OVERDUE_SKIPPED, "now": now})
        ended = [row[0] for row in cursor.fetchall()]
    counters.on_commit(skipped=len(ended))
    _go_on(ended, now)
    return len(ended)


@transaction.atomic
def _skip_due(sequence_id: int, now: datetime) -> int:
    """Due and not planned: ends when it was due."""
    if plan.lock_if_sending(sequence_id) is None:
        return 0
    due = plan.take_due([sequence_id], now, plan.PLAN_BATCH)
    rows = Enrollment.objects.in_bulk([place.enrollment_id for place in due])
    emails = SequenceEmail.objects.in_bulk({place.email_id for place in due})
    skipped = [_skipped(rows[place.enrollment_id], emails[place.email_id], place) for place in due]
    Delivery.objects.bulk_create(skipped, ignore_conflicts=True)
    counters.on_commit(planned=len(skipped), skipped=len(skipped))
    _go_on([place.enrollment_id for place in due], now)
    return len(due)


def _skipped(row: Enrollment, email: SequenceEmail, place: Due) -> Delivery:
    return transitions.skipped_delivery(row, email, reasons.OVERDUE_SKIPPED, place.due_at)


def _lock(enrollment_ids: Series[int]) -> None:
    rows = Enrollment.objects.select_for_update(no_key=True).filter(pk__in=enrollment_ids)
    list(rows.order_by("pk").values_list("pk"))


def _go_on(enrollment_ids: Series[int], now: datetime) -> None:
    """On to the next email, at the date the rules give it. If that date is past too, it is skipped in its turn."""
    standings = advance.standings_of(enrollment_ids)
    advance.write(standings, [_place(standing, now) for standing in standings], now)


def _place(standing: Standing, now: datetime) -> Place:
    if standing.next_id is None:
        return advance.end_of_sequence(standing, now)
    return Place(standing.enrollment_id, standing.next_id, advance.date_after_end(standing, now))
