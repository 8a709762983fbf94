"""Reads a graph that somebody gave for an automation, and tells what a graph names.

    {"entries": [{"id": "a", "trigger": "tag_added", "tag_id": 3}], "start": "pause",
     "nodes": [{"id": "pause", "kind": "wait", "for": {"days": 3}, "next": null}]}

It may be unfinished: nodes that nothing leads to, and ways that end at once, are for checks to tell.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final

from dripstone import grammar
from dripstone.accounts.models import Account
from dripstone.automations import graph as graphs
from dripstone.automations import kinds
from dripstone.automations.graph import BRANCHES, NEXT, NO, OTHERWISE, YES, Entry, Graph, GraphNode
from dripstone.conditions import reading as conditions
from dripstone.errors import Invalid, Problem
from dripstone.given import Checked, Given
from dripstone.grammar import Thing
from dripstone.rules import already
from dripstone.sequences.known import known as known_in
from dripstone.sequences.models import Sequence
from dripstone.triggers import reading, what, when
from dripstone.words import WEEKDAYS

MOST_NODES: Final = 200
MOST_ENTRIES: Final = reading.MOST
MOST_BRANCHES: Final = 20
MOST_OF: Mapping[str, int] = {"minutes": 525_600, "hours": 87_600, "days": 3_650, "weeks": 520}
"""The longest `for` and `within`, in each unit."""

ENTRY: Final = "entry "
"""Before the id of an entry, where ids and keys of nodes stand side by side: keys have no blanks."""

_KEY = re.compile(r"[A-Za-z0-9_-]{1,40}")
_NO_KEY = "must be 1 to 40 letters, digits, hyphens and underscores"


def read(
    given: Given,
    account: Account,
    *,
    known: Mapping[str, str],
    may_be_gone: Collection[Thing] = (),
    own: int | None = None,
) -> Graph:
    """`entries`, `start` and `nodes`, as they are to be kept. Raises Invalid with every problem, each with its member:
    `nodes[2].if`. The sentence names the node.

    known   kind of each node that the automation ever had, by key
    may_be_gone   what the graphs before an edit name: it may be written back, deleted or not
    own     id of the automation, which no move names; None: it is not made yet
    """
    return _Reading(given, account, known, may_be_gone, own).graph()


class _Reading:
    def __init__(
        self,
        given: Given,
        account: Account,
        known: Mapping[str, str],
        may_be_gone: Collection[Thing],
        own: int | None,
    ) -> None:
        self.account, self.own = account, own
        self._outer = Checked(given)
        self._kinds_known = known
        self._may_be_gone = frozenset(may_be_gone)
        self._exists: dict[Thing, bool] = {}
        self._named: list[tuple[Checked, Mapping[str, Any]]] = []
        self._without_wait: list[dict[str, Any]] = []

    def graph(self) -> Graph:
        entries = list(self._entries())
        nodes = list(self._nodes())
        start = target(self._outer, "start")
        reading.refuse_unknown(self._named, self.account.pk, self._may_be_gone)
        self._refuse_repeated(nodes)
        found = {node.key: node for _, node in nodes if node.key}
        self._refuse_dangling(start, nodes, found)
        self._refuse_circles(nodes, found)
        if self._outer.problems:
            called = {f"nodes[{place}]": key for place, key in _keys(self._outer.given.get("nodes"))}
            raise Invalid(problems=[_with_name(one, called) for one in dict.fromkeys(self._outer.problems)])
        self._wait_by_default()
        return Graph(tuple(_each_once(entries)), start, found)

    # Parts

    def _entries(self) -> Iterator[Entry]:
        inside = self._items(self._outer, "entries", MOST_ENTRIES)
        ids = Counter(one.given["id"] for one in inside if isinstance(one.given.get("id"), str))
        free = (f"e{number}" for number in range(1, 2 * MOST_ENTRIES + 1) if f"e{number}" not in ids)
        for one in inside:
            key = next(free) if one.given.get("id") is None else _key(one)
            if key and ids[key] > 1:
                one.wrong("id", f"is of another entry, too: {key}")
            yield {"id": key, **self.trigger(one, "entry")}

    def _nodes(self) -> Iterator[tuple[Checked, GraphNode]]:
        for one in self._items(self._outer, "nodes", MOST_NODES):
            if one.given.get("id") is None:
                one.blank("id")
            key = _key(one)
            if "kind" not in one.given:
                one.blank("kind")
            one.choice("kind", kinds.ALL)
            if not (kind := one.values.get("kind")):
                continue
            before = self._kinds_known.get(key)
            if before not in (None, kind):
                one.wrong("id", f"was a node of another kind ({before}): give this one a new id")
            settings, exits = _READERS[kind](one, self)
            _refuse_other_exits(one, kind, exits)
            yield one, GraphNode(key, kind, settings, exits)

    def _items(self, outer: Checked, name: str, most: int) -> list[Checked]:
        """Objects of a list, which may be left out, or be JSON in a member of a form."""
        value = grammar.from_json(outer.given.get(name))
        if value is None:
            return []
        if not isinstance(value, list):
            outer.wrong(name, "must be an array")
        elif len(value) > most:
            outer.wrong(name, f"can't have more than {most} entries")
        else:
            found = (outer.inside(f"{name}[{place}]", one) for place, one in enumerate(value))
            return [one for one in found if one is not None]
        return []

    def branches(self, one: Checked) -> list[Checked]:
        found = self._items(one, BRANCHES, MOST_BRANCHES)
        if not one.given.get(BRANCHES):
            one.blank(BRANCHES)
        return found

    def trigger(self, one: Checked, for_: when.For) -> when.Trigger:
        found = when.read_one(one, self.account, for_=for_)
        self.named(one, found)
        return found

    def condition(self, one: Checked) -> grammar.Condition | None:
        """In `if`, in the grammar whichever form it was given in."""
        if one.given.get("if") is None:
            one.blank("if")
            return None
        found = conditions.read(one, "if", self.account.pk, exists=self._is_there)
        return None if found is None else grammar.plain(found)

    def named(self, one: Checked, kept: Mapping[str, Any]) -> None:
        """Notes what is to be looked up, all at once."""
        self._named.append((one, kept))

    def wait_by_default(self, settings: dict[str, Any]) -> None:
        self._without_wait.append(settings)

    # What exists

    def _is_there(self, kind: str, ids: Collection[int]) -> Collection[int]:
        """As sequences.known says, asked once about each thing. What was named before counts as being there."""
        if new := {pk for pk in ids if (kind, pk) not in self._exists}:
            there = set(known_in(self.account.pk)(kind, new))
            self._exists |= {(kind, pk): pk in there or (kind, pk) in self._may_be_gone for pk in new}
        return {pk for pk in ids if self._exists[kind, pk]}

    def _wait_by_default(self) -> None:
        """Whoever is in a sequence that holds does not complete it: they wait for its last email."""
        ids = {settings["sequence_id"] for settings in self._without_wait}
        rows = Sequence.objects.filter(account=self.account, pk__in=ids, hold=True)
        holding = set(rows.values_list("pk", flat=True)) if ids else set()
        for settings in self._without_wait:
            settings["wait"] = kinds.LAST_EMAIL if settings["sequence_id"] in holding else kinds.COMPLETED

    # The whole

    def _refuse_repeated(self, nodes: Collection[tuple[Checked, GraphNode]]) -> None:
        seen: set[str] = set()
        for one, node in nodes:
            if node.key in seen:
                one.wrong("id", f"is of another node, too: {node.key}")
            seen.update({node.key} if node.key else ())

    def _refuse_dangling(
        self, start: str | None, nodes: Collection[tuple[Checked, GraphNode]], found: Mapping[str, GraphNode]
    ) -> None:
        given = {key for _, key in _keys(self._outer.given.get("nodes"))} | found.keys()
        wanted = [(self._outer, "start", start)]
        wanted += [(one, _member(name), to) for one, node in nodes for name, to in node.ways]
        for one, name, to in wanted:
            if to is not None and to not in given:
                one.refuse(name, f"{one.path(name)}: there is no node {to}")

    def _refuse_circles(self, nodes: Collection[tuple[Checked, GraphNode]], found: Mapping[str, GraphNode]) -> None:
        if way := graphs.circle(found):
            one = next(one for one, node in nodes if node.key == way[-1])
            name = next(name for name, to in found[way[-1]].ways if to == way[0])
            one.refuse(
                _member(name), f"{one.path(_member(name))}: the way leads in a circle: {' → '.join([*way, way[0]])}"
            )


def _member(name: str) -> str:
    """Of an exit: `next`, `branches[0].next`."""
    return f"{BRANCHES}[{name}].{NEXT}" if name.isdigit() else name


def _keys(nodes: Any) -> Iterator[tuple[int, str]]:
    """Ids of what is given, whatever else is wrong with it, with the place of each."""
    given = grammar.from_json(nodes)
    for place, one in enumerate(given if isinstance(given, list) else ()):
        if isinstance(one, Mapping) and isinstance(one.get("id"), str) and _KEY.fullmatch(one["id"]):
            yield place, one["id"]


def _with_name(problem: Problem, called: Mapping[str, str]) -> Problem:
    """`nodes[2].if can't be blank` → `The node bought: if can't be blank`."""
    member, sentence = problem
    node, _, _ = (member or "").partition(".")
    if node not in called:
        return problem
    return member, f"The node {called[node]}: {sentence.removeprefix(f'{node}.')}"


def _each_once(entries: list[Entry]) -> Iterator[Entry]:
    """Without those that say the same as one before."""
    triggers = [graphs.trigger_of(one) for one in entries]
    yield from (one for place, one in enumerate(entries) if triggers[place] not in triggers[:place])


# --- Members of a node --------------------------------------------------------------------------------------------


def _key(one: Checked) -> str:
    """In `id`; "" where there is a problem."""
    given = one.given.get("id")
    if isinstance(given, str) and _KEY.fullmatch(given):
        return given
    if given is not None:
        one.wrong("id", _NO_KEY)
    return ""


def target(one: Checked, name: str) -> str | None:
    """Where it leads: the key of a node; None: out."""
    given = one.given.get(name)
    if given is None or (isinstance(given, str) and _KEY.fullmatch(given)):
        return given
    one.wrong(name, "must be the id of a node, or null")
    return None


def _refuse_other_exits(one: Checked, kind: str, exits: Mapping[str, Any]) -> None:
    for name in (NEXT, YES, NO, OTHERWISE):
        if name not in exits and one.given.get(name) is not None:
            one.wrong(name, _NO_EXIT.get((kind, name), f"is no way on from this kind of node ({kind})"))
    if BRANCHES not in exits and one.given.get(BRANCHES) is not None:
        one.wrong(BRANCHES, f"are no way on from this kind of node ({kind})")


_NO_EXIT: Mapping[tuple[str, str], str] = {
    (kinds.UNSUBSCRIBE, NEXT): "can't be: whoever is unsubscribed leaves",
    (kinds.WAIT, OTHERWISE): "is only for a wait for the date in a field, which may have none",
    (kinds.EVENT, OTHERWISE): "needs within: who waits without a limit never goes this way",
    (kinds.SPLIT, OTHERWISE): "is not for shares, which are for everybody",
    (kinds.SPLIT, NEXT): "must stand in each of the branches",
}


def span(one: Checked, name: str) -> dict[str, int] | None:
    """A length of time, in one unit; None where there is a problem."""
    part = one.part(name)
    if part is None:
        return None
    given = [unit for unit in kinds.UNITS if part.given.get(unit) is not None]
    if len(given) != 1:
        one.wrong(name, f"must have one of: {', '.join(kinds.UNITS)}")
        return None
    part.whole_number(given[0], 1, MOST_OF[given[0]])
    return {given[0]: part.values[given[0]]} if given[0] in part.values else None


def _within(one: Checked) -> dict[str, Any]:
    if one.given.get("within") is None:
        return {}
    return {"within": span(one, "within")}


def _hour(part: Checked, account: Account) -> int | None:
    """The account's usual one, unless given."""
    part.drop_nulls("hour")
    part.whole_number("hour", 0, 23)
    found: int | None = part.values.get("hour", account.send_hour)
    return found


