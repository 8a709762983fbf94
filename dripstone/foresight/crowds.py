"""The people of a sequence, counted by how they will fare: what forecast and impact ask the rules about, instead of
asking about each of a hundred thousand.

Takes       a course (its emails as they are, or as an edit would leave them)
Leaves      nothing: one statement reads everybody at the same moment, and locks nobody
A crash here means there is no answer.

A crowd is told by one of its members, whose figures are true to the microsecond; the others differ from them only in
what no rule can tell apart (see _alike).
"""

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Sequence as Series
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import combinations
from typing import Any, NamedTuple

from django.core.exceptions import EmptyResultSet
from django.db import connection

from dripstone.engine import audience, follow
from dripstone.engine.advance import Place, Standing
from dripstone.engine.follow import Following
from dripstone.foresight import timetable
from dripstone.foresight.timetable import Course
from dripstone.sequences.models import Sequence, SequenceEdit, SequenceEmail

ENTRY = 0  # the email everybody has had, before the first one: its end is the anchor of the first (R2)
_ORDER_OF_ENTRY = (-1, False)
QUARTER = timedelta(minutes=15)
MIDNIGHT = datetime.fromisoformat("2000-01-01T00:00:00+00:00")
INSTANT = timedelta(microseconds=1)


class Crowd(NamedTuple):
    """A row of _CROWDS. What is said of one member holds for all, but for the id and the minutes."""

    enrollment_id: int
    current_id: int | None  # what they wait for
    at: datetime | None  # its date, also while the person is paused; in flight: when it is tried, None on the wire
    in_flight: bool
    paused: bool  # the person
    unconfirmed: bool
    excluded: int  # as of now, by which of audience.sources, from 1; 0: by none
    had: list[int]  # ENTRY and the emails of this run that have a delivery, but not what is in flight
    lows: list[int]  # of those, the ones from whose end something missing counts …
    ends: list[datetime]  # … and that end, never before entry
    last_ended_at: datetime | None  # the latest end of all; None also where no rule asks for it
    n_people: int


@dataclass(frozen=True, slots=True)
class Question:
    """Whom to count, and what their future may depend on."""

    course: Course
    now: datetime
    until: datetime  # nothing after it matters
    inside: str  # SQL over e (engine_enrollment): who counts; {is_excluded} stands for R14
    edit: Following | None = None  # people are about to be brought in line
    goes_on: bool = True  # what follows the next email matters too
    drops_passed: bool = False  # but not the date of somebody who gets an email that has come before theirs

    @property
    def as_of(self) -> datetime:
        return self.now if self.edit is None else self.edit.as_of(self.now)

    @property
    def reschedules(self) -> bool:
        """Dates already given are given anew."""
        return self.edit is not None and self.edit.rescheduled_at is not None

    @property
    def moves(self) -> Series[SequenceEdit]:
        """Emails that moved: who waits for one may be given its date anew."""
        return () if self.edit is None else self.edit.moves


