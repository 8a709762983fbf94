"""The graph of an automation: its entries, and nodes that lead to one another. Pure.

A node leads on by its exits: `next`; `yes` and `no` of a condition; "0", "1", … of the branches of a split, and its
`otherwise`; `otherwise` of a wait for a field's date and of an event with a limit. Where an exit leads to None whoever
goes that way leaves. There are no circles (reading.py).
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from dripstone.automations import kinds
from dripstone.automations.models import Automation, Node

Entry = dict[str, Any]
Exit = tuple[str, str | None]
"""Its name, and the key of the node where it leads; None: out."""

NEXT: Final = "next"
YES: Final = "yes"
NO: Final = "no"
OTHERWISE: Final = "otherwise"
BRANCHES: Final = "branches"

AT_ENTRY: Final = ""  # where whoever has entered and not walked yet stands

OF_EVENTS = ("already", "within")  # settings of an event that are not its trigger's


@dataclass(frozen=True)
class GraphNode:
    """settings   its members but id, kind and where it leads
    exits      as models.Node keeps them
    is_deleted   it was taken out while somebody stood there, who goes on to `leads_to`; None: out
    """

    key: str
    kind: str
    settings: Mapping[str, Any]
    exits: Mapping[str, Any]
    is_deleted: bool = False
    leads_to: str | None = None

    @property
    def action(self) -> dict[str, Any]:
        """Of a kind among ACTS, for triggers/what.py."""
        return {"kind": self.kind, **self.settings}

    @property
    def trigger(self) -> dict[str, Any]:
        """Of an event, for triggers/when.py."""
        return {name: value for name, value in self.settings.items() if name not in OF_EVENTS}

    @property
    def ways(self) -> list[Exit]:
        """In the order in which they are asked; of a deleted node the one that is left."""
        return [(NEXT, self.leads_to)] if self.is_deleted else list(_ways(self.exits))


def _ways(exits: Mapping[str, Any]) -> Iterator[Exit]:
    for name in (NEXT, YES, NO):
        if name in exits:
            yield name, exits[name]
    for place, key in enumerate(exits.get(BRANCHES, ())):
        yield str(place), key
    if OTHERWISE in exits:
        yield OTHERWISE, exits[OTHERWISE]


@dataclass(frozen=True)
class Graph:
    """nodes   by key, in the order of the list"""

    entries: tuple[Entry, ...]
    start: str | None
    nodes: Mapping[str, GraphNode]

    def exits_of(self, key: str) -> list[Exit]:
        """Of AT_ENTRY: the start."""
        return [(NEXT, self.start)] if key == AT_ENTRY else self.nodes[key].ways

    def ahead(self, key: str) -> frozenset[str]:
        """What can be reached from it, itself not; from AT_ENTRY the start, too. Deleted nodes are passed through, and
        never reached."""
        return frozenset(self._steps_to(key))

    def events_ahead(self, key: str) -> list[GraphNode]:
        """The nearest first, in exits to be gone through; of equals as listed."""
        steps = self._steps_to(key)
        found = [node for node in self.nodes.values() if node.kind == kinds.EVENT and node.key in steps]
        return sorted(found, key=lambda node: steps[node.key])

    def leading_to(self, key: str) -> list[tuple[str, str]]:
        """Each node that leads there, with the name of the exit; AT_ENTRY for the entry. Deleted ones do not count."""
        froms = [AT_ENTRY, *(node.key for node in self.nodes.values() if not node.is_deleted)]
        return [(one, name) for one in froms for name, to in self.exits_of(one) if to == key]

    @property
    def living(self) -> list[GraphNode]:
        """Without those that were deleted, as listed."""
        return [node for node in self.nodes.values() if not node.is_deleted]

    @property
    def triggers(self) -> list[dict[str, Any]]:
        """Of the entries, for triggers/when.py; in their order."""
        return [trigger_of(entry) for entry in self.entries]

    def _steps_to(self, key: str) -> Mapping[str, int]:
        found = self._steps.get(key)
        if found is None:
            found = self._steps[key] = self._counted(key)
        return found

    @cached_property
    def _steps(self) -> dict[str, Mapping[str, int]]:
        return {}

    def _counted(self, key: str) -> dict[str, int]:
        """Living nodes behind it, with the number of exits that lie between."""
        steps = {key: 0}
        waiting = deque([key])
        while waiting:
            here = waiting.popleft()
            for _, to in self.exits_of(here):
                if to is not None and to not in steps and to in self.nodes:
                    steps[to] = steps[here] + 1
                    waiting.append(to)
        return {one: n for one, n in steps.items() if one not in (key, AT_ENTRY) and not self.nodes[one].is_deleted}


def trigger_of(entry: Entry) -> dict[str, Any]:
    """For triggers/when.py."""
    return {name: value for name, value in entry.items() if name != "id"}


def circle(nodes: Mapping[str, GraphNode]) -> list[str]:
    """Keys of nodes that lead back to the first of them, in order; [] where there is no such way."""
    done: set[str] = set()
    for first in nodes:
        way = {first: _targets(nodes, first)}  # from `first` to where we are; of each the exits that are left
        while way:
            here = next(way[next(reversed(way))], None)
            if here is None:
                done.add(way.popitem()[0])
            elif here in way:
                keys = list(way)
                return keys[keys.index(here) :]
            elif here not in done:
                way[here] = _targets(nodes, here)
    return []


def _targets(nodes: Mapping[str, GraphNode], key: str) -> Iterator[str]:
    return iter([to for _, to in nodes[key].ways if to is not None and to in nodes])


# --- As rows, and as JSON -----------------------------------------------------------------------------------------


def of(automation: Automation, nodes: Iterable[Node]) -> Graph:
    """What is published. nodes: of the automation, deleted ones included."""
    rows = sorted(nodes, key=lambda row: (row.deleted_at is not None, row.position, row.key))
    found = {row.key: _of_row(row) for row in rows}
    return Graph(tuple(automation.entries), automation.start or None, found)


def _of_row(row: Node) -> GraphNode:
    return GraphNode(row.key, row.kind, row.settings, row.exits, row.deleted_at is not None, row.leads_to)


def from_json(given: Mapping[str, Any]) -> Graph:
    """Of what `as_json` made. What people give goes through reading.py."""
    nodes = [_node_of(one) for one in given["nodes"]]
    return Graph(tuple(given["entries"]), given["start"], {node.key: node for node in nodes})


def _node_of(given: Mapping[str, Any]) -> GraphNode:
    kind = given["kind"]
    settings = {name: value for name, value in given.items() if name not in ("id", "kind", *_PLAIN_EXITS)}
    exits = {name: given[name] for name in _PLAIN_EXITS if name in given}
    if kind == kinds.SPLIT:
        exits[BRANCHES] = [one[NEXT] for one in given[BRANCHES]]
        settings[BRANCHES] = [{name: value for name, value in one.items() if name != NEXT} for one in given[BRANCHES]]
    return GraphNode(given["id"], kind, settings, exits)


_PLAIN_EXITS = (NEXT, YES, NO, OTHERWISE)


def as_json(graph: Graph) -> dict[str, Any]:
    """Without deleted nodes. The name and `reenter` are beside it."""
    nodes = [node_as_json(node) for node in graph.living]
    return {"entries": [dict(one) for one in graph.entries], "start": graph.start, "nodes": nodes}


def node_as_json(node: GraphNode) -> dict[str, Any]:
    found = {"id": node.key, "kind": node.kind, **node.settings}
    if node.kind == kinds.SPLIT:
        pairs = zip(node.settings[BRANCHES], node.exits[BRANCHES], strict=True)
        found[BRANCHES] = [{**branch, NEXT: to} for branch, to in pairs]
    return found | {name: node.exits[name] for name in _PLAIN_EXITS if name in node.exits}
