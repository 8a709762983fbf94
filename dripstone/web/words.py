"""Schedules, delays and places as a person would say them. Pure: values in, text out."""

from collections.abc import Collection, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

DAY_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def schedule(send_days: Collection[int], send_hour: int, time_zone: str) -> str:
    """ "Monday to Friday around 9:00, New York time". send_days: 0 = Monday."""
    return f"{days(send_days)} around {send_hour}:00, {zone(time_zone)}"


def days(send_days: Collection[int]) -> str:
    """A set of weekdays: "Every day", "Monday to Friday", "Mondays", "Mondays, Wednesdays and Sundays"."""
    chosen = sorted(set(send_days))
    if len(chosen) == 7:
        return "Every day"
    if len(chosen) >= 3 and chosen[-1] - chosen[0] == len(chosen) - 1:
        return f"{DAY_NAMES[chosen[0]]} to {DAY_NAMES[chosen[-1]]}"
    return listed([f"{DAY_NAMES[day]}s" for day in chosen])


def delay(value: int, unit: str, own_days: Collection[int] | None, *, is_first: bool) -> str:
    """ "2 days after the one before, Mondays only". is_first: no published email stands before it."""
    if unit == "days" and value == 0:
        return "Right away"
    since = "after they join" if is_first else "after the one before"
    text = f"{value} {unit.rstrip('s') if value == 1 else unit} {since}"
    has_own_days = own_days is not None and len(set(own_days)) < 7
    return f"{text}, {days(own_days)} only" if own_days is not None and has_own_days else text


def zone(name: str) -> str:
    """ "America/New_York" → "New York time". Names without a place stay as they are."""
    if "/" not in name or name.startswith("Etc/"):
        return name
    return name.rpartition("/")[2].replace("_", " ") + " time"


def listed(items: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


def instant(at: datetime, time_zone: str) -> str:
    """ "23 Nov 2026, 09:00", as the wall clock of the zone shows it."""
    local = at.astimezone(ZoneInfo(time_zone))
    return f"{local.day} {local:%b %Y, %H:%M}"


def instant_in_full(at: datetime, time_zone: str) -> str:
    """ "Monday 23 November 2026, 09:00:12 EST": what hovering over a time tells."""
    local = at.astimezone(ZoneInfo(time_zone))
    return f"{local:%A} {local.day} {local:%B %Y, %H:%M:%S %Z}"


def masked(address: str) -> str:
    """ "bob@example.com" → "b•••@example.com": enough to know it is you, too little for somebody else."""
    name, _, domain = address.rpartition("@")
    return f"{name[:1]}•••@{domain}"
