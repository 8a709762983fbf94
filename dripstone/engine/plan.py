"""2  due → planned: makes one delivery for each place that is due.

Takes       the due places of one sequence, at most `limit`
Leaves      a delivery per place (planned, or skipped with a reason), the place in flight or at its next email
A crash here means the batch was not planned: it is one transaction, and the next tick finds the same places.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from django.db import connection, transaction

from dripstone.engine import advance, audience, counters, notes, queries, reasons, schedule, wake
from dripstone.engine.models import Enrollment
from dripstone.sequences.models import Sequence, SequenceEmail

PLAN_BATCH = 2000  # places per transaction: long enough to be cheap, short enough not to hold locks for a second


class Due(NamedTuple):
    enrollment_id: int
    subscriber_id: int
    run: int
    email_id: int
    due_at: datetime


@dataclass(slots=True)
class Sorted:
    """The decision for each due place of a batch."""

    planned: list[Due]
    skipped: list[tuple[Due, str]]  # with the reason
    moved: list[tuple[Due, datetime]]  # too late: to a new slot (R4)


def everything_due(now: datetime) -> int:
    """Plan all that is due in all active sequences. Returns the number of places dealt with."""
    with connection.cursor() as cursor:
        cursor.execute(queries.SEQUENCES_WITH_DUE, {"now": now})
        sequence_ids = [row[0] for row in cursor.fetchall()]
    return sum(_sequence(sequence_id, now) for sequence_id in sequence_ids)


def _sequence(sequence_id: int, now: datetime) -> int:
    total = 0
    while n_places := batch(sequence_id, now):
        total += n_places
        if n_places < PLAN_BATCH:
            break
        if total == PLAN_BATCH:
            wake.engine()  # there is more: a free worker plans beside us, and two cores plan 1.7 times as much
    return total


@transaction.atomic
def batch(sequence_id: int, now: datetime, limit: int = PLAN_BATCH) -> int:
    """Plan up to `limit` due places of one sequence. Returns how many there were; safe beside any other planner."""
    sequence = lock_if_sending(sequence_id)
    due = take_due(sequence_id, now, limit) if sequence else []
    if sequence is None or not due:
        return 0
    _plan(sequence, due, now)
    return len(due)


def place(sequence: Sequence, row: Enrollment, now: datetime) -> None:
    """Plan one place whatever its date. The caller has locked it and the sequence, and checked that it may go."""
    assert row.next_email_id is not None
    _plan(sequence, [Due(row.pk, row.subscriber_id, row.run, row.next_email_id, now)], now)


def _plan(sequence: Sequence, due: list[Due], now: datetime) -> None:
    sorted_due = _sort(sequence, due, now)
    left = _write(sorted_due, now)
    move(sorted_due.moved, reasons.TOO_LATE, now)
    # Skipped places move on as if their email had been sent (R14). So do places whose email already has a row in this
    # run.
    advance.advance(left, now)
    wake.senders(len(sorted_due.planned) + len(sorted_due.skipped) - len(left))
    counters.add(counters.PLANNED, n=len(sorted_due.planned) + len(sorted_due.skipped))
    counters.add(counters.OUTCOME, "skipped", len(sorted_due.skipped))


def lock_if_sending(sequence_id: int) -> Sequence | None:
    """The sequence, locked against edits until the transaction ends; None while it must not send (R13, R7)."""
    with connection.cursor() as cursor:
        cursor.execute(queries.HOLD_SEQUENCE, {"sequence": sequence_id})
        if cursor.fetchone() != (True,):
            return None
    return Sequence.objects.get(pk=sequence_id)


def take_due(sequence_id: int, now: datetime, limit: int) -> list[Due]:
    """Locks up to `limit` due places of one sequence, the oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(queries.TAKE_DUE, {"sequence": sequence_id, "now": now, "limit": limit})
        return [Due._make(row) for row in cursor.fetchall()]


def _sort(sequence: Sequence, due: list[Due], now: datetime) -> Sorted:
    emails = SequenceEmail.objects.in_bulk({place.email_id for place in due})
    excluded = audience.excluded(sequence, [place.subscriber_id for place in due])
    rules = {pk: (advance.delay_of(email), advance.schedule_of(sequence, email)) for pk, email in emails.items()}
    result = Sorted([], [], [])
    for place in due:
        slot = schedule.due_when_late(place.due_at, now, *rules[place.email_id])
        if slot > now:
            result.moved.append((place, slot))
        elif emails[place.email_id].deleted_at is not None:
            result.skipped.append((place, reasons.EMAIL_DELETED))
        elif place.subscriber_id in excluded:
            result.skipped.append((place, excluded[place.subscriber_id]))
        else:
            result.planned.append(place)
    return result


def _write(sorted_due: Sorted, now: datetime) -> list[int]:
    """Writes a delivery for each place that is planned or skipped. Returns the places that are not in flight now."""
    rows = [(place, "") for place in sorted_due.planned] + sorted_due.skipped
    with connection.cursor() as cursor:
        cursor.execute(
            queries.PLAN,
            {
                "places": queries.rows(("id", "reason"), [(place.enrollment_id, reason) for place, reason in rows]),
                "now": now,
            },
        )
        return [enrollment_id for (enrollment_id,) in cursor.fetchall()]


def move(pairs: list[tuple[Due, datetime]], reason: str, now: datetime) -> None:
    """Gives places from `take_due` another date, with a note that says why."""
    if not pairs:
        return
    rows = [(place.enrollment_id, place.email_id, place.due_at, slot) for place, slot in pairs]
    notes.of_lateness(rows, reason, now)
    with connection.cursor() as cursor:
        cursor.execute(
            queries.SET_DUE,
            {"places": queries.rows(("id", "due_at"), [(place.enrollment_id, slot) for place, slot in pairs])},
        )
