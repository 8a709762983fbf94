"""When an email goes (R3): sequences and their emails, as plainly as they can be said. Part of reference.py."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)


@cache
def at_wall(day: date, hour: int, zone: str) -> datetime:
    """The first instant at which a clock on the wall shows this hour or a later one. Found by looking at the clock
    every quarter of an hour: all zones of today change on one."""
    instant = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(hours=hour - 16)
    wanted = datetime(day.year, day.month, day.day, hour, tzinfo=UTC).replace(tzinfo=None)
    while instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None) < wanted:
        instant += timedelta(minutes=15)
    return instant


@dataclass(eq=False)
class Email:
    subject: str
    position: int
    value: int
    unit: str
    days: list[int] | None
    published: bool
    deleted: bool = False
    published_at: datetime = LONG_AGO
    on_hold: bool = False
    released_at: datetime = LONG_AGO
    only_to: dict[str, Any] | None = None  # a condition as the API takes it, with tags alone (R21)

    @property
    def order(self) -> tuple[int, bool]:
        """A deleted email stands before the living one at its position."""
        return self.position, not self.deleted

    def goes(self) -> bool:
        """As far as it is up to the email itself."""
        return self.published and not self.on_hold and not self.deleted

    @property
    def by_day(self) -> bool:
        return self.unit == "days" and self.value > 0


@dataclass(eq=False)
class Course:
    """A sequence. `without`: people with one of these marks, ("tag", 1), are not sent to (R14)."""

    zone: str
    hour: int
    days: list[int]
    emails: list[Email] = field(default_factory=list)
    active: bool = True
    repeat: bool = False
    hold: bool = False
    without: list[tuple[str, int]] = field(default_factory=list)
    number: int = 0
    deleted: bool = False
    resumed_at: datetime = LONG_AGO
    is_edited: bool = False  # and nobody in it has been brought in line yet
    anew_at: datetime | None = None  # when new dates for them were last asked for
    hurried: list[tuple[Email, datetime]] = field(default_factory=list)  # emails whose wait was skipped, and when

    def slots(self, first: date, email: Email) -> Iterator[datetime]:
        """Every moment from a local date on at which this day-email may go."""
        allowed = self.days if email.days is None or len(email.days) == 7 else email.days
        for n in range(1000):
            day = first + timedelta(days=n)
            if day.weekday() in allowed:
                yield at_wall(day, self.hour, self.zone)

    def let_go_at(self, email: Email) -> datetime:
        """When what kept this email from going last ended: a pause of the sequence, or a hold of its own."""
        return max(self.resumed_at, email.released_at)

    def local_date(self, instant: datetime) -> date:
        return instant.astimezone(ZoneInfo(self.zone)).date()

    def due(self, email: Email, anchor: datetime) -> datetime:
        if email.unit == "hours":
            return anchor + timedelta(seconds=3600 * email.value)
        if email.value == 0:
            return anchor
        return next(self.slots(self.local_date(anchor) + timedelta(days=email.value), email))

    def next_slot(self, email: Email, now: datetime) -> datetime:
        return next(slot for slot in self.slots(self.local_date(now), email) if slot >= now)

    def live(self) -> list[Email]:
        return sorted((email for email in self.emails if not email.deleted), key=lambda email: email.position)