# --- Kinds of nodes -----------------------------------------------------------------------------------------------

Settings = dict[str, Any]
Exits = dict[str, Any]
Read = Callable[[Checked, _Reading], tuple[Settings, Exits]]


def _next(one: Checked) -> Exits:
    return {NEXT: target(one, NEXT)}


def _act(one: Checked, reader: _Reading) -> tuple[Settings, Exits]:
    settings = what.read_settings(one, one.values["kind"])
    reader.named(one, settings)
    return settings, _next(one)


def _unsubscribe(one: Checked, reader: _Reading) -> tuple[Settings, Exits]:
    return {}, {}


def _sequence(one: Checked, reader: _Reading) -> tuple[Settings, Exits]:
    settings: Settings = reading.thing(one, "sequence_id")
    reader.named(one, settings)
    wait = one.given.get("wait")
    if wait is None:
        reader.wait_by_default(settings)
    elif wait is False or wait in (kinds.COMPLETED, kinds.LAST_EMAIL):
        settings = settings | {"wait": wait}
    else:
        one.wrong("wait", "must be one of: completed, last_email, false")
    return settings, _next(one)


def _wait(one: Checked, reader: _Reading) -> tuple[Settings, Exits]:
    given = [name for name in ("for", "until") if one.given.get(name) is not None]
    if len(given) != 1:
        one.refuse("for", f"{one.path('for')} or until must be given{', and not both' if given else ''}")
        return {}, _next(one)
    if given == ["for"]:
        return {"for": span(one, "for")}, _next(one)
    until = _until(one, reader)
    is_for_field = until is not None and "custom_field_id" in until
    has_otherwise = is_for_field and OTHERWISE in one.given
    return {"until": until}, _next(one) | ({OTHERWISE: target(one, OTHERWISE)} if has_otherwise else {})


