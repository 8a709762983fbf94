"""Groups the people of a sequence so that nobody in a group can get another date than the rest. Forecast and impact
then ask the rules once per group, not once per person.

Takes       an itinerary (the emails of the sequence as they are, or as an edit would leave them)
Leaves      nothing: one statement reads all people at the same moment, without locks
A crash here means there is no answer.

A group is called a crowd. One member stands for each crowd; its dates are exact. An example, at noon: email A goes at
once, B five hours after it, and three people have had A:

    Ana    waits for B   at 14:01
    Bob    waits for B   at 14:09      a crowd of 2 (Ana stands for it)
    Chloe  waits for B   at 15:02      a crowd of 1

If Bob had not had A, were excluded by a tag, or did not meet the filter of B, he would be a crowd of his own: see the
kinds in _CROWDS. Why no rule can tell 14:01 from 14:09 is shown at _cuts.
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

from dripstone.conditions import matching
from dripstone.engine import advance, audience, filters, follow
from dripstone.engine.advance import Place, Standing
from dripstone.engine.follow import Following
from dripstone.engine.models import Entry, Reordering
from dripstone.foresight.timetable import Itinerary
from dripstone.grammar import Condition
from dripstone.sequences.models import Sequence, SequenceEdit, SequenceEmail

BEFORE = -1  # stands for an email with the filter that an edit replaces, among those whose filter is not met
ENTRY = 0  # stands for an email before the first that all people have had: its end is the anchor of the first (R2)
_ORDER_OF_ENTRY = (-1, False)
FIRST = 100  # people of a sequence who are looked at: older ones have lower ids, but for those who started again
QUARTER = timedelta(minutes=15)
MIDNIGHT = datetime.fromisoformat("2000-01-01T00:00:00+00:00")
INSTANT = timedelta(microseconds=1)
RELEASED_LONG_AGO = timedelta(days=8)


class Crowd(NamedTuple):
    """A row of _CROWDS. It describes one member; only the id and the minutes differ for the others."""

    enrollment_id: int
    current_id: int | None  # the email they wait for
    at: datetime | None  # its date, also while the person is paused; in flight: when it is tried, None on the wire
    in_flight: bool
    paused: bool  # the person
    unconfirmed: bool
    kept: bool  # the date: they are paused, or were told to wait at an email on hold
    excluded: int  # now, by which of audience.sources, from 1; 0: by none
    unmet: list[int]  # the published emails whose filter they do not meet now, and perhaps BEFORE
    had: list[int]  # ENTRY and the emails of this run that have a delivery, but not what is in flight
    lows: list[int]  # those of them from whose end the delay of a missing email counts …
    ends: list[datetime]  # … and that end, never before entry
    last_ended_at: datetime | None  # the latest end of all; None also where no rule asks for it
    n_people: int


@dataclass(frozen=True, slots=True)
class Question:
    """Which people to count, and what their future may depend on."""

    itinerary: Itinerary
    now: datetime
    until: datetime  # nothing after it matters
    inside: str  # SQL over e (engine_enrollment): who counts
    edit: Following | None = None  # an edit that people are about to follow
    goes_on: bool = True  # what follows the next email matters too
    drops_passed: bool = False  # but not the date of a person whose next email now comes before the one they wait for
    drops_excluded: bool = False  # and neither do excluded people matter, but those with mail on its way
    goes_by_order: bool = False  # no edit waits: the order of the emails says what newer people have had
    filter_before: Condition | None = None  # the filter that an edit replaces

    @property
    def as_of(self) -> datetime:
        return self.now if self.edit is None else self.edit.as_of(self.now)

    @property
    def reschedules(self) -> bool:
        """Whether people get new dates in place of those already given."""
        return self.edit is not None and self.edit.rescheduled_at is not None

    @property
    def moves(self) -> Series[SequenceEdit]:
        """Emails that moved. People waiting for one may get a new date."""
        return () if self.edit is None else self.edit.moves

    @property
    def earlier_skips(self) -> Series[SequenceEdit]:
        """Waits that were skipped before now: not of people who came after that."""
        return () if self.edit is None else [skip for skip in self.edit.skips if skip.at < self.now]

    def let_go_at(self, sequence: Sequence) -> list[datetime]:
        """When a pause or a hold ended that dates are compared with. An older hold than the longest wait for a slot
        has had its effect."""
        released = (email.released_at for email in self.itinerary.emails.values())
        recently = [at for at in released if at is not None and at > self.now - RELEASED_LONG_AGO]
        return recently if sequence.resumed_at is None else [sequence.resumed_at, *recently]


# One scan counts all people, and for most kinds nothing else is needed. A person's deliveries are only read if the
# order of the emails does not imply them, and ends are only read for the few kinds whose future depends on them.
_CROWDS = """
WITH
-- The emails, and ENTRY before them. No date of an email lies further than `longest_delay` behind what it counts from.
email AS MATERIALIZED (
    SELECT * FROM unnest(%(emails)s::bigint[], %(ranks)s::int[], %(live)s::boolean[], %(moved)s::boolean[],
                         %(delays)s::interval[]) AS m (id, rank, is_live, is_moved, longest_delay)),

