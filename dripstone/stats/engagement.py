"""What was sent to each of some people within some time, and what they did with it: Kit's `stats` of a person.

Opens and clicks are not recorded yet, so there are none. They are read where tracking will write them.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import QuerySet

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


# --- In the order of how much they were sent ---------------------------------------------------------------------
#
# Whoever was sent something lies on one side, everybody else on the other. The former alone are counted, and the latter
# are met only where a page reaches them: to look up a million people who were sent nothing took most of the time.

# Purpose: how many emails each was sent since some instant, of an account. By delivery_by_sending, the deliveries since
# then: 0.5 µs each.
_RECENT = """
WITH recent AS MATERIALIZED (
    SELECT subscriber_id, count(*) AS n FROM engine_delivery
    WHERE account_id = %s AND sent_at >= %s AND subscriber_id IS NOT NULL AND notice_id IS NULL GROUP BY subscriber_id)
"""
# Sorted before they are looked up, so that no more people are than the page needs.
_SENT = """
SELECT r.subscriber_id, r.n
FROM (SELECT * FROM recent r WHERE {beyond} ORDER BY n {direction}, subscriber_id {direction}) r
JOIN ({people}) p (id) ON p.id = r.subscriber_id
ORDER BY r.n {direction}, r.subscriber_id {direction} LIMIT %s
"""
_NOT_SENT = """
SELECT p.id, 0 FROM ({people}) p (id) WHERE NOT EXISTS (SELECT FROM recent r WHERE r.subscriber_id = p.id) AND {beyond}
ORDER BY p.id {direction} LIMIT %s
"""

Key = tuple[int, int]
"""How many emails, and the person: by these a list is sorted that is in the order of what was sent."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """People of one account in the order of how many emails they were sent within the last 90 days."""

    people: QuerySet[Subscriber]
    account_id: int
    now: datetime

    def beyond(self, edge: Key | None, n: int, *, is_descending: bool, or_at: bool = False) -> list[Key]:
        """The first n behind the edge, or from the beginning; those at the edge themselves with `or_at`."""
        if edge is not None and n == 1 and or_at and self.people.filter(pk=edge[1]).exists():
            return [edge]  # whether there is anybody before the edge is asked for every page
        shelves = [self._sent, self._not_sent] if is_descending else [self._not_sent, self._sent]
        if edge is not None and (edge[0] == 0) == is_descending:
            shelves = shelves[1:]  # the other one lies before the edge
        found: list[Key] = []
        for shelf in shelves:
            if len(found) < n:
                found += shelf(edge, n - len(found), is_descending, or_at)
        return found

    def _sent(self, edge: Key | None, n: int, is_descending: bool, or_at: bool) -> list[Key]:
        if edge is None or edge[0] == 0:
            return self._keys(_SENT, "true", [], n, is_descending)
        return self._keys(
            _SENT, f"(r.n, r.subscriber_id) {_sign(is_descending, or_at)} (%s, %s)", list(edge), n, is_descending
        )

    def _not_sent(self, edge: Key | None, n: int, is_descending: bool, or_at: bool) -> list[Key]:
        if edge is None or edge[0] > 0:
            return self._keys(_NOT_SENT, "true", [], n, is_descending)
        return self._keys(_NOT_SENT, f"p.id {_sign(is_descending, or_at)} %s", [edge[1]], n, is_descending)

    def _keys(self, text: str, beyond: str, edge: list[int], n: int, is_descending: bool) -> list[Key]:
        try:
            people, values = self.people.order_by().values("pk").query.sql_with_params()
        except EmptyResultSet:
            return []
        direction = "DESC" if is_descending else "ASC"
        query = _RECENT + text.format(people=people, beyond=beyond, direction=direction)
        # In the order in which they stand in the text.
        inside = [*edge, *values] if text is _SENT else [*values, *edge]
        with connection.cursor() as cursor:
            cursor.execute(query, [self.account_id, self.now - timedelta(days=DAYS), *inside, n])
            return [(n_sent, pk) for pk, n_sent in cursor.fetchall()]


def _sign(is_descending: bool, or_at: bool) -> str:
    return f"{'<' if is_descending else '>'}{'=' if or_at else ''}"
