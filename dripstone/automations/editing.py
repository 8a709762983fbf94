"""Edits of a graph: each takes a graph and returns another one, sound if the first was. Pure.

A step is moved, copied and taken away with what stands between it and the node where its ways come together again (its
block). No edit but `lead` leaves a node behind that nothing leads to: what only a removed way reached goes with it.

    graph = editing.insert(graph, Place("welcome", "next"), node)
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from dripstone.automations.graph import AT_ENTRY, BRANCHES, NEXT, NO, OTHERWISE, Graph, GraphNode
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
        if place != START and key not in graph.nodes:
            return None
        return place if exit in dict(graph.exits_of(key)) or (exit == AFTER and ends(graph, place)) else None


START: Final = Place(AT_ENTRY, NEXT)
Edge = Place  # at an exit, never AFTER
Meets = Mapping[str, str | None]


# --- How it hangs together ----------------------------------------------------------------------------------------


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
    """By node, the nearest one that all ways out of it pass; None: some of them lead out before."""
    passed: dict[str, tuple[str, ...]] = {}  # the nodes that all ways out pass, the nearest first
    for key in reversed(_in_order(graph)):
        ways = [() if led is None else (led, *passed[led]) for _, led in graph.exits_of(key)] or [()]
        common = set(ways[0]).intersection(*ways[1:])
        passed[key] = tuple(one for one in ways[0] if one in common)
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


def has_usual_way(node: GraphNode) -> bool:
    """People go on by `next`; its other way is the exception, and stands aside."""
    return NEXT in node.exits


def behind(graph: Graph, key: str, meets: Meets | None = None) -> str | None:
    """What comes after a node and all that belongs to it: where its usual way leads, else where its ways come together;
    None: they leave. meets: `joins`, where it is asked often"""
    ways = dict(graph.exits_of(key))
    return ways[NEXT] if NEXT in ways else (meets or joins(graph))[key]


def block(graph: Graph, key: str, meets: Meets | None = None) -> list[str]:
    """The node and what belongs to it: all that stands on its ways before what comes after it, and that nothing else
    leads to. As listed, itself first."""
    after = behind(graph, key, meets)
    without = {key} if after is None else {key, after}
    targets = [led for exit, led in graph.exits_of(key) if led is not None and exit != NEXT]
    elsewhere = reached(graph, _roots(graph), without=[key]) | reached(graph, without - {key})
    inside = reached(graph, targets, without=without) - elsewhere
    return [key, *(one for one in graph.nodes if one in inside)]


def ends(graph: Graph, place: Place) -> list[Edge]:
    """The exits that lead through a place."""
    if place.exit != AFTER:
        return [place]
    if has_usual_way(graph.nodes[place.key]):
        return [Edge(place.key, NEXT)]
    return ends_of_block(graph, place.key)


def may_follow(graph: Graph, key: str, meets: Meets) -> bool:
    """Something may be put after it: not all of its ways end in what nothing follows."""
    return has_usual_way(graph.nodes[key]) or bool(ends_of_block(graph, key, meets))


def ends_of_block(graph: Graph, key: str, meets: Meets | None = None) -> list[Edge]:
    """The exits of its block that lead to what comes after it. Where that is nothing, an exception that leads out
    goes on leading out."""
    after = behind(graph, key, meets)
    if after is None and has_usual_way(graph.nodes[key]):
        return [Edge(key, NEXT)]
    return [Edge(one, exit) for one in block(graph, key, meets) for exit, led in graph.exits_of(one) if led == after]


def target(graph: Graph, place: Place) -> str | None:
    """Where people go from there; None: they leave."""
    return behind(graph, place.key) if place.exit == AFTER else dict(graph.exits_of(place.key))[place.exit]


# --- Edits --------------------------------------------------------------------------------------------------------


def insert(graph: Graph, place: Place, node: GraphNode) -> Graph:
    """All its exits lead on to where the place led. Raises Invalid where nothing may follow it and something would."""
    edges, behind = ends(graph, place), target(graph, place)
    if behind is not None and not node.ways:
        raise Invalid(ENDS)
    nodes = _listed(graph, {node.key: _all_to(node, behind)}, place)
    return _led(replace(graph, nodes=nodes), edges, node.key)


def lead(graph: Graph, edge: Edge, key: str | None) -> Graph:
    """Lets an exit lead to another node, or out. What it led to may now be a node that nothing leads to.

    Raises Invalid.
    """
    if key is not None and edge.key in reached(graph, [key]):
        raise Invalid(CIRCLE)
    return _led(graph, [edge], key)


def usual_way(graph: Graph, key: str) -> str:
    """The exit that is followed when a node is taken away and nobody says which (A12)."""
    names = [exit for exit, _ in graph.exits_of(key)]
    return next((exit for exit in (NEXT, NO, OTHERWISE) if exit in names), names[-1] if names else "")


def remove(graph: Graph, key: str, way: str = "") -> Graph:
    """Closes the gap: what led to the node leads to where it led, by this exit. What only its other exits reached goes,
    too (`goes_with`)."""
    behind = dict(graph.exits_of(key)).get(way or usual_way(graph, key))
    led = _led(graph, _edges_to(graph, key), behind)
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
    moving, tails = block(graph, key), ends_of_block(graph, key)
    if place.key in moving:
        raise Invalid("It can't be moved into itself")
    led = _led(graph, _edges_to(graph, key), behind(graph, key))
    rest = replace(led, nodes={one: node for one, node in led.nodes.items() if one not in moving})
    return _put(rest, place, {one: graph.nodes[one] for one in moving}, tails)


def duplicate(graph: Graph, key: str, taken: Collection[str]) -> tuple[Graph, str]:
    """A copy of its block, behind it; and the key of the copy of the node. taken: keys that are not to be used.

    Raises Invalid.
    """
    tails = ends_of_block(graph, key)
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
    if otherwise is True:
        exits.setdefault(OTHERWISE, exits.get(NEXT))
    if otherwise is False:
        exits.pop(OTHERWISE, None)
    return _changed(graph, replace(node, settings=dict(settings), exits=exits))


def change_branches(graph: Graph, key: str, settings: Mapping[str, Any], before: Sequence[int | None]) -> Graph:
    """Of a split. before: of each branch, its place among those of today; None for a new one, which leads to where the
    ways come together."""
    node = graph.nodes[key]
    led, join = node.exits[BRANCHES], joins(graph)[key]
    branches = [join if place is None else led[place] for place in before]
    return _changed(graph, replace(node, settings=dict(settings), exits={**node.exits, BRANCHES: branches}))


def fresh(kind: str, taken: Collection[str]) -> str:
    """A key that nothing has: `wait`, `wait-2`."""
    number = 1
    while (key := kind if number == 1 else f"{kind}-{number}") in taken:
        number += 1
    return key


# --- What they share ----------------------------------------------------------------------------------------------


def _edges_to(graph: Graph, key: str) -> list[Edge]:
    return [Edge(*found) for found in graph.leading_to(key)]


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
    branches = list(node.exits[BRANCHES])
    branches[int(exit)] = key
    return replace(node, exits={**node.exits, BRANCHES: branches})


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
