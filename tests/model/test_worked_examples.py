"""The model itself, against examples worked out by hand from the rules: a calendar and the zones' change dates."""

from datetime import UTC, date, datetime, timedelta

import pytest

from tests.model.reference import Course, Email, Person, Place, World
from tests.model.when import at_wall

FRIDAY = datetime(2026, 10, 30, 14, 20, tzinfo=UTC)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("day", "hour", "zone", "instant"),
    [
        (date(2026, 11, 2), 9, "UTC", "2026-11-02 09:00"),
        (date(2026, 10, 31), 9, "America/New_York", "2026-10-31 13:00"),  # summer time
        (date(2026, 11, 2), 9, "America/New_York", "2026-11-02 14:00"),  # winter time
        (date(2026, 3, 8), 2, "America/New_York", "2026-03-08 07:00"),  # skipped: 3 o'clock it is
        (date(2026, 11, 1), 1, "America/New_York", "2026-11-01 05:00"),  # twice: the first time
        (date(2026, 3, 29), 2, "Europe/Berlin", "2026-03-29 01:00"),
        (date(2026, 10, 25), 2, "Europe/Berlin", "2026-10-25 00:00"),
        (date(2026, 10, 31), 9, "Asia/Kathmandu", "2026-10-31 03:15"),
        (date(2026, 6, 1), 9, "Pacific/Chatham", "2026-05-31 20:15"),
        (date(2026, 9, 27), 2, "Pacific/Chatham", "2026-09-26 13:15"),
        (date(2026, 10, 4), 2, "Australia/Lord_Howe", "2026-10-03 15:30"),  # 2:00 to 2:30 does not exist
        (date(2026, 4, 5), 2, "Australia/Lord_Howe", "2026-04-04 15:30"),  # 1:30 to 2:00 comes twice; 2:00 once
    ],
)
def test_the_clock_on_the_wall(day: date, hour: int, zone: str, instant: str) -> None:
    assert at_wall(day, hour, zone) == utc(instant)


def a_world(*emails: Email, days: list[int] | None = None, hold: bool = False) -> tuple[World, Course, Place]:
    """One person, just in, in New York, where people are written to at nine."""
    world = World(FRIDAY, lambda place, delivery: timedelta(minutes=1))
    course = Course("America/New_York", 9, days or list(range(7)), list(emails), hold=hold)
    person = Person("rita@example.org", "active")
    world.courses.append(course)
    world.add(person, course, "api")
    world.settle()
    return world, course, world.places[0]


def welcome() -> Email:
    return Email("welcome", 0, 0, "days", None, published=True)


def later(position: int, value: int, unit: str = "days") -> Email:
    return Email(f"at {position}", position, value, unit, None, published=True)


def told(place: Place) -> list[tuple[str, str, datetime | None]]:
    return [(delivery.email.subject, delivery.status, delivery.ended_at) for delivery in place.deliveries]


def test_weekdays_only_over_a_clock_change() -> None:
    """Friday + 1 day is a Saturday: forward to Monday, in winter time by then."""
    world, _, place = a_world(welcome(), later(1, 1), days=[0, 1, 2, 3, 4])
    world.let_pass(FRIDAY + timedelta(days=7))
    assert told(place) == [("welcome", "sent", FRIDAY), ("at 1", "sent", utc("2026-11-02 14:00"))]
    assert place.status == "completed"


def test_hours_are_elapsed_hours() -> None:
    world, _, place = a_world(welcome(), later(1, 48, "hours"))
    world.let_pass(FRIDAY + timedelta(days=7))
    assert told(place)[1] == ("at 1", "sent", utc("2026-11-01 14:20"))


def test_inserted_behind_it_goes_right_away_and_then_where_they_were() -> None:
    world, course, place = a_world(welcome(), later(5, 6))
    world.let_pass(FRIDAY + timedelta(days=2))
    world.create_email(course, later(0, 1), 1)
    world.let_pass(FRIDAY + timedelta(days=20))
    assert told(place)[1:] == [
        ("at 0", "sent", utc("2026-11-01 14:20")),
        ("at 5", "sent", utc("2026-11-07 14:00")),  # six days after the one inserted
    ]


def test_a_deleted_email_is_skipped_when_it_would_have_gone() -> None:
    third = later(2, 2)
    world, course, place = a_world(welcome(), later(1, 3), third)
    world.delete_email(course, course.emails[1])
    world.let_pass(FRIDAY + timedelta(days=20))
    assert told(place)[1:] == [
        ("at 1", "skipped", utc("2026-11-02 14:00")),
        ("at 2", "sent", utc("2026-11-04 14:00")),
    ]


def test_an_email_added_at_the_end_stands_after_deleted_ones() -> None:
    """Its delay counts from the moment at which the deleted one would have gone."""
    world, course, place = a_world(welcome(), later(1, 3), later(2, 3))
    for email in course.emails[:0:-1]:
        world.delete_email(course, email)
    world.create_email(course, later(0, 1), None)
    world.let_pass(FRIDAY + timedelta(days=20))
    assert told(place)[1:] == [
        ("at 1", "skipped", utc("2026-11-02 14:00")),
        ("at 0", "sent", utc("2026-11-03 14:00")),
    ]


def test_a_person_paused_keeps_their_date_and_a_late_one_waits_for_its_slot() -> None:
    world, _, place = a_world(welcome(), later(1, 1), later(2, 1, "hours"))
    assert world.act("pause", place)
    world.let_pass(utc("2026-11-03 20:00"))
    assert world.act("resume", place)
    world.let_pass(utc("2026-11-10 20:00"))
    assert told(place)[1:] == [
        ("at 1", "sent", utc("2026-11-04 14:00")),
        ("at 2", "sent", utc("2026-11-04 15:00")),
    ]


def test_an_email_moved_past_one_they_had_counts_from_the_one_before_it() -> None:
    world, course, place = a_world(welcome(), later(1, 1), later(2, 3))
    world.let_pass(utc("2026-11-01 00:00"))
    world.move(course, course.emails[2], 1)
    world.let_pass(FRIDAY + timedelta(days=20))
    assert told(place)[2:] == [("at 2", "sent", utc("2026-11-02 14:00"))]


def test_after_a_pause_a_day_email_waits_for_its_slot() -> None:
    world, course, place = a_world(welcome(), later(1, 1))
    world.switch(course, active=False)
    world.let_pass(utc("2026-11-03 20:00"))
    world.switch(course, active=True)
    world.let_pass(utc("2026-11-10 20:00"))
    assert told(place)[1:] == [("at 1", "sent", utc("2026-11-04 14:00"))]


def test_a_zero_day_email_stays_the_first() -> None:
    world, course, _ = a_world(welcome(), later(1, 1))
    assert not world.move(course, course.emails[0], 4)
    assert not world.create_email(course, later(0, 1), 0)
    assert [email.position for email in course.emails] == [0, 1]
