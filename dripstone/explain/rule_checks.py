"""What is wrong with a rule, in words: why it will never fire, do nothing, undo itself or go in a circle.

Takes       rules of one account
Leaves      nothing: it only reads, with a fixed number of queries for any number of rules (a few more for each whose
            condition names a segment)
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import NamedTuple

from dripstone import grammar
from dripstone.accounts.models import Account
from dripstone.conditions import words as condition_words
from dripstone.events.models import Event
from dripstone.explain import event_words, impossible, trigger_checks
from dripstone.explain.findings import ERROR, NOTICE, WARNING, Finding
from dripstone.explain.trigger_checks import Lately, World, sorted_by_gravity
from dripstone.grammar import Condition, kinds
from dripstone.rules import reasons, uses
from dripstone.rules.models import Firing, Rule
from dripstone.triggers import what, when
from dripstone.triggers.what import Action
from dripstone.triggers.when import Trigger

CUT = (reasons.IN_ITS_OWN_CHAIN, reasons.TOO_DEEP, reasons.TOO_OFTEN)


def of(rules: Collection[Rule], account: Account, now: datetime) -> dict[int, list[Finding]]:
    """Findings by rule, the gravest first."""
    if not rules:
        return {}
    things = {thing for rule in rules for named in uses.things(rule).values() for thing in named}
    triggers = [trigger for rule in rules for trigger in rule.triggers]
    world = _World(account, now, frozenset(things), triggers, rules)
    return {rule.pk: sorted_by_gravity(_Checks(rule, world).all()) for rule in rules}


def is_grave(findings: Iterable[Finding]) -> bool:
    return any(one.severity != NOTICE for one in findings)


# --- What is read -------------------------------------------------------------------------------------------------


class _World(World):
    """What is read for rules beside all else."""

    @cached_property
    def lately(self) -> dict[int, Lately]:
        pks = [rule.pk for rule in self.rules]
        return trigger_checks.lately("rules_firing", "rule_id", pks, CUT, reasons.OUR_MISTAKE, self.now)

    @cached_property
    def last_cuts(self) -> dict[int, str]:
        """By firing: the chain that was cut, in words."""
        ids = [one.last_cut for one in self.lately.values() if one.last_cut]
        rows = list(Firing.objects.filter(pk__in=ids)) if ids else []
        names = event_words.names_of([Event(cause=row.cause, data={}) for row in rows], self.account.pk)
        return {row.pk: event_words.because_of(row.cause, names) for row in rows}


# --- One rule -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Checks:
    rule: Rule
    world: _World

    def all(self) -> Iterator[Finding]:
        for trigger in self.rule.triggers:
            yield from trigger_checks.of_trigger(trigger, self.world)
        yield from self._condition()
        for action in self.rule.actions:
            yield from self._action(action)
        yield from self._contradictions()
        yield from trigger_checks.of_circle(("rule", self.rule.pk), self.world)
        yield from self._lately()

    def _condition(self) -> Iterator[Finding]:
        if self.rule.condition is None:
            return
        if problem := self.world.why_nobody(self.rule.condition):
            yield Finding("condition_met_by_nobody", ERROR, f"Its condition is never met. {problem}")
            return
        for trigger in self.rule.triggers:
            if (leaf := _excluded_by(trigger, self.rule.condition)) is not None:
                happening = when.words(trigger, self.world.names)
                said = condition_words.sentence(leaf, self.rule.account_id, self.world.names)
                sentence = f"When {happening}, nobody can {impossible.bare(said)}: its condition is not met then."
                yield Finding("condition_against_trigger", ERROR, sentence)

    # What it does

    def _action(self, action: Action) -> Iterator[Finding]:
        kind = action["kind"]
        if (thing := self.world.gone(what.things(action))) is not None:
            said = trigger_checks.number(thing)
            sentence = f"{said[:1].upper()}{said[1:]} is gone, so this action passes everybody by."
            yield Finding("action_gone", ERROR, sentence)
        elif kind == what.ENTER_SEQUENCE:
            sequence = self.world.sequences[action["sequence_id"]]
            yield from trigger_checks.of_entered(sequence, "people whom this rule adds")
        elif kind == what.MOVE and action["way"] == "in":
            automation, _ = self.world.all_automations[action["automation_id"]]
            yield from trigger_checks.of_moved(automation, "whom this rule moves there")
        elif kind == what.MAIL_OWNER and not self.world.has_sender:
            yield trigger_checks.no_sender()

    # One against the other

    def _contradictions(self) -> Iterator[Finding]:
        seen = set()
        for trigger in self.rule.triggers:
            for action in self.rule.actions:
                found = _AGAINST.get((trigger["trigger"], action["kind"]))
                is_same = found is not None and all(trigger.get(name) == action[name] for name in found.same)
                if found is None or not is_same or self.world.gone(when.things(trigger)):
                    continue
                if (found.code, str(action)) in seen:
                    continue
                seen.add((found.code, str(action)))
                said = what.words(action, self.world.names)
                sentence = found.sentence.format(when=when.words(trigger, self.world.names), do=said)
                yield Finding(found.code, found.severity, sentence)

    # What the log says

    def _lately(self) -> Iterator[Finding]:
        lately = self.world.lately.get(self.rule.pk)
        if lately is not None:
            last = self.world.last_cuts.get(lately.last_cut or 0, "")
            yield from trigger_checks.of_lately(lately, last, "firing")


def _excluded_by(trigger: Trigger, condition: Condition) -> Condition | None:
    """A part of the condition, of those that must all be true, which what has just happened makes false."""
    kind, tag_id = trigger["trigger"], trigger.get("tag_id")
    for part in impossible.required_parts(grammar.plain(condition)):
        is_denied = "not" in part
        leaf = part["not"] if is_denied else part
        if leaf.get("type") != kinds.TAGS:
            continue
        is_only = leaf["ids"] == [tag_id]
        is_one = tag_id in leaf["ids"] and leaf.get("has") != "all"
        if kind == when.TAG_ADDED and is_denied and (is_only or is_one):
            return part
        if kind == when.TAG_REMOVED and not is_denied and (is_only or (tag_id in leaf["ids"] and not is_one)):
            return part
    return None


class _Against(NamedTuple):
    """same   members that name the same thing in both"""

    code: str
    severity: str
    same: tuple[str, ...]
    sentence: str


_UNDONE = "When {when}, it would {do}: that undoes what sets it off."
_NOTHING = "When {when}, that is so already: to {do} does nothing then."
_NO_MAIL = "Whoever unsubscribed is not mailed: to {do} passes them by."
# A tag that a rule takes away again is how some tell it to act: worth knowing, and no more.
_AGAINST: Mapping[tuple[str, str], _Against] = {
    (when.TAG_ADDED, what.UNTAG): _Against("undoes_trigger", NOTICE, ("tag_id",), _UNDONE),
    (when.TAG_REMOVED, what.TAG): _Against("undoes_trigger", NOTICE, ("tag_id",), _UNDONE),
    (when.SEQUENCE_ENTERED, what.LEAVE_SEQUENCE): _Against("undoes_trigger", WARNING, ("sequence_id",), _UNDONE),
    (when.SEQUENCE_LEFT, what.ENTER_SEQUENCE): _Against("undoes_trigger", WARNING, ("sequence_id",), _UNDONE),
    (when.BECAME_ACTIVE, what.UNSUBSCRIBE): _Against("undoes_trigger", WARNING, (), _UNDONE),
    (when.TAG_ADDED, what.TAG): _Against("does_nothing", WARNING, ("tag_id",), _NOTHING),
    (when.TAG_REMOVED, what.UNTAG): _Against("does_nothing", WARNING, ("tag_id",), _NOTHING),
    (when.FORM_JOINED, what.FORM): _Against("does_nothing", WARNING, ("form_id",), _NOTHING),
    (when.SEQUENCE_COMPLETED, what.LEAVE_SEQUENCE): _Against("does_nothing", WARNING, ("sequence_id",), _NOTHING),
    (when.SEQUENCE_LEFT, what.LEAVE_SEQUENCE): _Against("does_nothing", WARNING, ("sequence_id",), _NOTHING),
    (when.CANCELLED, what.UNSUBSCRIBE): _Against("does_nothing", WARNING, (), _NOTHING),
    (when.CANCELLED, what.ENTER_SEQUENCE): _Against("not_mailed", WARNING, (), _NO_MAIL),
}