-- Everybody the question is about; kept aside where many may need ends, and would be read again (otherwise it would
-- double the time). `state` is in flight, paused, unconfirmed, a date that is kept (none of these with a date), and the
-- source that excludes, as one number. `had` is ENTRY and the emails of this run, from the index delivery_once alone;
-- NULL where the order of the emails says it (in_order). `unmet`: the emails whose filter they do not meet. Those who
-- do are joined: there may be more than fit into memory.
place AS {kept} (
    SELECT e.id, e.run, e.anchored_at, {at} AS at, COALESCE(e.next_email_id, 0) AS current,
           CASE WHEN e.due_at IS NOT NULL THEN 0 ELSE
               e.in_flight::int + 2 * (e.paused_at IS NOT NULL)::int + 4 * (e.status = 'unconfirmed')::int
               + 8 * (e.held_due_at IS NOT NULL)::int END + 16 * ({excluded}) AS state,
           {unmet} AS unmet,
           CASE WHEN {in_order} THEN NULL ELSE %(entry)s::bigint || ARRAY(
               SELECT d.email_id FROM engine_delivery d
               WHERE d.enrollment_id = e.id AND d.run = e.run AND NOT (e.in_flight AND d.email_id = e.next_email_id)
               ORDER BY d.email_id) END AS had
    FROM engine_enrollment e
    {meeting}
    WHERE e.sequence_id = %(sequence)s AND {inside}
    OFFSET 0),

-- The scan: how many have all that in common, and a date in the same quarter of an hour.
same AS MATERIALIZED (
    SELECT {common}, {quarter} AS quarter, min(id) AS member, count(*) AS n_people
    FROM place WHERE {counts} GROUP BY {common}, {quarter}),

-- A kind is what people have in common besides dates. There are few.
numbered AS MATERIALIZED (
    SELECT *, dense_rank() OVER (ORDER BY {common}, quarter IS NULL) AS number FROM same),
kind AS MATERIALIZED (
    SELECT k.*, NULLIF(k.current, 0) AS current_id, c.rank, c.is_moved,
           k.state & 1 > 0 AS in_flight, k.state & 2 > 0 AS paused, k.state & 4 > 0 AS unconfirmed,
           k.state & 8 > 0 AS kept, k.state >> 4 AS excluded,
           COALESCE(k.had, ARRAY(SELECT m.id FROM email m WHERE m.id = %(entry)s OR m.is_live AND m.rank < c.rank
                                 ORDER BY m.id)) AS emails,
           k.undated OR %(reschedules)s OR c.is_moved OR c.is_live IS NOT TRUE AS is_asked
    FROM (SELECT DISTINCT number, {common}, quarter IS NULL AS undated FROM numbered) k
    LEFT JOIN email c ON c.id = k.current),

