from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from dripstone import clock as system
from dripstone.api import limits
from tests.api.caller import Caller

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
    machine = Machine()
    monkeypatch.setattr(system, "system_now", machine)
    return machine


def allowed(key_id: int = 1) -> bool:
    try:
        limits.count(key_id)
    except limits.TooMany:
        return False
    return True


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
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM request_count")
        assert cursor.fetchone()[0] <= 2


def test_one_too_many_is_told_in_plain_text(alice: Caller, machine: Machine) -> None:
    for _ in range(3):
        assert alice.get("/v4/tags")[0] == 200
    response = Client().get("/v4/tags", headers={"X-Kit-Api-Key": alice.key})
    assert (response.status_code, response.content) == (429, b"Retry later")
    assert response["Content-Type"].startswith("text/plain")


def test_off_is_off(alice: Caller, settings: Any) -> None:
    settings.DRIPSTONE_RATE_LIMITS = None
    for _ in range(5):
        assert alice.get("/v4/tags")[0] == 200
