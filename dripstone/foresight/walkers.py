"""Who comes into a sequence by an automation: people whose wait there ends, or another sequence, and who are led to it
whatever else is so.

Takes       sequences, an instant, and how far to look
Leaves      nothing: it only reads
A crash here means there is no answer.

The way to a sequence is decided where it leads through acts, further waits, splits by share and other sequences alone,
which end when their emails do. A condition or an event is asked when somebody comes to it, and nobody behind it is
counted; nor is, behind another sequence on the way, who has been in that one before, and gets something else of it.
An event that pulls people forward may take them elsewhere before: as everywhere here, nothing else is supposed to
happen. People are counted by the minute, which no rule can tell apart: waits are whole minutes, hours and days, and
zones and slots lie on minutes, too. docs/decisions/forecast.md
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from django.db import connection
from django.db.models import QuerySet

from dripstone.accounts.models import Account
from dripstone.automations import graph as graphs
from dripstone.automations import kinds, schedule
from dripstone.automations.graph import NEXT, Graph, GraphNode
from dripstone.automations.models import Automation, Node
from dripstone.engine import filters
from dripstone.foresight import carrying, crowds, timetable
from dripstone.foresight.carrying import Coming
from dripstone.foresight.timetable import Itinerary
from dripstone.sequences.models import Sequence
from dripstone.triggers import when

MOST_WAYS = 200  # from one wait: splits behind splits multiply

# Purpose: people who stand at a node, with what tells them apart in the sequence. By walk_at_node, and a probe of
# enrollment_once and of the person for each.
_COMING = """
SELECT p.status, {excluded}, {unmet},
       CASE WHEN p.status = 'removed' THEN ARRAY(
           SELECT d.email_id FROM engine_delivery d WHERE d.enrollment_id = p.id AND d.run = p.run) END AS had,
       {what}
FROM automations_walk e
JOIN subscribers_subscriber s ON s.id = e.subscriber_id AND s.state = 'active'
LEFT JOIN engine_enrollment p ON p.sequence_id = %(sequence)s AND p.subscriber_id = e.subscriber_id
{meeting}
WHERE e.automation_id = %(automation)s AND e.node = %(node)s AND e.left_at IS NULL AND {which}
  AND NOT EXISTS (SELECT FROM engine_enrollment o
                  WHERE o.subscriber_id = e.subscriber_id AND o.sequence_id = ANY(%(through)s)){shares}
GROUP BY {by}
"""
# Of those whose wait ends: the minute. The ends of waits that are over count as now.
_WAIT = {
    "what": "date_trunc('minute', GREATEST(e.ends_at, %(now)s)), count(*)::int",
    "which": "e.ends_at <= %(until)s",
    "by": "1, 2, 3, 4, 5",
}
# Of those who wait with the sequence there: their places in it.
_SEQUENCE = {
    "what": "array_agg(e.enrollment_id)",
    "which": """e.ends_at IS NULL AND EXISTS (
        SELECT FROM engine_enrollment o WHERE o.id = e.enrollment_id AND o.sequence_id = %(first)s)""",
    "by": "1, 2, 3, 4",
}
# The first eight bytes of a hash as a whole number without a sign, modulo 100 (2^64 is 16 modulo 100).
_SHARE = """
 AND (WITH hashed AS (
        SELECT ('x' || left(encode(sha256(convert_to(
            e.automation_id || ':' || e.subscriber_id || ':' || e.run || ':' || %({key})s, 'UTF8')), 'hex'), 16)
        )::bit(64)::bigint AS n)
      SELECT (n %% 100 + CASE WHEN n < 0 THEN 116 ELSE 0 END) %% 100 FROM hashed) BETWEEN %({low})s AND %({high})s
