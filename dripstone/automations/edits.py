"""What an edit means for whoever stands at each node. Pure.

Nobody is ever without a node. One that an edit deletes stays behind the scenes while somebody stands there, and leads
to the first node behind it that still exists: through deleted forks by the branch that is named, else by `no` or
`otherwise`, else out. What is deleted on the way does nothing.

    before   what is published, nodes deleted earlier included
    after    the draft
    choices  by node: {"sequence": "leave", "wait": "end", "branch": "yes", "dates": "anew"}
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from dripstone.automations import kinds
from dripstone.automations.graph import NEXT, NO, OTHERWISE, Exit, Graph, GraphNode
from dripstone.errors import Invalid

Choice = Mapping[str, str]
Choices = Mapping[str, Choice]

SEQUENCE, WAIT, BRANCH, DATES = "sequence", "wait", "branch", "dates"

FINISH: Final = "finish"  # the sequence, and go on then
LEAVE: Final = "leave"  # the sequence now, and go on
KEEP: Final = "keep"  # the dates that were given; the wait at a node that is deleted
END: Final = "end"  # that wait now, and go on
ANEW: Final = "anew"  # give them again, by the settings there are now

What = Literal["deleted", "changed", "rerouted"]
Then = Literal["stay", "keep_date", "new_date", "finish", "leave_sequence", "go_on", "asked", "wait_anew"]
"""stay            where they are; at most they go on to another node than before
keep_date       where they are, until the date they have, or until that happens for which they wait
new_date        until the date that the new settings give, counted from when they arrived
finish          the sequence they are in, and go on then
leave_sequence  now, and go on
go_on           at once, without waiting to the end
asked           at once, what the node asks now
wait_anew       for what the node waits for now; what happened before does not count
"""


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of whoever stands at this node, or comes to it.

    ways     where it leads: of a deleted one the single way that is left
    offers   what may be chosen here, the usual first: {"sequence": ("finish", "leave")}
    chosen   of each of them, as it is without a word or as somebody said; "" for a branch: out
    """

    key: str
    kind: str
    what: What
    then: Then
    ways: tuple[Exit, ...]
    offers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    chosen: Mapping[str, str] = field(default_factory=dict)

    @property
    def gives_dates_anew(self) -> bool:
        return self.chosen.get(DATES) == ANEW

    @property
    def moves_at_once(self) -> bool:
        """Whether somebody who stands there may go on by the edit itself."""
        return self.gives_dates_anew or self.then in ("leave_sequence", "go_on", "asked")

    @property
    def leads_to(self) -> str | None:
        """Of a deleted one."""
        return self.ways[0][1]


def changes(before: Graph, after: Graph, choices: Choices | None = None) -> dict[str, Change]:
    """By node, in the order of the list; without those where nothing changes."""
    found = {}
    for node in before.nodes.values():
        if (change := _change(before, after, node, choices or {})) is not None:
            found[node.key] = change
    return found


def published(before: Graph, after: Graph, choices: Choices | None = None) -> Graph:
    """The draft, with the nodes that are not in it any more behind it."""
    gone = [_gone(before, after, node, choices or {}) for node in before.nodes.values() if node.key not in after.nodes]
    return replace(after, nodes={**after.nodes, **{node.key: node for node in gone}})


def read(given: object, before: Graph, after: Graph) -> dict[str, dict[str, str]]:
    """Choices as somebody sent them: {"nodes": {"pause": {"dates": "anew"}}}. Raises Invalid with every problem by its
    member."""
    nodes = given.get("nodes", {}) if isinstance(given, Mapping) else {} if given is None else None
    if not isinstance(nodes, Mapping):
        raise Invalid.member("choices", "choices must be an object: {“nodes”: {“id of a node”: …}}")
    known = {change.key: change.offers for change in changes(before, after).values()}
    problems = []
    for key, said in nodes.items():
        member = f"choices.nodes.{key}"
        if not isinstance(said, Mapping):
            problems.append((member, f"{member} must be an object"))
            continue
        problems += list(_refused(member, said, known.get(key, {})))
    if problems:
        raise Invalid(problems=problems)
    return {key: dict(said) for key, said in nodes.items() if said}


