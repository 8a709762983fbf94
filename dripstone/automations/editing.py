"""Edits of a graph: each takes a graph and returns another one, sound if the first was. Pure.

A step is moved, copied and taken away with what stands between it and the node where its ways come together again (its
block). No edit but `lead` leaves a node behind that nothing leads to: what only a removed way reached goes with it.

    graph = editing.insert(graph, Place("welcome", "next"), node)
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from dripstone.automations.graph import Graph, GraphNode
from dripstone.errors import Invalid

AFTER: Final = "after"  # in place of an exit: where the ways out of a step come together
CIRCLE = "That would lead in a circle: people only ever go forward"
ENDS = "Nothing can follow it, so it can only stand where people leave"


class Place(NamedTuple):
    """Where a step may be put: at an exit of a node; or, with AFTER, behind all that belongs to it."""

    key: str
    exit: str

    def __str__(self) -> str:
        return f"{self.key}:{self.exit}"

    @classmethod
    def of(cls, text: str, graph: Graph) -> "Place | None":
        """None: there is no such place (any more)."""
        key, _, exit = text.rpartition(":")
        place = cls(key, exit)
        if place == START:
            return place
        if key not in graph.nodes:
            return None
        return place if exit == AFTER or exit in dict(graph.exits_of(key)) else None


START: Final = Place("", "start")
Edge = Place  # at an exit, never AFTER


# --- How it hangs together ----------------------------------------------------------------------------------------


def exits(graph: Graph, key: str) -> list[tuple[str, str | None]]:
    """Of a node, or of the entry ("")."""
    return graph.exits_of(key) if key else [(START.exit, graph.start)]


def reached(graph: Graph, roots: Collection[str], *, without: Collection[str] = ()) -> set[str]:
    """The nodes that one comes to from these, themselves included, by ways that avoid some."""
    found: set[str] = set()
    ahead = [key for key in roots if key not in without]
    while ahead:
        key = ahead.pop()
        if key not in found:
            found.add(key)
            ahead += [target for _, target in graph.exits_of(key) if target is not None and target not in without]
    return found


def loose(graph: Graph) -> list[str]:
    """Nodes that nothing leads to, as listed; the start is none of them."""
    led_to = {target for key in graph.nodes for _, target in graph.exits_of(key)}
    return [key for key in graph.nodes if key not in led_to and key != graph.start]


def _roots(graph: Graph) -> set[str]:
    """From which all nodes are reached."""
    return {*loose(graph), *([graph.start] if graph.start is not None else [])}


def joins(graph: Graph) -> dict[str, str | None]:
    """By node, the nearest one that all ways out of it pass; None: some leave before."""
    passed: dict[str, tuple[str, ...]] = {}  # the nodes that all ways out pass, the nearest first
    for key in reversed(_in_order(graph)):
        ways = [() if target is None else (target, *passed[target]) for _, target in graph.exits_of(key)]
        common = set(ways[0]).intersection(*ways[1:]) if ways else set()
        passed[key] = tuple(one for one in ways[0] if one in common) if ways else ()
    return {key: next(iter(passed[key]), None) for key in graph.nodes}


def _in_order(graph: Graph) -> list[str]:
    """Each before those it leads to."""
    found: dict[str, None] = {}
    for root in graph.nodes:
        ways = [(root, iter([key for _, key in graph.exits_of(root) if key is not None]))]
        while root not in found and ways:
            key, ahead = ways[-1]
            following = next((one for one in ahead if one not in found), None)
            if following is not None:
                ways.append((following, iter([one for _, one in graph.exits_of(following) if one is not None])))
            else:
                found[key] = None
                ways.pop()
    return list(reversed(found))


def block(graph: Graph, key: str) -> list[str]:
    """The node and what belongs to it: all that stands on its ways before they come together, and that nothing else
    leads to. As listed, itself first."""
    join = joins(graph)[key]
    without = {key} if join is None else {key, join}
    targets = [target for _, target in graph.exits_of(key) if target is not None]
    elsewhere = reached(graph, _roots(graph), without=[key])
    inside = reached(graph, targets, without=without) - elsewhere
    return [key, *(one for one in graph.nodes if one in inside)]


def ends(graph: Graph, place: Place) -> list[Edge]:
    """The exits that lead through a place. Of AFTER, those of the block that lead to where its ways come together."""
    if place.exit != AFTER:
        return [place]
    join = joins(graph)[place.key]
    return [Edge(key, exit) for key in block(graph, place.key) for exit, target in exits(graph, key) if target == join]


def target(graph: Graph, place: Place) -> str | None:
    """Where people go from there; None: they leave."""
    return joins(graph)[place.key] if place.exit == AFTER else dict(exits(graph, place.key))[place.exit]


def lead_to(graph: Graph, key: str) -> list[Edge]:
    """The exits that do."""
    return [Edge(one, exit) for one in ("", *graph.nodes) for exit, found in exits(graph, one) if found == key]


# --- Edits --------------------------------------------------------------------------------------------------------


def insert(graph: Graph, place: Place, node: GraphNode) -> Graph:
    """All its exits lead on to where the place led. Raises Invalid where nothing may follow it and something would."""
    edges, behind = ends(graph, place), target(graph, place)
    if behind is not None and not Graph((), None, {node.key: node}).exits_of(node.key):
        raise Invalid(ENDS)
    nodes = _listed(graph, {node.key: _all_to(node, behind)}, place)
    return _led(replace(graph, nodes=nodes), edges, node.key)


def lead(graph: Graph, edge: Edge, key: str | None) -> Graph:
    """Lets an exit lead to another node, or out. What it led to may now be a node that nothing leads to.

    Raises Invalid.
    """
    if key is not None and edge.key and edge.key in {key, *reached(graph, [key])}:
        raise Invalid(CIRCLE)
    return _led(graph, [edge], key)


def usual_way(graph: Graph, key: str) -> str:
    """The exit that is followed when a node is taken away and nobody says which (A12)."""
    names = [exit for exit, _ in graph.exits_of(key)]
    return next((exit for exit in ("next", "no", "otherwise") if exit in names), names[-1] if names else "")


def remove(graph: Graph, key: str, way: str = "") -> Graph:
    """Closes the gap: what led to the node leads to where it led, by this exit. What only its other exits reached goes,
    too (`goes_with`)."""
    behind = dict(graph.exits_of(key)).get(way or usual_way(graph, key))
    led = _led(graph, lead_to(graph, key), behind)
    roots = _roots(graph)
    if key in roots and behind is not None:
        roots.add(behind)
    kept = reached(led, roots - {key}, without=[key])
    return replace(led, nodes={one: node for one, node in led.nodes.items() if one in kept})


def goes_with(graph: Graph, key: str, way: str = "") -> list[str]:
    """The other nodes that `remove` takes away."""
    left = remove(graph, key, way).nodes
    return [one for one in graph.nodes if one not in left and one != key]


def move(graph: Graph, key: str, place: Place) -> Graph:
    """With its block. Raises Invalid."""
    moving, join = block(graph, key), joins(graph)[key]
    if place.key in moving:
        raise Invalid("It can't be moved into itself")
    tails = ends(graph, Place(key, AFTER))
    led = _led(graph, lead_to(graph, key), join)
    rest = replace(led, nodes={one: node for one, node in led.nodes.items() if one not in moving})
    return _put(rest, place, {one: graph.nodes[one] for one in moving}, tails)


def duplicate(graph: Graph, key: str, taken: Collection[str]) -> tuple[Graph, str]:
    """A copy of its block, behind it; and the key of the copy of the node. taken: keys that are not to be used.

    Raises Invalid.
    """
    tails = ends(graph, Place(key, AFTER))
    if not tails:
        raise Invalid(ENDS)
    called: dict[str | None, str] = {}
    for one in block(graph, key):
        called[one] = fresh(graph.nodes[one].kind, {*graph.nodes, *taken, *called.values()})
    copies = {called[one]: _copied(graph.nodes[one], called) for one in called if one is not None}
    made = _put(graph, Place(key, AFTER), copies, [Edge(called[edge.key], edge.exit) for edge in tails])
    return made, called[key]


def change(graph: Graph, key: str, settings: Mapping[str, Any], *, otherwise: bool | None = None) -> Graph:
    """otherwise   whether it has that exit from now on; None: as it was. A new one leads to where it leads already."""
    node = graph.nodes[key]
    exits = dict(node.exits)
    if otherwise is True and "otherwise" not in exits:
        exits["otherwise"] = exits.get("next")
    if otherwise is False:
        exits.pop("otherwise", None)
    return _changed(graph, replace(node, settings=dict(settings), exits=exits))


def change_branches(graph: Graph, key: str, settings: Mapping[str, Any], before: Sequence[int | None]) -> Graph:
    """Of a split. before: of each branch, its place among those of today; None for a new one, which leads to where the
    ways come together."""
    node = graph.nodes[key]
    led, join = node.exits["branches"], joins(graph)[key]
    branches = [join if place is None else led[place] for place in before]
    return _changed(graph, replace(node, settings=dict(settings), exits={**node.exits, "branches": branches}))


def fresh(kind: str, taken: Collection[str]) -> str:
    """A key that nothing has: `wait`, `wait-2`."""
    number = 1
    while (key := kind if number == 1 else f"{kind}-{number}") in taken:
        number += 1
    return key


# --- What they share ----------------------------------------------------------------------------------------------


def _led(graph: Graph, edges: Collection[Edge], key: str | None) -> Graph:
    nodes, start = dict(graph.nodes), graph.start
    for edge in edges:
        if edge == START:
            start = key
        else:
            nodes[edge.key] = _with_exit(nodes[edge.key], edge.exit, key)
    return replace(graph, start=start, nodes=nodes)


def _with_exit(node: GraphNode, exit: str, key: str | None) -> GraphNode:
    if not exit.isdigit():
        return replace(node, exits={**node.exits, exit: key})
    branches = list(node.exits["branches"])
    branches[int(exit)] = key
    return replace(node, exits={**node.exits, "branches": branches})


def _all_to(node: GraphNode, key: str | None) -> GraphNode:
    return replace(node, exits={name: _same(led, key) for name, led in node.exits.items()})


def _same(led: Any, key: str | None) -> Any:
    return [key for _ in led] if isinstance(led, list | tuple) else key


def _copied(node: GraphNode, called: Mapping[str | None, str]) -> GraphNode:
    led = {
        name: [called.get(one, one) for one in to] if isinstance(to, list | tuple) else called.get(to, to)
        for name, to in node.exits.items()
    }
    return replace(node, key=called[node.key], exits=led)


def _put(graph: Graph, place: Place, nodes: Mapping[str, GraphNode], tails: Sequence[Edge]) -> Graph:
    """Nodes that hang together, the first of them being where one comes in, at a place.

    tails   their exits that lead on from there
    """
    edges, behind = ends(graph, place), target(graph, place)
    if behind is not None and not tails:
        raise Invalid(ENDS)
    first = next(iter(nodes))
    whole = replace(graph, nodes=_listed(graph, nodes, place))
    made = _led(_led(whole, tails, behind), edges, first)
    if first in reached(made, [one for _, one in _outside(made, nodes)]):
        raise Invalid(CIRCLE)
    return made


def _outside(graph: Graph, inside: Collection[str]) -> Iterator[tuple[str, str]]:
    """Where nodes lead to outside of them."""
    for key in inside:
        yield from ((key, led) for _, led in graph.exits_of(key) if led is not None and led not in inside)


def _listed(graph: Graph, nodes: Mapping[str, GraphNode], place: Place) -> dict[str, GraphNode]:
    """With these behind the node of the place, which is their order among equals as well (A6)."""
    before = block(graph, place.key) if place.exit == AFTER else [place.key]
    last = max((number for number, key in enumerate(graph.nodes) if key in before), default=-1)
    items = list(graph.nodes.items())
    return dict([*items[: last + 1], *nodes.items(), *items[last + 1 :]])


def _changed(graph: Graph, node: GraphNode) -> Graph:
    """Without what only an exit reached that is gone."""
    made = replace(graph, nodes={**graph.nodes, node.key: node})
    kept = reached(made, _roots(graph))
    return replace(made, nodes={key: one for key, one in made.nodes.items() if key in kept})


# --- The list that people read ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Way:
    """From an exit, or from the entry: steps one after the other.

    goes_on   the step, listed elsewhere, that it leads to; None: it leaves, or comes together with the other ways
    leaves    it leads nowhere, and the other ways somewhere
    """

    place: Place
    steps: list["Listed"]
    goes_on: str | None
    leaves: bool


@dataclass(frozen=True, slots=True)
class Listed:
    """A step in the list.

    number  from 1, in the order of reading
    ways    of a fork; what comes behind it stands after it
    after   where a step behind it is put; None: nothing may follow
    """

    key: str
    number: int
    ways: list[Way]
    after: Place | None


def outline(graph: Graph) -> list[Way]:
    """The way from the entry, with every other inside; behind it one for each node that nothing leads to, whose place
    is no place (its key is "")."""
    return _Outline(graph).all()


class _Outline:
    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._joins = joins(graph)
        self._numbers: dict[str, int] = {}

    def all(self) -> list[Way]:
        ways = [self._way(START, self._graph.start, None)]
        return ways + [self._way(Place("", ""), key, None) for key in loose(self._graph)]

    def _way(self, place: Place, first: str | None, stop: str | None) -> Way:
        steps: list[Listed] = []
        here = first
        while here is not None and here != stop and here not in self._numbers:
            steps.append(self._listed(here))
            here = self._joins[here]
            if not self._graph.exits_of(steps[-1].key):
                return Way(place, steps, None, False)
        goes_on = here if here != stop else None
        return Way(place, steps, goes_on, here is None and stop is not None)

    def _listed(self, key: str) -> Listed:
        self._numbers[key] = number = len(self._numbers) + 1
        found, join = self._graph.exits_of(key), self._joins[key]
        ways = [self._way(Place(key, exit), led, join) for exit, led in found] if len(found) > 1 else []
        after = Place(key, AFTER) if ends(self._graph, Place(key, AFTER)) else None
        return Listed(key, number, ways, after)


def steps(ways: Collection[Way]) -> Iterator[Listed]:
    """All of them, as numbered."""
    for way in ways:
        for step in way.steps:
            yield step
            yield from steps(step.ways)


def shifts(graph: Graph) -> dict[str, tuple[Place | None, Place | None]]:
    """By node, where *move up* and *move down* put it: before or behind its neighbour, at the ends of a branch out of it.
    None: there is no further."""
    found: dict[str, tuple[Place | None, Place | None]] = {}
    for way in outline(graph):
        _shifts(way, None, None, found)
    return found


def _shifts(
    way: Way, above: Place | None, below: Place | None, found: dict[str, tuple[Place | None, Place | None]]
) -> None:
    """above, below   the places before and behind the fork that this way is of"""
    for number, step in enumerate(way.steps):
        before = way.steps[number - 1] if number else None
        behind = way.steps[number + 1] if number + 1 < len(way.steps) else None
        up = _begin(way, number - 1) if before else above
        down = behind.after if behind else below
        found[step.key] = (up, down)
        for inner in step.ways:
            _shifts(inner, _begin(way, number), step.after, found)


def _begin(way: Way, number: int) -> Place | None:
    """The place before one of its steps."""
    if number:
        return way.steps[number - 1].after
    return way.place if way.place.exit else None