def _until(one: Checked, reader: _Reading) -> dict[str, Any] | None:
    part = one.part("until")
    if part is None:
        return None
    given = [name for name in _UNTIL if part.given.get(name) is not None]
    if len(given) == 1:
        return _UNTIL[given[0]](part, reader)
    one.wrong("until", f"must have one of: {', '.join(_UNTIL)}")
    return None


def _until_instant(part: Checked, reader: _Reading) -> dict[str, Any]:
    return when.read_instant(part, reader.account)


def _until_weekday(part: Checked, reader: _Reading) -> dict[str, Any]:
    part.days("weekdays")
    days = [WEEKDAYS[number] for number in part.values.get("weekdays", ())]
    return {"weekdays": days, "hour": _hour(part, reader.account)}


def _until_date(part: Checked, reader: _Reading) -> dict[str, Any]:
    found: dict[str, Any] = reading.thing(part, "custom_field_id")
    reader.named(part, found)
    part.drop_nulls("days")
    part.whole_number("days", -when.MOST_DAYS, when.MOST_DAYS)
    return found | {"days": part.values.get("days", 0), "hour": _hour(part, reader.account)}


_UNTIL: Mapping[str, Callable[[Checked, _Reading], dict[str, Any]]] = {
    "at": _until_instant,
    "weekdays": _until_weekday,
    "custom_field_id": _until_date,
}


