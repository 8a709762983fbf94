"""Edits of a graph: whatever is done to it, it stays sound, and nobody loses a way that is not taken away."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from dripstone.automations import editing, kinds
from dripstone.automations.editing import AFTER, START, Place
from dripstone.automations.graph import Graph, GraphNode, circle
from dripstone.errors import Invalid

EMPTY = Graph((), None, {})
EXITS: dict[str, dict[str, Any]] = {
    kinds.TAG: {"next": None},
    kinds.CONDITION: {"yes": None, "no": None},
    kinds.SPLIT: {"branches": [None, None, None]},
    kinds.EVENT: {"next": None, "otherwise": None},
    kinds.UNSUBSCRIBE: {},
}


def node(key: str, kind: str = kinds.TAG) -> GraphNode:
    return GraphNode(key, kind, {"branches": [{}, {}, {}]} if kind == kinds.SPLIT else {}, EXITS[kind])


def line(*keys: str) -> Graph:
    """Tags, one after the other."""
    graph, place = EMPTY, START
    for key in keys:
        graph = editing.insert(graph, place, node(key))
        place = Place(key, "next")
    return graph


def forked() -> Graph:
    """a, then a condition: yes → y, no → n; both go on to z."""
    graph = line("a", "z")
    graph = editing.insert(graph, Place("a", "next"), node("if", kinds.CONDITION))
    graph = editing.insert(graph, Place("if", "yes"), node("y"))
    return editing.insert(graph, Place("if", "no"), node("n"))


def ways(graph: Graph) -> dict[str, list[str | None]]:
    return {key: [to for _, to in graph.exits_of(key)] for key in ["", *graph.nodes]}


def read(graph: Graph) -> str:
    """Its list, as `a if(y|n) z`; × where one way alone leads out; behind a slash what nothing leads to."""
    return " / ".join(_chain(graph, key, None) for key in [graph.start, *editing.loose(graph)])


def _chain(graph: Graph, key: str | None, stop: str | None) -> str:
    said = []
    while key is not None and key != stop:
        after = editing.behind(graph, key)
        asides = [_chain(graph, to, after) for exit, to in graph.exits_of(key) if exit != "next"]
        said.append(key + (f"({'|'.join(asides)})" if asides else ""))
        key = after
    return " ".join([*said, *(["×"] if key != stop else [])])


# --- Edits, one by one ------------------------------------------------------------------------------------------


def test_a_step_is_put_between_two_and_a_fork_leads_on_by_all_its_ways() -> None:
    assert ways(line("a", "b")) == {"": ["a"], "a": ["b"], "b": [None]}
    assert ways(forked()) == {"": ["a"], "a": ["if"], "if": ["y", "n"], "y": ["z"], "n": ["z"], "z": [None]}
    assert list(forked().nodes) == ["a", "if", "n", "y", "z"]
    assert read(forked()) == "a if(y|n) z"


def test_what_ends_a_way_stands_only_at_an_end() -> None:
    with pytest.raises(Invalid, match="Nothing can follow it"):
        editing.insert(line("a", "b"), Place("a", "next"), node("bye", kinds.UNSUBSCRIBE))
    graph = editing.insert(line("a", "b"), Place("b", "next"), node("bye", kinds.UNSUBSCRIBE))
    assert ways(graph)["b"] == ["bye"] and ways(graph)["bye"] == []
    with pytest.raises(Invalid):
        editing.move(graph, "bye", START)
    with pytest.raises(Invalid):
        editing.duplicate(graph, "bye", ())


def test_behind_a_fork_is_where_its_ways_come_together() -> None:
    graph = editing.insert(forked(), Place("if", AFTER), node("m"))
    assert read(graph) == "a if(y|n) m z"
    ended = editing.remove(editing.remove(graph, "z"), "m")
    assert read(ended) == "a if(y|n)"
    assert read(editing.insert(ended, Place("if", AFTER), node("e"))) == "a if(y|n) e"


def test_of_a_removed_fork_one_way_stays() -> None:
    assert read(editing.remove(forked(), "if")) == "a n z"
    assert read(editing.remove(forked(), "if", "yes")) == "a y z"
    assert editing.goes_with(forked(), "if", "yes") == ["n"]
    assert read(editing.remove(forked(), "y")) == "a if(|n) z"
    assert read(editing.remove(forked(), "a")) == "if(y|n) z"


def test_a_fork_moves_with_what_belongs_to_it() -> None:
    assert editing.block(forked(), "if") == ["if", "n", "y"]
    assert read(editing.move(forked(), "if", Place("z", "next"))) == "a z if(y|n)"
    assert read(editing.move(forked(), "if", START)) == "if(y|n) a z"
    assert read(editing.move(forked(), "z", Place("if", "yes"))) == "a if(z y|n)"
    with pytest.raises(Invalid, match="into itself"):
        editing.move(forked(), "if", Place("y", "next"))


def test_a_copy_stands_behind_what_it_is_of() -> None:
    graph, key = editing.duplicate(forked(), "if", ["condition"])
    assert key == "condition-2" and read(graph) == "a if(y|n) condition-2(tag-2|tag) z"
    assert graph.nodes[key].settings == graph.nodes["if"].settings


def test_an_exit_is_led_elsewhere_or_out_but_never_back() -> None:
    graph = editing.lead(forked(), Place("y", "next"), None)
    assert read(graph) == "a if(y|n z)"
    assert read(editing.lead(graph, Place("n", "next"), None)) == "a if(y|n) / z"
    assert read(editing.lead(forked(), Place("if", "yes"), None)) == "a if(|n z) / y z"
    for back in ("a", "if", "y"):
        with pytest.raises(Invalid, match="circle"):
            editing.lead(forked(), Place("y", "next"), back)


def test_an_exit_comes_and_goes_with_what_only_it_reached() -> None:
    graph = editing.insert(line("a"), START, replace(node("e", kinds.EVENT), exits={"next": None}))
    graph = editing.change(graph, "e", {"within": {"days": 1}}, otherwise=True)
    assert ways(graph)["e"] == ["a", "a"] and graph.nodes["e"].settings == {"within": {"days": 1}}
    graph = editing.insert(graph, Place("e", "otherwise"), node("late"))
    assert read(graph) == "e(late) a"
    assert read(editing.move(graph, "e", Place("a", "next"))) == "a e(late)"
    assert read(editing.change(graph, "e", {}, otherwise=False)) == "e a"


def test_branches_come_and_go() -> None:
    graph = editing.insert(line("z"), START, node("s", kinds.SPLIT))
    graph = editing.insert(graph, Place("s", "0"), node("x"))
    graph = editing.insert(graph, Place("s", "2"), node("y"))
    assert read(graph) == "s(x||y) z"
    swapped = editing.change_branches(graph, "s", {"branches": [{}, {}]}, [2, None])
    assert read(swapped) == "s(y|) z" and "x" not in swapped.nodes


# --- Any edits, of any graph --------------------------------------------------------------------------------------


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Made by edits, then with some exits led elsewhere."""
    graph = EMPTY
    for number in range(draw(st.integers(0, 9))):
        made = node(f"n{number}", draw(st.sampled_from([*EXITS, kinds.TAG])))
        graph = tried(graph, partial(_inserted, made), draw(places(graph)))
    for _ in range(draw(st.integers(0, 4))):
        edge = draw(places(graph).filter(lambda one: one.exit != AFTER))
        to = draw(st.sampled_from([None, *graph.nodes]))
        graph = tried(graph, partial(_led, to), edge)
    return graph


