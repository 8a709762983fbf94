"""What will go out to the people who are inside a sequence, if nothing is edited and nobody comes or goes.

Takes       a sequence, an instant, and how far to look
Leaves      nothing: it only reads
A crash here means there is no answer.

People are grouped in SQL by their next email and its date, to the quarter of an hour, and then carried through the
emails in order of position as counters {instant: people}: the cost follows the emails and the days, not the list. Who
had emails out of order (one was inserted behind them, somebody moved them) is grouped by that history and followed
hop by hop until they are back in line. All dates come from the engine's own functions (timetable.Course).

While an edit waits to be followed up, everybody is first put where reevaluate.py will put them: seconds instead of
tenths of one for 100,000 people. See docs/decisions/forecast.md.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import F, QuerySet

from dripstone.engine import advance, audience, reevaluate, schedule, timetable
from dripstone.engine.models import Delivery, Enrollment
from dripstone.engine.timetable import Course
from dripstone.sequences.models import Sequence, SequenceEmail

Sends = dict[int, Counter[datetime]]
"""Email id → instant (some instant of the right quarter of an hour) → messages."""

BATCH = 10_000  # people at a time, while an edit is followed up


class Group(NamedTuple):
    """People who will fare alike. A row of _GROUPS."""

    email_id: int  # what they wait for
    at: datetime  # its date; or when it is tried, for what is planned already
    in_flight: bool
    sent: bool  # False: it is skipped
    excluded: bool  # as of now, and taken to stay so; only who is in flight, for the others are left out
    in_line: bool  # they had what stands before it and nothing behind: the rest follows in order of position
    had: list[int]  # out of line: emails they had; when each ended (never before their entry); if `below_had`, only
    ended: list[datetime | None]  # those not below their next email, since of the others none is missing
    below_had: bool
    anchored_at: datetime | None  # out of line, not `below_had`: what a first email counts from
    n_people: int


# In one statement, so that everybody is seen at the same moment. The counting of what people had reads the index
# delivery_once alone. A quarter of an hour is exact: every zone's midnight and every clock change falls on one, and
# delays are whole hours. Each is cut in two where `until` lies in its own, so that no group has people on both sides.
_GROUPS = """
WITH email AS MATERIALIZED (
    SELECT c.id,
           ARRAY(SELECT m.id FROM sequences_sequenceemail m
                 WHERE m.sequence_id = c.sequence_id AND m.position >= c.position) AS rest,
           ARRAY(SELECT m.id FROM sequences_sequenceemail m
                 WHERE m.sequence_id = c.sequence_id AND m.position < c.position
                   AND m.published AND m.deleted_at IS NULL) AS below,
           EXISTS (SELECT 1 FROM sequences_sequenceemail m
                   WHERE m.sequence_id = c.sequence_id AND m.position = c.position AND m.id <> c.id) AS shares_position
    FROM sequences_sequenceemail c WHERE c.sequence_id = %(sequence)s),
place AS ({places}),
person AS MATERIALIZED (
    SELECT p.*, c.rest, n.n_below = cardinality(c.below) AND NOT c.shares_position AS below_had,
           n.n_below = cardinality(c.below) AND NOT c.shares_position AND n.n_rest = 0 AS in_line
    FROM place p
    JOIN email c ON c.id = p.email_id
    CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE d.email_id = ANY(c.below)) AS n_below,
               count(*) FILTER (WHERE d.email_id = ANY(c.rest)
                                  AND NOT (p.in_flight AND d.email_id = p.email_id)) AS n_rest
        FROM engine_delivery d WHERE d.enrollment_id = p.id AND d.run = p.run) n),
history AS (
    SELECT p.id, array_agg(d.email_id ORDER BY d.email_id) AS had,
           array_agg(CASE WHEN d.ended_at IS NOT NULL THEN GREATEST(d.ended_at, p.anchored_at) END
                     ORDER BY d.email_id) AS ended
    FROM person p JOIN engine_delivery d ON d.enrollment_id = p.id AND d.run = p.run
    WHERE NOT p.in_line AND (NOT p.below_had OR d.email_id = ANY(p.rest))
      AND NOT (p.in_flight AND d.email_id = p.email_id)
    GROUP BY p.id)
SELECT email_id, min(at), in_flight, sent, excluded, true, '{{}}'::bigint[], '{{}}'::timestamptz[], true,
       NULL::timestamptz, count(*)
FROM person WHERE in_line AND at <= %(until)s
GROUP BY email_id, in_flight, sent, excluded,
         CASE WHEN at < %(late)s THEN '-infinity' WHEN at <= %(now)s THEN %(now)s
              ELSE date_bin('15 minutes', at, '2000-01-01 00:00Z') END,
         CASE WHEN at > %(now)s THEN date_bin('15 minutes', at, %(until)s + interval '1 microsecond') END
