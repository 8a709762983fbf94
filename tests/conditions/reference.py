"""A second, simple reading of conditions: plain Python over one person, written from docs/reference/conditions.md.

It shares nothing with dripstone/conditions: a test compares the two on people and conditions that are made up.
"""

import math
import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from operator import ge, gt, le, lt
from typing import Any
from zoneinfo import ZoneInfo

Condition = dict[str, Any]
COMPARED = {"greater_than": gt, "greater_than_or_equal": ge, "less_than": lt, "less_than_or_equal": le}


@dataclass
class Place:
    """In a sequence. `sent`: email → when."""

    sequence: int
    status: str
    waits_for: int | None
    sent: dict[int, datetime] = field(default_factory=dict)


@dataclass
class Run:
    """Through an automation. `end`: None while they are inside, else whether it was completed or left."""

    automation: int
    end: str | None


@dataclass
class Bought:
    """A purchase: product → what its lines come to."""

    products: dict[int, Decimal]
    total: Decimal
    currency: str
    status: str
    at: datetime


@dataclass
class Person:
    address: str
    state: str
    created_at: datetime
    fields: dict[str, Any]
    tags: set[int]
    forms: dict[int, str | None]  # the first one first; → referrer
    places: list[Place]
    purchases: list[Bought] = field(default_factory=list)
    location: tuple[str, float, float] | None = None  # country, latitude, longitude
    runs: list[Run] = field(default_factory=list)


@dataclass
class World:
    now: datetime
    zone: ZoneInfo
    segments: dict[int, Condition]
    there: set[tuple[str, int]]  # things that have not been deleted

    @property
    def today(self) -> date:
        return self.now.astimezone(self.zone).date()

    def day(self, at: datetime) -> date:
        return at.astimezone(self.zone).date()


def meets(person: Person, condition: Condition, world: World) -> bool:
    return not is_broken(condition, world) and _holds(person, condition, world)


def is_broken(condition: Condition, world: World) -> bool:
    if "type" not in condition:
        inside = [condition["not"]] if "not" in condition else _parts(condition)
        return any(is_broken(one, world) for one in inside)
    kind, ids = condition["type"], condition.get("ids", [])
    if kind == "segments":
        return any(pk not in world.segments or is_broken(world.segments[pk], world) for pk in ids)
    if kind == "custom_field":
        return ("custom_field", condition["subscriber_custom_field_id"]) not in world.there
    if any((kind.removesuffix("s"), pk) not in world.there for pk in ids):
        return True
    if any(("email", pk) not in world.there for pk in condition.get("waiting_for", [])):
        return True
    if any(("product", pk) not in world.there for pk in condition.get("products", [])):
        return True
    return any(
        (part["type"].removesuffix("s"), pk) not in world.there
        for part in condition.get("any", [])
        for pk in part.get("ids", [])
    )


def _holds(person: Person, condition: Condition, world: World) -> bool:
    if "not" in condition:
        return not _holds(person, condition["not"], world)
    if "type" not in condition:
        answers = [_holds(person, one, world) for one in _parts(condition)]
        return all(answers) if "all" in condition else any(answers)
    answer: bool = globals()[f"_{condition['type']}"](person, condition, world)
    return answer


def _parts(group: Condition) -> list[Condition]:
    parts: list[Condition] = group["all"] if "all" in group else group["any"]
    return parts


def _several(condition: Condition, answers: list[bool]) -> bool:
    return all(answers) if condition.get("has") == "all" else any(answers)


def _tags(person: Person, condition: Condition, world: World) -> bool:
    return _several(condition, [pk in person.tags for pk in condition["ids"]])


def _forms(person: Person, condition: Condition, world: World) -> bool:
    return _several(condition, [pk in person.forms for pk in condition["ids"]])


def _segments(person: Person, condition: Condition, world: World) -> bool:
    return _several(condition, [_holds(person, world.segments[pk], world) for pk in condition["ids"]])


def _sequences(person: Person, condition: Condition, world: World) -> bool:
    statuses = {
        "inside": {"active", "unconfirmed"},
        "completed": {"completed"},
        "left": {"removed"},
        "ever": {"active", "unconfirmed", "completed", "removed"},
    }[condition["place"]]
    for place in person.places:
        if place.sequence in condition["ids"] and place.status in statuses:
            wanted = condition.get("waiting_for")
            if wanted is None or place.waits_for in wanted:
                return True
    return False


def _automations(person: Person, condition: Condition, world: World) -> bool:
    ends: dict[str, list[str | None]] = {
        "inside": [None],
        "completed": ["completed"],
        "left": ["left"],
        "ever": [None, "completed", "left"],
    }
    wanted = ends[condition["place"]]
    return any(run.automation in condition["ids"] and run.end in wanted for run in person.runs)


def _subscriber_state(person: Person, condition: Condition, world: World) -> bool:
    return person.state in condition["states"]


def _email_address(person: Person, condition: Condition, world: World) -> bool:
    value: str = condition["value"].strip().lower()
    if condition["comparison"] == "is":
        return person.address == value
    if condition["comparison"] == "contains":
        return value in person.address
    return person.address.endswith(value)


def _subscribed(person: Person, condition: Condition, world: World) -> bool:
    return _is_then(person.created_at, condition, world)


def _is_then(at: datetime, condition: Condition, world: World) -> bool:
    day = world.day(at)
    if condition.get("after") and not day > date.fromisoformat(condition["after"]):
        return False
    if condition.get("before") and not day < date.fromisoformat(condition["before"]):
        return False
    days = condition.get("within_days")
    return not days or at >= world.now.astimezone(world.zone) - timedelta(days=days)


