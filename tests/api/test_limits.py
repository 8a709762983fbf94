from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from dripstone import clock as system
from dripstone.accounts import limits
from dripstone.accounts.limits import Credential, Meter
from tests.api.caller import Caller
from tests.racing import together

START = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


class Machine:
    """The machine's clock in a test."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def pass_seconds(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def machine(db: None, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Machine:
    settings.DRIPSTONE_RATE_LIMITS = (3, 600)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM credential_windows")  # of tests whose calls were not undone
    machine = Machine()
    monkeypatch.setattr(system, "system_now", machine)
    return machine


def allowed(key_id: int = 1, meter: Meter | None = None, limit: int = 3) -> bool:
    """By a web process of its own, if a meter is given."""
    return refused(key_id, meter, limit) is None


def refused(key_id: int = 1, meter: Meter | None = None, limit: int = 3) -> int | None:
    """For how many seconds; None: it is let through."""
    credential = Credential("key", key_id)
    try:
        if meter is None:
            limits.count(credential)
        else:
            meter.count(credential, limit, int(system.system_now().timestamp()))
    except limits.TooMany as error:
        return error.after_seconds
    return None


def n_written() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(sum(n), 0) FROM credential_windows, unnest(ns) AS n")
        n: int = cursor.fetchone()[0]
    return n


def test_the_window_rolls(machine: Machine) -> None:
    assert allowed()
    machine.pass_seconds(30)
    assert [allowed(), allowed(), allowed()] == [True, True, False]
    machine.pass_seconds(29)
    assert not allowed()
    machine.pass_seconds(1)  # the first one is 60 s ago
    assert [allowed(), allowed()] == [True, False]
    machine.pass_seconds(60)
    assert [allowed() for _ in range(4)] == [True, True, True, False]


def test_each_key_has_its_own_count(machine: Machine) -> None:
    assert [allowed(1) for _ in range(4)] == [True, True, True, False]
    assert allowed(2)


def test_refused_requests_do_not_count(machine: Machine) -> None:
    for _ in range(10):
        allowed()
    machine.pass_seconds(60)
    assert allowed()


def test_it_keeps_no_more_than_a_window(machine: Machine) -> None:
    for _ in range(100):
        allowed()
        machine.pass_seconds(30)
    assert n_written() == 2
    allowed(2)
    machine.pass_seconds(30)
    limits.forget_idle()
    assert n_written() == 1
    machine.pass_seconds(30)
    limits.forget_idle()
    assert n_written() == 0


def test_several_processes_count_together(machine: Machine) -> None:
    first, second = Meter(), Meter()
    assert [allowed(meter=meter) for meter in (first, second, first, second)] == [True, True, True, False]
    assert not allowed(meter=first)


def test_a_process_alone_is_exact_however_high_the_limit(machine: Machine) -> None:
    meter = Meter()
    answers = [allowed(meter=meter, limit=1_000) for _ in range(1_010)]
    assert answers == [True] * 1_000 + [False] * 10
    assert n_written() == 1_000


def test_far_from_the_limit_few_requests_ask_the_database(
    machine: Machine, django_assert_max_num_queries: Callable[[int], AbstractContextManager[Any]]
) -> None:
    meter = Meter()
    with django_assert_max_num_queries(3):
        assert all(allowed(meter=meter, limit=100_000) for _ in range(1_000))


def test_others_see_what_a_process_let_through_within_a_second(machine: Machine) -> None:
    first, second = Meter(), Meter()
    for _ in range(500):
        assert allowed(meter=first, limit=1_000)
    machine.pass_seconds(1)
    assert allowed(meter=first, limit=1_000)
    assert n_written() == 501
    assert [allowed(meter=second, limit=1_000) for _ in range(500)] == [True] * 499 + [False]


def test_what_was_let_through_before_the_clock_was_set_back_does_not_count(machine: Machine) -> None:
    meter = Meter()
    assert all(allowed(meter=meter, limit=1_000) for _ in range(10))
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM credential_windows")  # the one that was written
    machine.pass_seconds(-3_600)
    assert [allowed(meter=meter) for _ in range(4)] == [True, True, True, False]


def test_what_is_written_from_before_the_clock_was_set_back_does_not_count(machine: Machine) -> None:
    assert [allowed() for _ in range(4)] == [True, True, True, False]
    machine.pass_seconds(-3_600)
    assert [allowed() for _ in range(4)] == [True, True, True, False]


@pytest.mark.parametrize("n_processes", [2, 4])
@pytest.mark.parametrize("limit", [120, 600])
def test_however_many_processes_there_are_kits_limits_are_exact(machine: Machine, n_processes: int, limit: int) -> None:
    meters = [Meter() for _ in range(n_processes)]
    passed = sum(allowed(meter=meters[number % n_processes], limit=limit) for number in range(limit + 100))
    assert passed == limit


@pytest.mark.parametrize("n_processes", [2, 4])
def test_of_a_higher_limit_each_further_process_lets_at_most_a_64th_more_through(
    machine: Machine, n_processes: int
) -> None:
    meters = [Meter() for _ in range(n_processes)]
    passed = sum(allowed(meter=meters[number % n_processes], limit=1_200) for number in range(1_500))
    assert 1_200 <= passed <= 1_200 + (n_processes - 1) * (1_200 // 64)


@pytest.mark.django_db(transaction=True)
def test_requests_at_the_same_instant_see_one_another() -> None:
    results = together(lambda: [allowed(meter=Meter(), limit=20) for _ in range(5)], times=8)
    assert sum(map(sum, results)) == 20


def test_a_refusal_says_when_there_is_room(machine: Machine) -> None:
    """And says so exactly: a second sooner there is none."""
    for seconds in (10, 10, 5):
        assert refused() is None
        machine.pass_seconds(seconds)
    assert refused() == 35
    machine.pass_seconds(34)
    assert refused() == 1
    machine.pass_seconds(1)
    assert refused() is None
    assert refused() == 10


def test_a_lower_limit_waits_until_enough_have_left(machine: Machine) -> None:
    for _ in range(3):
        assert allowed()
        machine.pass_seconds(10)
    assert refused(meter=Meter(), limit=1) == 50


def test_one_too_many_is_told_in_plain_text(alice: Caller, machine: Machine) -> None:
    for _ in range(3):
        assert alice.get("/v4/tags")[0] == 200
    response = Client().get("/v4/tags", headers={"X-Kit-Api-Key": alice.key})
    assert (response.status_code, response.content) == (429, b"Retry later")
    assert response["Retry-After"] == "60"
    assert response["X-Request-Id"]
    assert response["Content-Type"].startswith("text/plain")


def test_off_is_off(alice: Caller, settings: Any) -> None:
    settings.DRIPSTONE_RATE_LIMITS = None
    for _ in range(5):
        assert alice.get("/v4/tags")[0] == 200
