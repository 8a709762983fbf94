"""When a wait in an automation is over. Pure. The rules for clock changes are R3's (engine/schedule.py).

Minutes and hours elapse; days and weeks keep the time on the wall of the account's zone.
"""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from dripstone.engine import schedule
from dripstone.engine.schedule import Schedule
from dripstone.grammar import Condition, kinds
from dripstone.triggers import dates
from dripstone.words import WEEKDAYS

AN_HOUR: Final = timedelta(hours=1)  # between two looks at what no event tells (A7)
_MOMENT = timedelta(microseconds=1)


def after(start: datetime, span: Mapping[str, int], zone: ZoneInfo) -> datetime:
    """`for` and `within`: {"days": 3}."""
    days = span.get("days", 0) + 7 * span.get("weeks", 0)
    if days:
        wall = start.astimezone(zone).replace(tzinfo=None)
        start = schedule.instant(wall + timedelta(days=days), zone)
    return start + timedelta(hours=span.get("hours", 0), minutes=span.get("minutes", 0))


def field_of(settings: Mapping[str, Any]) -> int | None:
    """Of a wait for the date in a field, the field."""
    found: int | None = (settings.get("until") or {}).get("custom_field_id")
    return found


def is_for_weekday(settings: Mapping[str, Any]) -> bool:
    return "weekdays" in (settings.get("until") or {})


def end_of_wait(
    settings: Mapping[str, Any], start: datetime, zone: ZoneInfo, day: date | None = None
) -> datetime | None:
    """settings   of the node
    start   when it begins
    day     of a wait for the date in a field, that date; None: it has none
    Returns the instant, which may be over; None: there is none.
    """
    if "for" in settings:
        return after(start, settings["for"], zone)
    until = settings["until"]
    if "at" in until:
        return datetime.fromisoformat(until["at"])
    if "weekdays" in until:
        days = frozenset(WEEKDAYS.index(one) for one in until["weekdays"])
        return schedule.next_slot(start + _MOMENT, Schedule(days, until["hour"], zone.key))  # strictly later
    return None if day is None else dates.instant_of(day, until["days"], until["hour"], zone.key)


def is_told_by_events(condition: Condition) -> bool:
    """Whether it can change by nothing but what events tell. condition: expanded, without segments."""
    if "not" in condition:
        return is_told_by_events(condition["not"])
    if "type" in condition:
        return _is_told(condition)
    return all(is_told_by_events(part) for part in condition["all" if "all" in condition else "any"])


def _is_told(leaf: Condition) -> bool:
    match leaf["type"]:
        case kinds.TAGS | kinds.FORMS | kinds.STATE | kinds.AUTOMATIONS:
            return True
        case kinds.SEQUENCES:
            return not leaf.get("waiting_for")
        case kinds.FIELD:
            return bool(leaf["comparison"] != "days_from_now")
        case kinds.PURCHASES | kinds.SUBSCRIBED:
            return leaf.get("within_days") is None
    return False
