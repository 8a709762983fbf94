"""What is wrong with a rule, in words: why it will never fire, do nothing, undo itself or go in a circle.

Takes       rules of one account
Leaves      nothing: it only reads, with a fixed number of queries for any number of rules (a few more for each whose
            condition names a segment)
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Count, Q

from dripstone import grammar, words
from dripstone.accounts.models import Account
from dripstone.automations.models import Automation
from dripstone.conditions import words as condition_words
from dripstone.conditions.words import Names
from dripstone.events import types
from dripstone.events.models import Event
from dripstone.explain import event_words, rule_words
from dripstone.explain.findings import ERROR, NOTICE, WARNING, Finding, Mend
from dripstone.grammar import Condition, Thing, kinds
from dripstone.rules import reasons
from dripstone.rules.models import Firing, Rule
from dripstone.sequences.models import Sequence
from dripstone.stats import people as stats
from dripstone.subscribers.models import Form, Tag
from dripstone.triggers import what, when
from dripstone.triggers.what import Action
from dripstone.triggers.when import Key, Trigger

RECENT = timedelta(days=7)
LAST_FIRINGS = 500  # of a rule that are looked at
MOST_NAMED = 4  # rules of a circle
CUT = (reasons.IN_ITS_OWN_CHAIN, reasons.TOO_DEEP, reasons.TOO_OFTEN)

# What became of the last events at each rule, and the last that was cut. Index firing_of_rule.
_LATELY = """
SELECT r.id, count(*) FILTER (WHERE f.reason = ANY(%(cut)s)), count(*) FILTER (WHERE f.reason = %(mistake)s),
       (array_agg(f.id ORDER BY f.id DESC) FILTER (WHERE f.reason = ANY(%(cut)s)))[1]