# A kind is what people have in common besides dates, as one array, at its end the emails they had (read from the index
# delivery_once alone). There are few, so what follows from it is worked out once for each. `lows`: behind each of them,
# and before anything else one had, something is missing whose delay counts from its end; the first gap is left out
# where its email has a date. (A deleted email counts from others deleted at its position too.) `old`: an end before
# that has had its effect, whenever it was. Hardly anybody has more than two ends: those stand in columns of their own,
# which spares an array; OFFSET 0 has each looked up once, not wherever it is mentioned.
_CROWDS = """
WITH email AS MATERIALIZED (
    SELECT * FROM unnest(%(emails)s::bigint[], %(ranks)s::int[], %(live)s::boolean[], %(moved)s::boolean[],
                         %(delays)s::interval[]) AS m (id, rank, is_live, is_moved, longest_delay)),
place AS MATERIALIZED (
    SELECT e.id, e.run, e.anchored_at, t.at,
           ARRAY[COALESCE(e.next_email_id, 0), (t.at IS NULL)::int, e.in_flight::int, (e.paused_at IS NOT NULL)::int,
                 (e.status = 'unconfirmed')::int, {excluded}, %(entry)s] || ARRAY(
               SELECT d.email_id FROM engine_delivery d
               WHERE d.enrollment_id = e.id AND d.run = e.run AND NOT (e.in_flight AND d.email_id = e.next_email_id)
               ORDER BY d.email_id) AS kind
    FROM engine_enrollment e
    LEFT JOIN engine_delivery f ON e.in_flight AND f.enrollment_id = e.id AND f.run = e.run
         AND f.email_id = e.next_email_id AND f.status = 'planned'
    CROSS JOIN LATERAL (
        SELECT CASE WHEN e.in_flight THEN f.ready_at ELSE COALESCE(e.due_at, e.held_due_at) END AS at) t
    WHERE e.sequence_id = %(sequence)s AND {inside}),
kind AS MATERIALIZED (
    SELECT k.*, gaps.*, cardinality(gaps.lows) AS n_lows, row_number() OVER () AS number,
           %(reschedules)s OR k.is_moved OR k.current_id = ANY (k.had) AS needs_last,
           %(drops_passed)s AND NOT k.in_flight AND EXISTS (
               SELECT FROM email m WHERE m.is_live AND m.id <> ALL (k.had) AND m.rank < k.rank) AS is_passed
    FROM (SELECT p.*, c.rank, c.is_moved,
                 p.undated OR %(reschedules)s OR c.is_moved OR c.is_live IS NOT TRUE AS is_asked
          FROM (SELECT kind, NULLIF(kind[1], 0) AS current_id, kind[2] = 1 AS undated, kind[3] = 1 AS in_flight,
                       kind[4] = 1 AS paused, kind[5] = 1 AS unconfirmed, kind[6] AS excluded, kind[7:] AS had
                FROM place GROUP BY kind) p
          LEFT JOIN email c ON c.id = p.current_id) k
    CROSS JOIN LATERAL (
        SELECT COALESCE(array_agg(low.id ORDER BY low.rank, low.id), '{{}}') AS lows,
               array_agg(%(past)s - (
                   SELECT max(m.longest_delay) FROM email m
                   WHERE m.rank > low.rank AND m.rank <= COALESCE(low.next_live, m.rank)
                      OR m.rank = low.rank AND m.id = k.current_id)
                   ORDER BY low.rank, low.id) AS old
        FROM (SELECT m.*, min(m.rank) FILTER (WHERE NOT m.had) OVER () AS first_missing,
                     min(m.rank) FILTER (WHERE NOT m.had) OVER behind AS next_missing,
                     min(m.rank) FILTER (WHERE NOT m.had AND m.is_live) OVER behind AS next_live,
                     min(m.rank) FILTER (WHERE m.had) OVER behind AS next_had
              FROM (SELECT m.*, m.id = ANY (k.had) AS had FROM email m
                    WHERE m.is_live OR m.id = k.current_id OR m.id = ANY (k.had)) m
              WINDOW behind AS (ORDER BY m.rank DESC
                                GROUPS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) low
        WHERE low.had AND (
            k.is_asked AND low.rank = k.rank
            OR low.next_missing <= COALESCE(low.next_had, low.next_missing)
               AND (k.is_asked OR low.next_missing <> low.first_missing OR low.first_missing <> k.rank)
               AND (k.is_asked OR %(goes_on)s OR low.next_missing = low.first_missing))) gaps),
person AS MATERIALIZED (
    SELECT *, CASE WHEN end_1 > old[1] THEN end_1 END AS recent_1, CASE WHEN end_2 > old[2] THEN end_2 END AS recent_2
    FROM (
        SELECT p.id, k.number, k.old, CASE WHEN NOT k.is_passed THEN p.at END AS at,
               CASE WHEN k.needs_last THEN (SELECT max(d.ended_at) FROM engine_delivery d
                                            WHERE d.enrollment_id = p.id AND d.run = p.run) END AS last_ended_at,
               CASE WHEN k.n_lows IN (1, 2) THEN {end_1} END AS end_1,
               CASE WHEN k.n_lows = 2 THEN {end_2} END AS end_2,
               CASE WHEN k.n_lows > 2 THEN ARRAY(SELECT {end_n} FROM unnest(k.lows) AS low (id)) END AS ends
        FROM place p JOIN kind k ON k.kind = p.kind
        OFFSET 0) p)
SELECT p.id, k.current_id, p.at, k.in_flight, k.paused, k.unconfirmed, k.excluded, k.had, k.lows,
       COALESCE(p.ends, (ARRAY[p.end_1, p.end_2])[:k.n_lows]), p.last_ended_at, crowd.n_people
FROM (SELECT min(id) AS id, count(*) AS n_people FROM person GROUP BY {alike}) crowd
JOIN person p ON p.id = crowd.id
JOIN kind k ON k.number = p.number
ORDER BY p.id
"""