-- Whose ends their future depends on. `lows`: behind each of these emails, and before anything else one had, something
-- is missing whose delay counts from its end; the first gap is left out where its email has a date. (A deleted email
-- counts from others deleted at its position too.) `old`: an end before that has had its effect, whenever it was.
-- `is_passed`: an email they have not had comes before theirs now, so their date is of no account.
asked AS MATERIALIZED (
    SELECT k.*, gaps.*, cardinality(gaps.lows) AS n_lows,
           %(reschedules)s OR k.is_moved OR k.current_id = ANY (k.emails) AS needs_last,
           %(drops_passed)s AND NOT k.in_flight AND EXISTS (
               SELECT FROM email m WHERE m.is_live AND m.id <> ALL (k.emails) AND m.rank < k.rank) AS is_passed
    FROM kind k
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
              FROM (SELECT m.*, m.id = ANY (k.emails) AS had FROM email m
                    WHERE m.is_live OR m.id = k.current_id OR m.id = ANY (k.emails)) m
              WINDOW behind AS (ORDER BY m.rank DESC
                                GROUPS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) low
        WHERE low.had AND (
            k.is_asked AND low.rank = k.rank
            OR low.next_missing <= COALESCE(low.next_had, low.next_missing)
               AND (k.is_asked OR low.next_missing <> low.first_missing OR low.first_missing <> k.rank)
               AND (k.is_asked OR %(goes_on)s OR low.next_missing = low.first_missing))) gaps),

-- Those people, if there are any, each with their ends. Hardly anybody has more than two: those stand in columns of
-- their own, which spares an array; OFFSET 0 has each looked up once, not wherever it is mentioned.
person AS MATERIALIZED (
    SELECT *, CASE WHEN end_1 > old[1] THEN end_1 END AS recent_1, CASE WHEN end_2 > old[2] THEN end_2 END AS recent_2
    FROM (
        SELECT p.id, k.number, k.n_lows, k.old, CASE WHEN NOT k.is_passed THEN p.at END AS at,
               CASE WHEN k.needs_last THEN (SELECT max(d.ended_at) FROM engine_delivery d
                                            WHERE d.enrollment_id = p.id AND d.run = p.run) END AS last_ended_at,
               CASE WHEN k.n_lows IN (1, 2) THEN {end_1} END AS end_1,
               CASE WHEN k.n_lows = 2 THEN {end_2} END AS end_2,
               CASE WHEN k.n_lows > 2 THEN ARRAY(SELECT {end_n} FROM unnest(k.lows) AS low (id)) END AS ends
        FROM place p
        JOIN asked k ON (k.needs_last OR k.n_lows > 0) AND k.undated = (p.at IS NULL) AND {same_kind}
        WHERE (SELECT bool_or(needs_last OR n_lows > 0) FROM asked)
        OFFSET 0) p),

-- Both together. A crowd goes by its member with the lowest id.
crowd AS (
    SELECT min(s.member) AS id, k.number, sum(s.n_people)::int AS n_people
    FROM numbered s JOIN asked k ON k.number = s.number AND NOT k.needs_last AND k.n_lows = 0
    GROUP BY k.number, CASE WHEN NOT k.is_passed THEN s.quarter END
    UNION ALL
    SELECT min(id), number, count(*)::int FROM person GROUP BY number, {alike})

SELECT c.id, k.current_id, CASE WHEN NOT k.is_passed THEN dated.at END, k.in_flight, k.paused, k.unconfirmed,
       k.kept, k.excluded, {unmet_of_kind}, k.emails, k.lows, COALESCE(p.ends, (ARRAY[p.end_1, p.end_2])[:k.n_lows]),
       p.last_ended_at, c.n_people
