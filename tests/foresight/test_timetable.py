"""The timetable of somebody who enters at an instant."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from dripstone.accounts.models import Account
from dripstone.foresight import timetable
from dripstone.sequences.models import Sequence
from tests.driving import Engine
from tests.factories import make_enrollment, make_sequence, make_subscriber

pytestmark = pytest.mark.django_db


def entry(wall: str, zone: str) -> datetime:
    return datetime.fromisoformat(wall).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def lines(sequence: Sequence, entered_at: datetime) -> list[tuple[str, str]]:
    """(subject, wall clock in the sequence's zone)"""
    zone = ZoneInfo(sequence.time_zone)
    found = timetable.of_entry(sequence, sequence.emails.all(), entered_at)
    return [(line.email.subject, f"{line.due.astimezone(zone):%a %Y-%m-%d %H:%M}") for line in found]


def test_each_delay_counts_from_the_email_before_it_and_the_hour_is_the_walls(alice: Account) -> None:
    sequence = make_sequence(
        alice,
        {"subject": "welcome", "delay_value": 0},
        {"subject": "two days on"},
        {"subject": "draft", "published": False},
        {"subject": "hours", "delay_value": 36, "delay_unit": "hours"},
        {"subject": "monday", "send_days": [0]},
        time_zone="America/New_York",
    )
    assert lines(sequence, entry("2026-10-30 14:20", "America/New_York")) == [
        ("welcome", "Fri 2026-10-30 14:20"),
        ("two days on", "Sat 2026-10-31 09:00"),
        ("hours", "Sun 2026-11-01 20:00"),  # the clock went back an hour that night
        ("monday", "Mon 2026-11-02 09:00"),
    ]


def test_it_is_what_a_new_person_then_gets(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(
        alice, {"subject": "a", "delay_value": 5, "delay_unit": "hours"}, {"subject": "b", "delay_value": 3}
    )
    someone, start = make_subscriber(alice), engine.clock.now()
    foretold = [(line.email.subject, line.due) for line in timetable.of_entry(sequence, sequence.emails.all(), start)]
    make_enrollment(sequence, someone, start)
    engine.run_until(start + timedelta(days=10))
    assert engine.sent(someone) == foretold


def test_the_rule_says_what_led_to_the_date(alice: Account) -> None:
    sequence = make_sequence(
        alice,
        {"delay_value": 0},
        {"delay_value": 1, "delay_unit": "hours"},
        {"delay_value": 2},
        {"delay_value": 1, "send_days": [0, 4]},
        time_zone="Europe/Paris",
    )
    found = timetable.of_entry(sequence, sequence.emails.all(), datetime(2026, 11, 23, 9, tzinfo=UTC))
    assert [line.rule for line in found] == [
        "at once after entry, whatever the day and hour",
        "1 hour after the email before it, any day, any hour",
        "2 days after the email before it, at 09:00 Europe/Paris",
        "1 day after the email before it, on the first Monday or Friday, at 09:00 Europe/Paris",
    ]


def test_a_sequence_of_drafts_has_no_timetable(alice: Account) -> None:
    assert lines(make_sequence(alice, {"published": False}), datetime(2026, 11, 23, tzinfo=UTC)) == []
