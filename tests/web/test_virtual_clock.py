"""The strip of the virtual clock: what it says, and that it moves the clock as the API does."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.test import Client

from dripstone.accounts.models import Account
from tests.factories import make_enrollment, make_sequence, make_subscriber

if TYPE_CHECKING:
    from tests.conftest import VirtualClock
    from tests.driving import Engine

ADVANCE = "/clock/advancing"


def press(browser: Client, by: str, **given: str) -> str:
    """What is said then."""
    answer = browser.post(ADVANCE, {"by": by} | given, follow=True)
    return " ".join(str(one) for one in answer.context["messages"])


def test_it_says_which_day_and_time_it_is(alice: Client, clock: "VirtualClock") -> None:
    assert ">Mon 23 Nov 2026, 04:00</time>" in alice.get("/inbox").content.decode()


@pytest.mark.parametrize(("by", "hours", "told"), [("hour", 1, "today, 05:00"), ("day", 24, "today, 04:00")])
def test_it_moves_by_an_hour_and_by_a_day(
    alice: Client, engine: "Engine", now: datetime, by: str, hours: int, told: str
) -> None:
    assert press(alice, by) == f"It is {told} now: 0 sent, 0 failed."
    assert engine.clock.now() == now + timedelta(hours=hours)


def test_it_goes_to_the_next_email_of_this_account_and_says_what_went_out(
    alice: Client, account: Account, engine: "Engine", now: datetime
) -> None:
    sequence = make_sequence(account, {"delay_value": 3, "delay_unit": "hours"}, {"delay_value": 2})
    make_enrollment(sequence, make_subscriber(account), now)
    assert press(alice, "email") == "It is today, 07:00 now: 1 sent, 0 failed."
    assert engine.clock.now() == now + timedelta(hours=3)


def test_it_stays_when_nobody_waits_for_a_date(alice: Client, engine: "Engine", now: datetime) -> None:
    assert press(alice, "email") == "Nobody waits for an email that has a date, so the clock was not moved."
    assert (
        press(alice, "year") == "The clock moves by an hour, by a day, to the next email, or to a given day and time."
    )
    assert engine.clock.now() == now


def test_one_is_back_where_one_pressed_it_and_nowhere_else(alice: Client, engine: "Engine") -> None:
    assert 'name="next" value="/inbox?to=bob"' in alice.get("/inbox?to=bob").content.decode()
    assert alice.post(ADVANCE, {"by": "hour", "next": "/inbox?to=bob"})["Location"] == "/inbox?to=bob"
    assert alice.post(ADVANCE, {"by": "hour", "next": "//elsewhere.example/"})["Location"] == "/"


def test_a_viewer_sees_the_time_and_no_way_to_move_it(viewer: Client, clock: "VirtualClock", now: datetime) -> None:
    assert ADVANCE not in viewer.get("/inbox").content.decode()
    assert viewer.post(ADVANCE, {"by": "day"}).status_code == 403
    assert clock.now() == now


def test_a_real_clock_has_no_strip_and_does_not_move(alice: Client, settings: Any) -> None:
    settings.DRIPSTONE_VIRTUAL_CLOCK = False
    assert "clock is virtual" not in alice.get("/inbox").content.decode()
    assert "start with DRIPSTONE_VIRTUAL_CLOCK=1" in press(alice, "hour")


def test_time_ends_before_the_calendar_does(alice: Client, clock: "VirtualClock") -> None:
    clock.set(datetime.fromisoformat("8999-12-31T23:30:00+00:00"))
    assert press(alice, "hour") == "The clock ends in the year 9000."


def test_it_travels_to_a_day_and_time_of_the_account(alice: Client, engine: "Engine", now: datetime) -> None:
    assert press(alice, "to", at="2026-11-24T09:30") == "It is today, 09:30 now: 0 sent, 0 failed."
    assert engine.clock.now() == datetime.fromisoformat("2026-11-24T14:30:00+00:00"), "New York is five hours behind"


@pytest.mark.parametrize("at", ["", "tomorrow", "2026-13-01T00:00", "0001-01-01T00:00", "9999-12-31T23:59", "\0"])
def test_no_day_is_a_sentence_and_moves_nothing(alice: Client, engine: "Engine", now: datetime, at: str) -> None:
    said = press(alice, "to", at=at)
    assert "such as" in said or "forwards only" in said or "ends in the year" in said
    assert engine.clock.now() == now


def test_this_very_minute_is_now(alice: Client, engine: "Engine", now: datetime) -> None:
    engine.clock.set(now + timedelta(seconds=40))
    assert "now: 0 sent" in press(alice, "to", at="2026-11-23T04:00")
    assert engine.clock.now() == now + timedelta(seconds=40)