# The end of an email somebody had, never before entry. On the wire still, though the person has been taken out and
# added again since: what ended before it counts.
_END = """GREATEST(p.anchored_at, CASE WHEN {low} <> %(entry)s THEN COALESCE(
    (SELECT d.ended_at FROM engine_delivery d
     WHERE d.enrollment_id = p.id AND d.run = p.run AND d.email_id = {low}),
    (SELECT d.ended_at FROM engine_delivery d JOIN email m ON m.id = d.email_id
     WHERE d.enrollment_id = p.id AND d.run = p.run AND d.ended_at IS NOT NULL
       AND m.rank <= (SELECT rank FROM email WHERE id = {low})
     ORDER BY m.rank DESC, d.ended_at DESC LIMIT 1)) END)"""


def of(question: Question, sequence: Sequence) -> Iterator[Crowd]:
    cuts = _cuts(question, sequence)
    yield from _read(question, sequence, question.inside, _alike(question, cuts), **cuts)


def each(question: Question, sequence: Sequence, limit: int | None = None) -> Iterator[Crowd]:
    """The same with everybody (or the first few) in a crowd of their own."""
    yield from _read(question, sequence, question.inside + " ORDER BY e.id LIMIT %(limit)s", ["id"], limit=limit)


def _read(question: Question, sequence: Sequence, inside: str, alike: list[str], **more: Any) -> Iterator[Crowd]:
    course = question.course
    is_excluded, excluded = _excluded(sequence)
    statement = _CROWDS.format(
        excluded=excluded,
        inside=inside.format(is_excluded=is_excluded),
        end_1=_END.format(low="k.lows[1]"),
        end_2=_END.format(low="k.lows[2]"),
        end_n=_END.format(low="low.id"),
        alike=", ".join(alike),
    )
    live = {email.pk for email in course.live}
    moved = {move.moved_id for move in question.moves}
    parameters: dict[str, Any] = {
        "sequence": sequence.pk,
        "entry": ENTRY,
        "emails": [ENTRY, *course.emails],
        "ranks": _ranks([_ORDER_OF_ENTRY, *(email.order for email in course.emails.values())]),
        "live": [False, *(pk in live for pk in course.emails)],
        "moved": [False, *(pk in moved for pk in course.emails)],
        "delays": [timedelta(0), *map(_longest, course.emails.values())],
        "past": min(question.now, question.as_of, sequence.resumed_at or question.now),
        "reschedules": question.reschedules,
        "goes_on": question.goes_on,
        "drops_passed": question.drops_passed,
        "until": question.until,
    }
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters | more)
        known = {ENTRY, *course.emails}
        for crowd in map(Crowd._make, cursor):
            if known.issuperset([crowd.current_id or ENTRY, *crowd.had]):  # else they met one made since it was read
                yield crowd


def _ranks(orders: list[tuple[int, bool]]) -> list[int]:
    ranks = {order: rank for rank, order in enumerate(sorted(set(orders)))}
    return [ranks[order] for order in orders]


def _longest(email: SequenceEmail) -> timedelta:
    """No date of this email lies further behind its anchor: a week, for its days, and a day, for its hour and zone."""
    if timetable.unit(email) == "hours":
        return timedelta(hours=email.delay_value)
    return timedelta(days=email.delay_value + 8)


def _excluded(sequence: Sequence) -> tuple[str, str]:
    """R14 as SQL over `e`: whether somebody is excluded, and by which source. Percent signs are doubled, since the
    statement has parameters of its own."""
    whens = {}
    for number, (_, people) in enumerate(audience.sources(sequence), start=1):
        with suppress(EmptyResultSet), connection.cursor() as cursor:
            statement, values = people.query.sql_with_params()
            whens[number] = cursor.mogrify(f"e.subscriber_id IN ({statement})", values).replace("%", "%%")
    if not whens:
        return "false", "0"
    cases = " ".join(f"WHEN {condition} THEN {number}" for number, condition in whens.items())
    return f"({' OR '.join(whens.values())})", f"CASE {cases} ELSE 0 END"


