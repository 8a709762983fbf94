"""What was sent to each of some people within some time, and what they did with it: Kit's `stats` of a person.

Opens and clicks are not recorded yet, so there are none. They are read where tracking will write them.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Count, FilteredRelation, Q, QuerySet

from dripstone.subscribers.models import Subscriber

DAYS = 90  # that Kit looks back over unless it is told otherwise, and always where people are sorted by it

# Purpose: mail to some people that ended within some time. By enrollment_once, a range of each sequence for all of them
# (deliveries have no index by person: docs/decisions/hot-tables.md), and delivery_once.
_OF_PEOPLE = """
WITH mail AS (
    SELECT e.subscriber_id, d.sent_at, r.opened_at, r.clicked_at, r.bounced_at,
           max(r.opened_at) OVER person AS last_opened_at, max(r.clicked_at) OVER person AS last_clicked_at
    FROM engine_enrollment e JOIN engine_delivery d ON d.enrollment_id = e.id
    LEFT JOIN tracking_response r ON r.delivery_id = d.id
    WHERE e.sequence_id IN (SELECT id FROM sequences_sequence WHERE account_id = %(account)s)
      AND e.subscriber_id = ANY(%(people)s) AND d.ended_at >= %(begins)s AND d.ended_at < %(ends)s
    WINDOW person AS (PARTITION BY e.subscriber_id)
)
SELECT subscriber_id, count(sent_at), count(opened_at), count(clicked_at), count(bounced_at),
       max(sent_at), max(opened_at), max(clicked_at),
       count(sent_at) FILTER (WHERE last_opened_at IS NULL OR sent_at > last_opened_at),
       count(sent_at) FILTER (WHERE last_clicked_at IS NULL OR sent_at > last_clicked_at)
FROM mail GROUP BY subscriber_id
"""


class Engagement(NamedTuple):
    """Counts are of emails: one that was opened twice is one."""

    sent: int = 0
    opened: int = 0
    clicked: int = 0
    bounced: int = 0
    last_sent_at: datetime | None = None
    last_opened_at: datetime | None = None
    last_clicked_at: datetime | None = None
    sends_since_last_open: int = 0
    sends_since_last_click: int = 0


NOTHING = Engagement()


def of_people(
    account_id: int, subscriber_ids: Collection[int], begins: datetime, ends: datetime
) -> dict[int, Engagement]:
    """By person; whoever got no mail in that time is left out. `ends` is the first instant after it."""
    values: dict[str, Any] = {"account": account_id, "people": list(subscriber_ids), "begins": begins, "ends": ends}
    with connection.cursor() as cursor:
        cursor.execute(_OF_PEOPLE, values)
        return {pk: Engagement(*row) for pk, *row in cursor.fetchall()}


def with_sent(rows: QuerySet[Subscriber], now: datetime) -> QuerySet[Subscriber]:
    """Each with `n_sent`: how many emails they were sent within the last 90 days."""
    since = now - timedelta(days=DAYS)
    recent = FilteredRelation("enrollments__deliveries", condition=Q(enrollments__deliveries__sent_at__gte=since))
    return rows.annotate(recent=recent).annotate(n_sent=Count("recent"))