UNION ALL
SELECT p.email_id, min(p.at), p.in_flight, p.sent, p.excluded, false, COALESCE(h.had, '{{}}'),
       COALESCE(h.ended, '{{}}'), p.below_had, CASE WHEN NOT p.below_had THEN p.anchored_at END, count(*)
FROM person p LEFT JOIN history h ON h.id = p.id
WHERE NOT p.in_line AND p.at <= %(until)s
GROUP BY p.email_id, p.in_flight, p.sent, p.excluded, h.had, h.ended, p.below_had, 10,
         CASE WHEN p.at < %(late)s THEN '-infinity' WHEN p.at <= %(now)s THEN %(now)s ELSE p.at END
"""

# Where people stand.
_PLACES = """
SELECT e.id, e.run, e.anchored_at, e.next_email_id AS email_id, e.in_flight, true AS sent,
       e.in_flight AND {excluded} AS excluded,
       CASE WHEN NOT e.in_flight THEN e.due_at
            ELSE (SELECT GREATEST(f.ready_at, %(now)s) FROM engine_delivery f
                  WHERE f.enrollment_id = e.id AND f.run = e.run AND f.email_id = e.next_email_id) END AS at
FROM engine_enrollment e
WHERE e.sequence_id = %(sequence)s AND e.status = 'active' AND e.paused_at IS NULL
  AND (e.in_flight OR (e.due_at <= %(until)s AND NOT {excluded}))
"""

# Where some of them are about to stand.
_PLACES_AHEAD = """
SELECT e.id, e.run, e.anchored_at, u.email_id, e.in_flight, u.sent, e.in_flight AND {excluded} AS excluded, u.at
FROM unnest(%(enrollments)s::bigint[], %(emails)s::bigint[], %(ats)s::timestamptz[], %(sent)s::boolean[])
     AS u (id, email_id, at, sent)
JOIN engine_enrollment e ON e.id = u.id
WHERE e.in_flight OR NOT {excluded}
"""


def of_sequence(sequence: Sequence, now: datetime, until: datetime) -> Sends:
    """Messages per email and instant, from `now` up to and including `until` (both aware)."""
    if not sequence.active or sequence.deleted_at is not None:
        return {}
    course = timetable.course(sequence, sequence.emails.all())
    ahead = _Ahead(course, now, until)
    is_in_line = sequence.edits == sequence.edits_done
    for group in _groups(sequence, now, until) if is_in_line else _groups_after_edit(sequence, course, now, until):
        ahead.start(group)
    ahead.carry()
    return ahead.sends


def people(sequences: QuerySet[Sequence]) -> int:
    """How many are inside any of them."""
    inside = Enrollment.objects.filter(sequence__in=sequences, status=Enrollment.Status.ACTIVE)
    return inside.values("subscriber_id").distinct().count()


def _groups(sequence: Sequence, now: datetime, until: datetime) -> Iterator[Group]:
    yield from _grouped(sequence, now, until, _PLACES, {})


def _grouped(
    sequence: Sequence, now: datetime, until: datetime, places: str, parameters: dict[str, Any]
) -> Iterator[Group]:
    statement = _GROUPS.format(places=places.format(excluded=_excluded_sql(sequence)))
    parameters |= {"sequence": sequence.pk, "now": now, "until": until, "late": now - schedule.LATE_DAYS}
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        yield from (Group(*row) for row in cursor)


def _excluded_sql(sequence: Sequence) -> str:
    """R14 as an SQL expression over `e`; its percent signs doubled, since the statement has parameters of its own."""
    if not sequence.exclude_subscriber_sources:
        return "false"
    try:
        statement, values = audience.outsiders(sequence).values("pk").query.sql_with_params()
    except EmptyResultSet:
        return "false"
    with connection.cursor() as cursor:
        sql: str = cursor.mogrify(statement, values)
    return f"e.subscriber_id IN ({sql})".replace("%", "%%")


@dataclass(slots=True)
class _Ahead:
    """The run through the emails."""

    course: Course
    now: datetime
    until: datetime
    sends: Sends = field(default_factory=lambda: defaultdict(Counter))
    arrivals: Sends = field(default_factory=lambda: defaultdict(Counter))  # dates of emails, people who have them

    def start(self, group: Group) -> None:
        """Everybody's next email, at its own date or, found late, at what planning makes of it (R4)."""
        at, email = group.at, self.course.emails[group.email_id]
        if not group.in_flight:
            at = self.course.due_when_late(group.email_id, at, self.now)
            group = group._replace(sent=email.deleted_at is None)  # R9: a deleted one is skipped
        at = max(at, self.now)
        if group.excluded:
            self._count(email, at, group.n_people)
        elif group.in_line:
            self._leave(email, at, group.n_people, sent=group.sent)
        else:
            self._back_in_line(group, email, at)

    def carry(self) -> None:
        """From the first email to the last. Whoever has got one arrives at the next; equal instants become one."""
        for email in self.course.live:
            for at, n_people in self.arrivals.pop(email.pk, Counter()).items():
                self._leave(email, at, n_people, sent=True)

    def _leave(self, email: SequenceEmail, at: datetime, n_people: int, *, sent: bool) -> None:
        self._count(email, at, n_people if sent else 0)
        following = self.course.after[email.pk]
        if following is not None and at <= self.until:
            self.arrivals[following.pk][self.course.due(following, at, at, at)] += n_people

    def _count(self, email: SequenceEmail, at: datetime, n_people: int) -> None:
        if n_people and at <= self.until:
            self.sends[email.pk][at] += n_people

    def _back_in_line(self, group: Group, email: SequenceEmail, at: datetime) -> None:
        """Follow people who had emails out of order until all they had stands before what comes next."""
        emails = self.course.emails
        ended = dict(zip(group.had, group.ended, strict=True))
        passed = set(ended)
        if group.below_had:
            passed |= {one.pk for one in self.course.live if one.position < email.position}
        sent = group.sent
        while at <= self.until:
            if email.pk not in passed:  # planning writes no second delivery of an email (delivery_once)
                self._count(email, at, group.n_people if sent else 0)
                passed.add(email.pk)
                ended[email.pk] = at
            following = next((one for one in self.course.live if one.pk not in passed), None)
            if following is None:
                return
            due = self.course.due(following, self._anchor(following, ended, group), _latest(ended.values()), at)
            if all(emails[pk].position < following.position for pk in passed):
                self.arrivals[following.pk][due] += group.n_people
                return
            email, at, sent = following, due, True

    def _anchor(self, email: SequenceEmail, ended: dict[int, datetime | None], group: Group) -> datetime:
        """R2, as queries.NEXT_EMAILS has it: the end of the closest lower-position email, never before entry."""
        positions = ((self.course.emails[pk].position, end) for pk, end in ended.items() if end is not None)
        lower = max((one for one in positions if one[0] < email.position), default=None)
        return _latest([group.anchored_at, lower[1] if lower else None])


