"""When is the next email due? This is the one place that computes it, for scheduler, forecast and virtual clock.

Pure: plain values in, an instant out; nothing but the standard library. The rules are R3 and R4 of the design
(docs/reference/rules.md): days are calendar days in the sequence's zone, hours are elapsed hours, and a day-based email
goes when the wall clock there shows its hour.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

LATE_DAYS = timedelta(hours=6)  # R4: a day-email the engine missed by more than this waits for the next slot

Unit = Literal["days", "hours"]


class ScheduleError(ValueError):
    """A schedule without a single allowed day: nothing could ever be due."""


@dataclass(frozen=True, slots=True)
class Delay:
    value: int  # >= 0; zero only as days, for an immediate first email
    unit: Unit


@dataclass(frozen=True, slots=True)
class Schedule:
    send_days: frozenset[int]  # 0 = Monday; not empty
    send_hour: int  # 0..23, wall clock in time_zone
    time_zone: str  # IANA name

    def for_email(self, own_days: Collection[int] | None) -> "Schedule":
        """The schedule of one email: its own days replace the sequence's; None and all seven days mean "as the
        sequence" (docs/decisions/send-days.md)."""
        if own_days is None or len(set(own_days)) == 7:
            return self
        return Schedule(frozenset(own_days), self.send_hour, self.time_zone)


def next_due(anchor: datetime, delay: Delay, schedule: Schedule) -> datetime:
    """Earliest instant the email may go.

    anchor    aware UTC: the instant the email before it was sent or skipped, or of entry, or of confirmation
    schedule  already the email's own (Schedule.for_email)
    Returns aware UTC, never before anchor. Raises ScheduleError when send_days is empty.
    """
    if delay.unit == "hours":
        return anchor + timedelta(hours=delay.value)
    if delay.value == 0:
        return anchor
    return _first_slot(anchor.astimezone(ZoneInfo(schedule.time_zone)).date() + timedelta(days=delay.value), schedule)


def next_slot(after: datetime, schedule: Schedule) -> datetime:
    """The first allowed day and hour at or after an instant: where late day-emails go (R4)."""
    today = after.astimezone(ZoneInfo(schedule.time_zone)).date()
    slot = _first_slot(today, schedule)
    return slot if slot >= after else _first_slot(today + timedelta(days=1), schedule)


def due_when_late(due: datetime, now: datetime, delay: Delay, schedule: Schedule) -> datetime:
    """When an email goes whose due date has passed (R4): at that date, meaning right away, or at a new slot.

    Hours and immediate emails go right away however late; day-emails only within LATE_DAYS.
    """
    if not follows_schedule(delay) or now - due <= LATE_DAYS:
        return due
    return next_slot(now, schedule)


def follows_schedule(delay: Delay) -> bool:
    """Send days and hour apply to day-emails, but not to an immediate one."""
    return delay.unit == "days" and delay.value > 0


@lru_cache(maxsize=4096)  # a tick asks for the same few dates thousands of times
def _first_slot(day: date, schedule: Schedule) -> datetime:
    if not schedule.send_days:
        raise ScheduleError("a schedule needs at least one send day")
    while day.weekday() not in schedule.send_days:
        day += timedelta(days=1)
    return instant(datetime.combine(day, time(schedule.send_hour)), ZoneInfo(schedule.time_zone))


def instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """Wall clock to instant. A repeated hour means its first occurrence (fold=0); a skipped one the gap's end."""
    first = wall.replace(tzinfo=zone, fold=0)
    instant = first.astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == wall:
        return instant
    return _end_of_gap(wall.replace(tzinfo=zone, fold=1).astimezone(UTC), instant, zone)


def _end_of_gap(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The instant between the two at which the zone's offset changes, to the second."""
    offset = before.astimezone(zone).utcoffset()
    seconds = int((after - before).total_seconds())
    low, high = 0, seconds
    while high - low > 1:
        middle = (low + high) // 2
        if (before + timedelta(seconds=middle)).astimezone(zone).utcoffset() == offset:
            low = middle
        else:
            high = middle
    return before + timedelta(seconds=high)
