"""Accounts take turns: what a claim takes, and what it reads, while much is ready at once."""

from collections import Counter
from collections.abc import Iterator
from collections.abc import Sequence as Series
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import given
from hypothesis import strategies as st

from dripstone.engine import claim, queries
from dripstone.engine.models import Delivery
from tests.factories import MONDAY_9

pytestmark = pytest.mark.django_db(transaction=True)

SECOND = timedelta(seconds=1)
NOW = MONDAY_9


def emails(account_id: int, ages: Series[int], **values: Any) -> list[Delivery]:
    """Planned emails of one account, ready for so many seconds. Nothing here asks who they are to."""
    first = Delivery.objects.count() + 1
    return Delivery.objects.bulk_create(
        Delivery(
            account_id=account_id,
            **{"sequence_id": 1, "subscriber_id": 1, "email_id": 1, "enrollment_id": first + n, "run": 1},
            status="planned",
            planned_at=NOW - age * SECOND,
            ready_at=NOW - age * SECOND,
            **values,
        )
        for n, age in enumerate(ages)
    )


def notices(account_id: int, n: int) -> None:
    first = Delivery.objects.count() + 1
    Delivery.objects.bulk_create(
        Delivery(account_id=account_id, notice_id=first + k, status="planned", planned_at=NOW, notice_ready_at=NOW)
        for k in range(n)
    )


def taken(limit: int) -> Counter[int]:
    return Counter(row.account_id for row in claim.take("worker", NOW, limit))


def taken_by_another(limit: int) -> Counter[int]:
    try:
        return taken(limit)
    finally:
        connection.close()


@contextmanager
def rolled_back() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


QUEUES = st.dictionaries(st.integers(1, 40), st.lists(st.integers(0, 9), min_size=1, max_size=30), max_size=12)


@given(QUEUES, st.integers(1, 60))
def test_every_account_gets_its_share_of_a_batch_and_no_room_is_left_while_something_waits(
    queues: dict[int, list[int]], limit: int
) -> None:
    with rolled_back():
        for account_id, ages in queues.items():
            emails(account_id, ages)
        got = taken(limit)
        assert got.total() == min(limit, sum(map(len, queues.values())))
        for account_id, ages in queues.items():
            assert got[account_id] >= min(len(ages), limit // len(queues))


@given(QUEUES, st.integers(1, 60))
def test_the_oldest_of_an_account_go_first(queues: dict[int, list[int]], limit: int) -> None:
    with rolled_back():
        ready = {row.pk: row for account_id, ages in queues.items() for row in emails(account_id, ages)}
        went = {row.delivery_id for row in claim.take("worker", NOW, limit)}
        for row in (ready[pk] for pk in went):
            mine = [one for one in ready.values() if one.account_id == row.account_id]
            assert {one.pk for one in mine if one.planned_at < row.planned_at} <= went


@given(QUEUES.filter(bool), st.integers(1, 5))
def test_where_there_is_no_room_for_all_accounts_each_has_its_turn(queues: dict[int, list[int]], limit: int) -> None:
    with rolled_back():
        for account_id, ages in queues.items():
            emails(account_id, ages)
        waiting = set(queues)
        for _ in range(-(-len(queues) // limit) + 1):  # the first claim may begin anywhere, so it may end in the middle
            waiting -= set(taken(limit))
        assert not waiting


def test_the_notices_of_an_account_go_before_its_emails_and_take_no_other_account_s_share() -> None:
    emails(1, [9] * 10)
    notices(1, 100)
    emails(2, [0] * 10)
    rows = claim.take("worker", NOW, 20)
    assert Counter((row.account_id, row.notice_id is None) for row in rows) == {(1, False): 10, (2, True): 10}


def test_what_is_not_ready_or_held_by_others_takes_no_room() -> None:
    emails(1, [-60] * 5)
    emails(2, [5] * 5)
    emails(3, [5] * 5)
    with transaction.atomic(), ThreadPoolExecutor(1) as other:
        assert taken(8) == {2: 4, 3: 4}
        assert other.submit(taken_by_another, 8).result() == {2: 1, 3: 1}
    assert taken(8) == {}


def test_an_account_with_a_hundred_thousand_before_keeps_nobody_waiting() -> None:
    planned_at_once(100_000)
    emails(2, [0] * 3)
    assert taken(500)[2] == 3


@pytest.mark.parametrize("is_analyzed", [False, True])
def test_a_claim_reads_no_more_than_it_takes_of_what_is_ready_at_one_instant(*, is_analyzed: bool) -> None:
    planned_at_once(100_000)
    if is_analyzed:
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE engine_delivery")
    for _ in range(3):
        assert rows_read(queries.CLAIM, {**CLAIM, "accounts": queries.ids([1])}) <= 4 * 500
        assert taken(500) == {1: 500}
    assert rows_read(queries.ACCOUNTS_READY, {"after": 0, "limit": 500, "ready_until": NOW}) <= 20


CLAIM = {
    "worker": "worker",
    "lease_until": NOW,
    "limit": 500,
    "share": 500,
    "server": "",
    "planned_until": NOW,
    "ready_until": NOW,
}


def planned_at_once(n: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO engine_delivery (account_id, sequence_id, subscriber_id, enrollment_id, run, email_id, status,"
            " reason, attempt, planned_at, ready_at, worker, provider_id)"
            " SELECT 1, 1, i, i, 1, 1, 'planned', '', 0, %(now)s, %(now)s, '', '' FROM generate_series(1, %(n)s) i",
            {"now": NOW - SECOND, "n": n},
        )


def rows_read(query: str, values: dict[str, Any], table: str = "engine_delivery") -> int:
    """By all parts of the statement that read the table. Nothing is changed."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}", values)
        (plan,) = cursor.fetchone()[0]
        transaction.set_rollback(True)
    return _rows_read(plan["Plan"], table)


def _rows_read(node: dict[str, Any], table: str) -> int:
    own = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
    reads = "Scan" in node["Node Type"] and node.get("Relation Name") == table
    inside = sum(_rows_read(child, table) for child in node.get("Plans", ()))
    return inside + (round(own * node["Actual Loops"]) if reads else 0)
