"""What lies ahead in a graph, and the circles that no graph has. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dripstone.automations import graph as graphs
from dripstone.automations import kinds
from dripstone.automations.graph import AT_ENTRY, Graph, GraphNode

KEYS = "abcdefgh"
Draw = Callable[..., Any]


def node(key: str, kind: str, *targets: str | None) -> GraphNode:
    match kind:
        case kinds.CONDITION:
            return GraphNode(key, kind, {"if": {"all": []}}, dict(zip(("yes", "no"), targets, strict=True)))
        case kinds.SPLIT:
            shares = [{"percent": 100}, {"percent": 0}]
            return GraphNode(key, kind, {"branches": shares}, {"branches": list(targets)})
        case kinds.UNSUBSCRIBE:
            return GraphNode(key, kind, {}, {})
        case kinds.EVENT:
            return GraphNode(key, kind, {"trigger": "became_active", "already": False}, {"next": targets[0]})
    return GraphNode(key, kinds.TAG, {"tag_id": 3}, {"next": targets[0]})


N_EXITS = {kinds.CONDITION: 2, kinds.SPLIT: 2, kinds.UNSUBSCRIBE: 0, kinds.EVENT: 1, kinds.TAG: 1}


@st.composite
def sound_graphs(draw: Draw, *, with_deleted: bool = False) -> Graph:
    """Exits lead to nodes later in an order of which the list says nothing."""
    keys = draw(st.permutations(KEYS[: draw(st.integers(0, len(KEYS)))]))
    nodes = {}
    for place, key in enumerate(keys):
        ahead = st.sampled_from([None, *keys[place + 1 :]])
        if with_deleted and draw(st.integers(0, 4)) == 0:
            nodes[key] = replace(node(key, kinds.TAG, None), is_deleted=True, leads_to=draw(ahead))
            continue
        kind = draw(st.sampled_from(sorted(N_EXITS)))
        nodes[key] = node(key, kind, *(draw(ahead) for _ in range(N_EXITS[kind])))
    listed = draw(st.permutations(keys))
    return Graph((), draw(st.sampled_from([None, *keys])), {key: nodes[key] for key in listed})


def distances(graph: Graph, key: str) -> dict[str, int]:
    """Level by level, from the definition: in n exits one gets to whatever an exit of what is n - 1 away leads to."""
    level, n = {key}, 0
    found: dict[str, int] = {}
    while level:
        n += 1
        level = {to for one in level for _, to in graph.exits_of(one) if to is not None} - found.keys()
        found |= dict.fromkeys(level, n)
    return found


@given(sound_graphs(with_deleted=True))
def test_ahead_is_all_that_can_be_reached_but_deleted_nodes(graph: Graph) -> None:
    for key in (AT_ENTRY, *graph.nodes):
        reached = {to for to in distances(graph, key) if not graph.nodes[to].is_deleted}
        assert graph.ahead(key) == reached
        assert key not in graph.ahead(key)


@given(sound_graphs())
def test_what_is_ahead_of_a_node_ahead_is_ahead(graph: Graph) -> None:
    for key in graph.nodes:
        assert all(graph.ahead(to) < graph.ahead(key) for to in graph.ahead(key))
    assert graph.ahead(AT_ENTRY) == (graph.ahead(graph.start) | {graph.start} if graph.start else frozenset())


@given(sound_graphs(with_deleted=True))
def test_the_nearest_event_comes_first_and_of_equals_the_first_listed(graph: Graph) -> None:
    listed = list(graph.nodes)
    for key in (AT_ENTRY, *graph.nodes):
        steps = distances(graph, key)
        found = graph.events_ahead(key)
        events = {one.key for one in graph.nodes.values() if one.kind == kinds.EVENT}
        assert {one.key for one in found} == graph.ahead(key) & events
        order = [(steps[one.key], listed.index(one.key)) for one in found]
        assert order == sorted(order)


@given(sound_graphs(with_deleted=True))
def test_what_leads_to_a_node_is_what_has_an_exit_there(graph: Graph) -> None:
    for key in graph.nodes:
        found = graph.leading_to(key)
        assert all((name, key) in graph.exits_of(one) for one, name in found)
        living = [AT_ENTRY, *(one.key for one in graph.living)]
        n_exits = sum(to == key for one in living for _, to in graph.exits_of(one))
        assert len(found) == n_exits


@given(sound_graphs(with_deleted=True))
def test_a_sound_graph_has_no_circle(graph: Graph) -> None:
    assert graphs.circle(graph.nodes) == []


@given(sound_graphs(), st.data())
def test_an_exit_back_makes_a_circle_that_is_one(graph: Graph, data: st.DataObject) -> None:
    able = [one.key for one in graph.living if one.exits and one.key]
    if not able:
        return
    last = data.draw(st.sampled_from(able))
    back = data.draw(st.sampled_from([last, *(key for key in graph.nodes if last in graph.ahead(key))]))
    nodes = {**graph.nodes, last: node(last, kinds.TAG, back)}
    way = graphs.circle(nodes)
    assert last in way
    assert len(set(way)) == len(way)
    assert all(leads(nodes, one, to) for one, to in pairwise([*way, way[0]]))


def leads(nodes: Mapping[str, GraphNode], one: str, to: str) -> bool:
    return to in [target for _, target in nodes[one].ways]


@given(sound_graphs(with_deleted=True))
def test_as_json_it_is_the_same_without_deleted_nodes(graph: Graph) -> None:
    there_and_back = graphs.from_json(graphs.as_json(graph))
    assert list(there_and_back.nodes.values()) == graph.living
    assert (there_and_back.start, there_and_back.entries) == (graph.start, graph.entries)


def test_a_long_way_is_no_deeper_than_a_short_one() -> None:
    """A circle is looked for without recursion."""
    keys = [str(number) for number in range(5_000)]
    nodes = {one: node(one, kinds.TAG, to) for one, to in pairwise(keys)} | {keys[-1]: node(keys[-1], kinds.TAG, None)}
    assert graphs.circle(nodes) == []
    assert len(Graph((), keys[0], nodes).ahead(AT_ENTRY)) == 5_000
    assert graphs.circle(nodes | {keys[-1]: node(keys[-1], kinds.TAG, keys[0])}) == keys


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (kinds.TAG, ["next"]),
        (kinds.CONDITION, ["yes", "no"]),
        (kinds.SPLIT, ["0", "1"]),
        (kinds.UNSUBSCRIBE, []),
    ],
)
def test_the_exits_of_a_node_have_names(kind: str, names: list[str]) -> None:
    one = node("a", kind, *("b" for _ in names))
    assert one.ways == [(name, "b") for name in names]
    deleted = replace(one, is_deleted=True, leads_to="c")
    assert deleted.ways == [("next", "c")]


def test_the_way_on_from_a_split_by_conditions_ends_with_otherwise() -> None:
    one = GraphNode("a", kinds.SPLIT, {"branches": [{"if": {"all": []}}]}, {"branches": ["b"], "otherwise": None})
    assert one.ways == [("0", "b"), ("otherwise", None)]
