"""The list of steps says what the graph does: whoever reads it finds every way, and where it leads."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dripstone.automations import graph as graphs
from dripstone.automations import kinds
from dripstone.automations.graph import Graph, GraphNode
from dripstone.web import automation_steps as steps
from dripstone.web.automation_steps import DONE, GONE, LEAVE, LOOSE, MET, ON, STEP, WAY, Row

Json = dict[str, Any]


def wait(key: str, to: str | None, otherwise: str | None = "") -> Json:
    """With a date of a field, which some do not have, if `otherwise` says where these go."""
    if otherwise == "":
        return {"id": key, "kind": "wait", "for": {"days": 3}, "next": to}
    until = {"custom_field_id": 1, "days": 0, "hour": 9}
    return {"id": key, "kind": "wait", "until": until, "next": to, "otherwise": otherwise}


def condition(key: str, yes: str | None, no: str | None) -> Json:
    return {"id": key, "kind": "condition", "if": {"type": "tags", "ids": [1]}, "yes": yes, "no": no}


def split(key: str, *to: str | None) -> Json:
    return {"id": key, "kind": "split", "branches": [{"percent": 50, "next": one} for one in to]}


def drawn(*nodes: Json, start: str | None = None) -> Graph:
    first = nodes[0]["id"] if nodes else None
    return graphs.from_json({"entries": [], "start": start or first, "nodes": list(nodes)})


def said(graph: Graph) -> list[str]:
    """`1 a`, `yes:`, `→ 4`, `leave`, with a dot for each list around it."""
    words = {STEP: "{n} {key}", WAY: "{exit}:", ON: "→ {n}", LEAVE: "leave", LOOSE: "loose", GONE: "gone"}
    return [
        "." * row.depth + words[row.what].format(n=row.number, key=row.node.key if row.node else "", exit=row.exit)
        for row in steps.of(graph)
        if row.what in words
    ]


def test_a_chain_is_a_list() -> None:
    assert said(drawn(wait("a", "b"), wait("b", None))) == ["1 a", "2 b", "leave"]


def test_nothing_is_said_so() -> None:
    assert said(drawn()) == ["leave"]


def test_ways_that_meet_go_on_below_the_fork() -> None:
    graph = drawn(condition("if", "a", "b"), wait("a", "c"), wait("b", "c"), wait("c", None))
    assert said(graph) == ["1 if", ".yes:", ".2 a", ".no:", ".3 b", "4 c", "leave"]


def test_an_empty_way_says_where_it_goes_on() -> None:
    graph = drawn(condition("if", "a", "c"), wait("a", "c"), wait("c", None))
    assert said(graph) == ["1 if", ".yes:", ".2 a", ".no:", ".→ 3", "3 c", "leave"]


def test_who_leaves_at_a_fork_does_not_push_the_others_in() -> None:
    graph = drawn(condition("if", None, "a"), wait("a", None))
    assert said(graph) == ["1 if", ".yes:", ".leave", ".no:", ".→ 2", "2 a", "leave"]


def test_a_date_that_is_missing_is_an_aside() -> None:
    graph = drawn(wait("a", "b", otherwise="c"), wait("b", "c"), wait("c", None))
    assert said(graph) == ["1 a", ".otherwise:", ".→ 3", "2 b", "3 c", "leave"]


def test_a_way_into_another_way_goes_by_number() -> None:
    graph = drawn(
        split("s", "a", "b", "x"), wait("a", "c"), wait("b", "c"), wait("c", None), wait("x", "y"), wait("y", None)
    )
    assert said(graph) == [
        *["1 s", ".0:", ".2 a", ".3 c", ".leave"],
        *[".1:", ".4 b", ".→ 3", ".2:", ".5 x", ".6 y", ".leave"],
    ]


def test_what_nobody_comes_to_stands_apart() -> None:
    graph = drawn(wait("a", None), wait("c", "a"), wait("b", "c"))
    assert said(graph) == ["1 a", "leave", "loose", "2 b", "3 c", "→ 1"]


def test_a_deleted_node_is_listed_while_somebody_stands_there() -> None:
    living = drawn(wait("a", None))
    gone = GraphNode("old", kinds.WAIT, {"for": {"days": 1}}, {"next": "b"}, is_deleted=True, leads_to="a")
    graph = Graph((), "a", {**living.nodes, "old": gone})
    assert said(graph) == ["1 a", "leave"]
    shown = [(row.what, row.node.key if row.node else "", row.number) for row in steps.of(graph, {"old": 1})]
    assert shown[-4:] == [(GONE, "", 0), (STEP, "old", 2), (DONE, "old", 0), (ON, "", 1)]


# --- Any graph ------------------------------------------------------------------------------------------------------


@st.composite
def any_graphs(draw: st.DrawFn) -> Graph:
    n = draw(st.integers(1, 14))
    keys = [f"n{place}" for place in range(n)]
    nodes: list[Json] = []
    for place, key in enumerate(keys):
        to = st.sampled_from([None, *keys[place + 1 :][:5]])
        kind = draw(st.sampled_from(["wait", "wait", "dated", "condition", "split", "unsubscribe"]))
        if kind == "wait":
            nodes.append(wait(key, draw(to)))
        elif kind == "dated":
            nodes.append(wait(key, draw(to), draw(to)))
        elif kind == "condition":
            nodes.append(condition(key, draw(to), draw(to)))
        elif kind == "split":
            nodes.append(split(key, *draw(st.lists(to, min_size=2, max_size=4))))
        else:
            nodes.append({"id": key, "kind": "unsubscribe"})
    return drawn(*draw(st.permutations(nodes)), start=keys[0])


class Reader:
    """Reads the list as somebody does who has never seen the graph."""

    def __init__(self, rows: list[Row]) -> None:
        self.rows = rows
        self.by_number = {row.number: row.node.key for row in rows if row.what == STEP and row.node}
        self.done = {row.node.key: place for place, row in enumerate(rows) if row.what == DONE and row.node}
        self.around: dict[int, str] = {}  # the end of a way → the fork
        open_ways: list[str] = []
        for place, row in enumerate(rows):
            if row.what == WAY and row.node:
                open_ways.append(row.node.key)
            elif row.what == MET:
                self.around[place] = open_ways.pop()

    def at(self, place: int) -> str | None:
        """Where it goes on at a row."""
        row = self.rows[place]
        if row.what == STEP and row.node:
            return row.node.key
        if row.what == ON:
            return self.by_number[row.number]
        if row.what == MET:
            return self.at(self.done[self.around[place]] + 1)
        assert row.what == LEAVE
        return None

    def ways(self, node: GraphNode) -> dict[str, str | None]:
        asides = [name for name, _ in steps.forks(node)]
        found = {
            row.exit: self.at(place + 1) for place, row in enumerate(self.rows) if row.what == WAY and row.node == node
        }
        usual = [name for name, _ in node.ways if name not in asides]
        return found | {name: self.at(self.done[node.key] + 1) for name in usual}


@given(any_graphs())
def test_whoever_reads_it_knows_the_graph(graph: Graph) -> None:
    reader = Reader(steps.of(graph))
    assert reader.at(0) == graph.start
    for node in graph.nodes.values():
        assert reader.ways(node) == dict(node.ways)


@given(any_graphs())
def test_each_step_stands_once_and_numbers_count(graph: Graph) -> None:
    rows = steps.of(graph)
    listed = [(row.number, row.node.key) for row in rows if row.what == STEP and row.node]
    assert [number for number, _ in listed] == list(range(1, len(graph.nodes) + 1))
    assert {key for _, key in listed} == set(graph.nodes)


@given(any_graphs())
def test_lists_are_closed_where_they_were_opened(graph: Graph) -> None:
    open_now: list[tuple[str, str]] = []
    for row in steps.of(graph):
        key = row.node.key if row.node else ""
        if row.what in (STEP, WAY):
            open_now.append((row.what, key))
        elif row.what in (DONE, MET):
            assert open_now.pop() == ({DONE: STEP, MET: WAY}[row.what], key)
    assert open_now == []
