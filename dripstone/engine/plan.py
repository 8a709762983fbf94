"""2  due → planned: makes one delivery for each place that is due.

Takes       the due places of some sequences, as many as fit in a transaction
Leaves      a delivery per place (planned, or skipped with a reason), the place in flight or at its next email
A crash here means the batch was not planned: it is one transaction, and the next tick finds the same places.
"""

import math
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Sequence as Series
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from django.db import connection, transaction

from dripstone.engine import advance, audience, counters, filters, notes, queries, reasons, schedule, wake
from dripstone.engine.models import Enrollment
from dripstone.sequences.models import Sequence, SequenceEmail

PLAN_BATCH = 2000  # places per transaction: long enough to be cheap, short enough not to hold locks for a second
LEAST_SHARE = 50  # places of one sequence, however many accounts take turns: fewer cost more than they bring


class Waiting(NamedTuple):
    """A sequence with due places: a row of queries.SEQUENCES_WITH_DUE."""

    sequence_id: int
    account_id: int
    n_places: int  # at most PLAN_BATCH + 1: there are more than a batch


class Due(NamedTuple):
    enrollment_id: int
    sequence_id: int
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
    held: list[int]  # places whose email is on hold (R22)


def everything_due(now: datetime, seconds: float = math.inf) -> int:
    """Plan all that is due in all active sequences, the accounts in turn. Returns the number of places dealt with.

    seconds  after these it stops, whatever is left: the next tick goes on, and knows what has become due meanwhile
    """
    ends_at, total = time.monotonic() + seconds, 0
    waiting = _waiting(now)
    if sum(one.n_places for one in waiting) > PLAN_BATCH:
        wake.engine()  # a free worker plans beside us, and two cores plan 1.7 times as much
    while waiting:
        share = max(LEAST_SHARE, PLAN_BATCH // len({one.account_id for one in waiting}))
        n_before = total
        for sequence_ids in _batches(_in_turn(waiting, share)):
            total += batch(sequence_ids, now, share)
            if time.monotonic() > ends_at:
                return total
        if total == n_before:
            break  # another process has them, or an edit has begun
        rest = [one.sequence_id for one in waiting if one.n_places > share]
        waiting = _waiting(now, rest) if rest else []
    return total


def _waiting(now: datetime, among: Iterable[int] | None = None) -> list[Waiting]:
    ids = None if among is None else queries.ids(among)
    with connection.cursor() as cursor:
        cursor.execute(queries.SEQUENCES_WITH_DUE, {"now": now, "most": PLAN_BATCH + 1, "among": ids})
        return [Waiting._make(row) for row in cursor.fetchall()]


def _in_turn(waiting: Iterable[Waiting], share: int) -> list[Waiting]:
    """At most `share` places of each sequence. The first sequence of each account stands before any account's second,
    and an account with many places stands back behind those with few."""
    before: Counter[int] = Counter()
    turns = []
    for one in waiting:
        turns.append((before[one.account_id], one.sequence_id, one._replace(n_places=min(one.n_places, share))))
        before[one.account_id] += turns[-1][2].n_places
    return [one for _, _, one in sorted(turns)]


def _batches(waiting: Iterable[Waiting]) -> Iterator[list[int]]:
    """Sequences for one transaction each: as many as PLAN_BATCH places allow."""
    ids: list[int] = []
    n_places = 0
    for one in waiting:
        if ids and n_places + one.n_places > PLAN_BATCH:
            yield ids
            ids, n_places = [], 0
        ids.append(one.sequence_id)
        n_places += one.n_places
    if ids:
        yield ids


@transaction.atomic
def batch(sequence_ids: Iterable[int], now: datetime, limit: int = PLAN_BATCH) -> int:
    """Plan up to `limit` due places of each sequence. Returns how many there were; safe beside any other planner.

    A sequence that must not send (R13, R7), or is being edited at this instant, is passed over.
    """
    sequences = _hold_sending(sequence_ids)
    due = take_due(sequences, now, limit)
    if due:
        _plan(sequences, due, now)
    return len(due)


def place(sequence: Sequence, row: Enrollment, now: datetime) -> None:
    """Plan one place whatever its date. The caller has locked it and the sequence, and checked that it may go."""
    assert row.next_email_id is not None
    due = Due(row.pk, sequence.pk, row.subscriber_id, row.run, row.next_email_id, now)
    _plan({sequence.pk: sequence}, [due], now)


def _plan(sequences: Mapping[int, Sequence], due: Series[Due], now: datetime) -> None:
    sorted_due = _sort(sequences, due, now)
    left = _write(sorted_due, now)
    move(sorted_due.moved, reasons.TOO_LATE, now)
    _keep_dates(sorted_due.held)
    # Skipped places move on as if their email had been sent (R14, R21). So do places whose email already has a row in
    # this run.
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


def _hold_sending(sequence_ids: Iterable[int]) -> dict[int, Sequence]:
    """Those of them that may send and that nobody edits at this instant, locked against edits."""
    with connection.cursor() as cursor:
        cursor.execute(queries.HOLD_SEQUENCES, {"sequences": queries.ids(sequence_ids)})
        held = [sequence_id for (sequence_id,) in cursor.fetchall()]
    needed = ("account", "send_days", "send_hour", "time_zone", "exclude_subscriber_sources")
    return Sequence.objects.only(*needed).in_bulk(held) if held else {}


def take_due(sequence_ids: Iterable[int], now: datetime, limit: int) -> list[Due]:
    """Locks up to `limit` due places of each sequence, the oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(queries.TAKE_DUE, {"sequences": queries.ids(sequence_ids), "now": now, "limit": limit})
        return [Due._make(row) for row in cursor.fetchall()]


def _sort(sequences: Mapping[int, Sequence], due: Series[Due], now: datetime) -> Sorted:
    needed = ("account", "sequence", "delay_value", "delay_unit", "send_days", "deleted_at", "held_at", "filter")
    emails = SequenceEmail.objects.only(*needed).in_bulk({place.email_id for place in due})
    people: dict[int, list[int]] = defaultdict(list)
    for place in due:
        people[place.sequence_id].append(place.subscriber_id)
    excluded = audience.excluded_of_each({sequences[pk]: ids for pk, ids in people.items()}, now)
    filtered = _filtered(emails, due, now)
    rules = {
        pk: (advance.delay_of(email), advance.schedule_of(sequences[email.sequence_id], email))
        for pk, email in emails.items()
    }
    result = Sorted([], [], [], [])
    for place in due:
        slot = schedule.due_when_late(place.due_at, now, *rules[place.email_id])
        if emails[place.email_id].is_held:
            result.held.append(place.enrollment_id)
        elif slot > now:
            result.moved.append((place, slot))
        elif emails[place.email_id].deleted_at is not None:
            result.skipped.append((place, reasons.EMAIL_DELETED))
        elif (reason := excluded.get((place.sequence_id, place.subscriber_id))) is not None:
            result.skipped.append((place, reason))
        elif place.enrollment_id in filtered:
            result.skipped.append((place, reasons.FILTERED))
        else:
            result.planned.append(place)
    return result


def _filtered(emails: Mapping[int, SequenceEmail], due: Series[Due], now: datetime) -> set[int]:
    """The places whose person does not meet the filter of their next email (R21)."""
    asked: dict[SequenceEmail, list[int]] = defaultdict(list)
    places = [place for place in due if emails[place.email_id].filter is not None]
    for place in places:
        asked[emails[place.email_id]].append(place.subscriber_id)
    kept_from = filters.kept_from(asked, now)
    return {place.enrollment_id for place in places if (place.email_id, place.subscriber_id) in kept_from}


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


def _keep_dates(enrollment_ids: list[int]) -> None:
    if enrollment_ids:
        with connection.cursor() as cursor:
            cursor.execute(queries.KEEP_DATES, {"enrollments": queries.ids(enrollment_ids)})


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