FROM crowd c
JOIN asked k ON k.number = c.number
CROSS JOIN LATERAL (SELECT {at} AS at FROM engine_enrollment e WHERE e.id = c.id OFFSET 0) dated
LEFT JOIN person p ON p.id = c.id
ORDER BY c.id
"""

_COMMON = ("current", "state", "had")
_NONE = "'{}'::bigint[]"

_COUNTS = "(state < 16 OR state & 1 > 0)"  # not excluded, or in flight

# A person's date; in flight: when it is tried.
_AT = """CASE WHEN NOT e.in_flight THEN COALESCE(e.due_at, e.held_due_at) ELSE (
               SELECT f.ready_at FROM engine_delivery f
               WHERE f.enrollment_id = e.id AND f.run = e.run AND f.email_id = e.next_email_id
                 AND f.status = 'planned') END"""

# A person who waits with a date for a published email, and entered after the emails last changed their order, has had
# the emails before it and none behind (engine.models.Reordering).
_IN_ORDER = """e.due_at IS NOT NULL AND e.next_email_id = ANY(%(live_ids)s::bigint[]) AND e.id > (
               SELECT COALESCE(max(r.newest_place), 0) FROM engine_reordering r WHERE r.sequence_id = %(sequence)s)"""

_FIRST = """e.id IN (SELECT e.id FROM engine_enrollment e WHERE e.sequence_id = %(sequence)s AND {inside}
                     ORDER BY e.id LIMIT %(limit)s)"""

# The end of an email a person had, never before entry. If it is still on the wire because they were taken out and added
# again meanwhile, the email that ended before it counts.
_END = """GREATEST(p.anchored_at, CASE WHEN {low} <> %(entry)s THEN COALESCE(
    (SELECT d.ended_at FROM engine_delivery d
     WHERE d.enrollment_id = p.id AND d.run = p.run AND d.email_id = {low}),
    (SELECT d.ended_at FROM engine_delivery d JOIN email m ON m.id = d.email_id
     WHERE d.enrollment_id = p.id AND d.run = p.run AND d.ended_at IS NOT NULL
       AND m.rank <= (SELECT rank FROM email WHERE id = {low})
     ORDER BY m.rank DESC, d.ended_at DESC LIMIT 1)) END)"""


def of(question: Question, sequence: Sequence) -> Iterator[Crowd]:
    yield from _read(question, sequence, question.inside, _COMMON)


def each(question: Question, sequence: Sequence, limit: int | None = None) -> Iterator[Crowd]:
    """The same with each person (or the first few) in a crowd of their own."""
    inside = question.inside if limit is None else _FIRST.format(inside=question.inside)
    yield from _read(question, sequence, inside, [*_COMMON, "id"], limit)


def _read(
    question: Question, sequence: Sequence, inside: str, common: Series[str], limit: int | None = None
) -> Iterator[Crowd]:
    itinerary, cuts = question.itinerary, _cuts(question, sequence)
    may_need_ends = not question.goes_by_order or _has_people_of_before(sequence)
    conditions = _conditions(question)
    none_met, meeting = unmet(conditions, sequence, question.now)
    common = [*common, "unmet"] if conditions else common  # else it is the same for all, and need not be compared
    statement = _CROWDS.format(
        common=", ".join(common),
        same_kind=" AND ".join(f"p.{name} = k.{name}" for name in common),
        quarter=_quarter("at", cuts),
        at=_AT,
        counts=_COUNTS if question.drops_excluded else "true",
        kept="MATERIALIZED" if may_need_ends else "NOT MATERIALIZED",
        excluded=excluded(sequence, question.now),
        unmet=none_met,
        meeting=meeting,
        unmet_of_kind="k.unmet" if conditions else _NONE,
        in_order=_IN_ORDER if question.goes_by_order else "false",
        inside=inside,
        end_1=_END.format(low="k.lows[1]"),
        end_2=_END.format(low="k.lows[2]"),
        end_n=_END.format(low="low.id"),
        alike=", ".join(_alike(question, cuts)),
    )
    live = {email.pk for email in itinerary.live}
    moved = {move.moved_id for move in question.moves} | {skip.email_id for skip in question.earlier_skips}
    parameters: dict[str, Any] = {
        "sequence": sequence.pk,
        "entry": ENTRY,
        "emails": [ENTRY, *itinerary.emails],
        "ranks": _ranks([_ORDER_OF_ENTRY, *(email.order for email in itinerary.emails.values())]),
        "live": [False, *(pk in live for pk in itinerary.emails)],
        "moved": [False, *(pk in moved for pk in itinerary.emails)],
        "delays": [timedelta(0), *map(_longest, itinerary.emails.values())],
        "live_ids": sorted(live),
        "past": min(question.now, question.as_of, *question.let_go_at(sequence)),
        "reschedules": question.reschedules,
        "goes_on": question.goes_on,
        "drops_passed": question.drops_passed,
        "until": question.until,
        "limit": limit,
    }
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters | cuts)
        known = {ENTRY, *itinerary.emails}
        for crowd in map(Crowd._make, cursor):
            if known.issuperset([crowd.current_id or ENTRY, *crowd.had]):  # else one was made since it was read
                yield crowd


def _has_people_of_before(sequence: Sequence) -> bool:
    """Whether people entered before the emails last changed their order, as far as the first ones tell."""
    reordering = Reordering.objects.filter(sequence=sequence).first()
    if reordering is None:
        return False
    first = Entry.objects.filter(sequence=sequence).order_by("entered_at").values_list("enrollment_id", flat=True)
    return any(pk <= reordering.newest_place for pk in first[:FIRST])


def _ranks(orders: list[tuple[int, bool]]) -> list[int]:
    ranks = {order: rank for rank, order in enumerate(sorted(set(orders)))}
    return [ranks[order] for order in orders]


def _longest(email: SequenceEmail) -> timedelta:
    """No date of this email is further from its anchor: a week is added for its days, a day for hour and zone."""
    if advance.delay_of(email).unit == "hours":
        return timedelta(hours=email.delay_value)
    return timedelta(days=email.delay_value + 8)


def excluded(sequence: Sequence, now: datetime) -> str:
    """R14 as SQL over `e`: which source excludes a person, from 1; 0 for none. Percent signs are doubled, since
    the statement has parameters of its own."""
    whens = []
    for number, (_, people) in enumerate(audience.sources(sequence, now), start=1):
        if people is None:
            whens.append(f"WHEN true THEN {number}")
            break  # nobody gets to those behind it
        with suppress(EmptyResultSet), connection.cursor() as cursor:
            statement, values = people.query.sql_with_params()
            condition = cursor.mogrify(f"e.subscriber_id IN ({statement})", values).replace("%", "%%")
            whens.append(f"WHEN {condition} THEN {number}")
    return f"CASE {' '.join(whens)} ELSE 0 END" if whens else "0"


def _conditions(question: Question) -> dict[int, Condition]:
    """The filters of published emails, and perhaps the one that is replaced (R21)."""
    found = filters.of(question.itinerary.live)
    return found if question.filter_before is None else {**found, BEFORE: question.filter_before}


def unmet(conditions: Mapping[int, Condition], sequence: Sequence, now: datetime) -> tuple[str, str]:
    """R21 as SQL over `e`: the array of those whose condition a person does not meet, and the joins that it needs."""
    columns, joins = [], []
    for number, (pk, condition) in enumerate(conditions.items()):
        people = matching(condition, sequence.account, now).order_by().values("pk")
        try:
            with connection.cursor() as cursor:
                met = cursor.mogrify(*people.query.sql_with_params()).replace("%", "%%")
        except EmptyResultSet:  # nobody
            columns.append(str(pk))
            continue
        joins.append(f"LEFT JOIN ({met}) meeting_{number} (id) ON meeting_{number}.id = e.subscriber_id")
        columns.append(f"CASE WHEN meeting_{number}.id IS NULL THEN {pk} END")
    if not columns:
        return _NONE, ""
    return f"array_remove(ARRAY[{', '.join(columns)}]::bigint[], NULL)", "\n    ".join(joins)


# --- As the rules see them --------------------------------------------------------------------------------------


def standing(itinerary: Itinerary, crowd: Crowd) -> Standing:
    """As queries.NEXT_EMAILS would have it, on this itinerary (R1, R2)."""
    had, ends = set(crowd.had), dict(zip(crowd.lows, crowd.ends, strict=True))
    following = next((email for email in itinerary.live if email.pk not in had), None)
    current = itinerary.emails[crowd.current_id] if crowd.current_id is not None else None
    row = itinerary.as_next[following.pk] if following else itinerary.at_end
    anchor = anchor_of(following, ends, itinerary) if following else None
    has_had_some = had != {ENTRY}
    return row._replace(
        enrollment_id=crowd.enrollment_id,
        due_at=crowd.at,
        is_paused=crowd.paused,
        is_kept=crowd.kept,
        anchor=anchor or row.anchor,  # without one the date stays, and the anchor is not used
        last_ended_at=crowd.last_ended_at or (row.anchor if has_had_some else None),  # likewise
        **_current(current),
        current_anchor=anchor_of(current, ends, itinerary) if current else None,
    )


def place_after_edit(question: Question, standing: Standing, crowd: Crowd) -> Place:
    """Where the edit puts them; `standing`: theirs, on the question's itinerary."""
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
        "current_held": email.is_held,
        "current_released_at": email.released_at,
        "current_value": email.delay_value,
        "current_unit": advance.delay_of(email).unit,
        "current_days": email.send_days,
    }