def places(graph: Graph) -> st.SearchStrategy[Place]:
    found = [Place(key, exit) for key in ["", *graph.nodes] for exit, _ in graph.exits_of(key)]
    after = [Place(key, AFTER) for key in graph.nodes if editing.ends(graph, Place(key, AFTER))]
    return st.sampled_from([*found, *after])


def _inserted(made: GraphNode, graph: Graph, place: Place) -> Graph:
    return editing.insert(graph, place, made)


def _led(to: str | None, graph: Graph, edge: Place) -> Graph:
    return editing.lead(graph, edge, to)


def tried(graph: Graph, edit: Callable[[Graph, Place], Graph], place: Place) -> Graph:
    """As it was, where the edit is refused."""
    try:
        return edit(graph, place)
    except Invalid:
        return graph


def check_sound(graph: Graph) -> None:
    assert not circle(graph.nodes)
    for key, one in graph.nodes.items():
        assert one.key == key and dict(one.exits).keys() == EXITS[one.kind].keys()
        assert all(to is None or to in graph.nodes for _, to in graph.exits_of(key))
    assert graph.start is None or graph.start in graph.nodes


def entered(graph: Graph) -> frozenset[str]:
    """What somebody who enters can come to."""
    return graph.ahead("")


@hypothesis.settings(max_examples=150, deadline=None)
@hypothesis.given(st.data())
def test_an_inserted_step_is_reached_and_nobody_loses_a_way(data: st.DataObject) -> None:
    graph = data.draw(graphs())
    place = data.draw(places(graph))
    made = node("new", data.draw(st.sampled_from(list(EXITS))))
    try:
        after = editing.insert(graph, place, made)
    except Invalid:
        assert made.kind == kinds.UNSUBSCRIBE and editing.target(graph, place) is not None
        return
    check_sound(after)
    assert set(after.nodes) == {*graph.nodes, "new"}
    assert entered(after) - {"new"} == entered(graph)
    assert ("new" in entered(after)) == (place == START or place.key in entered(graph))
    for key in graph.nodes:
        assert after.ahead(key) - {"new"} == graph.ahead(key)