# --- As the rules see them --------------------------------------------------------------------------------------


def standing(course: Course, crowd: Crowd) -> Standing:
    """As queries.NEXT_EMAILS would have it, on this course (R1, R2)."""
    had, ends = set(crowd.had), dict(zip(crowd.lows, crowd.ends, strict=True))
    following = next((email for email in course.live if email.pk not in had), None)
    current = course.emails[crowd.current_id] if crowd.current_id is not None else None
    row = course.as_next[following.pk] if following else course.at_end
    anchor = anchor_of(following, ends, course) if following else None
    has_had_some = had != {ENTRY}
    return row._replace(
        enrollment_id=crowd.enrollment_id,
        due_at=crowd.at,
        anchor=anchor or row.anchor,  # none where the date stays: nobody asks for it
        last_ended_at=crowd.last_ended_at or (row.anchor if has_had_some else None),  # likewise
        **_current(current),
        current_anchor=anchor_of(current, ends, course) if current else None,
    )


def place_after_edit(question: Question, standing: Standing, crowd: Crowd) -> Place:
    """Where the edit puts them; `standing`: theirs, on the question's course."""
    assert question.edit is not None
    return follow.place_after(question.edit, standing, crowd.had, question.as_of)


def _current(email: SequenceEmail | None) -> dict[str, Any]:
    if email is None:
        return {}
    return {
        "current_id": email.pk,
        "current_position": email.position,
        "current_published": email.published,
        "current_deleted": email.deleted_at is not None,
        "current_value": email.delay_value,
        "current_unit": timetable.unit(email),
        "current_days": email.send_days,
    }


def anchor_of(email: SequenceEmail, ends: Mapping[int, datetime], course: Course) -> datetime | None:
    """R2, as in queries.NEXT_EMAILS; None if the crowd was not asked for it."""
    orders = ((_order(pk, course), end) for pk, end in ends.items() if pk != email.pk)
    before = [one for one in orders if one[0] <= email.order]
    return max(before)[1] if before else None


def _order(email_id: int, course: Course) -> tuple[int, bool]:
    return _ORDER_OF_ENTRY if email_id == ENTRY else course.emails[email_id].order


# --- Who fares alike --------------------------------------------------------------------------------------------


def _cuts(question: Question, sequence: Sequence) -> dict[str, datetime]:
    """Two instants fare alike that lie in the same quarter of an hour, counted from midnight, from now and from
    whatever else a date is compared with: every zone's midnight and every change of a clock falls on a quarter, and
    delays are whole hours. From `at` includes it, up to `at` as well: it is cut on both sides."""
    instants = [MIDNIGHT, question.now, question.until, question.as_of, sequence.resumed_at or MIDNIGHT]
    instants += [move.at for move in question.moves]
    origins = {(at - MIDNIGHT) % QUARTER: at for at in instants}.values()  # most of them cut in the same places
    return {f"cut_{n}": at for n, at in enumerate([*origins, *(at + INSTANT for at in origins)])}


def _alike(question: Question, cuts: Iterable[str]) -> list[str]:
    """What people of a crowd have in common, as SQL over `person`.

    Dates are also compared with each other (advance.date_after_end), hence the distances between them. With more than
    two ends that would become long: those are taken as they are, and the date with them.
    """
    instants = ["at", "recent_1", "recent_2"]
    as_they_are = ["number", "ends", "CASE WHEN ends IS NOT NULL THEN at END"]
    if question.reschedules or question.moves:
        instants.append("last_ended_at")
    else:
        as_they_are.append("last_ended_at")  # of very few: Crowd says of whom
    quarters = [f"date_bin('15 minutes', {at}, %({cut})s)" for at in instants for cut in cuts]
    if not (question.goes_on or question.reschedules):
        return as_they_are + quarters
    pairs = list(combinations(instants, 2))
    at_most = [f"date_bin('15 minutes', {at}, {other}) - {other}" for at, other in pairs]
    at_least = [f"date_bin('15 minutes', {at}, {other} + interval '1 microsecond') - {other}" for at, other in pairs]
    return as_they_are + quarters + at_most + at_least