def anchor_of(email: SequenceEmail, ends: Mapping[int, datetime], itinerary: Itinerary) -> datetime | None:
    """R2, as in queries.NEXT_EMAILS; None if the crowd was read without ends."""
    orders = ((_order(pk, itinerary), end) for pk, end in ends.items() if pk != email.pk)
    before = [one for one in orders if one[0] <= email.order]
    return max(before)[1] if before else None


def _order(email_id: int, itinerary: Itinerary) -> tuple[int, bool]:
    return _ORDER_OF_ENTRY if email_id == ENTRY else itinerary.emails[email_id].order


# --- Who fares alike --------------------------------------------------------------------------------------------


def _cuts(question: Question, sequence: Sequence) -> dict[str, datetime]:
    """Two instants are interchangeable if they fall in the same quarter of an hour. The quarters are counted:

    - from midnight, since every zone's midnight and every change of a clock falls on one
      (test_nobody_is_counted_on_the_wrong_side_of_midnight_or_of_the_end);
    - from now, and from everything else that dates are compared with, since delays are whole hours
      (test_now_and_every_hour_before_and_after_it_cut_a_crowd_in_two);
    - twice, a microsecond apart, since some comparisons include the instant itself and others do not
      (test_an_instant_on_the_quarter_is_told_from_both_sides).
    """
    instants = [MIDNIGHT, question.now, question.until, question.as_of, *question.let_go_at(sequence)]
    instants += [edit.at for edit in (*question.moves, *question.earlier_skips)]
    origins = {(at - MIDNIGHT) % QUARTER: at for at in instants}.values()  # most of them cut in the same places
    return {f"cut_{n}": at for n, at in enumerate([*origins, *(at + INSTANT for at in origins)])}


