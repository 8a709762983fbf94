"""schedule.py against its rules: worked cases in plain sight, and properties over many zones and clock changes."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dripstone.engine.schedule import (
    LATE_DAYS,
    Delay,
    Schedule,
    ScheduleError,
    due_when_late,
    next_due,
    next_slot,
)

NEW_YORK = ZoneInfo("America/New_York")
EVERY_DAY = frozenset(range(7))
WEEKDAYS = frozenset(range(5))
ZONES = [
    *("UTC", "America/New_York", "Europe/Berlin", "Asia/Kathmandu", "Pacific/Chatham", "Australia/Lord_Howe"),
    *("Africa/Cairo", "America/Santiago", "Asia/Tehran", "Pacific/Kiritimati"),
]


def new_york(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).astimezone(UTC)


@pytest.mark.parametrize(
    ("anchor", "delay", "days", "due"),
    [
        pytest.param("2026-11-17 14:20", Delay(0, "days"), WEEKDAYS, "2026-11-17 14:20", id="immediate"),
        pytest.param("2026-11-21 23:00", Delay(0, "days"), WEEKDAYS, "2026-11-21 23:00", id="immediate-on-a-saturday"),
        pytest.param("2026-11-17 08:00", Delay(1, "days"), EVERY_DAY, "2026-11-18 09:00", id="before-the-hour"),
        pytest.param("2026-11-17 14:20", Delay(1, "days"), EVERY_DAY, "2026-11-18 09:00", id="after-the-hour"),
        pytest.param("2026-11-17 23:59", Delay(1, "days"), EVERY_DAY, "2026-11-18 09:00", id="just-before-midnight"),
        pytest.param("2026-11-17 14:20", Delay(2, "hours"), EVERY_DAY, "2026-11-17 16:20", id="hours"),
        pytest.param("2026-11-18 09:00", Delay(3, "days"), WEEKDAYS, "2026-11-23 09:00", id="over-the-weekend"),
        pytest.param("2026-11-16 09:00", Delay(1, "days"), frozenset({0}), "2026-11-23 09:00", id="mondays-only"),
        pytest.param("2026-11-17 09:40", Delay(1, "days"), EVERY_DAY, "2026-11-18 09:00", id="the-one-before-was-late"),
        pytest.param("2026-11-20 23:00", Delay(2, "hours"), WEEKDAYS, "2026-11-21 01:00", id="hours-ignore-days"),
        pytest.param("2026-10-31 12:00", Delay(1, "days"), EVERY_DAY, "2026-11-01 09:00", id="clock-goes-back"),
    ],
)
def test_it_is_due_when_the_rules_say(anchor: str, delay: Delay, days: frozenset[int], due: str) -> None:
    schedule = Schedule(days, 9, "America/New_York")
    assert next_due(new_york(anchor), delay, schedule) == new_york(due)


def test_a_skipped_hour_means_the_first_instant_after_the_gap() -> None:
    schedule = Schedule(EVERY_DAY, 2, "America/New_York")
    assert next_due(new_york("2026-03-07 12:00"), Delay(1, "days"), schedule) == datetime(2026, 3, 8, 7, tzinfo=UTC)


def test_a_skipped_hour_inside_a_half_hour_gap_ends_with_the_gap() -> None:
    schedule = Schedule(EVERY_DAY, 2, "Australia/Lord_Howe")
    anchor = datetime(2026, 10, 3, 1, tzinfo=UTC)
    due = next_due(anchor, Delay(1, "days"), schedule)
    assert due.astimezone(ZoneInfo("Australia/Lord_Howe")).isoformat() == "2026-10-04T02:30:00+11:00"


def test_a_repeated_hour_means_its_first_occurrence() -> None:
    schedule = Schedule(EVERY_DAY, 1, "America/New_York")
    assert next_due(new_york("2026-10-31 12:00"), Delay(1, "days"), schedule) == datetime(2026, 11, 1, 5, tzinfo=UTC)


def test_hours_are_elapsed_hours_across_a_clock_change() -> None:
    anchor = new_york("2026-10-31 20:00")
    due = next_due(anchor, Delay(12, "hours"), Schedule(EVERY_DAY, 9, "America/New_York"))
    assert due.astimezone(NEW_YORK).hour == 7


def test_it_refuses_a_schedule_without_days() -> None:
    with pytest.raises(ScheduleError):
        next_due(datetime(2026, 11, 23, tzinfo=UTC), Delay(1, "days"), Schedule(frozenset(), 9, "UTC"))


def test_an_emails_own_days_replace_the_sequences() -> None:
    assert Schedule(WEEKDAYS, 9, "UTC").for_email([5]).send_days == {5}


def test_all_seven_own_days_mean_as_the_sequence() -> None:
    assert Schedule(WEEKDAYS, 9, "UTC").for_email(list(range(7))).send_days == WEEKDAYS


anchors = st.integers(1_100_000_000, 2_200_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
day_sets = st.frozensets(st.integers(0, 6), min_size=1)
schedules = st.builds(Schedule, day_sets, st.integers(0, 23), st.sampled_from(ZONES))
day_delays = st.builds(Delay, st.integers(1, 40), st.just("days"))
delays = day_delays | st.builds(Delay, st.integers(1, 500), st.just("hours")) | st.just(Delay(0, "days"))


@given(anchors, delays, schedules)
def test_due_is_never_before_the_anchor(anchor: datetime, delay: Delay, schedule: Schedule) -> None:
    assert next_due(anchor, delay, schedule) >= anchor


@given(anchors, day_delays, schedules)
def test_day_emails_fall_on_an_allowed_day_at_the_hour(anchor: datetime, delay: Delay, schedule: Schedule) -> None:
    zone = ZoneInfo(schedule.time_zone)
    local = next_due(anchor, delay, schedule).astimezone(zone)
    assert local.weekday() in schedule.send_days
    wall = local.replace(hour=schedule.send_hour, minute=0, second=0, microsecond=0)
    exists = wall.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == wall.replace(tzinfo=None)
    assert (local.hour, local.minute) == (schedule.send_hour, 0) or not exists
    assert local.fold == 0


@given(anchors, day_delays, schedules)
def test_it_is_the_first_allowed_day_that_far_away(anchor: datetime, delay: Delay, schedule: Schedule) -> None:
    zone = ZoneInfo(schedule.time_zone)
    first = anchor.astimezone(zone).date() + timedelta(days=delay.value)
    due_on = next_due(anchor, delay, schedule).astimezone(zone).date()
    passed_over = [first + timedelta(days=n) for n in range((due_on - first).days)]
    assert due_on >= first
    assert not any(day.weekday() in schedule.send_days for day in passed_over)


@given(anchors, st.timedeltas(timedelta(0), timedelta(days=60)), delays, schedules)
def test_a_later_anchor_never_gives_an_earlier_due(
    anchor: datetime, later: timedelta, delay: Delay, schedule: Schedule
) -> None:
    assert next_due(anchor, delay, schedule) <= next_due(anchor + later, delay, schedule)


@given(anchors, schedules)
def test_the_next_slot_is_not_past_and_within_eight_days(after: datetime, schedule: Schedule) -> None:
    assert after <= next_slot(after, schedule) <= after + timedelta(days=8)


@given(anchors, st.timedeltas(timedelta(0), timedelta(days=9)), delays, schedules)
def test_only_day_emails_late_by_more_than_six_hours_move(
    due: datetime, late: timedelta, delay: Delay, schedule: Schedule
) -> None:
    moved = due_when_late(due, due + late, delay, schedule)
    if delay.unit == "hours" or delay.value == 0 or late <= LATE_DAYS:
        assert moved == due
    else:
        assert moved == next_slot(due + late, schedule)
