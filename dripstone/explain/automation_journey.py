"""One person's way through automations: what they passed, where they stand, and what comes, as far as it is decided.

Dates ahead come from the functions that walking and the engine themselves use: unless something is edited or happens to
the person, they come true. Where the way depends on something, it ends, and says on what. It only reads.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from typing import NamedTuple
from zoneinfo import ZoneInfo

from dripstone import words
from dripstone.accounts.models import Account
from dripstone.automations import graph as graphs
from dripstone.automations import kinds, nodes, reading, schedule
from dripstone.automations import words as node_words
from dripstone.automations.graph import NEXT, OTHERWISE, Graph, GraphNode
from dripstone.automations.models import Automation, Step, Walk
from dripstone.conditions import matching
from dripstone.conditions.words import Names
from dripstone.content import subjects
from dripstone.engine import audience, filters
from dripstone.engine.models import Enrollment
from dripstone.explain import journey, walk_words
from dripstone.explain.walk_words import Line
from dripstone.foresight import timetable
from dripstone.grammar import Condition
from dripstone.rules import already
from dripstone.sequences.models import Sequence, SequenceEmail
from dripstone.subscribers.models import State, Subscriber
from dripstone.triggers import dates, when

MOST_ROWS = 200  # of the log, newest first
MOST_ENDED = 20  # automations that they have left
MOST_AHEAD = 60  # of what comes
MOST_EVENTS = 5  # that could pull them forward


@dataclass(frozen=True, slots=True)
class Ahead:
    """Something that comes.

    at     when; exact, if nothing happens before
    node   the key of the step; "" when they leave
    what   "Add the tag “Reader”", "The email “Day 2” of “Course”", "They leave: nothing comes next"
    email_id   of an email
    """

    at: datetime
    node: str
    what: str
    email_id: int | None = None


@dataclass(frozen=True, slots=True)
class Way:
    """Their present run through an automation, or the last one.

    past      its rows of the log, oldest first
    now       where they stand: "Wait 3 days, until Monday 7 December 2026 at 09:00"; "" when they have left
    coming    as far as it is decided
    depends   on what the rest does: "whether they have the tag “Customer” by then"; "" where all of it is decided
    unless    what would take them forward before: "the person buys “Course”: “Add the tag “Customer””"
    """

    automation: Automation
    walk: Walk
    past: tuple[Line, ...] = ()
    now: str = ""
    coming: tuple[Ahead, ...] = ()
    depends: str = ""
    unless: tuple[str, ...] = ()

    @property
    def is_inside(self) -> bool:
        return self.walk.left_at is None


def of_person(account: Account, person: Subscriber, now: datetime) -> list[Way]:
    """Of every automation that they are or were in: those that they are in first, then what they left last. A fixed
    number of queries, and a few more for each sequence that lies ahead."""
    walks = _last_runs(account, person)
    facts = _Facts(account, person, now, walks)
    return [_way(walk, facts) for walk in walks]


def of_walk(walk: Walk, automation: Automation, person: Subscriber, now: datetime) -> Way:
    """Of one run."""
    return _way(walk, _Facts(automation.account, person, now, [walk]))


def _last_runs(account: Account, person: Subscriber) -> list[Walk]:
    rows = Walk.objects.filter(subscriber_id=person.pk, account_id=account.pk, automation__account=account)
    last = list(rows.order_by("automation", "-run").distinct("automation"))
    inside = [walk for walk in last if walk.left_at is None]
    ended = sorted((walk for walk in last if walk.left_at is not None), key=_left_at, reverse=True)
    return [*sorted(inside, key=lambda walk: walk.entered_at), *ended[:MOST_ENDED]]


def _left_at(walk: Walk) -> datetime:
    assert walk.left_at is not None
    return walk.left_at


# --- What is read -------------------------------------------------------------------------------------------------


@dataclass
class _Facts:
    account: Account
    person: Subscriber
    now: datetime
    walks: list[Walk]

    @cached_property
    def automations(self) -> dict[int, Automation]:
        rows = Automation.objects.filter(account=self.account).select_related("account")
        return rows.in_bulk({walk.automation_id for walk in self.walks})

    @cached_property
    def graphs(self) -> dict[int, Graph]:
        return walk_words.graphs_of(self.automations.values())

    @cached_property
    def names(self) -> Names:
        return node_words.names_of(self.graphs.values(), self.account.pk)

    @cached_property
    def lines(self) -> dict[tuple[int, int | None], list[Line]]:
        """By automation and run, oldest first."""
        mine = Step.objects.filter(subscriber_id=self.person.pk, account_id=self.account.pk)
        rows = list(mine.filter(automation_id__in=list(self.automations)).order_by("-pk")[:MOST_ROWS])[::-1]
        found: dict[tuple[int, int | None], list[Line]] = {}
        for line in walk_words.of(rows, walk_words.names_of(rows, self.account.pk)):
            found.setdefault((line.row.automation_id, line.row.run), []).append(line)
        return found

    @cached_property
    def places(self) -> dict[int, Enrollment]:
        """Their places in the sequences that these graphs name, by sequence."""
        named = {pk for graph in self.graphs.values() for kind, pk in reading.all_things(graph) if kind == "sequence"}
        rows = Enrollment.objects.filter(subscriber=self.person, sequence__in=named)
        return {row.sequence_id: row for row in rows.select_related("sequence", "subscriber")}

    @cached_property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.account.time_zone)

    def moment(self, at: datetime) -> str:
        return words.when(at, self.account.time_zone)

    def day_in(self, field_id: int) -> date | None:
        """The date in a field of theirs."""
        value = self.person.fields.get(str(field_id))
        return dates.days([value], self.account.time_zone)[value]

    def meets(self, condition: Condition) -> bool:
        return matching(condition, self.account, self.now, among=[self.person.pk]).exists()

    def is_so(self, trigger: when.Trigger) -> bool:
        """What it leaves behind."""
        state = already.left_behind(trigger, self.account, self.now)
        return state is not None and self.meets(state)

    def is_excluded(self, sequence: Sequence) -> bool:
        return bool(audience.excluded(sequence, [self.person.pk], self.now))

    def emails(self, sequence: Sequence) -> list[SequenceEmail]:
        return list(sequence.emails.filter(deleted_at=None).defer("content"))


# --- One run ------------------------------------------------------------------------------------------------------


def _way(walk: Walk, facts: _Facts) -> Way:
    automation = facts.automations[walk.automation_id]
    past = tuple(facts.lines.get((automation.pk, walk.run), ()))
    if walk.left_at is not None:
        return Way(automation, walk, past)
    ahead = _Ahead(walk, automation, facts.graphs[automation.pk], facts)
    stop = ahead.follow()
    unless = tuple(ahead.events()) if not stop.is_still else ()
    coming = tuple(sorted(ahead.found, key=lambda one: one.at))
    return Way(automation, walk, past, ahead.where(), coming, stop.depends, unless)


class _Stop(NamedTuple):
    """Where the way ends to be decided. depends: on what; "": it does not; is_still: they do not go on at all"""

    depends: str = ""
    is_still: bool = False


class _Onward(NamedTuple):
    """They are at a node at an instant, or (None) leave."""

    key: str | None
    at: datetime


@dataclass
class _Ahead:
    walk: Walk
    automation: Automation
    graph: Graph
    facts: _Facts
    found: list[Ahead] = field(default_factory=list)
    # Sequences that they come into, or wait with, on the way: when the last email goes; None: that is not known.
    entered: dict[int, datetime | None] = field(default_factory=dict)

    put_in: set[str] = field(default_factory=set)  # nodes that put them into a sequence

    # Where they stand

    def where(self) -> str:
        node = self.node
        if node is None:
            return "At the entry"
        said = node_words.node(node, self.facts.names)
        if self.walk.ends_at is None or node.kind not in (kinds.WAIT, kinds.CONDITION, kinds.EVENT):
            return said
        return f"{said}: until {self.facts.moment(self.walk.ends_at)}"

    @property
    def node(self) -> GraphNode | None:
        return self.graph.nodes.get(self.walk.node)

    def follow(self) -> _Stop:
        """All that comes is noted in `found`."""
        if self.facts.person.state == State.INACTIVE:
            return _Stop("whether they confirm their address: nobody unconfirmed goes on", is_still=True)
        if self.automation.status != Automation.Status.ACTIVE:
            return _Stop(f"whether the automation runs again: it {_STILL[self.automation.status]}", is_still=True)
        here, since, n_found = self.walk.node, self.facts.now, 0
        onward = self._from_here()
        while isinstance(onward, _Onward):
            onward = self._unless_pulled(here, since, n_found, onward)
            if onward.key is None or onward.key not in self.graph.nodes:
                self._note(onward.at, "", "They leave: nothing comes next")
                return _Stop()
            if len(self.found) >= MOST_AHEAD:
                return _Stop("what comes after all this")
            here, since, n_found = onward.key, onward.at, len(self.found)
            onward = self._at(self.graph.nodes[here], since)
        return onward

    def _unless_pulled(self, here: str, since: datetime, n_found: int, onward: _Onward) -> _Onward:
        """A date ahead that comes before they go on takes them there (A6). The sequence in which they are for this
        automation ends with it (A5)."""
        dates_ahead = [
            (datetime.fromisoformat(node.trigger["at"]), node)
            for node in self.graph.events_ahead(here)
            if node.trigger["trigger"] == when.DATE
        ]
        coming = [(at, node) for at, node in dates_ahead if since < at <= onward.at]
        if not coming:
            return onward
        at, node = min(coming, key=lambda one: one[0])
        if self._is_ours(here):
            self.entered[self.graph.nodes[here].settings["sequence_id"]] = None
            self.found[n_found:] = [one for one in self.found[n_found:] if one.email_id is None or one.at < at]
        self.found[n_found:] = [one for one in self.found[n_found:] if one.email_id is not None or one.at <= at]
        happening = when.words(node.trigger, self.facts.names, node_words.WHO)
        self._note(at, node.key, f"{happening[:1].upper()}{happening[1:]}, and takes them here")
        return _Onward(_next(node), at)

    def _is_ours(self, key: str) -> bool:
        """Whether they are in the sequence there because of this run."""
        node = self.graph.nodes.get(key)
        if node is None or node.kind != kinds.SEQUENCE or node.is_deleted:
            return False
        return self.walk.is_ours if key == self.walk.node and self.walk.is_begun else key in self.put_in

    def _from_here(self) -> _Onward | _Stop:
        """From where they stand."""
        node, now = self.node, self.facts.now
        if node is None:
            return _Onward(self.graph.start, now)
        if not self.walk.is_begun:
            return self._at(node, now)
        ends_at = None if self.walk.ends_at is None else max(self.walk.ends_at, now)
        match node.kind:
            case kinds.WAIT if ends_at is not None:
                return _Onward(_next(node), ends_at)
            case kinds.SEQUENCE:
                return self._in_sequence(node, now)
            case kinds.CONDITION | kinds.EVENT:
                return self._until(node, ends_at)
        return _Stop(_ANSWER)

    def events(self) -> Iterator[str]:
        """What is ahead, and would take them there at once."""
        ahead = [one for one in self.graph.events_ahead(self.walk.node) if one.trigger["trigger"] != when.DATE]
        for node in ahead[:MOST_EVENTS]:
            happening = when.words(node.trigger, self.facts.names, node_words.WHO)
            to = self.graph.nodes.get(_next(node) or "")
            then = words.title(node_words.node(to, self.facts.names)) if to is not None else "they leave"
            yield f"{happening}: then {then}"

    # Node by node

    def _at(self, node: GraphNode, at: datetime) -> _Onward | _Stop:
        if node.is_deleted:
            return _Onward(_next(node), at)
        if node.kind in kinds.ACTS or node.kind == kinds.MOVE:
            return self._act(node, at)
        return _KINDS[node.kind](self, node, at)

    def _act(self, node: GraphNode, at: datetime) -> _Onward | _Stop:
        if node.key in self.walk.acted:
            return _Onward(_next(node), at)
        self._note(at, node.key, node_words.node(node, self.facts.names))
        if node.settings.get("and_leave"):
            return _Stop("whether the other automation lets them in" if node.settings["way"] == kinds.IN else _ANSWER)
        return _Onward(_next(node), at)

    def _wait(self, node: GraphNode, at: datetime) -> _Onward | _Stop:
        field_id = schedule.field_of(node.settings)
        day = None if field_id is None else self.facts.day_in(field_id)
        over = schedule.end_of_wait(node.settings, at, self.facts.zone, day)
        if over is None:
            return _Onward(dict(node.ways).get(OTHERWISE, _next(node)), at)
        if over > at:
            said = node_words.node(node, self.facts.names)
            self._note(at, node.key, f"{said}: until {self.facts.moment(over)}")
        return _Onward(_next(node), max(over, at))

    def _condition(self, node: GraphNode, at: datetime) -> _Onward | _Stop:
        within = node.settings.get("within")
        return self._until(node, None if within is None else schedule.after(at, within, self.facts.zone))

    def _until(self, node: GraphNode, ends_at: datetime | None) -> _Stop:
        """At a condition or an event."""
        until = f" by {self.facts.moment(ends_at)}" if ends_at is not None else ""
        if node.kind == kinds.EVENT:
            return _Stop(f"whether {when.words(node.trigger, self.facts.names, node_words.WHO)}{until}")
        said = node_words.condition(node.settings["if"], self.facts.names)
        as_of_now = "" if node.key == self.walk.node else f"; as things are, {self._yes_or_no(node.settings['if'])}"
        return _Stop(f"whether they {said}{until or ' then'}{as_of_now}")

    def _yes_or_no(self, condition: Condition) -> str:
        return "yes" if self.facts.meets(condition) else "no"

    def _split(self, node: GraphNode, at: datetime) -> _Onward | _Stop:
        branches = node.settings[graphs.BRANCHES]
        if "percent" in branches[0]:
            way = nodes.share(self.automation.pk, self.walk.subscriber_id, self.walk.run, node)
            return _Onward(dict(node.ways)[way], at)
        first = next((place for place, branch in enumerate(branches) if self.facts.meets(branch["if"])), None)
        now = OTHERWISE if first is None else str(first)
        asked = ", or ".join(node_words.condition(branch["if"], self.facts.names) for branch in branches)
        way = node_words.way(node, now, self.facts.names)
        return _Stop(f"what is so then first: they {asked}; as things are, {way}")

    def _event(self, node: GraphNode, at: datetime) -> _Onward | _Stop:
        """A date comes by itself."""
        trigger = node.trigger
        if trigger["trigger"] == when.DATE:
            comes_at = datetime.fromisoformat(trigger["at"])
            if comes_at > at:
                self._note(at, node.key, node_words.node(node, self.facts.names))
                return _Onward(_next(node), comes_at)
            if node.settings.get("already"):
                return _Onward(_next(node), at)
        within = node.settings.get("within")
        stop = self._until(node, None if within is None else schedule.after(at, within, self.facts.zone))
        if node.settings.get("already") and self.facts.is_so(trigger):
            return _Stop(f"{stop.depends}; as things are, that is so already, and they go on at once")
        return stop

    # Sequences

    def _sequence(self, node: GraphNode, at: datetime) -> _Onward | _Stop:
        """R12, for somebody whom an automation adds."""
        sequence = self._sequence_of(node)
        if sequence is None or node.key in self.walk.acted:
            return _Onward(_next(node), at)
        if sequence.pk in self.entered and not sequence.repeat:
            return self._again(node, sequence, at)
        place = self.facts.places.get(sequence.pk)
        is_inside = place is not None and place.status in _INSIDE
        if place is not None and place.status == Enrollment.Status.COMPLETED and not sequence.repeat:
            return _Onward(_next(node), at)
        self._note(at, node.key, node_words.node(node, self.facts.names))
        if is_inside and not sequence.repeat:
            return self._in_sequence(node, at)
        if place is not None and not sequence.repeat:
            return self._waits(node, at, f"which emails of {words.title(sequence.name)} they have not had yet")
        if not sequence.active:
            return self._waits(node, at, f"whether {words.title(sequence.name)} runs again")
        return self._through(node, sequence, at)

    def _again(self, node: GraphNode, sequence: Sequence, at: datetime) -> _Onward | _Stop:
        """A second time on the way: they wait with it, or are through with it."""
        last = self.entered[sequence.pk]
        if last is None:
            return self._waits(node, at, f"what {words.title(sequence.name)} still has for them")
        if last <= at and not sequence.hold:
            return _Onward(_next(node), at)
        self._note(at, node.key, node_words.node(node, self.facts.names))
        return self._after(node, sequence, at, last)

    def _sequence_of(self, node: GraphNode) -> Sequence | None:
        rows = Sequence.objects.filter(account=self.facts.account, deleted_at=None)
        return rows.filter(pk=node.settings["sequence_id"]).first()

    def _through(self, node: GraphNode, sequence: Sequence, at: datetime) -> _Onward | _Stop:
        """They enter it then, and are sent what is published; who is excluded goes through it without (R14)."""
        self.entered[sequence.pk] = None
        self.put_in.add(node.key)
        emails = self.facts.emails(sequence)
        readers = filters.readers(filters.of(emails), self.facts.account.pk)
        lines = timetable.of_entry(sequence, emails, at, readers)
        for line in [] if self.facts.is_excluded(sequence) else lines:
            to = f", if they are among the {line.readers}" if line.readers else ""
            self._email(line.due, node, line.email, sequence, to)
        n_live = sum(email.published for email in emails)
        if len(lines) < n_live or not lines:
            return self._waits(
                node, at, f"what {words.title(sequence.name)} sends: an email is on hold, or none is there"
            )
        self.entered[sequence.pk] = lines[-1].due
        return self._after(node, sequence, at, lines[-1].due)

    def _in_sequence(self, node: GraphNode, at: datetime) -> _Onward | _Stop:
        """They are in it, by whatever way."""
        sequence_id = node.settings["sequence_id"]
        place = self.facts.places.get(sequence_id)
        if place is None or place.status not in _INSIDE:
            return self._waits(node, at, _ANSWER)
        self.entered[sequence_id] = None
        told = journey.of(place, self.facts.now)
        if told.waiting_because == "at_the_end":
            self.entered[sequence_id] = at
            return self._after(node, place.sequence, at, at)
        coming = [step for step in told.steps if step.outcome in journey.GOES and step.at is not None]
        for step in coming:
            assert step.at is not None
            if step.coming is None or not step.coming.excluded:
                self._email(step.at, node, step.email, place.sequence)
        rest = [step for step in told.steps if step.outcome == "waiting"]
        if told.stop or rest or not coming:
            why = f"when {words.title(place.sequence.name)} sends them its next email: it has no date now"
            return self._waits(node, at, why)
        last = coming[-1].at
        assert last is not None
        self.entered[sequence_id] = last
        return self._after(node, place.sequence, at, last)

    def _after(self, node: GraphNode, sequence: Sequence, at: datetime, last: datetime) -> _Onward | _Stop:
        match node.settings["wait"]:
            case kinds.COMPLETED if sequence.hold:
                return _Stop(f"whether {words.title(sequence.name)} goes on holding people at its end")
            case False:
                return _Onward(_next(node), at)
        return _Onward(_next(node), max(last, at))

    def _waits(self, node: GraphNode, at: datetime, depends: str) -> _Onward | _Stop:
        """Whoever does not wait for the sequence goes on all the same."""
        return _Onward(_next(node), at) if node.settings["wait"] is False else _Stop(depends)

    def _email(self, at: datetime, node: GraphNode, email: SequenceEmail, sequence: Sequence, to: str = "") -> None:
        subject = words.title(subjects.readable(email.subject))
        self._note(at, node.key, f"The email {subject} of {words.title(sequence.name)}{to}", email.pk)

    def _note(self, at: datetime, key: str, what: str, email_id: int | None = None) -> None:
        self.found.append(Ahead(at, key, what, email_id))


_ANSWER = "what comes of this"
_INSIDE = (Enrollment.Status.ACTIVE, Enrollment.Status.UNCONFIRMED)
_STILL: Mapping[str, str] = {
    Automation.Status.INACTIVE: "is switched off",
    Automation.Status.PAUSED: "is paused",
}


def _next(node: GraphNode) -> str | None:
    return dict(node.ways).get(NEXT)


_KINDS: Mapping[str, Callable[[_Ahead, GraphNode, datetime], _Onward | _Stop]] = {
    kinds.SEQUENCE: _Ahead._sequence,
    kinds.WAIT: _Ahead._wait,
    kinds.CONDITION: _Ahead._condition,
    kinds.SPLIT: _Ahead._split,
    kinds.EVENT: _Ahead._event,
}
