"""The list that one edits: where steps move by one, and that they stay where they are reached."""

import hypothesis
from hypothesis import strategies as st

from dripstone.automations import editing
from dripstone.automations.graph import Graph
from dripstone.errors import Invalid
from dripstone.web import automation_outline, automation_steps
from dripstone.web.automation_outline import Shift
from tests.automations.test_editing import check_sound, entered, forked, graphs, read


def shifts(graph: Graph) -> dict[str, Shift]:
    return automation_outline.shifts(graph, automation_steps.of(graph, meets=editing.joins(graph)))


def test_up_and_down_lead_past_neighbours_and_out_of_branches() -> None:
    graph = forked()
    assert read(graph) == "a if(y|n) z"

    def shifted(key: str, way: int) -> str:
        place = shifts(graph)[key][way]
        assert place is not None
        return read(editing.move(graph, key, place))

    assert shifts(graph)["a"][0] is None and shifts(graph)["z"][1] is None
    assert shifted("a", 1) == "if(y|n) a z"
    assert shifted("z", 0) == "a z if(y|n)"
    assert shifted("if", 0) == "if(y|n) a z"
    assert shifted("y", 0) == "a y if(|n) z"
    assert shifted("n", 1) == "a if(y|) n z"


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(st.data())
def test_whoever_was_reached_is_reached_after_a_move_by_one(data: st.DataObject) -> None:
    graph = data.draw(graphs().filter(lambda one: one.nodes))
    places = shifts(graph)
    assert places.keys() == graph.nodes.keys()
    key = data.draw(st.sampled_from(list(graph.nodes)))
    for place in places[key]:
        if place is not None:
            try:
                after = editing.move(graph, key, place)
            except Invalid:
                continue
            check_sound(after)
            assert entered(after) >= entered(graph)
