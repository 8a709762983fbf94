"""Rules and automations that feed one another: what one does sets off another, and so on, back to the first. Pure.

edges = circles.Edges({("rule", 7): circles.of_rule(rule), ("automation", 3): circles.of_automation(one, graph)}, …)
edges.circle(("rule", 7))   the shortest way back to it
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, NamedTuple

from dripstone import words
from dripstone.automations import kinds
from dripstone.automations.graph import Graph, GraphNode
from dripstone.automations.models import Automation
from dripstone.events import types
from dripstone.rules.models import Rule
from dripstone.triggers import what, when
from dripstone.triggers.what import Action
from dripstone.triggers.when import Key, Trigger

MOST_NAMED = 4  # of a circle

Actor = tuple[Literal["rule", "automation"], int]


class Pace(IntEnum):
    """How soon one thing sets off the next: in the same chain; behind a wait, or the end of a sequence; when the date
    in a field comes."""

    AT_ONCE = 0
    LATER = 1
    BY_DATE = 2


class Effect(NamedTuple):
    """An event that an act brings about. value: of a field; None: it depends"""

    type: str
    subject: int | None
    value: str | None = None
    pace: Pace = Pace.AT_ONCE


@dataclass(frozen=True, slots=True)
class Acting:
    """What an actor waits for, and what it brings about.

    hears   beside what its triggers wait for
    is_once   it takes nobody twice, so it stands in no circle
    """

    name: str
    triggers: tuple[Trigger, ...]
    effects: tuple[Effect, ...]
    hears: tuple[Key, ...] = ()
    is_once: bool = False


@dataclass(frozen=True, slots=True)
class Circle:
    """From an actor back to it. between: those on the way; pace: of its slowest part"""

    between: list[Actor]
    pace: Pace


_DATE = "date of a field"  # no event: it is reached
_SENT_IN = "sent into an automation"


def of_rule(rule: Rule) -> Acting:
    return Acting(rule.name, tuple(rule.triggers), tuple(_effects(rule.actions)))


def of_automation(automation: Automation, graph: Graph) -> Acting:
    """What happens behind a wait begins a chain of its own."""
    at_once = _at_once(graph)
    effects = (
        effect if node.key in at_once else effect._replace(pace=max(effect.pace, Pace.LATER))
        for node in graph.living
        for effect in effects_of(node)
    )
    is_once = automation.reenter == Automation.Reenter.NEVER
    hears = ((_SENT_IN, automation.pk),)
    return Acting(automation.name, tuple(graph.triggers), tuple(effects), hears, is_once)


def effects_of(node: GraphNode) -> list[Effect]:
    return list(_effects([_as_action(node)]))


def _as_action(node: GraphNode) -> Action:
    """As a rule would say it."""
    if node.kind == kinds.SEQUENCE:
        return {"kind": what.ENTER_SEQUENCE, **node.settings}
    return {"kind": node.kind, **node.settings}


def _at_once(graph: Graph) -> set[str]:
    """Nodes that somebody may come to without having waited."""
    found: set[str] = set()
    wanted = [graph.start]
    while wanted:
        key = wanted.pop()
        if key is None or key in found or key not in graph.nodes:
            continue
        found.add(key)
        if not waits(graph.nodes[key]):
            wanted += [to for _, to in graph.exits_of(key)]
    return found


def waits(node: GraphNode) -> bool:
    """Whether people stand at it for a while."""
    match node.kind:
        case kinds.WAIT | kinds.EVENT:
            return True
        case kinds.SEQUENCE:
            return node.settings.get("wait") is not False
    return node.kind == kinds.CONDITION and node.settings.get("within") is not None


class Edges:
    """Who sets off whom. An effect that nothing undoes happens to a person once, and leads round no circle."""

    def __init__(self, actors: Mapping[Actor, Acting], repeating: Collection[int]) -> None:
        """repeating   ids of the sequences that people may start again"""
        self.actors = actors
        acting = {one: found for one, found in actors.items() if not found.is_once}
        recurring = _Recurring([one for found in acting.values() for one in found.effects], repeating)
        self._effects = {actor: [one for one in found.effects if recurring.has(one)] for actor, found in acting.items()}
        self._hearing: dict[Key, list[tuple[Actor, Trigger | None]]] = defaultdict(list)
        for actor, found in acting.items():
            for trigger in found.triggers:
                for key in _keys(trigger):
                    self._hearing[key].append((actor, trigger))
            for key in found.hears:
                self._hearing[key].append((actor, None))

    def hearing(self, effect: Effect) -> Iterator[Actor]:
        """Whom it sets off."""
        for key in dict.fromkeys([(effect.type, effect.subject), (effect.type, None)]):
            for actor, trigger in self._hearing.get(key, ()):
                if trigger is None or _may_meet(trigger, effect):
                    yield actor

    def after(self, actor: Actor) -> Iterator[tuple[Actor, Pace]]:
        """Those whom this one sets off, and how soon."""
        for one in self._effects.get(actor, ()):
            yield from ((other, one.pace) for other in self.hearing(one))

    def circle(self, actor: Actor) -> Circle | None:
        """The shortest."""
        came_from: dict[Actor, tuple[Actor, Pace]] = {}
        level = [actor]
        while level:
            further = []
            for here in level:
                for there, pace in self.after(here):
                    if there == actor:
                        return _way_back(here, actor, came_from, pace)
                    if there not in came_from:
                        came_from[there] = (here, pace)
                        further.append(there)
            level = further
        return None

    def sentence(self, way: Circle) -> str:
        """`It goes in a circle: what it does sets off the rule “B”, which sets this one off again. …`"""
        others = [f"the {kind} {words.title(self.actors[kind, pk].name)}" for kind, pk in way.between[:MOST_NAMED]]
        more = len(way.between) - len(others)
        if not others:
            said = "It goes in a circle: what it does sets it off again."
        else:
            chain = ", which sets off ".join(others)
            chain += f", which leads over {more} more" if more > 0 else ""
            said = f"It goes in a circle: what it does sets off {chain}, which sets this one off again."
        return f"{said} {_ENDS[way.pace]}"


_ENDS: Mapping[Pace, str] = {
    Pace.AT_ONCE: "Before it acts twice in one chain it is stopped, and the log says so.",
    Pace.LATER: "Each round takes a while; a person is taken at most ten times within 24 hours.",
    Pace.BY_DATE: "Each round waits for a date that this writes into a field.",
}


def _way_back(last: Actor, first: Actor, came_from: Mapping[Actor, tuple[Actor, Pace]], pace: Pace) -> Circle:
    way: list[Actor] = []
    while last != first:
        way.insert(0, last)
        last, before = came_from[last]
        pace = max(pace, before)
    return Circle(way, pace)


def _effects(actions: Iterable[Action]) -> Iterator[Effect]:
    for action in actions:
        match action["kind"]:
            case what.TAG:
                yield Effect(types.TAG_ADDED, action["tag_id"])
            case what.UNTAG:
                yield Effect(types.TAG_REMOVED, action["tag_id"])
            case what.FIELD:
                text = action["value"] or ""
                value = None if "{" in text else text
                yield Effect(types.FIELD_VALUE_UPDATED, action["custom_field_id"], value)
                yield Effect(_DATE, action["custom_field_id"], value, Pace.BY_DATE)
            case what.ENTER_SEQUENCE:
                yield Effect(types.ADDED_TO_SEQUENCE, action["sequence_id"])
                yield Effect(types.SEQUENCE_COMPLETED, action["sequence_id"], pace=Pace.LATER)
            case what.LEAVE_SEQUENCE:
                yield Effect(types.REMOVED_FROM_SEQUENCE, action["sequence_id"])
            case kinds.MOVE if action["way"] == kinds.IN:
                yield Effect(_SENT_IN, action["automation_id"])


def _keys(trigger: Trigger) -> Iterable[Key]:
    if trigger["trigger"] == when.FIELD_DATE:
        return [(_DATE, trigger["custom_field_id"])]
    return when.event_keys(trigger)


def _may_meet(trigger: Trigger, effect: Effect) -> bool:
    if trigger["trigger"] != when.FIELD_CHANGED or "value" not in trigger or effect.value is None:
        return True
    return bool(trigger["value"] == effect.value)


class _Recurring:
    """Which effects may happen to a person again and again, with these rules."""

    def __init__(self, effects: Iterable[Effect], repeating: Collection[int]) -> None:
        self._kinds = {(one.type, one.subject) for one in effects}
        self._values: dict[int | None, set[str | None]] = defaultdict(set)
        for one in effects:
            if one.type == types.FIELD_VALUE_UPDATED:
                self._values[one.subject].add(one.value)
        self._repeating = repeating

    def has(self, one: Effect) -> bool:
        match one.type:
            case types.FIELD_VALUE_UPDATED:
                return one.value is None or len(self._values[one.subject]) > 1
            case _ if one.type == _DATE:
                return one.value is None
            case _ if one.type == _SENT_IN:
                return True
            case types.ADDED_TO_SEQUENCE | types.SEQUENCE_COMPLETED if one.subject in self._repeating:
                return True
        return (_UNDOES.get(one.type, ""), one.subject) in self._kinds


_UNDOES = {
    types.TAG_ADDED: types.TAG_REMOVED,
    types.TAG_REMOVED: types.TAG_ADDED,
    types.ADDED_TO_SEQUENCE: types.REMOVED_FROM_SEQUENCE,
    types.REMOVED_FROM_SEQUENCE: types.ADDED_TO_SEQUENCE,
}
