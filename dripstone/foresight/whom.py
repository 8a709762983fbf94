"""Who gets what within a span of time: the forecast of a day, hour by hour and person by person.

Takes       sequences, and a span of time
Leaves      nothing: it only reads
A crash here means there is no answer.

The forecast is a sum over crowds. Here each crowd is carried through the emails by itself, by the same code, so it is
known which crowds get an email in which hour, and the sums are those of the forecast. People of those crowds are then
looked up by the dates of their places, a few at a time, and each is asked about as a crowd of one: whoever is named
here is counted there, and the other way round.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from django.db import connection
from django.db.models import QuerySet

from dripstone.engine import queries
from dripstone.foresight import carrying, crowds, forecast, timetable, walkers
from dripstone.foresight.carrying import Sends, Stop
from dripstone.foresight.timetable import Itinerary
from dripstone.foresight.walkers import Way
from dripstone.sequences.models import Sequence

FIRST_LOOK, LARGEST_LOOK = 100, 5_000  # places that are asked about at once

# Purpose: places that may belong to some crowds: those with a date within a span of theirs (index enrollment_due), and
# those whose email is on its way (delivery_ready_of_account, delivery_leased).
_DATED = """
SELECT e.id FROM engine_enrollment e
WHERE e.sequence_id = %(sequence)s AND e.next_email_id = span.email_id
  AND e.due_at > span.begins AND e.due_at < span.ends
"""
_SPANS = """
unnest(%(emails)s::bigint[], %(begins)s::timestamptz[], %(ends)s::timestamptz[]) AS span (email_id, begins, ends)
"""
_FLYING = """
SELECT d.enrollment_id FROM engine_delivery d
WHERE d.account_id = %(account)s AND d.status = 'planned' AND d.email_id = ANY(%(flying)s::bigint[])
UNION ALL
SELECT d.enrollment_id FROM engine_delivery d
WHERE d.account_id = %(account)s AND d.status = 'sending' AND d.email_id = ANY(%(flying)s::bigint[])
"""
# Some by their dates: 0.1 ms, however many there are.
_SOME = f"""
(SELECT place.id FROM {_SPANS}
 CROSS JOIN LATERAL ({_DATED} ORDER BY e.due_at LIMIT (SELECT %(limit)s)) place LIMIT %(limit)s)
UNION ALL
({_FLYING} LIMIT %(limit)s)
"""  # noqa: S608
# The next ones by their ids: all with such a date are read, 0.5 µs each. The fence keeps the planner from walking the
# places of all sequences by id instead.
_BEHIND = f"""
SELECT id FROM (
    SELECT place.id FROM {_SPANS} CROSS JOIN LATERAL ({_DATED}) place
    UNION ALL
    {_FLYING} OFFSET 0) near (id)
