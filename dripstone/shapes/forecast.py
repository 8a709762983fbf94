"""What will go out, per day and email."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import date, datetime
from zoneinfo import ZoneInfo

from typing_extensions import TypedDict

from dripstone import words
from dripstone.foresight.carrying import Sends
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
    sentence: str
    days: list[DaySends]
    total: int
    until: str
    people: int
    time_zone: str


def forecast(
    sends: Sends, emails: Iterable[SequenceEmail], *, until: datetime, people: int, is_paused: bool, time_zone: str
) -> ForecastShape:
    """Days on which something goes, in order; their dates are those of `time_zone`.

    emails     of all sequences asked for, in the order in which they are to stand within a day
    is_paused  none of them is active
    """
    by_date = _by_date(sends, ZoneInfo(time_zone))
    ordered = list(emails)
    days = [_day(name, by_date[name], ordered) for name in sorted(by_date)]
    return ForecastShape(
        sentence=_sentence(days, people, is_paused=is_paused),
        days=days,
        total=_total(days),
        until=instant(until),
        people=people,
        time_zone=time_zone,
    )


def _sentence(days: list[DaySends], people: int, *, is_paused: bool) -> str:
    """`17 emails to the 8 people inside, the first on Thursday, 26 November, the last on …`"""
    if days:
        first, last = (words.day(date.fromisoformat(day["date"])) for day in (days[0], days[-1]))
        when = f"the first on {first}, the last on {last}" if len(days) > 1 else f"all on {first}"
        inside = (
            f"the {words.count(people, 'person', 'people')} inside" if people else "people whom automations bring there"
        )
        return f"{words.count(_total(days), 'email')} to {inside}, {when}."
    if not people:
        return "Nothing goes out: nobody is inside."
    if is_paused:
        return "Nothing goes out while it is paused (inactive); everybody keeps their place."
    return "Nothing goes out within these days: nobody inside has a date in them. The health of a sequence says why."


def _total(days: list[DaySends]) -> int:
    return sum(day["sends"] for day in days)


def _by_date(sends: Sends, zone: ZoneInfo) -> dict[str, Counter[int]]:
    by_date: dict[str, Counter[int]] = defaultdict(Counter)
    for email_id, instants in sends.items():
        for at, number in instants.items():
            by_date[at.astimezone(zone).date().isoformat()][email_id] += number
    return by_date


def _day(name: str, counts: Counter[int], emails: list[SequenceEmail]) -> DaySends:
    rows = [EmailSends(email_id=one.pk, subject=one.subject, sends=counts[one.pk]) for one in emails if counts[one.pk]]
    return DaySends(date=name, sends=counts.total(), emails=rows)
