"""What is wrong with an automation, in words: where people wait for ever, leave before anything has happened, or get
nothing; what never happens, and what feeds itself. Each with its node, and a way to mend it.

Takes       automations of one account as they are published, or a graph that is not yet
Leaves      nothing: it only reads, with a fixed number of queries for any number of automations (a few more for each
            condition that names a segment)
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple

from django.db import connection

from dripstone import grammar, words
from dripstone.accounts.models import Account
from dripstone.automations import graph as graphs
from dripstone.automations import kinds, reading, reasons
from dripstone.automations import words as node_words
from dripstone.automations.graph import AT_ENTRY, OTHERWISE, Graph, GraphNode
from dripstone.automations.models import Automation, Step
from dripstone.events.models import Event
from dripstone.explain import circles, event_words, impossible, trigger_checks, walk_words
from dripstone.explain.findings import ERROR, NOTICE, WARNING, Finding
from dripstone.explain.trigger_checks import Lately, World, sorted_by_gravity
from dripstone.grammar import Condition, Thing
from dripstone.rules.models import Rule
from dripstone.subscribers.models import State
from dripstone.triggers import what, when

CUT = (reasons.IN_ITS_OWN_CHAIN, reasons.TOO_DEEP, reasons.TOO_OFTEN)

# Purpose: who had no date in a field lately, by node. By step_of_automation.
_WITHOUT_DATE = """
SELECT a.id, passed ->> 'node', count(*) FROM unnest(%(automations)s::bigint[]) AS a (id)
CROSS JOIN LATERAL (SELECT path, at FROM automations_step WHERE automation_id = a.id ORDER BY id DESC LIMIT %(limit)s) s
CROSS JOIN LATERAL jsonb_array_elements(s.path) passed
WHERE s.at > %(since)s AND passed ->> 'reason' = %(reason)s GROUP BY 1, 2
"""


def of(automations: Collection[Automation], account: Account, now: datetime) -> dict[int, list[Finding]]:
    """Findings by automation, the gravest first; each with the key of its node, "" for the whole or an entry."""
    found = walk_words.graphs_of(automations)
    return _of([(one, found[one.pk]) for one in automations], account, now)


def of_graph(graph: Graph, automation: Automation, now: datetime) -> list[Finding]:
    """The same of a draft of it, as if it were published."""
    return _of([(automation, graph)], automation.account, now)[automation.pk]


def _of(asked: list[tuple[Automation, Graph]], account: Account, now: datetime) -> dict[int, list[Finding]]:
    if not asked:
        return {}
    things = frozenset(thing for _, graph in asked for thing in reading.all_things(graph))
    triggers = [trigger for _, graph in asked for trigger in _triggers(graph)]
    world = _World(account, now, things, triggers, automations=asked)
    return {one.pk: sorted_by_gravity(_Checks(one, graph, world).all()) for one, graph in asked}


def _triggers(graph: Graph) -> Iterator[when.Trigger]:
    yield from graph.triggers
    yield from (node.trigger for node in graph.living if node.kind == kinds.EVENT)


# --- What is read -------------------------------------------------------------------------------------------------


class WithoutDate(NamedTuple):
    node: str
    n: int


class _World(World):
    """What is read for automations beside all else."""

    @property
    def _pks(self) -> list[int]:
        return [one.pk for one, _ in self.automations]

    @cached_property
    def lately(self) -> dict[int, Lately]:
        return trigger_checks.lately("automations_step", "automation_id", self._pks, CUT, reasons.OUR_MISTAKE, self.now)

    @cached_property
    def last_cuts(self) -> dict[int, str]:
        """By row of the log: the chain that was cut, in words."""
        ids = [one.last_cut for one in self.lately.values() if one.last_cut]
        rows = list(Step.objects.filter(pk__in=ids)) if ids else []
        names = event_words.names_of([Event(cause=row.cause, data={}) for row in rows], self.account.pk)
        return {row.pk: event_words.because_of(row.cause, names) for row in rows}

    @cached_property
    def without_date(self) -> dict[int, list[WithoutDate]]:
        since = self.now - trigger_checks.RECENT
        values: dict[str, Any] = {"automations": self._pks, "since": since, "limit": trigger_checks.LAST_ROWS}
        found: dict[int, list[WithoutDate]] = defaultdict(list)
        with connection.cursor() as cursor:
            cursor.execute(_WITHOUT_DATE, values | {"reason": reasons.NO_DATE})
            for pk, *row in cursor.fetchall():
                found[pk].append(WithoutDate(*row))
        return found


# --- One automation -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Checks:
    automation: Automation
    graph: Graph
    world: _World

    def all(self) -> Iterator[Finding]:
        yield from self._entry()
        for node in self.graph.living:
            yield from (replace(one, node=node.key) for one in self._node(node))
        yield from self._same_steps()
        mend_by = "Take away what sets it off again, or let nobody enter a second time."
        yield from trigger_checks.of_circle(("automation", self.automation.pk), self.world, mend_by)
        yield from self._lately()

    # How people come in

    def _entry(self) -> Iterator[Finding]:
        for trigger in self.graph.triggers:
            yield from trigger_checks.of_trigger(trigger, self.world)
        if not self.graph.entries:
            said = "Nobody enters by themselves: people come by hand, or are moved here by a rule or an automation."
            yield Finding("no_entry", NOTICE, said, mend_by="Say what lets people in.")
        if self.graph.start is None:
            said = "It has no first step: whoever enters leaves at once, and nothing has happened to them."
            yield Finding("leads_nowhere", WARNING, said, mend_by="Add a step.")

    # One node

    def _node(self, node: GraphNode) -> Iterator[Finding]:
        if node.key not in self._reachable:
            said = "Nobody comes here: no step and no entry leads to it."
            yield Finding("unreachable", WARNING, said, mend_by="Lead a step to it, or delete it.")
        if node.kind == kinds.EVENT:
            yield from self._event(node)
        elif (thing := self.world.gone(sorted(self._things[node.key]))) is not None and not reading.conditions_of(node):
            said = f"{_capital(trigger_checks.number(thing))} is gone, so this step passes everybody by."
            yield Finding("thing_gone", ERROR, said, mend_by="Choose another, or delete the step.")
        elif node.kind in _BY_KIND:
            yield from _BY_KIND[node.kind](self, node)
        yield from self._ways_out(node)

    def _sequence(self, node: GraphNode) -> Iterator[Finding]:
        sequence = self.world.sequences[node.settings["sequence_id"]]
        yield from trigger_checks.of_entered(sequence, "people who come here")
        if sequence.hold and node.settings["wait"] == kinds.COMPLETED:
            said = (
                f"{words.title(sequence.name)} holds people at its end, so nobody completes it, and whoever waits for "
                "that stays here. They can go on after its last email instead."
            )
            yield Finding("sequence_holds", WARNING, said, trigger_checks.change(sequence, hold=False))

    def _wait(self, node: GraphNode) -> Iterator[Finding]:
        at = (node.settings.get("until") or {}).get("at")
        if at is not None and datetime.fromisoformat(at) <= self.world.now:
            said = f"{_instant(at)} has passed: whoever comes here goes on at once."
            yield Finding("wait_in_the_past", WARNING, said, mend_by="Give it another time, or delete it.")

    def _event(self, node: GraphNode) -> Iterator[Finding]:
        trigger = node.trigger
        found = list(trigger_checks.of_trigger(trigger, self.world))
        yield from found
        if trigger["trigger"] == when.DATE:
            if datetime.fromisoformat(trigger["at"]) <= self.world.now:
                said = f"{_instant(trigger['at'])} has passed: it pulls nobody here any more."
                yield Finding("wait_in_the_past", WARNING, said, mend_by="Give it another time, or delete it.")
        elif "within" not in node.settings and not any(one.code == "trigger_gone" for one in found):
            happening = when.words(trigger, self.world.names, node_words.WHO)
            said = f"Whoever comes here waits until {happening}, however long that takes."
            mend_by = "Say within what time, and what comes otherwise."
            yield Finding("waits_without_end", WARNING, said, mend_by=mend_by)

    def _condition(self, node: GraphNode) -> Iterator[Finding]:
        yield from self._nobody(node.settings["if"], "Its condition is never met.")

    def _split(self, node: GraphNode) -> Iterator[Finding]:
        for number, branch in enumerate(node.settings[graphs.BRANCHES], start=1):
            if "if" in branch:
                yield from self._nobody(branch["if"], f"The condition of branch {number} is never met.")

    def _nobody(self, condition: Condition, said: str) -> Iterator[Finding]:
        """Whoever walks is active."""
        problem = self.world.why_nobody(condition)
        problem = problem or impossible.why(condition, self.world.names, states=[State.ACTIVE])
        if problem:
            mend_by = "Change the condition."
            yield Finding("condition_met_by_nobody", ERROR, f"{said} {problem}", mend_by=mend_by)

    def _move(self, node: GraphNode) -> Iterator[Finding]:
        if node.settings["way"] == kinds.IN:
            automation, _ = self.world.all_automations[node.settings["automation_id"]]
            yield from trigger_checks.of_moved(automation, "whom this step moves there")

    def _mail_owner(self, node: GraphNode) -> Iterator[Finding]:
        if not self.world.has_sender:
            yield trigger_checks.no_sender()

    # Where it leads

    def _ways_out(self, node: GraphNode) -> Iterator[Finding]:
        """Ways that end where nothing has happened to anybody, and waits for nothing."""
        out = [name for name, to in node.ways if to is None]
        if node.kind == kinds.WAIT and out and len(out) == len(node.ways):
            said = "After this wait nothing comes: whoever has waited leaves."
            yield Finding("leads_nowhere", WARNING, said, mend_by="Add a step behind it, or delete it.")
        elif node.kind in _FORKS and len(out) == len(node.ways):
            said = "All of its ways lead out, so it decides nothing."
            yield Finding("leads_nowhere", WARNING, said, mend_by="Add a step behind it, or delete it.")
        elif node.key in self._idle and node.kind in (*_FORKS, kinds.EVENT):
            for name in out:
                way = node_words.way(node, name, self.world.names)
                by = f" by {words.title(way)}" if way else " on"
                said = f"Whoever goes{by} leaves before anything has happened to them."
                mend_by = "Add a step there, unless they are to get nothing."
                yield Finding("leads_nowhere", NOTICE, said, mend_by=mend_by)

    @cached_property
    def _things(self) -> dict[str, frozenset[Thing]]:
        return reading.things(self.graph)

    @cached_property
    def _reachable(self) -> frozenset[str]:
        return self.graph.ahead(AT_ENTRY)

    @cached_property
    def _idle(self) -> set[str]:
        """Nodes to which a way leads on which nothing is done for anybody."""
        return _led_to(self.graph, [AT_ENTRY], lambda node: node.kind in _DOES_NOTHING)

    # In one step

    def _same_steps(self) -> Iterator[Finding]:
        """A condition does not see what rules make of an act before it in the same step (A3)."""
        for node in self.graph.living:
            rules = self._set_off_by(node) if node.kind in kinds.ACTS or node.kind == kinds.SEQUENCE else []
            if not rules or circles.waits(node):
                continue
            for key in _led_to(self.graph, [node.key], lambda one: not circles.waits(one)):
                asked = self.graph.nodes[key]
                for rule in rules:
                    if (finding := self._unseen(node, asked, rule)) is not None:
                        yield finding

    def _set_off_by(self, node: GraphNode) -> list[Rule]:
        effects = circles.effects_of(node)
        actors = {
            actor for one in effects if one.pace == circles.Pace.AT_ONCE for actor in self.world.edges.hearing(one)
        }
        return [rule for pk, rule in sorted(self.world.working_rules.items()) if ("rule", pk) in actors]

    def _unseen(self, node: GraphNode, asked: GraphNode, rule: Rule) -> Finding | None:
        about = {thing for condition in reading.conditions_of(asked) for thing in grammar.things(condition)}
        made = {thing for action in rule.actions for thing in what.things(action)}
        if not about & made:
            return None
        act = words.title(node_words.node(node, self.world.names))
        said = (
            f"{act}, in the same step before it, sets off the rule {words.title(rule.name)}, which changes what is "
            "asked here. That comes afterwards: it is not seen yet."
        )
        return Finding("asks_too_early", WARNING, said, mend_by="Put a short wait before it.", node=asked.key)

    # What the log says

    def _lately(self) -> Iterator[Finding]:
        lately = self.world.lately.get(self.automation.pk)
        if lately is not None:
            last = self.world.last_cuts.get(lately.last_cut or 0, "")
            yield from trigger_checks.of_lately(lately, last, "letting people in")
        for node, n in self.world.without_date.get(self.automation.pk, ()):
            if node in self.graph.nodes:
                yield self._without_date(self.graph.nodes[node], n)

    def _without_date(self, node: GraphNode, n: int) -> Finding:
        has_way = any(name == OTHERWISE for name, _ in node.ways)
        went = "went the other way" if has_way else "went on at once"
        said = f"Within the last week {words.people(n)} had no date that can be read in the field here, and {went}."
        mend_by = "Look at the values of the field: a date is written as 2026-11-24."
        return Finding("without_date", NOTICE if has_way else WARNING, said, mend_by=mend_by, node=node.key)


_BY_KIND = {
    kinds.SEQUENCE: _Checks._sequence,
    kinds.WAIT: _Checks._wait,
    kinds.CONDITION: _Checks._condition,
    kinds.SPLIT: _Checks._split,
    kinds.MOVE: _Checks._move,
    kinds.MAIL_OWNER: _Checks._mail_owner,
}
_FORKS = (kinds.CONDITION, kinds.SPLIT)
_DOES_NOTHING = (*_FORKS, kinds.WAIT, kinds.EVENT)


def _led_to(graph: Graph, froms: Iterable[str], leads_on: Callable[[GraphNode], bool]) -> set[str]:
    """Living nodes to which these lead, through such as `leads_on` says of."""
    found: set[str] = set()
    wanted = [to for key in froms for _, to in graph.exits_of(key)]
    while wanted:
        key = wanted.pop()
        if key is None or key in found or key not in graph.nodes:
            continue
        found.add(key)
        if leads_on(graph.nodes[key]):
            wanted += [to for _, to in graph.exits_of(key)]
    return {key for key in found if not graph.nodes[key].is_deleted}


def _instant(text: str) -> str:
    """In the zone in which it was given."""
    at = datetime.fromisoformat(text)
    return f"{words.day(at.date())} {at.year} at {at:%H:%M}"


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"
