"""One step of a set of people through one automation: the queue of nodes to be done, and what is written at its end.

Takes       people and their walks, locked; where each goes first (`go`), with the cause
Leaves      walks at the next place that waits, or left; a row of the log for each person
A crash here means that nothing happened: it is all the caller's transaction.

All people at a node are done together, and nodes in the order of the graph, so that the number of statements follows
the nodes. What a node does is nodes.py's.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from collections.abc import Sequence as Series
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from django.db import connection

from dripstone.accounts.models import Account
from dripstone.automations import reasons, schedule
from dripstone.automations.book import Route
from dripstone.automations.graph import NEXT, GraphNode
from dripstone.automations.models import Automation, Step, Walk
from dripstone.conditions import people as conditions
from dripstone.conditions.people import Expanded
from dripstone.engine import reasons as engine_reasons
from dripstone.engine.acts import places
from dripstone.engine.models import Enrollment
from dripstone.events import causes
from dripstone.events.causes import Cause
from dripstone.grammar import Condition
from dripstone.subscribers.models import State, Subscriber
from dripstone.triggers import dates, what

MOST_NODES = 100  # of one person in one step (A3),
A_MOMENT = timedelta(seconds=1)  # and then so long a rest

Sequences = Literal["end", "finish"]
"""What becomes of the place at a sequence node that somebody leaves, if this walk made it: it ends (A5), or they are
sent the rest."""

# Purpose: new walks, with their ids. As JSON, which C code writes, as events are recorded.
_ENTER = """
INSERT INTO automations_walk (account_id, automation_id, subscriber_id, run, entry, cause, is_from_outside, entered_at,
    node, arrived_at, is_begun, due_at, called_to, acted, is_ours, after_event, left_because, is_completed)
SELECT %(account)s, %(automation)s, subscriber_id, run, entry, cause, is_from_outside, %(now)s,
    '', %(now)s, false, %(now)s, '', '{}', false, 0, '', false
FROM json_to_recordset(%(rows)s) AS walk (subscriber_id bigint, run integer, entry text, cause text[],
                                          is_from_outside boolean)
RETURNING id, subscriber_id
"""
# Purpose: where people stand now. Primary key.
_KEEP = """
UPDATE automations_walk w SET node = k.node, arrived_at = k.arrived_at, is_begun = k.is_begun, due_at = k.due_at,
    ends_at = k.ends_at, called_to = k.called_to, acted = k.acted, enrollment_id = k.enrollment_id,
    enrollment_run = k.enrollment_run, is_ours = k.is_ours, after_event = k.after_event, stilled_at = k.stilled_at,
    left_at = k.left_at, left_because = k.left_because, is_completed = k.is_completed
FROM json_to_recordset(%(rows)s) AS k (id bigint, node text, arrived_at timestamptz, is_begun boolean,
    due_at timestamptz, ends_at timestamptz, called_to text, acted text[], enrollment_id bigint, enrollment_run integer,
    is_ours boolean, after_event bigint, stilled_at timestamptz, left_at timestamptz, left_because text,
    is_completed boolean)
WHERE w.id = k.id
"""
_KEPT = (
    "node", "arrived_at", "is_begun", "due_at", "ends_at", "called_to", "acted", "enrollment_id", "enrollment_run",
    "is_ours", "after_event", "stilled_at", "left_at", "left_because", "is_completed",
)  # fmt: skip
_LOG = """
INSERT INTO automations_step (account_id, automation_id, subscriber_id, run, at, what, node, reason, cause, event_id,
                              path)
SELECT %(account)s, %(automation)s, subscriber_id, run, %(now)s, what, node, reason, cause, event_id, path
FROM json_to_recordset(%(rows)s) AS step (subscriber_id bigint, run integer, what text, node text, reason text,
                                          cause text[], event_id bigint, path jsonb)
"""
# Purpose: somebody has entered or left, so conditions that they wait for elsewhere may ask for that (A7). Their walks
# by walk_inside_once.
_NUDGE = """
UPDATE automations_walk w SET due_at = %(now)s
FROM automations_node n
WHERE w.subscriber_id = ANY(%(people)s) AND w.left_at IS NULL AND w.is_begun AND w.automation_id <> %(automation)s
  AND n.automation_id = w.automation_id AND n.key = w.node AND n.kind = 'condition'
"""
# Purpose: how often these people were here, whether they are now, and what counts against another entry. By walk_run.
_EARLIER = """
SELECT subscriber_id, max(run), bool_or(left_at IS NULL), bool_or(node <> '' OR is_completed),
       count(*) FILTER (WHERE NOT is_from_outside AND entered_at > %(since)s)
