"""What will go out, per day and email."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime
from zoneinfo import ZoneInfo

from typing_extensions import TypedDict

from dripstone.engine.forecast import Sends
from dripstone.sequences.models import SequenceEmail
from dripstone.shapes.instants import instant


class EmailSends(TypedDict):
    email_id: int
    subject: str
    sends: int


class DaySends(TypedDict):
    date: str
    sends: int
    emails: list[EmailSends]


class ForecastShape(TypedDict):
    days: list[DaySends]
    total: int
    until: str
    people: int
    time_zone: str


def forecast(
    sends: Sends, emails: Iterable[SequenceEmail], *, until: datetime, people: int, time_zone: str
) -> ForecastShape:
    """Days on which something goes, in order; their dates are those of `time_zone`.

    emails   of all sequences asked for, in the order in which they are to stand within a day
    """
    by_date = _by_date(sends, ZoneInfo(time_zone))
    ordered = list(emails)
    days = [_day(date, by_date[date], ordered) for date in sorted(by_date)]
    return ForecastShape(
        days=days,
        total=sum(day["sends"] for day in days),
        until=instant(until),
        people=people,
        time_zone=time_zone,
    )


def _by_date(sends: Sends, zone: ZoneInfo) -> dict[str, Counter[int]]:
    by_date: dict[str, Counter[int]] = defaultdict(Counter)
    for email_id, instants in sends.items():
        for at, number in instants.items():
            by_date[at.astimezone(zone).date().isoformat()][email_id] += number
    return by_date


def _day(date: str, counts: Counter[int], emails: list[SequenceEmail]) -> DaySends:
    rows = [EmailSends(email_id=one.pk, subject=one.subject, sends=counts[one.pk]) for one in emails if counts[one.pk]]
    return DaySends(date=date, sends=counts.total(), emails=rows)
