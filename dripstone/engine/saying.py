"""Words for the answers people read: instants in a sequence's zone, titles, days, delays. Pure."""

from collections.abc import Collection, Iterable, Mapping
from datetime import date, datetime
from zoneinfo import ZoneInfo

from dripstone.engine import audience
from dripstone.engine.schedule import Delay

_DAYS = ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays")

_MEMBERSHIPS = {
    "tag": "they have the tag {}",
    "form": "they signed up through the form {}",
    "sequence": "they are or were in the sequence {}",
    "segment": "they are in the segment {}",
}


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


def exclusion(reason: str, names: Mapping[tuple[str, int], str]) -> str:
    """`they have the tag “VIP”, which this sequence excludes`; "" for any other reason."""
    source = audience.source_in(reason)
    if source is None:
        return ""
    kind, source_id = source
    name = names.get(source)
    called = title(name) if name else f"number {source_id}, which is gone now"
    return f"{_MEMBERSHIPS[kind].format(called)}, which this sequence excludes"
