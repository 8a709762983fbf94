"""What an edit means for whoever stands at each node: no position is ever lost."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dripstone.automations import edits
from dripstone.automations.graph import AT_ENTRY, Graph, from_json
from dripstone.errors import Invalid


def graph(*nodes: dict[str, Any], start: str | None = "a") -> Graph:
    return from_json({"entries": [], "start": start, "nodes": list(nodes)})


def wait(key: str, to: str | None, days: int = 1, **more: Any) -> dict[str, Any]:
    return {"id": key, "kind": "wait", "for": {"days": days}, "next": to, **more}


def tag(key: str, to: str | None) -> dict[str, Any]:
    return {"id": key, "kind": "tag", "tag_id": 1, "next": to}


def ask(key: str, yes: str | None, no: str | None, tag_id: int = 1, **more: Any) -> dict[str, Any]:
    return {"id": key, "kind": "condition", "if": {"type": "tags", "ids": [tag_id]}, "yes": yes, "no": no, **more}


def sequence(key: str, to: str | None, sequence_id: int = 7, wait: Any = "completed") -> dict[str, Any]:
    return {"id": key, "kind": "sequence", "sequence_id": sequence_id, "wait": wait, "next": to}


def event(key: str, to: str | None, tag_id: int = 1, **more: Any) -> dict[str, Any]:
    return {"id": key, "kind": "event", "trigger": "tag_added", "tag_id": tag_id, "already": True, "next": to, **more}


def shares(key: str, *to: str | None) -> dict[str, Any]:
    return {"id": key, "kind": "split", "branches": [{"percent": 50, "next": one} for one in to]}


def sorted_by(key: str, to: str | None, otherwise: str | None) -> dict[str, Any]:
    branch = {"if": {"type": "tags", "ids": [1]}, "next": to}
    return {"id": key, "kind": "split", "branches": [branch], "otherwise": otherwise}


# --- Where a deleted one leads ------------------------------------------------------------------------------------


def leads(before: Graph, after: Graph, key: str, **choices: Any) -> str | None:
    return edits.published(before, after, choices).nodes[key].leads_to


def test_a_deleted_node_leads_to_the_first_one_behind_it_that_still_exists() -> None:
    before = graph(wait("a", "b"), tag("b", "c"), tag("c", "d"), wait("d", None))
    assert leads(before, graph(tag("c", "d"), wait("d", None)), "a") == "c"
    assert leads(before, graph(wait("d", None)), "a") == "d"
    assert leads(before, graph(), "a") is None


def test_it_leads_through_deleted_forks_by_the_branch_that_is_named() -> None:
    before = graph(wait("a", "b"), ask("b", "yes", "no"), wait("yes", None), wait("no", None))
    after = graph(wait("yes", None), wait("no", None))
    assert leads(before, after, "a") == "no"
    assert leads(before, after, "a", b={"branch": "yes"}) == "yes"
    assert leads(before, graph(wait("yes", None)), "a") is None


def test_it_leads_by_otherwise_through_a_split_and_out_where_there_is_none() -> None:
    ends = [wait("x", None), wait("y", None)]
    by_condition = graph(wait("a", "s"), sorted_by("s", "x", "y"), *ends)
    by_share = graph(wait("a", "s"), shares("s", "x", "y"), *ends)
    assert leads(by_condition, graph(*ends), "a") == "y"
    assert leads(by_condition, graph(*ends), "a", s={"branch": "0"}) == "x"
    assert leads(by_share, graph(*ends), "a") is None
    assert leads(by_share, graph(*ends), "a", s={"branch": "1"}) == "y"


def test_a_deleted_wait_for_a_date_leads_on_as_if_the_date_had_come() -> None:
    until = {"until": {"custom_field_id": 5, "days": 0, "hour": 9}}
    before = graph(
        {"id": "a", "kind": "wait", **until, "next": "x", "otherwise": "y"}, wait("x", None), wait("y", None)
    )
    assert leads(before, graph(wait("x", None), wait("y", None)), "a") == "x"


def test_a_deleted_event_leads_by_otherwise_where_it_has_one() -> None:
    ends = [wait("x", None), wait("y", None)]
    limited = graph(event("a", "x", within={"days": 2}, otherwise="y"), *ends)
    assert leads(limited, graph(*ends), "a") == "y"
    assert leads(limited, graph(*ends), "a", a={"branch": "next"}) == "x"
    assert leads(graph(event("a", "x"), *ends), graph(*ends), "a") == "x"


def test_whoever_stands_at_a_node_deleted_before_is_led_on_past_what_is_deleted_now() -> None:
    first = graph(wait("a", "b"), tag("b", "c"), wait("c", None))
    second = edits.published(first, graph(tag("b", "c"), wait("c", None), start="b"))
    assert second.nodes["a"].leads_to == "b"
    third = edits.published(second, graph(wait("c", None), start="c"))
    assert (third.nodes["a"].leads_to, third.nodes["b"].leads_to) == ("c", "c")
    assert edits.changes(second, graph(wait("c", None), start="c"))["a"].what == "rerouted"


def test_a_node_may_come_back() -> None:
    first = graph(wait("a", "b"), wait("b", None))
    second = edits.published(first, graph(wait("b", None), start="b"))
    third = edits.published(second, graph(wait("a", None)))
    assert not third.nodes["a"].is_deleted and third.nodes["b"].leads_to is None


# --- What becomes of whoever stands there ---------------------------------------------------------------------------


def then(before: dict[str, Any], after: dict[str, Any] | None, **choice: str) -> str:
    drafted = graph(after) if after else graph(start=None)
    return edits.changes(graph(before), drafted, {"a": choice})["a"].then


def test_a_changed_or_deleted_wait_leaves_dates_as_they_are_unless_asked() -> None:
    assert then(wait("a", None), wait("a", None, days=5)) == "keep_date"
    assert then(wait("a", None), wait("a", None, days=5), dates="anew") == "new_date"
    assert then(wait("a", None), None) == "keep_date"


def test_of_another_sequence_the_old_one_is_finished() -> None:
    assert then(sequence("a", None), sequence("a", None, sequence_id=8)) == "finish"
    assert then(sequence("a", None), sequence("a", None, wait=False)) == "asked"
    assert then(sequence("a", None), None) == "finish"
    assert then(sequence("a", None), None, sequence="leave") == "leave_sequence"


def test_another_condition_is_asked_at_once_and_another_event_counts_from_now() -> None:
    assert then(ask("a", None, None), ask("a", None, None, tag_id=2)) == "asked"
    assert then(event("a", None), event("a", None, tag_id=2)) == "wait_anew"
    assert then(event("a", None), None) == "keep_date"
    assert then(event("a", None), None, wait="end") == "go_on"
    assert then(ask("a", None, None, within={"days": 1}), None) == "keep_date"
    limited = event("a", None, within={"days": 2}, otherwise=None)
    assert then(event("a", None), limited) == "keep_date"
    assert then(event("a", None), limited, dates="anew") == "new_date"


def test_other_shares_and_other_acts_move_nobody() -> None:
    assert (
        then(shares("a", None, None), shares("a", None, None) | {"branches": [{"percent": 100, "next": None}]})
        == "stay"
    )
    assert then(tag("a", None), tag("a", None) | {"tag_id": 9}) == "stay"


def test_only_where_something_changes_it_says_so() -> None:
    before = graph(wait("a", "b"), wait("b", None), wait("c", None))
    after = graph(wait("a", "c"), wait("b", None), wait("c", None), wait("new", "a"), start="new")
    found = edits.changes(before, after)
    assert list(found) == ["a"] and (found["a"].what, found["a"].ways) == ("rerouted", (("next", "c"),))


# --- Choices ------------------------------------------------------------------------------------------------------


def test_choices_that_nothing_offers_are_refused_by_their_member() -> None:
    before = graph(wait("a", "b"), ask("b", None, None), sequence("c", None), tag("d", None))
    said = {
        "a": {"dates": "now"},
        "b": {"branch": "maybe"},
        "c": {"sequence": "leave", "dates": "anew"},
        "d": {"branch": "yes"},
        "e": [],
    }
    with pytest.raises(Invalid) as caught:
        edits.read({"nodes": said}, before, graph(wait("a", None, days=2)))
    assert {member for member, _ in caught.value.problems} == {
        "choices.nodes.a.dates",
        "choices.nodes.b.branch",
        "choices.nodes.c.dates",
        "choices.nodes.d.branch",
        "choices.nodes.e",
    }
    nothing: object = []
    for wrong in (nothing, {"nodes": 3}):
        with pytest.raises(Invalid):
            edits.read(wrong, before, before)
    assert edits.read(None, before, before) == edits.read({}, before, before) == {}


def test_it_says_what_may_be_chosen_the_usual_first() -> None:
    before = graph(ask("a", "b", "c"), shares("b", None, None), sequence("c", None))
    found = edits.changes(before, graph(start=None))
    assert found["a"].offers == {"wait": ("keep", "end"), "branch": ("no", "yes")}
    assert found["a"].chosen == {"wait": "keep", "branch": "no"}
    assert found["b"].offers == {"branch": ("0", "1")} and found["b"].chosen == {"branch": ""}
    assert found["c"].offers == {"sequence": ("finish", "leave")} and found["c"].chosen == {"sequence": "finish"}


# --- Any graph, any edit --------------------------------------------------------------------------------------------

KEYS = "abcdefgh"


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Any, without circles: a node leads only to later ones."""
    kept = [key for key in KEYS if draw(st.booleans())]
    nodes = []
    for place, key in enumerate(kept):
        target = st.sampled_from([None, *kept[place + 1 :]])
        x, y = draw(target), draw(target)
        # A key is of one kind for good.
        nodes.append(
            {
                "a": wait(key, x, days=draw(st.integers(1, 2))),
                "b": ask(key, x, y, tag_id=draw(st.integers(1, 2)), within={"days": 1}),
                "c": sequence(key, x, sequence_id=draw(st.integers(7, 8))),
                "d": shares(key, x, y),
                "e": event(key, x, tag_id=draw(st.integers(1, 2)), within={"days": 1}, otherwise=y),
                "f": sorted_by(key, x, y),
                "g": tag(key, x),
                "h": wait(key, x),
            }[key]
        )
    return graph(*nodes, start=draw(st.sampled_from([None, *kept])))


