from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dripstone import words


@pytest.mark.parametrize(
    ("days", "said"),
    [
        ([0, 1, 2, 3, 4, 5, 6], "Every day"),
        ([4, 3, 2, 1, 0], "Monday to Friday"),
        ([1, 2, 3], "Tuesday to Thursday"),
        ([0], "Mondays"),
        ([5, 6], "Saturdays and Sundays"),
        ([0, 2, 6], "Mondays, Wednesdays and Sundays"),
    ],
)
def test_it_says_weekdays(days: list[int], said: str) -> None:
    assert words.days(days) == said


@given(st.sets(st.integers(0, 6), min_size=1))
def test_it_says_every_set_of_weekdays_differently(days: set[int]) -> None:
    others = [{day for day in range(7) if mask >> day & 1} for mask in range(1, 128)]
    assert [other for other in others if words.days(other) == words.days(days)] == [days]


def test_it_says_a_schedule_with_its_zone() -> None:
    assert words.schedule([0, 1, 2, 3, 4], 9, "America/New_York") == "Monday to Friday around 9:00, New York time"


@pytest.mark.parametrize(
    ("name", "said"),
    [("UTC", "UTC"), ("Etc/GMT+5", "Etc/GMT+5"), ("America/Argentina/Buenos_Aires", "Buenos Aires time")],
)
def test_it_names_a_zone_by_its_place(name: str, said: str) -> None:
    assert words.zone(name) == said


@pytest.mark.parametrize(
    ("value", "unit", "is_first", "said"),
    [
        (0, "days", True, "At once"),
        (1, "days", True, "1 day after they enter, at 9:00"),
        (2, "days", False, "2 days later, at 9:00"),
        (1, "hours", False, "1 hour later"),
        (36, "hours", True, "36 hours after they enter"),
    ],
)
def test_it_says_a_delay(value: int, unit: str, is_first: bool, said: str) -> None:
    assert words.later(value, unit, 9, is_first=is_first) == said


def test_it_says_an_instant_on_the_wall_clock_of_the_zone() -> None:
    at, zone = datetime(2026, 11, 1, 5, 30, tzinfo=UTC), "America/New_York"
    assert words.instant(at, zone, at + timedelta(hours=1)) == "Today, 01:30"
    assert words.instant(at, zone, at - timedelta(hours=2)) == "Tomorrow, 01:30"
    assert words.instant(at, zone, at + timedelta(days=1)) == "Yesterday, 01:30"
    assert words.instant(at, zone, at + timedelta(days=9)) == "Sun 1 Nov, 01:30"
    assert words.instant(at, zone, at + timedelta(days=99)) == "1 Nov 2026, 01:30"
    assert words.instant_in_full(at, "America/New_York") == "Sunday 1 November 2026, 01:30:00 EDT"
    assert words.by_date(at, "America/New_York") == "Sun 1 Nov 2026, 01:30"


def test_it_says_dates_of_these_days_as_people_do() -> None:
    now = datetime(2026, 12, 1, 3, 0, tzinfo=UTC)  # still November in New York
    said = [words.soon(now + timedelta(hours=hours), "America/New_York", now) for hours in (0, 12, 48, 24 * 40)]
    assert said == ["today, 22:00", "tomorrow, 10:00", "Wed 2 Dec, 22:00", "9 Jan 2027, 22:00"]


@pytest.mark.parametrize(
    ("address", "masked"), [("bob@example.com", "b•••@example.com"), ("b@example.com", "b•••@example.com")]
)
def test_it_masks_an_address_and_its_length(address: str, masked: str) -> None:
    assert words.masked(address) == masked