def _condition(one: Checked, reader: _Reading) -> tuple[Settings, Exits]:
    settings = {"if": reader.condition(one), **_within(one)}
    return settings, {YES: target(one, YES), NO: target(one, NO)}


def _split(one: Checked, reader: _Reading) -> tuple[Settings, Exits]:
    """All branches by condition, or all by share."""
    branches = reader.branches(one)
    exits: Exits = {BRANCHES: [target(branch, NEXT) for branch in branches]}
    by_share = [branch.given.get("percent") is not None for branch in branches]
    if any(by_share) and not all(by_share):
        one.wrong(BRANCHES, "must all have if, or all percent")
    elif any(by_share):
        return {BRANCHES: _shares(one, branches)}, exits
    settings = [{"if": reader.condition(branch)} for branch in branches]
    return {BRANCHES: settings}, exits | {OTHERWISE: target(one, OTHERWISE)}


def _shares(one: Checked, branches: list[Checked]) -> list[dict[str, Any]]:
    for branch in branches:
        branch.whole_number("percent", 0, 100)
        if branch.given.get("if") is not None:
            branch.wrong("if", "can't be beside percent")
    shares = [branch.values.get("percent") for branch in branches]
    known = [share for share in shares if share is not None]
    if len(known) == len(shares) and sum(known) != 100:
        one.wrong(BRANCHES, f"must have shares that add up to 100 percent, not to {sum(known)}")
    return [{"percent": share} for share in shares]


