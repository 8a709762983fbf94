"""What of an account's mail is due, on its way, tried again or held, and what its attempts came to by the minute.

By partial indexes that hold only what has not ended, and by kept minutes: no cost grows with what was sent before, and
each count stops at MOST.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection

from dripstone.engine.models import Delivery, Minute

MOST = 10_000

# Purpose: people of the account due in sequences that may send, and the longest waiting. A range of enrollment_due per
# sequence, in its order.
_DUE = """
SELECT coalesce(sum(one.n), 0)::bigint, min(one.oldest) FROM sequences_sequence s
CROSS JOIN LATERAL (
    SELECT count(*) AS n, min(due_at) AS oldest FROM (
        SELECT e.due_at FROM engine_enrollment e
        WHERE e.sequence_id = s.id AND e.due_at <= %(now)s ORDER BY e.due_at LIMIT %(most)s) first) one
WHERE s.account_id = %(account)s AND s.active AND s.deleted_at IS NULL
"""

# Purpose: its planned deliveries. Ranges of delivery_ready_of_account and delivery_notice_of_account.
_PLANNED = """
SELECT
    (SELECT count(*) FROM (SELECT 1 FROM engine_delivery WHERE status = 'planned' AND account_id = %(account)s
        AND ready_at <= %(now)s LIMIT %(most)s) found)
    + (SELECT count(*) FROM (SELECT 1 FROM engine_delivery WHERE notice_ready_at IS NOT NULL
        AND account_id = %(account)s AND notice_ready_at <= %(now)s LIMIT %(most)s) found),
    (SELECT count(*) FROM (SELECT 1 FROM engine_delivery WHERE status = 'planned' AND account_id = %(account)s
        AND ready_at > %(now)s AND ready_at < %(parked)s LIMIT %(most)s) found)
    + (SELECT count(*) FROM (SELECT 1 FROM engine_delivery WHERE notice_ready_at IS NOT NULL
        AND account_id = %(account)s AND notice_ready_at > %(now)s LIMIT %(most)s) found),
    (SELECT count(*) FROM (SELECT 1 FROM engine_delivery WHERE status = 'planned' AND account_id = %(account)s
        AND ready_at >= %(parked)s LIMIT %(most)s) found),
    (SELECT min(ready_at) FROM engine_delivery WHERE status = 'planned' AND account_id = %(account)s)
"""


class Standing(NamedTuple):
    """n_due      people whose email should go now and is not planned yet
    n_ready    planned, and may go at once
    n_later    planned for later: refused for now and tried again, or put off by a limit
    n_parked   planned, and held by a pause, a draft or a hold
    oldest     since when the longest waiting of the first two waits
    """

    n_due: int
    n_ready: int
    n_later: int
    n_parked: int
    oldest: datetime | None


class Span(NamedTuple):
    """What attempts that ended within a span of time came to."""

    begins: datetime
    sent: int
    failed: int
    unknown: int
    retried: int


def standing(account_id: int, now: datetime) -> Standing:
    values: dict[str, Any] = {"account": account_id, "now": now, "parked": Delivery.PARKED, "most": MOST}
    with connection.cursor() as cursor:
        cursor.execute(_DUE, values)
        n_due, due_since = cursor.fetchone()
        cursor.execute(_PLANNED, values)
        n_ready, n_later, n_parked, ready_since = cursor.fetchone()
    waiting = (due_since, ready_since if n_ready else None)
    oldest = min((at for at in waiting if at is not None and at <= now), default=None)
    return Standing(n_due, n_ready, n_later, n_parked, oldest)


def spans(account_id: int, now: datetime, n_spans: int, length: timedelta) -> list[Span]:
    """The last so many spans, the oldest first; the last one is under way. They begin at multiples of their length."""
    last = datetime.min.replace(year=1970, tzinfo=now.tzinfo)
    last += (now - last) // length * length
    begins = [last - length * ago for ago in reversed(range(n_spans))]
    rows = Minute.objects.filter(account_id=account_id, minute__gte=begins[0], minute__lt=last + length)
    found = {begin: [0, 0, 0, 0] for begin in begins}
    for minute, *counts in rows.values_list("minute", "sent", "failed", "unknown", "retried"):
        _add(found[begins[(minute - begins[0]) // length]], counts)
    return [Span(begin, *counts) for begin, counts in found.items()]


def _add(total: list[int], counts: Sequence[int]) -> None:
    for place, n in enumerate(counts):
        total[place] += n