@st.composite
def choices(draw: st.DrawFn, before: Graph, after: Graph) -> dict[str, dict[str, str]]:
    offered = {key: change.offers for key, change in edits.changes(before, after).items()}
    return {key: {name: draw(st.sampled_from(of)) for name, of in offers.items()} for key, offers in offered.items()}


@settings(max_examples=150, deadline=None)
@given(st.data(), st.lists(graphs(), min_size=2, max_size=6))
def test_nobody_is_ever_without_a_node(data: st.DataObject, drafts: list[Graph]) -> None:
    """Edit after edit, whoever stands at any node that ever was has a node, whose ways lead to nodes in the graph."""
    now = drafts[0]
    stood = set(now.nodes)
    for draft in drafts[1:]:
        said = data.draw(choices(now, draft))
        assert edits.read({"nodes": said}, now, draft) == {key: one for key, one in said.items() if one}
        found = edits.changes(now, draft, said)
        then = edits.published(now, draft, said)
        assert {node.key for node in then.living} == set(draft.nodes) and then.start == draft.start
        stood |= set(draft.nodes)
        for key in stood:
            node = then.nodes[key]
            assert node.is_deleted == (key not in draft.nodes)
            assert all(to is None or to in draft.nodes for _, to in node.ways)
            assert AT_ENTRY not in {to for _, to in node.ways}
            if key in now.nodes and key not in found:  # what is not told of is as it was
                assert now.nodes[key].ways == node.ways and now.nodes[key].settings == node.settings
        assert all(change.key in now.nodes for change in found.values())
        now = then


@settings(max_examples=200, deadline=None)
@given(graphs(), graphs())
def test_a_deleted_node_leads_only_to_what_was_behind_it(before: Graph, after: Graph) -> None:
    for node in edits.published(before, after).nodes.values():
        if node.is_deleted and node.leads_to is not None:
            assert node.leads_to in before.ahead(node.key)


@given(graphs())
def test_publishing_the_same_changes_nothing(same: Graph) -> None:
    assert edits.changes(same, same) == {} and edits.published(same, same) == same