def _event(one: Checked, reader: _Reading) -> tuple[Settings, Exits]:
    trigger = reader.trigger(one, "event")
    within = _within(one)
    exits = _next(one) | ({OTHERWISE: target(one, OTHERWISE)} if within else {})
    return {**trigger, **_already(one, trigger), **within}, exits


def _already(one: Checked, trigger: when.Trigger) -> dict[str, bool]:
    """Whether who walks up to it goes on when what the trigger leaves behind is so."""
    one.drop_nulls("already")
    one.flag("already")
    if not trigger:
        return {}
    if trigger["trigger"] != when.DATE and already.is_traceless(trigger):
        if one.values.get("already"):
            one.wrong("already", "can't be: what it waits for leaves nothing behind by which one could tell")
        return {}
    return {"already": one.values.get("already", trigger["trigger"] in _ALREADY_BY_DEFAULT)}


_ALREADY_BY_DEFAULT = (when.TAG_ADDED, when.FORM_JOINED, when.PURCHASED, when.FIELD_DATE, when.DATE)


def _move(one: Checked, reader: _Reading) -> tuple[Settings, Exits]:
    settings: Settings = reading.thing(one, "automation_id")
    if settings and settings["automation_id"] == reader.own:
        one.wrong("automation_id", "is this automation itself")
    reader.named(one, settings)
    if "way" not in one.given:
        one.blank("way")
    one.choice("way", kinds.WAYS)
    one.drop_nulls("and_leave")
    one.flag("and_leave")
    settings |= {"way": one.values.get("way"), "and_leave": one.values.get("and_leave", False)}
    return settings, _next(one)


_READERS: Mapping[str, Read] = {
    **dict.fromkeys(kinds.ACTS, _act),
    kinds.UNSUBSCRIBE: _unsubscribe,
    kinds.SEQUENCE: _sequence,
    kinds.WAIT: _wait,
    kinds.CONDITION: _condition,
    kinds.SPLIT: _split,
    kinds.EVENT: _event,
    kinds.MOVE: _move,
}

# --- What is named ------------------------------------------------------------------------------------------------


def things(graph: Graph) -> dict[str, frozenset[Thing]]:
    """By key of the node, deleted ones included, and by ENTRY and the id of an entry."""
    found = {f"{ENTRY}{one['id']}": frozenset(when.things(graphs.trigger_of(one))) for one in graph.entries}
    return found | {key: frozenset(_things(node)) for key, node in graph.nodes.items()}


def all_things(graph: Graph) -> frozenset[Thing]:
    return frozenset(thing for named in things(graph).values() for thing in named)


def _things(node: GraphNode) -> Iterator[Thing]:
    for kept in (node.settings, node.settings.get("until") or {}):
        yield from (thing for _, thing in reading.named(kept))
    for condition in conditions_of(node):
        yield from grammar.things(condition)


def conditions_of(node: GraphNode) -> list[grammar.Condition]:
    """Of a condition its own, of a split those of its branches, in order."""
    own = [node.settings["if"]] if node.kind == kinds.CONDITION else []
    return own + [branch["if"] for branch in node.settings.get(BRANCHES, ()) if "if" in branch]
