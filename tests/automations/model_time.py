"""When a wait of an automation is over: as plainly as it can be said, from docs and not from the engine.

Hours elapse; days keep the wall clock; a wall clock that is skipped means the first instant after the gap, one that is
shown twice means its first time.
"""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
QUARTER = timedelta(minutes=15)  # all zones of today change on one


def at_wall(wall: datetime, zone: str) -> datetime:
    """The first instant at which a clock on the wall there shows this time or a later one, by looking at it again and
    again."""
    there = ZoneInfo(zone)
    instant = wall.replace(tzinfo=UTC) - timedelta(hours=16)
    while instant.astimezone(there).replace(tzinfo=None) < wall:
        instant += QUARTER
    if instant.astimezone(there).replace(tzinfo=None) > wall:  # it is in a gap, which ends on a quarter of an hour
        instant = instant.replace(minute=instant.minute // 15 * 15, second=0, microsecond=0)
    return instant


def on_day(day: date, hour: int, zone: str) -> datetime:
    return at_wall(datetime.combine(day, time(hour)), zone)


def local(instant: datetime, zone: str) -> datetime:
    """What the wall shows."""
    return instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def after(start: datetime, time_given: dict[str, int], zone: str) -> datetime:
    """`{"days": 2}` later."""
    ((unit, n),) = time_given.items()
    if unit in ("minutes", "hours"):
        return start + timedelta(**{unit: n})
    wall = local(start, zone) + timedelta(**{unit: n})
    found = at_wall(wall, zone)
    return max(found, start)


def next_slot(now: datetime, until: dict[str, Any], zone: str) -> datetime:
    """The next of these weekdays at that hour, strictly later."""
    today = local(now, zone).date()
    slots = (
        on_day(day, until["hour"], zone)
        for n in range(15)
        if WEEKDAYS[(day := today + timedelta(days=n)).weekday()] in until["weekdays"]
    )
    return next(slot for slot in slots if slot > now)


def date_in(text: str) -> date | None:
    """The day that a field holds; None: none that can be read."""
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        return None


def anniversary(day: date, year: int) -> date:
    """29 February is the 28th in other years."""
    return date(year, 3, 1) - timedelta(days=1) if (day.month, day.day) == (2, 29) else day.replace(year=year)
