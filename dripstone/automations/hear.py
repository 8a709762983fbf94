"""What becomes of events and dates at the automations that hear of them.

Takes       happenings: somebody, why, and the automations that it concerns; their people and walks locked
Leaves      people who entered, went on, were pulled forward or left; the log
A crash here means that nothing happened: it is all the caller's transaction, with the cursor or the date (read.py).

One happening does one thing to a person in each automation (A6): it ends what their own node waits for; else it pulls
them to the nearest event ahead that it meets; else, if they were outside, it lets them in.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from dripstone.automations import kinds, nodes, reasons, schedule, walk
from dripstone.automations.graph import AT_ENTRY, YES
from dripstone.automations.models import Step, Walk
from dripstone.automations.steps import Held, Steps, Walker
from dripstone.automations.walk import Asked
from dripstone.engine.models import Enrollment
from dripstone.events import causes, types
from dripstone.events.models import Event
from dripstone.rules.fire import Occasion
from dripstone.subscribers.models import State
from dripstone.triggers.when import Trigger

_ENDS = {
    types.SUBSCRIBER_UNSUBSCRIBED: State.CANCELLED,
    types.SUBSCRIBER_BOUNCED: State.BOUNCED,
    types.SUBSCRIBER_COMPLAINED: State.COMPLAINED,
}


@dataclass(frozen=True, slots=True)
class Happening(Occasion):
    """An occasion of rules, and of automations.

    event     None: a date was reached
    trigger   the one whose date it is
    entries   automations whose entry it meets, each with the entry's id
    inside    automations that it may concern because the person is inside
    """

    event: Event | None = None
    trigger: Trigger | None = None
    entries: Mapping[int, str] = field(default_factory=dict)
    inside: frozenset[int] = frozenset()

    @property
    def automation_ids(self) -> set[int]:
        return {*self.entries, *self.inside}

    @property
    def kind(self) -> str:
        """Of the event; "" of a date."""
        return self.event.type if self.event is not None else ""

    @property
    def subject_id(self) -> int | None:
        return self.event.subject_id if self.event is not None else None

    @property
    def sent_into(self) -> int | None:
        """The automation that they are to enter, by a move."""
        return self.subject_id if self.kind == types.SENT_INTO_AUTOMATION else None


def layer(held: Held, happenings: Sequence[Happening], now: datetime) -> None:
    """Nobody comes twice in it. To each automation by its id."""
    by_automation: dict[int, list[Happening]] = defaultdict(list)
    for one in happenings:
        for automation_id in one.automation_ids & held.automations.keys():
            if held.automations[automation_id].account_id == one.account_id:
                by_automation[automation_id].append(one)
    admitted: set[tuple[int, int]] = set()
    for automation_id, ones in sorted(by_automation.items()):
        _At(held, automation_id, now, admitted).all_of(ones)
    answers: dict[int, list[Happening]] = defaultdict(list)
    for one in happenings:
        if one.event is not None and one.event.data.get("from") in held.automations:
            answers[one.event.data["from"]].append(one)
    for automation_id, ones in sorted(answers.items()):
        _At(held, automation_id, now, admitted).answers_to(ones)


Pair = tuple[Happening, Walker]


@dataclass(slots=True)
class _At:
    """One automation. admitted: who was let in by this layer, and where."""

    held: Held
    automation_id: int
    now: datetime
    admitted: set[tuple[int, int]]

    def all_of(self, ones: Sequence[Happening]) -> None:
        walk.apart(self.held, self.automation_id, self._work_off, ones, self._fail, self.now)

    def answers_to(self, ones: Sequence[Happening]) -> None:
        """Those who were sent into another automation and wait whether it admits them."""
        walk.apart(self.held, self.automation_id, self._answer, ones, self._fail, self.now)

    def _fail(self, steps: Steps, one: Happening) -> None:
        if one.subscriber_id in steps.walks:
            walk.put_off(steps, one.subscriber_id, one.event_id)
        elif self.automation_id in one.entries:
            steps.refuse(one.subscriber_id, reasons.OUR_MISTAKE, one.cause, one.event_id)

    # All at once

    def _work_off(self, steps: Steps, ones: Sequence[Happening]) -> None:
        outside = [one for one in ones if one.subscriber_id not in steps.walks]
        inside = [(one, self._walker(steps, one)) for one in ones if one.subscriber_id in steps.walks]
        outside += self._confirmed(steps, inside)
        left = self._leaving(steps, [pair for pair in inside if _is_inside(steps, pair)])
        left = self._by_their_own_node(steps, left)
        left = self._pulled(steps, left)
        self._not_moved(steps, left)
        found = walk.let_in(steps, [asked for one in outside if (asked := self._asked(one))])
        self.admitted |= {(self.automation_id, pk) for pk, reason in found.items() if not reason}
        steps.run()

    def _walker(self, steps: Steps, one: Happening) -> Walker:
        walker = steps.add(one.subscriber_id, Step.What.WALKED, "", one.cause, one.event_id)
        walker.is_noted = False  # until something becomes of it
        return walker

    def _asked(self, one: Happening) -> Asked | None:
        """Who would enter by it. A quiet act lets in whom it sends, and nobody else (A17)."""
        is_sent = one.sent_into == self.automation_id
        if self.automation_id not in one.entries or (causes.is_quiet(one.cause) and not is_sent):
            return None
        again = bool(is_sent and one.event and one.event.data.get("again"))
        return Asked(one.subscriber_id, one.cause, one.entries[self.automation_id], one.event_id, again)

    def _answer(self, steps: Steps, ones: Sequence[Happening]) -> None:
        for one in ones:
            here = steps.walks.get(one.subscriber_id)
            if here is not None and one.event is not None and _waits_for_answer(steps, here, one.event):
                is_let_in = (one.event.subject_id, one.subscriber_id) in self.admitted
                nodes.answered(steps, self._walker(steps, one), is_let_in=is_let_in)
        steps.run()

    # One after the other, those for whom nothing was done yet

    def _confirmed(self, steps: Steps, inside: Sequence[Pair]) -> list[Happening]:
        """They walk first; then it counts as an event (A2). Returns those who have walked out."""
        some = [(one, walker) for one, walker in inside if one.kind == types.SUBSCRIBER_ACTIVATED]
        for _, walker in some:
            here = steps.walk(walker)
            if here.due_at is None and steps.person(walker).state == State.ACTIVE:
                steps.due(walker, again_at(steps, here))
        nodes.resume(steps, [walker for _, walker in some])
        steps.run()
        return [pair[0] for pair in some if not _is_inside(steps, pair)]

    def _leaving(self, steps: Steps, inside: Sequence[Pair]) -> list[Pair]:
        left = []
        for one, walker in inside:
            if one.kind in _ENDS and one.event is not None and one.event.occurred_at >= steps.walk(walker).entered_at:
                nodes.leave(steps, [walker], reasons.state_is(_ENDS[one.kind]))
            elif one.kind == types.SENT_OUT_OF_AUTOMATION and one.subject_id == self.automation_id:
                nodes.leave(steps, [walker], reasons.BY_MOVE)
            else:
                left.append((one, walker))
        return left

    def _by_their_own_node(self, steps: Steps, left: list[Pair]) -> list[Pair]:
        """What their node waits for has come to its end."""
        at: dict[str, list[Pair]] = defaultdict(list)
        for one, walker in left:
            here = steps.walk(walker)
            if here.is_begun and here.node in steps.route.graph.nodes:
                at[here.node].append((one, walker))
        ended: set[int] = set()
        for key, some in at.items():
            match steps.node(key).kind:
                case kinds.EVENT:
                    ended |= self._events(steps, key, some)
                case kinds.CONDITION:
                    ended |= self._conditions(steps, key, some)
                case kinds.SEQUENCE:
                    ended |= self._sequences(steps, key, some)
                case kinds.WAIT:
                    ended |= self._fields(steps, key, some)
        return _without(left, ended)

    def _events(self, steps: Steps, key: str, some: Iterable[Pair]) -> set[int]:
        ended = set()
        for one, walker in some:
            if key in self._met_by(steps, one) and not nodes.has_happened(steps.walk(walker)):
                nodes.end(steps, walker, steps.node(key), reasons.HAPPENED)
                ended.add(walker.subscriber_id)
        return ended

    def _conditions(self, steps: Steps, key: str, some: Iterable[Pair]) -> set[int]:
        node = steps.node(key)
        looking = [walker for _, walker in some if steps.may_walk(walker)]
        met = steps.met(key, node.settings["if"], looking)
        for walker in looking:
            if walker.subscriber_id in met:
                nodes.over(steps, walker, node, reasons.CONDITION_MET, YES)
        return met

    def _sequences(self, steps: Steps, key: str, some: Iterable[Pair]) -> set[int]:
        """Of the sequence in which they are, which may be another than the node's by now."""
        about = [(one, walker) for one, walker in some if one.kind in types.OF_SEQUENCES]
        about = [(one, walker) for one, walker in about if steps.walk(walker).ends_at is None]
        ids = [steps.walk(walker).enrollment_id or 0 for _, walker in about]
        sequences = dict(Enrollment.objects.filter(pk__in=ids).values_list("pk", "sequence_id")) if ids else {}
        ended = set()
        for one, walker in about:
            if one.event is None or sequences.get(steps.walk(walker).enrollment_id or 0) != one.subject_id:
                continue
            if reason := nodes.why_sequence_is_over(steps, walker, steps.node(key), one.event):
                nodes.end(steps, walker, steps.node(key), reason)
                ended.add(walker.subscriber_id)
        return ended

    def _fields(self, steps: Steps, key: str, some: Iterable[Pair]) -> set[int]:
        """The date that they wait for has changed."""
        node = steps.node(key)
        field_id = schedule.field_of(node.settings)
        changed = [
            walker for one, walker in some if one.kind == types.FIELD_VALUE_UPDATED and one.subject_id == field_id
        ]
        ends = nodes.ends_of_wait(steps, node, dict.fromkeys(changed, self.now)) if changed else {}
        for walker in changed:
            steps.walk(walker).ends_at = ends_at = ends[walker.subscriber_id]
            steps.due(walker, self.now if ends_at is None else ends_at)
        over = [walker for walker in changed if (at := ends[walker.subscriber_id]) is None or at <= self.now]
        nodes.resume(steps, over)
        return {walker.subscriber_id for walker in over if steps.may_walk(walker)}

    def _pulled(self, steps: Steps, left: list[Pair]) -> list[Pair]:
        to: dict[str, list[Walker]] = defaultdict(list)
        for one, walker in left:
            met = self._met_by(steps, one)
            nearest = next((key for key in self._before_them(steps, walker) if key in met), None)
            if nearest is not None:
                to[nearest].append(walker)
        for key, some in to.items():
            nodes.pull(steps, some, key)
        return _without(left, {walker.subscriber_id for some in to.values() for walker in some})

    def _before_them(self, steps: Steps, walker: Walker) -> list[str]:
        """Event nodes ahead, the nearest first. Who was put at one and has not walked yet stands before it."""
        here, ahead = steps.walk(walker), steps.route.ahead.get(steps.walk(walker).node, [])
        node = steps.route.graph.nodes.get(here.node)
        is_before = node is not None and not here.is_begun and not node.is_deleted
        return [here.node, *ahead] if is_before else ahead

    def _met_by(self, steps: Steps, one: Happening) -> set[str]:
        """Event nodes for which it is what they wait for. What a run has done itself is not (A16)."""
        if one.event is None:
            return set() if one.trigger is None else steps.route.met_by_date(one.trigger)
        if causes.is_by_automation(one.cause, self.automation_id):
            return set()
        return steps.route.met_by(one.event)

    def _not_moved(self, steps: Steps, left: Iterable[Pair]) -> None:
        """An entry changes nothing for whoever is inside, and the log says so."""
        for one, walker in left:
            if self._asked(one) and not walker.path:
                steps.refuse(one.subscriber_id, reasons.INSIDE_ALREADY, one.cause, one.event_id)


def _is_inside(steps: Steps, pair: Pair) -> bool:
    walker = pair[1]
    here = steps.walks.get(walker.subscriber_id)
    return here is not None and here.run == walker.run


def _without(pairs: Iterable[Pair], people: set[int]) -> list[Pair]:
    return [(one, walker) for one, walker in pairs if walker.subscriber_id not in people]


def _waits_for_answer(steps: Steps, here: Walk, event: Event) -> bool:
    node = steps.route.graph.nodes.get(here.node)
    is_there = node is not None and node.kind == kinds.MOVE and here.is_begun and here.ends_at is None
    return is_there and event.data["from"] == steps.automation_id and event.data.get("run") == here.run


def again_at(steps: Steps, here: Walk) -> datetime | None:
    """When somebody who could not walk is to be looked at, now that they can."""
    node = steps.route.graph.nodes.get(here.node)
    if here.node == AT_ENTRY or not here.is_begun or (node is not None and node.kind == kinds.CONDITION):
        return steps.now
    if here.ends_at is None and node is not None and node.kind == kinds.WAIT:
        return steps.now
    return here.ends_at