"""


class Share(NamedTuple):
    """At a split: whose number is from `low` to `high`."""

    node: str
    low: int
    high: int


class Through(NamedTuple):
    """A sequence that they go through. wait: for its end, or for the last email (kinds.SEQUENCE_WAITS)"""

    sequence_id: int
    wait: str


@dataclass(frozen=True, slots=True)
class Way:
    """From a wait, or from a sequence, to a sequence.

    first    the sequence at which it begins; None: a wait
    legs     what takes time between: settings of waits, and sequences
    shares   what decides at splits
    before   sequences that they enter on it: whoever is in one already does not enter again
    dates    of events ahead, which take people there when they come (A6)
    """

    automation: Automation
    node: str
    sequence_id: int = 0
    first: Through | None = None
    legs: tuple[Mapping[str, Any] | Through, ...] = ()
    shares: tuple[Share, ...] = ()
    before: tuple[int, ...] = ()
    dates: tuple[datetime, ...] = ()

    def is_cut(self, now: datetime, at: datetime) -> bool:
        """Whether a date comes before they do."""
        return any(now < one <= at for one in self.dates)

    @property
    def through(self) -> list[int]:
        return [leg.sequence_id for leg in self.legs if isinstance(leg, Through)]

    def arrival(self, ends_at: datetime, others: "Others") -> datetime | None:
        """When somebody whose wait, or sequence, ends then comes to the sequence; None: never."""
        at: datetime | None = ends_at
        for leg in self.legs:
            if at is not None:
                at = others.end(leg, at) if isinstance(leg, Through) else self._over(leg, at)
        return at

    def _over(self, settings: Mapping[str, Any], at: datetime) -> datetime:
        over = schedule.end_of_wait(settings, at, ZoneInfo(self.automation.account.time_zone))
        return max(at, over) if over is not None else at


Ways = Mapping[int, list[Way]]
"""By sequence."""


class Others:
    """Sequences on the way, each read once."""

    def __init__(self) -> None:
        self._found: dict[int, tuple[Sequence, Itinerary] | None] = {}

    def get(self, leg: Through) -> tuple[Sequence, Itinerary] | None:
        """None: as things are, nobody gets to its end."""
        pk = leg.sequence_id
        if pk not in self._found:
            one = Sequence.objects.filter(pk=pk, active=True, deleted_at=None).first()
            self._found[pk] = None if one is None else (one, timetable.itinerary(one, one.emails.all()))
        found = self._found[pk]
        return None if found is None or (found[0].hold and leg.wait != kinds.LAST_EMAIL) else found

    def end(self, leg: Through, entered_at: datetime) -> datetime | None:
        """When whoever enters it then is through with it; None: never."""
        if (found := self.get(leg)) is None:
            return None
        at, last_ended = entered_at, None
        for email in found[1].live:
            if email.is_held:
                return None
            at = last_ended = found[1].due(email, at, last_ended, at)
        return last_ended


def ways(sequences: QuerySet[Sequence]) -> Ways:
    """All that lead into one of them. A query while no automation is active, three otherwise."""
    ids = set(sequences.values_list("pk", flat=True))
    return _ways(Account.objects.filter(pk__in=sequences.values("account")), ids)


def ways_into(sequence: Sequence) -> list[Way]:
    return _ways(Account.objects.filter(pk=sequence.account_id), {sequence.pk}).get(sequence.pk, [])


def _ways(accounts: QuerySet[Account], ids: Collection[int]) -> Ways:
    found: dict[int, list[Way]] = defaultdict(list)
    running = Automation.objects.filter(account__in=accounts, status=Automation.Status.ACTIVE).select_related("account")
    automations = list(running.order_by("pk"))
    rows: dict[int, list[Node]] = defaultdict(list)
    for row in Node.objects.filter(automation__in=automations) if automations else ():
        rows[row.automation_id].append(row)
    for automation in automations:
        graph = graphs.of(automation, rows[automation.pk])
        for way in _of_graph(automation, graph):
            if way.sequence_id in ids:
                found[way.sequence_id].append(way)
    return found


def _of_graph(automation: Automation, graph: Graph) -> Iterator[Way]:
    """From deleted nodes, too: people may still stand there."""
    for node in graph.nodes.values():
        through = _through(node) if node.kind == kinds.SEQUENCE else None
        if node.kind == kinds.WAIT or through is not None:
            triggers = [one.trigger for one in graph.events_ahead(node.key)]
            dates = [datetime.fromisoformat(one["at"]) for one in triggers if one["trigger"] == when.DATE]
            before = () if through is None else (through.sequence_id,)
            start = Way(automation, node.key, first=through, before=before, dates=tuple(dates))
            yield from _onward(graph, dict(node.ways).get(NEXT), start, [MOST_WAYS])


def _onward(graph: Graph, key: str | None, way: Way, left: list[int]) -> Iterator[Way]:
    """left   how many ways more are looked at"""
    while key is not None and key in graph.nodes and left[0]:
        node = graph.nodes[key]
        if node.kind == kinds.SPLIT and not node.is_deleted:
            for share, to in _shares(node):
                left[0] -= 1
                yield from _onward(graph, to, replace(way, shares=(*way.shares, share)), left)
            return
        if not node.is_deleted:
            if node.kind == kinds.SEQUENCE:
                pk, through = node.settings["sequence_id"], _through(node)
                if pk not in way.before:
                    yield replace(way, sequence_id=pk)
                elif through is not None:
                    return
                way = replace(way, before=(*way.before, pk))
                way = way if through is None else replace(way, legs=(*way.legs, through))
            if not _is_passed(node):
                return
            if node.kind == kinds.WAIT:
                way = replace(way, legs=(*way.legs, node.settings))
        key = dict(node.ways).get(NEXT)


def _is_passed(node: GraphNode) -> bool:
    """Whether everybody who comes to it goes on by `next`, and it is known when."""
    match node.kind:
        case kinds.SEQUENCE:
            return True
        case kinds.WAIT:
            return schedule.field_of(node.settings) is None
        case kinds.MOVE:
            return not node.settings["and_leave"]
    return node.kind in kinds.ACTS and node.kind != kinds.UNSUBSCRIBE


def _through(node: GraphNode) -> Through | None:
    """None: they do not wait there."""
    wait = node.settings["wait"]
    return None if wait is False else Through(node.settings["sequence_id"], wait)


def _shares(node: GraphNode) -> Iterator[tuple[Share, str | None]]:
    """None where it is decided by conditions."""
    low = 0
    for branch, to in zip(node.settings[graphs.BRANCHES], node.exits[graphs.BRANCHES], strict=True):
        if "percent" not in branch:
            return
        yield Share(node.key, low, low + branch["percent"] - 1), to
        low += branch["percent"]


# --- Who comes ----------------------------------------------------------------------------------------------------


def into(
    sequence: Sequence, itinerary: Itinerary, found: Collection[Way], now: datetime, until: datetime
) -> Iterator[Coming]:
    """Who enters the sequence by these ways, up to and including `until`, is not excluded now, and has an email to get.

    Whoever is in it waits with it, or, where it repeats, starts again some day, which is counted when it is so.
    """
    others = Others()
    if itinerary.live:
        for way in found:
            yield from _by(way, sequence, itinerary, now, until, others)


def _by(
    way: Way, sequence: Sequence, itinerary: Itinerary, now: datetime, until: datetime, others: Others
) -> Iterator[Coming]:
    for status, is_excluded, unmet, had, ends in _people(way, sequence, itinerary, now, until, others):
        email_id = _first(status, had or (), sequence, itinerary)
        if is_excluded or email_id is None:
            continue
        for ends_at, n_people in ends.items():
            at = way.arrival(ends_at, others)
            if at is not None and (at := max(at, now)) <= until and not way.is_cut(now, at):
                yield Coming(at, email_id, frozenset(unmet), n_people)


def _people(
    way: Way, sequence: Sequence, itinerary: Itinerary, now: datetime, until: datetime, others: Others
) -> Iterator[tuple[Any, ...]]:
    """What tells them apart in the sequence, and how many of them are through when with what they wait for."""
    if way.first is None:
        for *alike, ends_at, n_people in _rows(way, sequence, itinerary, now, _WAIT, until=until):
            yield *alike, {ends_at: n_people}
    elif (found := others.get(way.first)) is not None:
        for *alike, place_ids in _rows(way, sequence, itinerary, now, _SEQUENCE, first=way.first.sequence_id):
            stops = carrying.stops(*found, now, until, place_ids, drops_excluded=False)
            yield *alike, carrying.ends(found[1], stops, until)


def _rows(
    way: Way, sequence: Sequence, itinerary: Itinerary, now: datetime, asked: Mapping[str, str], **more: Any
) -> list[Any]:
    values: dict[str, Any] = {"now": now, "sequence": sequence.pk, "through": way.through, **more}
    values |= {"automation": way.automation.pk, "node": way.node}
    shares = ""
    for n, share in enumerate(way.shares):
        names = {"key": f"key_{n}", "low": f"low_{n}", "high": f"high_{n}"}
        shares += _SHARE.format(**names)
        values |= {names["key"]: share.node, names["low"]: share.low, names["high"]: share.high}
    unmet, meeting = crowds.unmet(filters.of(itinerary.live), sequence, now)
    excluded = crowds.excluded(sequence, now)
    statement = _COMING.format(excluded=excluded, unmet=unmet, meeting=meeting, shares=shares, **asked)
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())


def _first(status: str | None, had: Collection[int], sequence: Sequence, itinerary: Itinerary) -> int | None:
    """The email that they get first, by R12; None: none."""
    match status:
        case None:
            return itinerary.live[0].pk
        case "removed" if sequence.repeat:
            return itinerary.live[0].pk
        case "completed" if sequence.repeat:
            return itinerary.live[0].pk
        case "removed":
            return next((email.pk for email in itinerary.live if email.pk not in had), None)
    return None