def _attribution(person: Person, condition: Condition, world: World) -> bool:
    if not person.forms:
        return False
    form, referrer = next(iter(person.forms.items()))
    return any(
        form in part["ids"] if part["type"] == "forms" else _is_text(referrer, part) for part in condition["any"]
    )


def _is_text(text: str | None, part: Condition) -> bool:
    if text is None:
        return False
    if part["comparison"] == "has_value":
        return text != ""
    text, value = text.upper(), part["value"].strip().upper()
    answers: dict[str, bool] = {
        "is": text == value,
        "contains": value in text,
        "starts_with": text.startswith(value),
        "ends_with": text.endswith(value),
    }
    return answers[part["comparison"]]


def _sent(person: Person, condition: Condition, world: World) -> bool:
    n = 0
    for place in person.places:
        for email, at in place.sent.items():
            parts = condition.get("any")
            is_meant = parts is None or any(
                (email if part["type"] == "emails" else place.sequence) in part["ids"] for part in parts
            )
            n += is_meant and _is_then(at, condition, world)
    given = {name: condition[f"count_{name}"] for name in COMPARED if f"count_{name}" in condition}
    answers = [bool(COMPARED[name](n, number)) for name, number in given.items()]
    return all(answers) if answers else n > 0


def _purchases(person: Person, condition: Condition, world: World) -> bool:
    wanted, currency, n, total = condition.get("products"), condition.get("currency"), 0, Decimal(0)
    for one in person.purchases:
        if one.status.lower() in ("refunded", "pending") or not _is_then(one.at, condition, world):
            continue
        if currency is not None and one.currency != currency:
            continue
        if wanted is not None and not set(wanted) & set(one.products):
            continue
        n += 1
        total += one.total if wanted is None else sum(one.products.get(pk, Decimal(0)) for pk in set(wanted))
    answers = [
        bool(compared(number, condition[f"{of}_{name}"]))
        for of, number in (("count", n), ("total", total))
        for name, compared in COMPARED.items()
        if f"{of}_{name}" in condition
    ]
    return all(answers) if answers else n > 0


def _location(person: Person, condition: Condition, world: World) -> bool:
    if person.location is None:
        return False
    country, latitude, longitude = person.location
    if "countries" in condition:
        return country in condition["countries"]
    # The angle between two arrows from the middle of the earth.
    one, other = (_arrow(*place) for place in ((latitude, longitude), (condition["latitude"], condition["longitude"])))
    angle = math.acos(max(-1.0, min(1.0, sum(a * b for a, b in zip(one, other, strict=True)))))
    return bool(angle * 3958.7613 <= condition["radius"])


def _arrow(latitude: float, longitude: float) -> tuple[float, float, float]:
    up, round_ = math.radians(latitude), math.radians(longitude)
    return math.cos(up) * math.cos(round_), math.cos(up) * math.sin(round_), math.sin(up)


def _custom_field(person: Person, condition: Condition, world: World) -> bool:
    text = _text(person.fields.get(str(condition["subscriber_custom_field_id"])))
    comparison, value = condition["comparison"], str(condition.get("value", ""))
    if text is None:
        return False
    if comparison == "has_value":
        return text != ""
    if comparison == "is":
        return text == value
    if comparison == "contains":
        return capitals(value) in capitals(text)
    text = text.strip(" \t\r\n")
    if comparison in ("before", "after", "days_from_now"):
        day = _day(text, world)
        if day is None:
            return False
        if comparison == "days_from_now":
            return day == world.today + timedelta(days=int(value))
        return day < date.fromisoformat(value) if comparison == "before" else day > date.fromisoformat(value)
    if not re.fullmatch(r"[+-]?([0-9]{1,30}(\.[0-9]{0,30})?|\.[0-9]{1,30})", text):
        return False
    number, other = Decimal(text), Decimal(value)
    return {
        "greater_than": number > other,
        "greater_than_or_equal": number >= other,
        "less_than": number < other,
        "less_than_or_equal": number <= other,
    }[str(comparison)]


def _text(value: Any) -> str | None:
    """As PostgreSQL writes a value of JSON as text; values made by Dripstone are texts or null."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else str(value)


def capitals(text: str) -> str:
    """Letter by letter: ß has no capital of one letter, and stays."""
    return "".join(letter.upper() if len(letter.upper()) == 1 else letter for letter in text)


_WRITTEN = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?(Z|[+-]\d\d(?::?\d\d)?)?)?", re.ASCII
)


def _day(text: str, world: World) -> date | None:
    found = _WRITTEN.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, offset = found.groups()
    try:
        day_written = date(int(year), int(month), int(day))
        if hour is None:
            return day_written
        clock = (int(hour), int(minute), int(second or 0), int((fraction or "0").ljust(6, "0")))
        at = datetime(day_written.year, day_written.month, day_written.day, *clock)  # noqa: DTZ001
        return day_written if offset is None else world.day(at.replace(tzinfo=_zone(offset)))
    except OverflowError:  # the day before the first there is, or behind the last
        return day_written
    except ValueError:
        return None


def _zone(offset: str) -> timezone:
    if offset == "Z":
        return UTC
    hours, minutes = int(offset[1:3]), int(offset[3:].lstrip(":") or 0)
    if hours > 14 or minutes > 59:
        raise ValueError
    distance = timedelta(hours=hours, minutes=minutes)
    return timezone(-distance if offset[0] == "-" else distance)