def _quarter(instant: str, cuts: Iterable[str]) -> str:
    """The last cut up to an instant, as SQL: it is the same for two instants unless something cuts between them."""
    last = ", ".join(f"date_bin('15 minutes', {instant}, %({cut})s)" for cut in cuts)
    return f"GREATEST({last})"


def _alike(question: Question, cuts: Iterable[str]) -> list[str]:
    """What people of a crowd have in common besides their kind, as SQL over `person`.

    - The quarters of their date and of those ends that still have an effect
      (test_ends_that_count_no_more_tell_nobody_apart).
    - The distances between these, as whole quarters, since advance.date_after_end compares dates with each other
      (test_what_it_says_is_what_happens).
    - With more than two ends, all of them and the date as they are: comparing each pair would cost more than the few
      crowds it saves.
    """
    instants = ["at", "recent_1", "recent_2"]
    as_they_are = ["number", "ends", "CASE WHEN ends IS NOT NULL THEN at END"]
    if question.reschedules or question.moves or question.earlier_skips:
        instants.append("last_ended_at")
    else:
        as_they_are.append("last_ended_at")  # set for very few people: see Crowd
    quarters = [_quarter(at, cuts) for at in instants]
    if not (question.goes_on or question.reschedules):
        return as_they_are + quarters
    pairs = list(combinations(instants, 2))
    at_most = [f"date_bin('15 minutes', {at}, {other}) - {other}" for at, other in pairs]
    at_least = [f"date_bin('15 minutes', {at}, {other} + interval '1 microsecond') - {other}" for at, other in pairs]
    return as_they_are + quarters + at_most + at_least