FROM unnest(%(rules)s::bigint[]) AS r (id)
CROSS JOIN LATERAL (SELECT id, reason, at FROM rules_firing WHERE rule_id = r.id ORDER BY id DESC LIMIT %(limit)s) f
WHERE f.at > %(since)s GROUP BY r.id
"""


def of(rules: Collection[Rule], account: Account, now: datetime) -> dict[int, list[Finding]]:
    """Findings by rule, the gravest first."""
    if not rules:
        return {}
    world = _World(account, list(rules), now)
    return {rule.pk: sorted(_Checks(rule, world).all(), key=lambda one: _GRAVITY[one.severity]) for rule in rules}


_GRAVITY = {ERROR: 0, WARNING: 1, NOTICE: 2}


def is_grave(findings: Iterable[Finding]) -> bool:
    return any(one.severity != NOTICE for one in findings)


# --- What is read -------------------------------------------------------------------------------------------------


class Lately(NamedTuple):
    n_cut: int
    n_failed: int
    last_cut: int | None


@dataclass
class _World:
    """All that the checks of these rules ask for."""

    account: Account
    rules: list[Rule]
    now: datetime

    @cached_property
    def names(self) -> Names:
        return rule_words.names_of(self.rules, self.account.pk)

    @cached_property
    def working(self) -> dict[int, Rule]:
        """By id: the rules that are on, and those that are asked about."""
        on = Rule.objects.filter(account=self.account, is_on=True).only("account", "name", "triggers", "actions")
        return {rule.pk: rule for rule in (*on, *self.rules)}

    @cached_property
    def edges(self) -> "Edges":
        return Edges(self.working, self.sequences_that_repeat)

    @cached_property
    def sequences_that_repeat(self) -> set[int]:
        rows = Sequence.objects.filter(account=self.account, deleted_at=None, repeat=True)
        return set(rows.values_list("pk", flat=True))

    def _ids(self, kind: str) -> set[int]:
        parts = (thing for rule in self.rules for one in (*rule.triggers, *rule.actions) for thing in _things(one))
        return {pk for of_kind, pk in parts if of_kind == kind}

    @cached_property
    def sequences(self) -> dict[int, Any]:
        """With `n_published`, how many emails they have to send."""
        published = Count("emails", filter=Q(emails__published=True, emails__deleted_at=None))
        rows = Sequence.objects.filter(account=self.account, deleted_at=None, pk__in=self._ids("sequence"))
        return rows.annotate(n_published=published).in_bulk()

    @cached_property
    def automations(self) -> dict[int, Automation]:
        rows = Automation.objects.filter(account=self.account, pk__in=self._ids("automation"))
        return rows.only("name", "status").in_bulk()

    @cached_property
    def closed_forms(self) -> set[int]:
        rows = Form.objects.filter(account=self.account, pk__in=self._ids("form")).exclude(status=Form.Status.ACTIVE)
        return set(rows.values_list("pk", flat=True))

    @cached_property
    def tags_nothing_adds(self) -> set[int]:
        """Nobody has it, and no rule that is on and no form that is open adds it."""
        waited_for = {one["tag_id"] for rule in self.rules for one in rule.triggers if one["trigger"] == when.TAG_ADDED}
        rows = Tag.objects.filter(account=self.account, pk__in=waited_for)
        alone = set(rows.values_list("pk", flat=True))
        by_rules = {one["tag_id"] for rule in self.working.values() for one in rule.actions if one["kind"] == what.TAG}
        alone -= by_rules
        if alone:
            forms = Form.objects.filter(account=self.account, status=Form.Status.ACTIVE, tag_ids__overlap=list(alone))
            alone -= {pk for ids in forms.values_list("tag_ids", flat=True) for pk in ids}
        counts = stats.with_tags(sorted(alone)) if alone else Counter[int]()
        return {pk for pk in alone if not counts[pk]}

    @cached_property
    def has_sender(self) -> bool:
        return self.account.sending_addresses.filter(is_default=True).exists()

    @cached_property
    def lately(self) -> dict[int, Lately]:
        with connection.cursor() as cursor:
            values: dict[str, Any] = {"cut": list(CUT), "mistake": reasons.OUR_MISTAKE, "limit": LAST_FIRINGS}
            values |= {"rules": [rule.pk for rule in self.rules], "since": self.now - RECENT}
            cursor.execute(_LATELY, values)
            return {pk: Lately(*row) for pk, *row in cursor.fetchall()}

    @cached_property
    def last_cuts(self) -> dict[int, str]:
        """By firing: the chain that was cut, in words."""
        ids = [one.last_cut for one in self.lately.values() if one.last_cut]
        rows = list(Firing.objects.filter(pk__in=ids)) if ids else []
        names = event_words.names_of([Event(cause=row.cause, data={}) for row in rows], self.account.pk)
        return {row.pk: event_words.because_of(row.cause, names) for row in rows}


def _things(one: Trigger | Action) -> list[Thing]:
    return when.things(one) if "trigger" in one else what.things(one)


# --- One rule -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Checks:
    rule: Rule
    world: _World

    def all(self) -> Iterator[Finding]:
        for trigger in self.rule.triggers:
            yield from self._trigger(trigger)
        yield from self._condition()
        for action in self.rule.actions:
            yield from self._action(action)
        yield from self._contradictions()
        yield from self._circle()
        yield from self._lately()

    def _named(self, thing: Thing) -> str:
        return f"the {kinds.noun(thing[0])} {words.title(self.world.names[thing])}"

    def _gone(self, one: Trigger | Action) -> Thing | None:
        return next((thing for thing in _things(one) if thing not in self.world.names), None)

    # What it waits for

    def _trigger(self, trigger: Trigger) -> Iterator[Finding]:
        if (thing := self._gone(trigger)) is not None:
            what_is_gone = f"the {kinds.noun(thing[0])} number {thing[1]}"
            yield Finding("trigger_gone", ERROR, f"It waits for {what_is_gone}, which is gone: that never happens.")
        elif sentence := when.nothing_yet(trigger):
            yield Finding("trigger_not_recorded", WARNING, sentence)
        else:
            yield from self._unlikely(trigger)

    def _unlikely(self, trigger: Trigger) -> Iterator[Finding]:
        kind = trigger["trigger"]
        if kind == when.TAG_ADDED and trigger["tag_id"] in self.world.tags_nothing_adds:
            tag = self._named(("tag", trigger["tag_id"]))
            yield Finding(
                "tag_nothing_adds",
                NOTICE,
                f"Nobody has {tag}, and no rule that is on and no form adds it. "
                "It can come by hand, by API and by an import.",
            )
        if kind == when.FORM_JOINED and trigger.get("form_id") in self.world.closed_forms:
            form = self._named(("form", trigger["form_id"]))
            yield Finding("form_closed", WARNING, f"Nobody can sign up on {form}: it is archived or deleted.")
        if kind == when.SEQUENCE_COMPLETED:
            sequence = self.world.sequences[trigger["sequence_id"]]
            if sequence.hold:
                title = words.title(sequence.name)
                said = f"{title} holds people at its end, so nobody completes it while that is so."
                yield Finding("sequence_holds", WARNING, said, _change(sequence, hold=False))
            elif not sequence.active:
                title = words.title(sequence.name)
                said = f"{title} is paused, so nobody completes it while that is so."
                yield Finding("trigger_sequence_paused", NOTICE, said, _change(sequence, active=True))

    def _condition(self) -> Iterator[Finding]:
        if self.rule.condition is None:
            return
        if problem := self._problem(self.rule.condition):
            yield Finding("condition_met_by_nobody", ERROR, f"Its condition is never met. {problem}")
            return
        for trigger in self.rule.triggers:
            if (leaf := _excluded_by(trigger, self.rule.condition)) is not None:
                happening = when.words(trigger, self.world.names)
                said = condition_words.sentence(leaf, self.rule.account_id, self.world.names)
                sentence = f"When {happening}, nobody can {_bare(said)}: its condition is not met then."
                yield Finding("condition_against_trigger", ERROR, sentence)

    def _problem(self, condition: Condition) -> str:
        """Why nobody meets it. What stands inside segments counts, too: only these are asked for."""
        named = grammar.things(condition)
        if any(kind == "segment" for kind, _ in named):
            return condition_words.problem(condition, self.rule.account_id)
        unrecorded = {kind for leaf in grammar.leaves(condition) for kind in kinds.unrecorded(leaf)}
        missing = sorted(thing for thing in named if thing not in self.world.names)
        return condition_words.gone(missing) or condition_words.nothing_yet(sorted(unrecorded))

    # What it does

    def _action(self, action: Action) -> Iterator[Finding]:
        kind = action["kind"]
        if (thing := self._gone(action)) is not None:
            what_is_gone = f"the {kinds.noun(thing[0])} number {thing[1]}"
            sentence = f"{what_is_gone[:1].upper()}{what_is_gone[1:]} is gone, so this action passes everybody by."
            yield Finding("action_gone", ERROR, sentence)
        elif kind == what.ENTER_SEQUENCE:
            yield from self._entry(self.world.sequences[action["sequence_id"]])
        elif kind == what.MOVE and action["way"] == "in":
            yield from self._move(self.world.automations[action["automation_id"]])
        elif kind == what.MAIL_OWNER and not self.world.has_sender:
            yield Finding(
                "no_sender",
                ERROR,
                "The account has no default sending address, so nobody is mailed.",
                mend_by="An owner adds one in the settings.",
            )

    def _entry(self, sequence: Any) -> Iterator[Finding]:
        title = words.title(sequence.name)
        if not sequence.active:
            sentence = f"{title} is paused: people whom this rule adds wait until it runs again."
            yield Finding("sequence_paused", WARNING, sentence, _change(sequence, active=True))
        if not sequence.n_published:
            sentence = f"{title} has no published email, so people whom this rule adds get nothing."
            yield Finding("sequence_without_emails", WARNING, sentence)

    def _move(self, automation: Automation) -> Iterator[Finding]:
        title = words.title(automation.name)
        if automation.status == Automation.Status.INACTIVE:
            sentence = f"The automation {title} is switched off: it lets nobody in whom this rule moves there."
            yield Finding("automation_inactive", WARNING, sentence)
        elif automation.status == Automation.Status.PAUSED:
            sentence = f"The automation {title} is paused: people whom this rule moves there wait at its entry."
            yield Finding("automation_paused", NOTICE, sentence)

    # One against the other

    def _contradictions(self) -> Iterator[Finding]:
        seen = set()
        for trigger in self.rule.triggers:
            for action in self.rule.actions:
                found = _AGAINST.get((trigger["trigger"], action["kind"]))
                is_same = found is not None and all(trigger.get(name) == action[name] for name in found.same)
                if found is None or not is_same or self._gone(trigger) or (found.code, str(action)) in seen:
                    continue
                seen.add((found.code, str(action)))
                said = what.words(action, self.world.names)
                sentence = found.sentence.format(when=when.words(trigger, self.world.names), do=said)
                yield Finding(found.code, found.severity, sentence)

    # In a circle

    def _circle(self) -> Iterator[Finding]:
        way = self.world.edges.circle(self.rule.pk)
        if way is None:
            return
        others = [words.title(self.world.working[pk].name) for pk in way.rules[:MOST_NAMED]]
        more = len(way.rules) - len(others)
        if not others:
            said = "It goes in a circle: what it does sets it off again."
        else:
            chain = ", which sets off ".join(f"the rule {one}" for one in others)
            chain += f", which leads over {words.count(more, 'more rule')}" if more > 0 else ""
            said = f"It goes in a circle: what it does sets off {chain}, which sets this one off again."
        end = "Each round takes a while; a person is taken at most ten times within 24 hours."
        if not way.is_later:
            end = "Before it acts twice in one chain it is stopped, and the log says so."
        yield Finding("circle", WARNING, f"{said} {end}")

    # What the log says

    def _lately(self) -> Iterator[Finding]:
        lately = self.world.lately.get(self.rule.pk)
        if lately is None:
            return
        if lately.n_cut:
            chain = self.world.last_cuts.get(lately.last_cut or 0, "")
            last = f", the last time {chain}" if chain else ""
            times = words.count(lately.n_cut, "time")
            sentence = f"Within the last week it was kept from going in a circle {times}{last}."
            yield Finding("was_cut", WARNING, sentence)
        if lately.n_failed:
            times = words.count(lately.n_failed, "time")
            sentence = f"Within the last week an error of Dripstone’s own kept it from firing {times}."
            yield Finding("failed", ERROR, sentence, mend_by="The log of the server says more.")


def _change(sequence: Any, **members: bool) -> Mend:
    return Mend("PUT", f"/v4/sequences/{sequence.pk}", members)


def _bare(said: str) -> str:
    """`have the tag …`, `not have the tag …`: after "nobody can"."""
    return f"not {said.removeprefix('do not ')}" if said.startswith("do not ") else said


def _excluded_by(trigger: Trigger, condition: Condition) -> Condition | None:
    """A part of the condition, of those that must all be true, which what has just happened makes false."""
    kind, tag_id = trigger["trigger"], trigger.get("tag_id")
    for part in _required(grammar.plain(condition)):
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


def _required(condition: Condition) -> Iterator[Condition]:
    """Leaves and denied leaves that have to be true for the whole to be."""
    if "all" in condition and "type" not in condition:
        for part in condition["all"]:
            yield from _required(part)
    elif "type" in condition or "type" in condition.get("not", {}):
        yield condition


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


# --- Rules that feed one another ----------------------------------------------------------------------------------


class Effect(NamedTuple):
    """An event that an action brings about. value: of a field; None: it depends. is_later: not in the same chain"""

    type: str
    subject: int | None
    value: str | None = None
    is_later: bool = False


@dataclass(frozen=True, slots=True)
class Circle:
    """From a rule back to it. rules: those between; is_later: time passes on the way"""

    rules: list[int]
    is_later: bool


class Edges:
    """Which rule sets off which. An effect that nothing undoes happens to a person once, and leads round no circle."""

    def __init__(self, rules: Mapping[int, Rule], repeating: Collection[int]) -> None:
        effects = {pk: list(_effects(rule.actions)) for pk, rule in rules.items()}
        recurring = _Recurring([one for found in effects.values() for one in found], repeating)
        self._effects = {pk: [one for one in found if recurring.has(one)] for pk, found in effects.items()}
        self._hearing: dict[Key, list[tuple[int, Trigger]]] = defaultdict(list)
        for pk, rule in rules.items():
            for trigger in rule.triggers:
                for key in _keys(trigger):
                    self._hearing[key].append((pk, trigger))

    def after(self, pk: int) -> Iterator[tuple[int, bool]]:
        """The rules that this one sets off, and whether that is later."""
        for one in self._effects[pk]:
            for key in dict.fromkeys([(one.type, one.subject), (one.type, None)]):
                for other, trigger in self._hearing.get(key, ()):
                    if _may_meet(trigger, one):
                        yield other, one.is_later

    def circle(self, pk: int) -> Circle | None:
        """The shortest."""
        came_from: dict[int, tuple[int, bool]] = {}
        level = [pk]
        while level:
            further = []
            for here in level:
                for there, is_later in self.after(here):
                    if there == pk:
                        return _way_back(here, pk, came_from, is_later=is_later)
                    if there not in came_from:
                        came_from[there] = (here, is_later)
                        further.append(there)
            level = further
        return None


def _way_back(last: int, first: int, came_from: Mapping[int, tuple[int, bool]], *, is_later: bool) -> Circle:
    way: list[int] = []
    while last != first:
        way.insert(0, last)
        last, later = came_from[last]
        is_later = is_later or later
    return Circle(way, is_later)


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
                yield Effect(_DATE, action["custom_field_id"], value, is_later=True)
            case what.ENTER_SEQUENCE:
                yield Effect(types.ADDED_TO_SEQUENCE, action["sequence_id"])
                yield Effect(types.SEQUENCE_COMPLETED, action["sequence_id"], is_later=True)
            case what.LEAVE_SEQUENCE:
                yield Effect(types.REMOVED_FROM_SEQUENCE, action["sequence_id"])


_DATE = "date of a field"  # no event: it is reached


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
            case types.ADDED_TO_SEQUENCE | types.SEQUENCE_COMPLETED if one.subject in self._repeating:
                return True
        return (_UNDOES.get(one.type, ""), one.subject) in self._kinds


_UNDOES = {
    types.TAG_ADDED: types.TAG_REMOVED,
    types.TAG_REMOVED: types.TAG_ADDED,
    types.ADDED_TO_SEQUENCE: types.REMOVED_FROM_SEQUENCE,
    types.REMOVED_FROM_SEQUENCE: types.ADDED_TO_SEQUENCE,
}