WHERE id > %(after)s ORDER BY id LIMIT %(limit)s
"""  # noqa: S608

Hour = tuple[int, datetime]
"""An email, and the hour it goes in."""


@dataclass(frozen=True, slots=True)
class Span:
    """From `begins` on, before `ends`. Hours are those of `zone`."""

    now: datetime
    begins: datetime
    ends: datetime
    zone: ZoneInfo

    def hour(self, at: datetime) -> datetime | None:
        """The hour it goes in; None: it does not go within the span."""
        if not self.begins <= at < self.ends:
            return None
        return at.astimezone(self.zone).replace(minute=0, second=0, microsecond=0)


def day(value: date, now: datetime, time_zone: str) -> Span:
    """What is left of it."""
    zone = ZoneInfo(time_zone)
    begins, ends = (datetime.combine(value + timedelta(days=days), time(0), zone) for days in (0, 1))
    return Span(now, max(begins, now), ends, zone)


class Going(NamedTuple):
    """An email that some people get within an hour.

    n_people   with n_coming, whom automations bring into the sequence until then: they have no place there yet, so they
               are counted here, and not named
    """

    sequence: Sequence
    email_id: int
    hour: datetime
    first_at: datetime
    is_sharp: bool  # all of it at the full hour
    n_people: int
    stops: list[Stop]  # the crowds that get it, where they are now
    n_coming: int = 0

    @property
    def key(self) -> Hour:
        return self.email_id, self.hour


def gets(sequences: QuerySet[Sequence], span: Span) -> list[Going]:
    """Every email that goes within the span, by hour, in order of time."""
    ways = walkers.ways(sequences)
    rows = forecast.with_mail(sequences, span.ends, ways)
    going = [one for sequence in rows for one in _of(sequence, span, ways.get(sequence.pk, ()))]
    return sorted(going, key=lambda one: (one.hour, one.first_at, one.sequence.pk, one.email_id))


def _of(sequence: Sequence, span: Span, ways: Collection[Way]) -> Iterator[Going]:
    if not sequence.active or sequence.deleted_at is not None:
        return
    itinerary = timetable.itinerary(sequence, sequence.emails.all())
    counts: dict[Hour, Counter[datetime]] = defaultdict(Counter)
    stops: dict[Hour, list[Stop]] = defaultdict(list)
    for stop in carrying.stops(sequence, itinerary, span.now, span.ends):
        for key, instants in _sends(itinerary, stop, span).items():
            counts[key] += instants
            stops[key].append(stop)
    coming = _coming(sequence, itinerary, span, ways)
    for key, instants in coming.items():
        counts[key] += instants
    for key, instants in counts.items():
        is_sharp = all(at.minute == at.second == 0 for at in instants)
        n_coming = coming[key].total() if key in coming else 0
        yield Going(sequence, *key, min(instants), is_sharp, instants.total(), stops[key], n_coming)


def _sends(itinerary: Itinerary, stop: Stop, span: Span) -> dict[Hour, Counter[datetime]]:
    """What one crowd gets within the span."""
    if stop.at >= span.ends:
        return {}
    return _by_hour(carrying.of_stops(itinerary, [stop], span.ends), span)


def _coming(
    sequence: Sequence, itinerary: Itinerary, span: Span, ways: Collection[Way]
) -> dict[Hour, Counter[datetime]]:
    """What those get within the span who are not inside yet."""
    coming = walkers.into(sequence, itinerary, ways, span.now, span.ends)
    return _by_hour(carrying.of_stops(itinerary, [], span.ends, coming), span)


def _by_hour(sends: Sends, span: Span) -> dict[Hour, Counter[datetime]]:
    found: dict[Hour, Counter[datetime]] = defaultdict(Counter)
    for email_id, instants in sends.items():
        for at, n_people in instants.items():
            if (hour := span.hour(at)) is not None:
                found[email_id, hour][at] += n_people
    return found


# --- Names --------------------------------------------------------------------------------------------------------


def some_of_each(going: Iterable[Going], span: Span, n: int) -> dict[Hour, list[int]]:
    """The first few of those who get each, by the ids of their places. Whoever stands for a crowd is one of them; where
    there are fewer crowds, others are looked for."""
    return {one.key: _some_of(one, span, n) for one in going}


def _some_of(one: Going, span: Span, n: int) -> list[int]:
    some = sorted({stop.crowd.enrollment_id for stop in one.stops})[:n]
    if len(some) == min(n, one.n_people - one.n_coming):
        return some
    near, asked = _near(_SOME, [one], 0, 3 * n), _Asked(one.sequence, span)
    asked.about(near)
    more = [place_id for place_id in near if one.key in asked.sends[place_id] and place_id not in some]
    return [*some, *more][:n]


def people(going: Collection[Going], span: Span, limit: int, after: int = 0) -> list[int]:
    """Those who get one email of a sequence, all of `going` being of that email: `limit` of them behind the place
    `after`, by the ids of their places. None while an edit is being followed."""
    return list(_walk(_Asked(next(iter(going)).sequence, span), going, after, limit)) if going else []


def _walk(asked: "_Asked", going: Collection[Going], after: int, limit: int) -> list[int]:
    """Looks at more places each time: where many are excluded, or had emails out of order, few of them count."""
    keys, look, found = {one.key for one in going}, max(FIRST_LOOK, limit), list[int]()
    while len(found) < limit and (ids := _near(_BEHIND, going, after, look)):
        asked.about(ids)
        found += [place_id for place_id in ids if not keys.isdisjoint(asked.sends[place_id])]
        after, look = ids[-1], min(4 * look, LARGEST_LOOK)
    return found[:limit]


class _Asked:
    """What single people of a sequence get within the span."""

    def __init__(self, sequence: Sequence, span: Span) -> None:
        self.sends: dict[int, set[Hour]] = {}
        self._sequence, self._span = sequence, span
        self._itinerary = timetable.itinerary(sequence, sequence.emails.all())

    def about(self, place_ids: Iterable[int]) -> None:
        new = [place_id for place_id in place_ids if place_id not in self.sends]
        self.sends |= {place_id: set() for place_id in new}
        span = self._span
        asked = self._sequence, self._itinerary, span.now, span.ends, new
        for stop in carrying.stops(*asked, each=True) if new else ():
            self.sends[stop.crowd.enrollment_id] |= set(_sends(self._itinerary, stop, span))


def _near(statement: str, going: Collection[Going], after: int, limit: int) -> list[int]:
    """Places that may be among those who get it; some are not."""
    sequence = next(iter(going)).sequence
    if sequence.edits != sequence.edits_done:
        return []
    stops = [stop for one in going for stop in one.stops]
    spans = list(_spans(stops))
    parameters: dict[str, Any] = {
        "account": sequence.account_id,
        "sequence": sequence.pk,
        "emails": queries.ids(email_id for email_id, _, _ in spans),
        "begins": [begins for _, begins, _ in spans],
        "ends": [ends for _, _, ends in spans],
        "flying": queries.ids({stop.email.pk for stop in stops if stop.crowd.in_flight}),
        "after": after,
        "limit": limit,
    }
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return [place_id for (place_id,) in cursor.fetchall()]


def _spans(stops: Iterable[Stop]) -> Iterator[tuple[int, datetime, datetime]]:
    """The email waited for, and between which instants its date lies: nobody in a crowd is further than a quarter of an
    hour from whoever stands for it. Spans that touch become one."""
    dates = {(stop.email.pk, stop.crowd.at) for stop in stops if not stop.crowd.in_flight and stop.crowd.at is not None}
    span: tuple[int, datetime, datetime] | None = None
    for email_id, at in sorted(dates):
        if span is not None and span[0] == email_id and at - crowds.QUARTER <= span[2]:
            span = email_id, span[1], at + crowds.QUARTER
            continue
        if span is not None:
            yield span
        span = email_id, at - crowds.QUARTER, at + crowds.QUARTER
    if span is not None:
        yield span
