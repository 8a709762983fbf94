"""Words for the answers people read: instants in a sequence's zone, titles, days, delays. Pure."""

from collections.abc import Collection, Iterable
from datetime import date, datetime
from zoneinfo import ZoneInfo

from dripstone.engine.schedule import Delay

_DAYS = ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays")


def moment(instant: datetime, zone: str) -> str:
    """`Monday, 30 November 2026 at 09:00 (Europe/Paris)`: the main instant of a sentence."""
    return f"{when(instant, zone)} ({zone})"


def when(instant: datetime, zone: str) -> str:
    """The same without the zone, for a sentence that has named it."""
    local = instant.astimezone(ZoneInfo(zone))
    return f"{day(local.date())} {local.year} at {local:%H:%M}"


def day(value: date) -> str:
    """`Monday, 30 November`."""
    return f"{value:%A}, {value.day} {value:%B}"


def title(subject: str) -> str:
    """In quotation marks, short enough for a sentence."""
    text = " ".join(subject.split())
    return f"“{text if len(text) <= 60 else text[:59] + '…'}”"


def weekdays(days: Collection[int]) -> str:
    """`on weekdays`, `on Mondays and Thursdays`."""
    if set(days) == {0, 1, 2, 3, 4}:
        return "on weekdays"
    if set(days) == {5, 6}:
        return "at weekends"
    return f"on {listed(_DAYS[number] for number in sorted(days))}"


def delay(value: Delay) -> str:
    """`2 days`, `1 hour`; `at once` has no length and is the caller's to say."""
    return count(value.value, value.unit.removesuffix("s"))


def count(number: int, noun: str, plural: str = "") -> str:
    """`1 person`, `1,200 people`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def listed(words: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def reply(text: str) -> str:
    """A mail server's words, or the engine's, quoted and kept short."""
    return title(text.rstrip(". ")) if len(text) <= 60 else f"“{' '.join(text.split())[:200]}”"
