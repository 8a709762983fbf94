"""A course of eight emails in New York across the November clock change: every send instant is computed again here,
by other means than the engine's, and compared."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from dripstone.accounts.models import Account
from dripstone.engine import enroll
from dripstone.engine.models import Delivery, Enrollment
from tests.driving import Engine
from tests.factories import make_account, make_sequence, make_subscriber

NEW_YORK = ZoneInfo("America/New_York")
WEEKDAYS = [0, 1, 2, 3, 4]
COURSE = [
    {"subject": "immediate", "delay_value": 0},
    {"subject": "2 hours", "delay_value": 2, "delay_unit": "hours"},
    {"subject": "draft in the middle", "published": False},
    {"subject": "1 day", "delay_value": 1},
    {"subject": "weekdays", "delay_value": 3, "send_days": WEEKDAYS},
    {"subject": "monday", "delay_value": 1, "send_days": [0]},
    {"subject": "30 hours", "delay_value": 30, "delay_unit": "hours"},
    {"subject": "draft at the end", "published": False},
]


def utc_of(day: date) -> datetime:
    """9:00 in New York on a day of autumn 2026, from the law instead of the time zone database: summer time (UTC-4)
    ends on the first Sunday of November, 1 November 2026."""
    return datetime(day.year, day.month, day.day, 13 if day < date(2026, 11, 1) else 14, tzinfo=UTC)


def new_york_date(instant: datetime) -> date:
    offset = 4 if instant < datetime(2026, 11, 1, 6, tzinfo=UTC) else 5
    return (instant - timedelta(hours=offset)).date()


def first_of(day: date, allowed: list[int]) -> date:
    return day if day.weekday() in allowed else first_of(day + timedelta(days=1), allowed)


def expected(entered: datetime) -> list[tuple[str, datetime]]:
    after_two_hours = entered + timedelta(hours=2)
    next_day = utc_of(new_york_date(after_two_hours) + timedelta(days=1))
    weekday = utc_of(first_of(new_york_date(next_day) + timedelta(days=3), WEEKDAYS))
    monday = utc_of(first_of(new_york_date(weekday) + timedelta(days=1), [0]))
    return [
        ("immediate", entered),
        ("2 hours", after_two_hours),
        ("1 day", next_day),
        ("weekdays", weekday),
        ("monday", monday),
        ("30 hours", monday + timedelta(hours=30)),
    ]


@pytest.mark.django_db
def test_every_send_instant_is_the_one_an_independent_calculation_gives(engine: Engine) -> None:
    account: Account = make_account(time_zone="America/New_York")
    sequence = make_sequence(account, *COURSE)
    start = datetime(2026, 10, 28, 4, tzinfo=UTC)
    entries = [start + timedelta(minutes=61 * number) for number in range(200)]  # eight days, all hours
    people = [make_subscriber(account) for _ in entries]
    engine.clock.set(start)
    for person, entered in zip(people, entries, strict=True):
        engine.run_until(entered)
        enroll.add(sequence, [person.pk], "api", entered)
    engine.run_until(datetime(2026, 12, 1, tzinfo=UTC))

    for person, entered in zip(people, entries, strict=True):
        assert engine.sent(person) == expected(entered)
    assert set(Enrollment.objects.values_list("status", flat=True)) == {"completed"}
    assert Delivery.objects.count() == 6 * len(people)


@pytest.mark.django_db
def test_thirty_days_pass_in_order(engine: Engine) -> None:
    """Each thing at its own instant: what was sent later never has an earlier stamp."""
    account = make_account()
    sequence = make_sequence(account, {"delay_value": 0}, *[{"delay_value": n % 3 + 1} for n in range(12)])
    for _ in range(5):
        enroll.add(sequence, [make_subscriber(account).pk], "api", engine.clock.now())
    engine.run_until(engine.clock.now() + timedelta(days=30))
    stamps = [row.sent_at for row in Delivery.objects.order_by("pk") if row.sent_at]
    assert stamps == sorted(stamps)
    assert len(stamps) == 65
