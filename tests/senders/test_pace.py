"""The meters that workers share: forgotten when they say nothing any more, and not before."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from dripstone.ops import prune
from dripstone.senders import pace
from dripstone.senders.limits import DAY, HOUR, SECOND, Gauge, Limit, Wish
from dripstone.senders.models import Meter
from tests.factories import MONDAY_9

NOW = MONDAY_9
LIMIT = Limit(10, 100)


def left() -> set[str]:
    return set(Meter.objects.values_list("key", flat=True))


@pytest.mark.django_db
def test_a_meter_is_forgotten_when_its_day_is_over() -> None:
    with pace.server_gauge("used", LIMIT) as gauge:
        gauge.take(NOW, 100)
    prune.everything(NOW + DAY)
    assert left() == {"used"}
    assert pace.peek("used", LIMIT).room(NOW + DAY) == 0  # taken at full hour, it counts until the hour is over
    prune.everything(NOW + DAY + HOUR + SECOND)
    assert left() == set()
    assert pace.peek("used", LIMIT).room(NOW + DAY + HOUR + SECOND) == Gauge(LIMIT).room(NOW)


@pytest.mark.django_db
def test_a_meter_with_a_queue_or_a_debt_is_kept() -> None:
    wishes = [Wish(number, ("queue",), False) for number in range(100)]
    pace.put_off(wishes, {"queue": Limit(None, 1)}, NOW)  # for a hundred days
    with pace.server_gauge("debt", Limit(1)) as gauge:
        gauge.take(NOW, 3 * 86400)
    prune.everything(NOW + 2 * DAY)
    assert left() == {"queue", "debt"}


@pytest.mark.django_db
def test_a_meter_nothing_was_taken_from_is_forgotten_and_a_rehearsal_forgets_none() -> None:
    with pace.server_gauge("new", LIMIT):
        pass
    prune.everything(NOW, rehearse=True)
    assert left() == {"new"}
    prune.everything(NOW)
    assert left() == set()


@pytest.mark.django_db
def test_more_meters_than_a_statement_deletes_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "_FORGET_AT_ONCE", 3)
    Meter.objects.bulk_create(Meter(key=f"domain {number}", used_at=NOW - 2 * DAY) for number in range(7))
    assert pace.forget_unused(NOW) == 7


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_uses_one_just_then_keeps_it() -> None:
    Meter.objects.create(key="old", used_at=NOW - 2 * DAY)
    counts: list[int] = []
    with pace.server_gauge("old", LIMIT) as gauge:
        on_its_own_connection(lambda: counts.append(pace.forget_unused(NOW)))
        gauge.take(NOW)
    assert counts == [0]
    assert Meter.objects.get().used_at == NOW


@pytest.mark.django_db(transaction=True)
def test_one_forgotten_between_a_workers_two_looks_is_made_again() -> None:
    Meter.objects.create(key="old", used_at=NOW - 2 * DAY)
    counts: list[int] = []

    def forget_first(execute: Callable[..., Any], sql: Any, *arguments: Any) -> Any:
        if sql == pace._LOCK and not counts:
            on_its_own_connection(lambda: counts.append(pace.forget_unused(NOW)))
        return execute(sql, *arguments)

    with connection.execute_wrapper(forget_first), pace.server_gauge("old", LIMIT) as gauge:
        gauge.take(NOW)
    assert counts == [1]
    assert Meter.objects.get().used_at == NOW


def on_its_own_connection(call: Callable[[], object]) -> None:
    def run() -> None:
        try:
            call()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(timedelta(minutes=1).total_seconds())
    assert not thread.is_alive()