@hypothesis.settings(max_examples=150, deadline=None)
@hypothesis.given(st.data())
def test_a_removed_step_leaves_no_gap_and_nothing_stranded(data: st.DataObject) -> None:
    graph = data.draw(graphs().filter(lambda one: one.nodes))
    key = data.draw(st.sampled_from(list(graph.nodes)))
    way = data.draw(st.sampled_from([exit for exit, _ in graph.exits_of(key)] or [""]))
    after = editing.remove(graph, key, way)
    check_sound(after)
    assert set(graph.nodes) - set(after.nodes) == {key, *editing.goes_with(graph, key, way)}
    elsewhere = editing.reached(graph, editing.loose(graph))
    assert entered(after) <= entered(graph) and entered(graph) & after.nodes.keys() - elsewhere <= entered(after)
    behind = dict(graph.exits_of(key)).get(way)
    assert behind is None or behind in after.nodes
    assert {to for _, to in (one for k in after.nodes for one in after.exits_of(k))} <= {None, *after.nodes}
    if [exit for exit, _ in graph.exits_of(key)] in (["next"], []):
        assert not editing.goes_with(graph, key, way)


@hypothesis.settings(max_examples=150, deadline=None)
@hypothesis.given(st.data())
def test_a_moved_step_takes_its_block_along_and_leaves_the_rest_as_it_was(data: st.DataObject) -> None:
    graph = data.draw(graphs().filter(lambda one: one.nodes))
    key, place = data.draw(st.sampled_from(list(graph.nodes))), data.draw(places(graph))
    moving = editing.block(graph, key)
    try:
        after = editing.move(graph, key, place)
    except Invalid:
        return
    check_sound(after)
    assert after.nodes.keys() == graph.nodes.keys()
    assert {one: dict(node.settings) for one, node in after.nodes.items()} == {
        one: dict(node.settings) for one, node in graph.nodes.items()
    }
    assert entered(graph) - set(moving) <= entered(after)
    if place == START or place.key in entered(graph) - set(moving):
        assert set(moving) <= entered(after)
    inside = {one: [to for _, to in graph.exits_of(one) if to in moving] for one in moving}
    assert inside == {one: [to for _, to in after.exits_of(one) if to in moving] for one in moving}


@hypothesis.settings(max_examples=100, deadline=None)
@hypothesis.given(st.data())
def test_a_copy_adds_what_it_is_of_and_nothing_else(data: st.DataObject) -> None:
    graph = data.draw(graphs().filter(lambda one: one.nodes))
    key = data.draw(st.sampled_from(list(graph.nodes)))
    try:
        after, copy = editing.duplicate(graph, key, ["tag"])
    except Invalid:
        assert not editing.ends(graph, Place(key, AFTER))
        return
    check_sound(after)
    new = after.nodes.keys() - graph.nodes.keys()
    assert copy in new and "tag" not in new and len(new) == len(editing.block(graph, key))
    assert entered(after) - new == entered(graph)
    assert (copy in entered(after)) == (key in entered(graph))


def test_a_place_is_read_back_while_it_is_there() -> None:
    graph = forked()
    for place in (START, Place("if", "yes"), Place("if", AFTER), Place("z", "next")):
        assert Place.of(str(place), graph) == place
    assert Place.of("if:next", graph) is None and Place.of("gone:next", graph) is None and Place.of("", graph) is None