FROM automations_walk WHERE subscriber_id = ANY(%(people)s) AND automation_id = %(automation)s GROUP BY subscriber_id
"""


@dataclass
class Held:
    """What `walk.hold` has locked: automations, what their graphs name, people, and the walks of these that are
    inside. Things are by automation, walks by automation and person."""

    automations: Mapping[int, Automation] = field(default_factory=dict)
    routes: Mapping[int, Route] = field(default_factory=dict)
    accounts: Mapping[int, Account] = field(default_factory=dict)
    things: Mapping[int, what.Held] = field(default_factory=dict)
    people: dict[int, Subscriber] = field(default_factory=dict)
    walks: dict[int, dict[int, Walk]] = field(default_factory=dict)
    expanded: dict[tuple[int, str], tuple[Condition, Expanded]] = field(default_factory=dict)
    counts: Counter[tuple[int, str]] = field(default_factory=Counter)  # by automation and column
    n_steps: int = 0


@dataclass(slots=True, eq=False)
class Walker:
    """Somebody in a step.

    run     None: they do not enter
    cause   of what set the step off
    path    the nodes on their way so far (reasons.py)
    """

    subscriber_id: int
    run: int | None
    what: Step.What
    reason: str
    cause: Cause
    event_id: int | None
    path: list[dict[str, Any]] = field(default_factory=list)
    n_nodes: int = 0
    is_noted: bool = True  # something happened that belongs into the log


@dataclass(slots=True)
class Steps:
    """Of people in one automation, at one instant."""

    held: Held
    automation_id: int
    now: datetime
    arrive: "Arrive"
    walkers: list[Walker] = field(default_factory=list)
    changed: set[int] = field(default_factory=set)  # people whose walk is to be kept
    gone: list[Walk] = field(default_factory=list)  # of people who left
    moved: set[int] = field(default_factory=set)  # people who entered or left
    counts: Counter[str] = field(default_factory=Counter)
    waiting: dict[str, list[Walker]] = field(default_factory=lambda: defaultdict(list))
    shared: what.Shared = field(default_factory=what.Shared)  # by what nodes do to people
    route: Route = field(init=False)
    walks: dict[int, Walk] = field(init=False)  # of who is inside, by person

    def __post_init__(self) -> None:
        self.route = self.held.routes[self.automation_id]
        self.walks = self.held.walks.setdefault(self.automation_id, {})

    @property
    def automation(self) -> Automation:
        return self.held.automations[self.automation_id]

    @property
    def account(self) -> Account:
        return self.held.accounts[self.automation.account_id]

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.account.time_zone)

    def walk(self, one: Walker) -> Walk:
        return self.walks[one.subscriber_id]

    def person(self, one: Walker) -> Subscriber:
        return self.held.people[one.subscriber_id]

    def node(self, key: str) -> GraphNode:
        return self.route.graph.nodes[key]

    def may_walk(self, one: Walker) -> bool:
        return self.automation.status == Automation.Status.ACTIVE and self.person(one).state == State.ACTIVE

    # Who takes part

    def add(
        self,
        subscriber_id: int,
        kind: Step.What,
        reason: str,
        cause: Cause = causes.NONE,
        event_id: int | None = None,
    ) -> Walker:
        """Somebody who is inside."""
        one = Walker(subscriber_id, self.walks[subscriber_id].run, kind, reason, cause, event_id)
        self.walkers.append(one)
        return one

    def refuse(self, subscriber_id: int, reason: str, cause: Cause, event_id: int | None) -> None:
        self.walkers.append(Walker(subscriber_id, None, Step.What.NOT_ENTERED, reason, cause, event_id))
        self.counts["n_not_entered"] += 1

    def enter(self, entering: Collection["Entering"]) -> list[Walker]:
        """Those who were admitted stand at the entry."""
        rows = [one.as_row() for one in entering]
        values = {"account": self.account.pk, "automation": self.automation_id, "now": self.now}
        ids = {person: pk for pk, person in fetch(_ENTER, **values, rows=json.dumps(rows))} if rows else {}
        found = []
        for one in entering:
            self.walks[one.subscriber_id] = Walk(
                pk=ids[one.subscriber_id],
                account_id=self.account.pk,
                automation_id=self.automation_id,
                subscriber_id=one.subscriber_id,
                run=one.run,
                entry=one.entry,
                cause=list(one.cause),
                is_from_outside=causes.is_from_outside(one.cause),
                entered_at=self.now,
                arrived_at=self.now,
                due_at=self.now,
            )
            found.append(self.add(one.subscriber_id, Step.What.ENTERED, "", one.cause, one.event_id))
        self.counts["n_entered"] += len(found)
        self.moved |= ids.keys()
        return found

    def earlier(self, people: Collection[int], since: datetime) -> dict[int, "Earlier"]:
        rows = fetch(_EARLIER, people=list(people), automation=self.automation_id, since=since) if people else []
        return {person: Earlier(*counted) for person, *counted in rows}

    # Going

    def go(self, ones: Iterable[Walker], key: str | None) -> None:
        """To a node, or out."""
        if key is None or key not in self.route.graph.nodes:
            for one in ones:
                self.leave(one, reasons.END)
            return
        for one in ones:
            if one.n_nodes >= MOST_NODES:
                self.stand(one, key, is_begun=False, due_at=self.now + A_MOMENT)
                one.path.append({"node": key, "what": reasons.PUT_OFF, "reason": ""})
            else:
                one.n_nodes += 1
                self.waiting[key].append(one)

    def on(self, ones: Collection[Walker], node: GraphNode, kind: str, reason: str = "", exit: str = NEXT) -> None:
        """They are done with a node, and go on by an exit."""
        entry = {"node": node.key, "what": kind, "reason": reason} | ({} if exit == NEXT else {"exit": exit})
        for one in ones:
            one.path.append(entry)
        self.go(ones, self.route.exit(node, exit))

    def run(self) -> None:
        """Until everybody stands somewhere, or has left."""
        while self.waiting:
            key = min(self.waiting, key=self.route.order.__getitem__)
            ones = self.waiting.pop(key)
            for cause, some in by_cause(ones):
                self.arrive(self, self.node(key), some, causes.automation(cause, self.automation_id))
        self.save()

    def save(self) -> None:
        """What nodes have made of people's values: before anybody asks the database for these."""
        self.shared.save(self.now)

    def act(self, ones: Iterable[Walker], key: str) -> None:
        """The node has acted in this run."""
        for one in ones:
            self.walk(one).acted.append(key)
            self.changed.add(one.subscriber_id)

    def wait(self, one: Walker, node: GraphNode, *, due_at: datetime | None, ends_at: datetime | None = None) -> None:
        """Here they stand."""
        self.stand(one, node.key, is_begun=True, due_at=due_at, ends_at=ends_at)
        one.path.append({"node": node.key, "what": reasons.WAITS, "reason": ""})

    def stand(
        self, one: Walker, key: str, *, is_begun: bool, due_at: datetime | None, ends_at: datetime | None = None
    ) -> Walk:
        walk = self.walk(one)
        walk.node, walk.arrived_at, walk.is_begun = key, self.now, is_begun
        if walk.called_to != key and walk.called_to not in self.route.ahead.get(key, ()):
            walk.called_to = ""  # it is not before them any more
        walk.due_at, walk.ends_at = self.now if walk.called_to else due_at, ends_at
        walk.enrollment_id = walk.enrollment_run = walk.stilled_at = None
        walk.is_ours, walk.after_event = False, 0
        self.changed.add(one.subscriber_id)
        return walk

    def due(self, one: Walker, at: datetime | None) -> None:
        """They stay where they are, to be looked at then; who is called to a date, at once."""
        walk = self.walk(one)
        walk.due_at = self.now if walk.called_to else at
        self.changed.add(one.subscriber_id)

    def leave(self, one: Walker, reason: str) -> None:
        walk = self.walks.pop(one.subscriber_id)
        walk.left_at, walk.left_because, walk.is_completed = self.now, reason, reason in reasons.COMPLETES
        walk.due_at = walk.ends_at = walk.stilled_at = None
        walk.called_to = ""
        self.gone.append(walk)
        one.is_noted = True
        if one.path:
            walk.node = one.path[-1]["node"]  # the last that they passed
        one.what = one.what if one.what == Step.What.ENTERED else Step.What.LEFT
        one.reason = reason
        one.path.append({"node": walk.node, "what": reasons.LEAVES, "reason": reason})
        self.counts["n_left"] += 1
        self.moved.add(one.subscriber_id)

    # What is asked of the people at a node

    def met(self, key: str, condition: Condition, ones: Iterable[Walker]) -> set[int]:
        """Who of them meets it now. key   of the node, and of its branch"""
        ids = [one.subscriber_id for one in ones]
        if not ids:
            return set()
        expanded = self.expanded(key, condition)
        if expanded.asks_for_values:
            self.save()
        return set(expanded.people(self.account, self.now, ids).values_list("pk", flat=True))

    def expanded(self, key: str, condition: Condition) -> Expanded:
        place = self.automation_id, key
        known = self.held.expanded.get(place)
        if known is None or known[0] != condition:
            known = self.held.expanded[place] = condition, conditions.expanded(condition, self.account.pk)
        return known[1]

    def days(self, field_id: int, ones: Iterable[Walker]) -> dict[int, date | None]:
        """The date in each one's field."""
        texts = {one.subscriber_id: self.person(one).fields.get(str(field_id)) for one in ones}
        found = dates.days(set(texts.values()), self.account.time_zone)
        return {person: found.get(text) for person, text in texts.items()}

    def next_look(self, node: GraphNode, ends_at: datetime) -> datetime:
        """When a condition that is waited for is asked again, if nothing happens (A7)."""
        expanded = self.expanded(node.key, node.settings["if"])
        told = expanded.is_broken or schedule.is_told_by_events(expanded.condition)
        return ends_at if told else min(ends_at, self.now + schedule.AN_HOUR)

    # Places in sequences

    def end_places(self, ones: Series[Walker]) -> None:
        """Of those who leave a sequence node before its end, the places end whose present run this walk made (A5)."""
        ours = {self.walk(one).enrollment_id or 0: one for one in ones if self.walk(one).is_ours}
        if not ours:
            return
        by_sequence: dict[int, list[Walker]] = defaultdict(list)
        rows = Enrollment.objects.filter(pk__in=ours.keys(), status__in=places.INSIDE)
        for pk, run, sequence_id in rows.values_list("pk", "run", "sequence_id"):
            if run == self.walk(ours[pk]).enrollment_run:
                by_sequence[sequence_id].append(ours[pk])
        for sequence_id, some in sorted(by_sequence.items()):
            for cause, of_cause in by_cause(some):
                places.remove_all(
                    self.account.pk,
                    sequence_id,
                    [one.subscriber_id for one in of_cause],
                    engine_reasons.REMOVED_BY_AUTOMATION,
                    self.now,
                    cause=causes.automation(cause, self.automation_id),
                )

    # The end

    def keep(self) -> None:
        """Writes it all down, but for the counts, which come last in the transaction (Held.counts)."""
        walks = [self.walks[person] for person in self.changed if person in self.walks] + self.gone
        if walks:
            rows = [{"id": walk.pk} | {name: getattr(walk, name) for name in _KEPT} for walk in walks]
            execute(_KEEP, rows=json.dumps(rows, default=datetime.isoformat))
        noted = [one for one in self.walkers if one.is_noted]
        if noted:
            values = {"account": self.account.pk, "automation": self.automation_id, "now": self.now}
            execute(_LOG, **values, rows=json.dumps([self._row(one) for one in noted]))
        if self.moved:
            self._nudge()
        self.held.counts.update({(self.automation_id, name): n for name, n in self.counts.items()})
        self.held.n_steps += len(noted)

    def _row(self, one: Walker) -> dict[str, Any]:
        walk = self.walks.get(one.subscriber_id)
        is_here = walk is not None and walk.run == one.run
        return {
            "subscriber_id": one.subscriber_id,
            "run": one.run,
            "what": one.what,
            "node": walk.node if is_here and walk is not None else "",
            "reason": one.reason,
            "cause": one.cause,
            "event_id": one.event_id,
            "path": one.path,
        }

    def _nudge(self) -> None:
        execute(_NUDGE, people=list(self.moved), automation=self.automation_id, now=self.now)
        for automation_id, walks in self.held.walks.items():
            if automation_id != self.automation_id:
                nodes = self.held.routes[automation_id].graph.nodes
                for person in self.moved & walks.keys():
                    walk = walks[person]
                    if walk.is_begun and walk.node in nodes and nodes[walk.node].kind == "condition":
                        walk.due_at = self.now


