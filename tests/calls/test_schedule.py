"""When a call is made again: Kit's schedule, to the second."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dripstone.calls import reasons, schedule

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def test_eight_attempts_in_41_hours() -> None:
    waits = [schedule.after(n, 500, "", NOON).at for n in range(1, 9)]
    assert [str(at - NOON) if at else None for at in waits] == [
        "0:00:30", "0:02:00", "0:15:00", "1:00:00", "4:00:00", "12:00:00", "1 day, 0:00:00", None,
    ]  # fmt: skip
    assert schedule.after(8, 500, "", NOON).reason == reasons.GIVEN_UP


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_any_2xx_is_a_success(status: int) -> None:
    assert schedule.after(1, status, "", NOON) == schedule.Next(None, "")


@pytest.mark.parametrize("status", [301, 302, 400, 401, 404, 500, 502])
def test_anything_else_is_tried_again(status: int) -> None:
    assert schedule.after(1, status, "3600", NOON).at == NOON + timedelta(seconds=30)


def test_410_is_never_tried_again() -> None:
    assert schedule.after(1, 410, "", NOON) == schedule.Next(None, reasons.GONE)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("7", 7),
        ("0", 1),
        ("999999999999", 86_400),
        ("Mon, 23 Nov 2026 12:05:00 GMT", 300),
        ("Mon, 23 Nov 2026 11:00:00 GMT", 1),
        ("soon", 30),
        ("-5", 30),
        ("", 30),
        ("٧", 30),
    ],
)
def test_a_receiver_may_say_itself_when(status: int, said: str, seconds: int) -> None:
    assert schedule.after(1, status, said, NOON).at == NOON + timedelta(seconds=seconds)


@given(st.integers(1, 20), st.none() | st.integers(100, 599), st.text(max_size=40))
def test_every_attempt_has_an_end_or_a_next_one_within_a_day(n: int, status: int | None, said: str) -> None:
    following = schedule.after(n, status, said, NOON, reasons.TIMED_OUT)
    is_success = status is not None and 200 <= status < 300
    assert (following.reason == "") == is_success
    if following.at is not None:
        assert n < schedule.MOST_ATTEMPTS
        assert schedule.SHORTEST <= following.at - NOON <= schedule.LONGEST
