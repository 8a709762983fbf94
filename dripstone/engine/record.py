"""7  sent → recorded: writes the outcome of each attempt, and moves people whose email has ended to their next.

Takes       outcomes of attempts this process claimed
Leaves      deliveries ended (or planned again), each enrollment at its next email, events, bounced addresses marked;
            messages of sent notices deleted, and deliveries of people who were deleted meanwhile
A crash here means the chunk is still `sending`: one transaction per chunk. rescue.py settles it by the flight log.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from collections.abc import Sequence as Series
from datetime import UTC, datetime
from typing import NamedTuple

import structlog
from django.db import InterfaceError, OperationalError, connection, transaction

from dripstone.engine import advance, attempts, counters, notices, process, queries, reasons, transitions
from dripstone.engine.attempts import Outcome
from dripstone.engine.models import Delivery
from dripstone.subscribers.models import Subscriber
from dripstone.tallies import verbs as tallies
from dripstone.tallies.models import Kind, week

log = structlog.get_logger(__name__)

SECONDS_BETWEEN_TRIES = 0.5

# Parameters of queries.SKIP_RETRIES.
_WHY_STOPPED = {
    "restarted": reasons.RESTARTED,
    "email_deleted": reasons.EMAIL_DELETED,
    "added_again": reasons.ADDED_AGAIN,
}

Now = Callable[[], datetime]

Tally = Counter[tuple[int, str]]
"""(account id, status) → number of deliveries."""


class Ended(NamedTuple):
    """A row of queries.END_ATTEMPTS: an attempt that was still ours."""

    delivery_id: int
    enrollment_id: int | None  # None: a notice or a broadcast, which no place waits for
    account_id: int
    subscriber_id: int | None
    email_id: int | None  # None: of no sequence
    status: str
    notice_id: int | None
    is_awaited: bool  # its place waits for this very delivery


def patiently(chunk: Series[Outcome], now: Now, not_after: float) -> Tally:
    """`outcomes`, and where the database is away, again until it is back or our lease is over.

    not_after  of time.monotonic(): the end of the lease
    """
    if not chunk:
        return Tally()
    while True:
        try:
            at = now()
            tally = outcomes(chunk, at)
        except (OperationalError, InterfaceError):
            if time.monotonic() > not_after or connection.in_atomic_block:
                raise
            log.warning("record_waits_for_database", n_outcomes=len(chunk))
            connection.close()
            time.sleep(SECONDS_BETWEEN_TRIES)
        else:
            process.settled((outcome.delivery_id, outcome.attempt) for outcome in chunk)
            counters.outcomes(tally, at)
            return tally


@transaction.atomic
def outcomes(chunk: Series[Outcome], now: datetime) -> Tally:
    """Write what happened. Attempts that lost their lease to another worker are passed over (fencing)."""
    chunk = _with_retries(chunk, now)
    _lock(chunk)
    ended = _stop_retries(_end(chunk, now), now)
    forgotten = _forget(ended, now)
    ended = [forgotten.get(row.delivery_id, row) for row in ended]
    final = [row for row in ended if row.status != Delivery.Status.PLANNED and row.delivery_id not in forgotten]
    advance.advance([row.enrollment_id for row in final if row.enrollment_id is not None and row.is_awaited], now)
    notices.forget([row.notice_id for row in final if row.notice_id is not None and row.status == Delivery.Status.SENT])
    bounced = {outcome.delivery_id for outcome in chunk if outcome.hard_bounce}
    for row in final:
        if row.delivery_id in bounced and (person := _whose_address(row)) is not None:
            transitions.bounce(person, now, delivery_id=row.delivery_id)
    return Counter((row.account_id, row.status) for row in ended)


def _whose_address(row: Ended) -> int | None:
    """The person whose address bounced. A notice may have gone to somebody not on file, or to a person who has another
    address by now."""
    return row.subscriber_id if row.notice_id is None else notices.reader(row.notice_id)


def _with_retries(chunk: Series[Outcome], now: datetime) -> Series[Outcome]:
    """Set when deliveries refused for now are tried again. Temporary refusals end after three days; a pause starts the
    three days again."""
    refused = [outcome.delivery_id for outcome in chunk if _is_refusal(outcome)]
    if not refused:
        return chunk
    rows = {row.pk: row for row in Delivery.objects.filter(pk__in=refused).only("planned_at", "unparked_at", "untried")}
    return [
        _retried(outcome, rows[outcome.delivery_id], now)
        if _is_refusal(outcome) and outcome.delivery_id in rows
        else outcome
        for outcome in chunk
    ]


def _is_refusal(outcome: Outcome) -> bool:
    return outcome.status == Delivery.Status.PLANNED and not outcome.untried


def _retried(outcome: Outcome, row: Delivery, now: datetime) -> Outcome:
    tries = outcome.attempt - row.untried
    if attempts.is_given_up(row.unparked_at or row.planned_at, tries, now):
        return outcome._replace(status="failed", retry_in=None, reason=reasons.gave_up(outcome.reason))
    if outcome.retry_in is None:
        return outcome._replace(retry_in=attempts.backoff(outcome.delivery_id, tries))
    return outcome


def _lock(chunk: Series[Outcome]) -> None:
    """Sequences, subscribers, enrollments, each by id: the lock order (queries.py)."""
    ids = [outcome.delivery_id for outcome in chunk]
    if retried := [outcome.delivery_id for outcome in chunk if outcome.retry_in is not None]:
        with connection.cursor() as cursor:
            cursor.execute(queries.HOLD_SEQUENCES_OF, {"deliveries": retried})
    if any(outcome.hard_bounce for outcome in chunk):
        people = Delivery.objects.filter(pk__in=ids, subscriber__isnull=False).values("subscriber_id")
        list(Subscriber.objects.select_for_update(no_key=True).filter(pk__in=people).order_by("pk").values_list("pk"))
    with connection.cursor() as cursor:
        cursor.execute(queries.LOCK_PLACES_OF, {"deliveries": queries.ids(ids)})


def _end(chunk: Series[Outcome], now: datetime) -> list[Ended]:
    with connection.cursor() as cursor:
        cursor.execute(
            queries.END_ATTEMPTS,
            {
                "ids": queries.ids(one.delivery_id for one in chunk),
                "outcomes": queries.records(_as_row(one, now) for one in chunk),
                "now": now,
            },
        )
        ended = [Ended._make(row) for row in cursor.fetchall()]
    _count(ended, {one.delivery_id: one.reason for one in chunk}, now)
    return ended


def _as_row(one: Outcome, now: datetime) -> dict[str, object]:
    """Without what is empty, as most of it is: a shorter text to write, to send and to read."""
    row: dict[str, object] = {"id": one.delivery_id, "attempt": one.attempt, "status": one.status}
    if one.reason:
        row["reason"] = one.reason
    if one.reply:
        row["reply"] = one.reply
    if one.provider_id:
        row["provider_id"] = one.provider_id
    if one.retry_in is not None:
        row["ready_at"] = now + one.retry_in
    if one.untried:
        row["untried"] = 1
    if one.edition_id is not None:
        row["edition"] = one.edition_id
    return row


def _count(ended: Series[Ended], why: Mapping[int, str], now: datetime) -> None:
    """Deliveries that end after an attempt are counted here, a batch at a time: a trigger would run for each row."""
    by_email = Counter((row.email_id, row.status) for row in ended)
    this_week = week(now.astimezone(UTC).date())
    counts = {}
    for (email_id, status), n in by_email.items():
        if email_id and status != Delivery.Status.PLANNED:
            counts[Kind.DELIVERIES, email_id, status] = n
        if email_id and status == Delivery.Status.SENT:
            counts[Kind.SENT_IN_WEEK, email_id, this_week] = n
    skipped = Counter((row.email_id, why[row.delivery_id]) for row in ended if row.status == Delivery.Status.SKIPPED)
    counts |= {(Kind.SKIPPED, email_id, reason): n for (email_id, reason), n in skipped.items() if email_id}
    tallies.add(counts)


def _stop_retries(ended: list[Ended], now: datetime) -> list[Ended]:
    """Stops retries whose person was paused or left meanwhile, or whose sequence or email was stopped or deleted."""
    retried = [row.delivery_id for row in ended if row.status == Delivery.Status.PLANNED]
    if not retried:
        return ended
    with connection.cursor() as cursor:
        cursor.execute(queries.SKIP_RETRIES, {"deliveries": retried, "now": now, **_WHY_STOPPED})
        skipped = {row.delivery_id: row for row in map(Ended._make, cursor.fetchall())}
        cursor.execute(queries.PARK_RETRIES, {"deliveries": retried, "parked": Delivery.PARKED})
    return [skipped.get(row.delivery_id, row) for row in ended]


def _forget(ended: list[Ended], now: datetime) -> dict[int, Ended]:
    """Deletes what was on its way when its reader was deleted (acts/forget.py): it has ended and is counted. What would
    be tried again is skipped. Returns these, by id; asks only about deliveries that no place waits for."""
    alone = {row.delivery_id: row for row in ended if not row.is_awaited and row.subscriber_id is not None}
    if not alone:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(queries.FORGOTTEN, {"deliveries": queries.ids(alone)})
        forgotten = {pk: alone[pk] for (pk,) in cursor.fetchall()}
        if forgotten:
            ids, reason = queries.ids(forgotten), reasons.SUBSCRIBER_DELETED
            cursor.execute(queries.SKIP_FORGOTTEN, {"deliveries": ids, "reason": reason, "now": now})
            cursor.execute(queries.DELETE_FORGOTTEN, {"deliveries": ids})
    return {
        pk: row._replace(status=Delivery.Status.SKIPPED.value) if row.status == Delivery.Status.PLANNED else row
        for pk, row in forgotten.items()
    }