def _refused(member: str, said: Mapping[str, Any], offers: Mapping[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    problems = []
    for name, value in said.items():
        if name not in offers:
            problems.append((f"{member}.{name}", f"{member}.{name}: there is nothing of this kind to choose there"))
        elif value not in offers[name]:
            options = " or ".join(offers[name])
            problems.append((f"{member}.{name}", f"{member}.{name} must be {options}"))
    return problems


# --- One node -----------------------------------------------------------------------------------------------------


def _change(before: Graph, after: Graph, node: GraphNode, choices: Choices) -> Change | None:
    new = after.nodes.get(node.key)
    if new is None:
        return _deleted(before, after, node, choices)
    if not node.is_deleted and new.settings == node.settings:
        is_same = new.ways == node.ways
        return None if is_same else Change(node.key, node.kind, "rerouted", "stay", tuple(new.ways))
    return _changed(node, new, choices.get(node.key, {}))


def _deleted(before: Graph, after: Graph, node: GraphNode, choices: Choices) -> Change | None:
    gone = _gone(before, after, node, choices)
    ways: tuple[Exit, ...] = ((NEXT, gone.leads_to),)
    if node.is_deleted:
        is_same = gone.leads_to == node.leads_to
        return None if is_same else Change(node.key, node.kind, "rerouted", "stay", ways)
    said, offers = choices.get(node.key, {}), _offers_of_deleted(node)
    chosen = {name: said.get(name, options[0]) for name, options in offers.items()}
    if BRANCH in offers:
        chosen[BRANCH] = branch_of(node, said) or ""
    return Change(node.key, node.kind, "deleted", _then_of_deleted(node, chosen), ways, offers, chosen)


def _offers_of_deleted(node: GraphNode) -> dict[str, tuple[str, ...]]:
    offers: dict[str, tuple[str, ...]] = {}
    if node.kind == kinds.SEQUENCE:
        offers[SEQUENCE] = (FINISH, LEAVE)
    if node.kind in _WAITS:
        offers[WAIT] = (KEEP, END)
    if is_fork(node):
        usual = branch_of(node, {})
        names = [name for name, _ in node.ways]
        offers[BRANCH] = tuple(sorted(names, key=lambda name: name != usual))
    return offers


def _then_of_deleted(node: GraphNode, chosen: Mapping[str, str]) -> Then:
    match node.kind:
        case kinds.SEQUENCE:
            return "leave_sequence" if chosen[SEQUENCE] == LEAVE else "finish"
        case kind if kind in _WAITS:
            return "go_on" if chosen[WAIT] == END else "keep_date"
    return "stay"


_WAITS = (kinds.WAIT, kinds.CONDITION, kinds.EVENT)


def _changed(node: GraphNode, new: GraphNode, said: Choice) -> Change:
    """Of settings. A node that comes back is a changed one."""
    offers = {DATES: (KEEP, ANEW)} if _has_other_dates(node, new) else {}
    chosen = {name: said.get(name, options[0]) for name, options in offers.items()}
    then = _then_of_changed(node, new, chosen)
    return Change(node.key, node.kind, "changed", then, tuple(new.ways), offers, chosen)


_DATED: Mapping[str, tuple[str, ...]] = {
    kinds.WAIT: ("for", "until"),
    kinds.CONDITION: ("within",),
    kinds.EVENT: ("within",),
}


def _has_other_dates(node: GraphNode, new: GraphNode) -> bool:
    return any(node.settings.get(name) != new.settings.get(name) for name in _DATED.get(node.kind, ()))


def _then_of_changed(node: GraphNode, new: GraphNode, chosen: Mapping[str, str]) -> Then:
    is_anew = chosen.get(DATES) == ANEW
    match node.kind:
        case kinds.WAIT:
            return "new_date" if is_anew else "keep_date"
        case kinds.SEQUENCE if new.settings.get("sequence_id") != node.settings.get("sequence_id"):
            return "finish"
        case kinds.SEQUENCE | kinds.CONDITION:
            return "asked"
        case kinds.EVENT if new.trigger != node.trigger:
            return "wait_anew"
        case kinds.EVENT:
            return "new_date" if is_anew else "keep_date"
    return "stay"


# --- Where a deleted one leads ------------------------------------------------------------------------------------


def _gone(before: Graph, after: Graph, node: GraphNode, choices: Choices) -> GraphNode:
    target = _through(node, choices)
    while target is not None and target not in after.nodes:
        target = _through(before.nodes[target], choices)
    return replace(node, is_deleted=True, leads_to=target)


def _through(node: GraphNode, choices: Choices) -> str | None:
    """Where it led, of a fork by one of its branches."""
    if node.is_deleted:
        return node.leads_to
    ways = dict(node.ways)
    name = branch_of(node, choices.get(node.key, {})) if is_fork(node) else NEXT
    return ways.get(name) if name is not None else None


def is_fork(node: GraphNode) -> bool:
    """People who come to it go one of several ways. (By the `otherwise` of a wait goes only who has no date to wait
    for: nobody who stands there.)"""
    return node.kind in (kinds.CONDITION, kinds.SPLIT) or (node.kind == kinds.EVENT and OTHERWISE in node.exits)


def branch_of(node: GraphNode, said: Choice) -> str | None:
    """By which whoever comes to a deleted fork goes on; None: out."""
    names = [name for name, _ in node.ways]
    for name in (said.get(BRANCH), NO, OTHERWISE):
        if name in names:
            return name
    return None