Arrive = Callable[[Steps, GraphNode, list[Walker], Cause], None]
"""What a node does with people who arrive at it. The cause is of what it does."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """Of somebody at an automation.

    last_run     0: they never were inside
    has_walked   a run got past the entry
    n_counted    entries by anything but an act of outside, in the last day
    """

    last_run: int = 0
    is_inside: bool = False
    has_walked: bool = False
    n_counted: int = 0


@dataclass(frozen=True, slots=True)
class Entering:
    subscriber_id: int
    run: int
    entry: str
    cause: Cause
    event_id: int | None

    def as_row(self) -> dict[str, Any]:
        return {
            "subscriber_id": self.subscriber_id,
            "run": self.run,
            "entry": self.entry,
            "cause": self.cause,
            "is_from_outside": causes.is_from_outside(self.cause),
        }


def by_cause(ones: Iterable[Walker]) -> Iterator[tuple[Cause, list[Walker]]]:
    found: dict[Cause, list[Walker]] = defaultdict(list)
    for one in ones:
        found[one.cause].append(one)
    yield from found.items()


def things_of(held: what.Held, route: Route) -> what.Held:
    """The account's, as `triggers.what.perform` needs them for this automation."""
    return replace(held, actions=list(route.acts.values()))


def fetch(statement: str, **values: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())


def execute(statement: str, **values: Any) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return int(cursor.rowcount)