def _latest(instants: Iterable[datetime | None]) -> datetime:
    return max(instant for instant in instants if instant is not None)


# --- While an edit waits to be followed up ----------------------------------------------------------------------


class _PlaceAhead(NamedTuple):
    enrollment_id: int
    email_id: int
    at: datetime
    sent: bool


def _groups_after_edit(sequence: Sequence, course: Course, now: datetime, until: datetime) -> Iterator[Group]:
    """Everybody where reevaluate.py is about to put them."""
    inside = Enrollment.objects.filter(sequence=sequence, status=Enrollment.Status.ACTIVE, paused_at=None)
    last = 0
    while rows := list(inside.filter(pk__gt=last).order_by("pk").values_list("pk", "in_flight")[:BATCH]):
        last = rows[-1][0]
        places = _waiting([pk for pk, in_flight in rows if not in_flight], sequence, now)
        places += _flying([pk for pk, in_flight in rows if in_flight], sequence, course, now)
        columns = {
            "enrollments": [place.enrollment_id for place in places],
            "emails": [place.email_id for place in places],
            "ats": [place.at for place in places],
            "sent": [place.sent for place in places],
        }
        yield from _grouped(sequence, now, until, _PLACES_AHEAD, columns)


def _waiting(ids: list[int], sequence: Sequence, now: datetime) -> list[_PlaceAhead]:
    edit = reevaluate.edit_to_follow(sequence.pk)
    as_of = edit and edit.rescheduled_at
    places = [
        reevaluate.place_after_edit(standing, as_of or now, reschedules=as_of is not None)
        for standing in advance.standings_of(ids)
    ]
    return [
        _PlaceAhead(place.enrollment_id, place.next_email_id, place.due_at, True)
        for place in places
        if place.next_email_id is not None and place.due_at is not None
    ]


def _flying(ids: list[int], sequence: Sequence, course: Course, now: datetime) -> list[_PlaceAhead]:
    """What is planned already, as reevaluate.unpark will leave it; what is on the wire goes now."""
    rows = Delivery.objects.filter(enrollment__in=ids, status__in=["planned", "sending"], run=F("enrollment__run"))
    places = []
    for enrollment_id, email_id, ready_at in rows.values_list("enrollment_id", "email_id", "ready_at"):
        email = course.emails[email_id]
        is_skipped = ready_at is not None and email.deleted_at is not None
        at = now if ready_at is None or is_skipped else ready_at
        if at == reevaluate.PARKED and email.published:
            at = reevaluate.ready_again(sequence, email, now)
        places.append(_PlaceAhead(enrollment_id, email_id, max(at, now), not is_skipped))
    return places
