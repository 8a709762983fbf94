"""Pictures that lead downwards: nothing is drawn upon anything else, and the same graph gives the same picture."""

import time
from collections.abc import Iterator
from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dripstone.web import graph_layout
from dripstone.web.graph_layout import Edge, Line, Picture, Place, Vertex

WIDTH, HEIGHT = 200, 48

Given = tuple[list[Vertex[int]], list[Edge[int]]]


def boxes(n: int) -> list[Vertex[int]]:
    return [Vertex(key, WIDTH, HEIGHT) for key in range(n)]


@st.composite
def graphs(draw: st.DrawFn, most: int = 24) -> Given:
    """Any without a circle: from each vertex to some later ones, with and without words. Some are reached by none."""
    n = draw(st.integers(1, most))
    labels = st.sampled_from(["", "", "yes", "no", "otherwise", "if they have the tag"])
    edges = []
    for source in range(n - 1):
        targets = draw(st.lists(st.integers(source + 1, min(n - 1, source + 7)), max_size=4))
        for target in targets:
            label = draw(labels)
            edges.append(Edge(source, target, label, 7 * len(label) + 14 if label else 0))
    return boxes(n), edges


def overlap(one: Place, other: Place) -> bool:
    across = one.x < other.x + other.width and other.x < one.x + one.width
    return across and one.y < other.y + other.height and other.y < one.y + one.height


def everything(picture: Picture[int]) -> list[Place]:
    return [*picture.places.values(), *(line.words for line in picture.lines if line.words is not None)]


def crossed(line: Line[int], places: dict[int, Place]) -> Iterator[int]:
    """Boxes, but for its ends, that a line runs through."""
    for key, place in places.items():
        for one, other in pairwise(line.points):
            left, right = sorted((one.x, other.x))
            top, bottom = sorted((one.y, other.y))
            is_inside = left < place.x + place.width and place.x < right + 1 and top < place.y + place.height
            if is_inside and place.y < bottom and key not in (line.edge.source, line.edge.target):
                yield key


@given(graphs())
def test_nothing_lies_upon_anything_else(given: Given) -> None:
    picture = graph_layout.of(*given)
    for one, other in combinations(everything(picture), 2):
        assert not overlap(one, other)


@given(graphs())
def test_every_line_goes_down_from_its_source_to_its_target_at_right_angles(given: Given) -> None:
    picture = graph_layout.of(*given)
    for line in picture.lines:
        source, target = picture.places[line.edge.source], picture.places[line.edge.target]
        assert line.points[0] == (source.middle, source.y + source.height)
        assert line.points[-1] == (target.middle, target.y)
        assert source.y < target.y
        for one, other in pairwise(line.points):
            assert one.y <= other.y
            assert one.x == other.x or one.y == other.y


@given(graphs())
def test_no_line_runs_through_a_box(given: Given) -> None:
    picture = graph_layout.of(*given)
    for line in picture.lines:
        assert list(crossed(line, dict(picture.places))) == []


@given(graphs())
def test_words_stand_on_their_line(given: Given) -> None:
    picture = graph_layout.of(*given)
    for line in picture.lines:
        assert (line.words is not None) == bool(line.edge.label)
        if line.words is not None:
            passing = [
                (one, other) for one, other in pairwise(line.points) if one.y <= line.words.y and other.y > line.words.y
            ]
            assert [one.x for one, _ in passing] == [line.words.middle]


@given(graphs())
def test_all_of_it_is_inside_the_picture(given: Given) -> None:
    picture = graph_layout.of(*given)
    for place in everything(picture):
        assert place.x >= 0 and place.y >= 0
        assert place.x + place.width <= picture.width and place.y + place.height <= picture.height
    for line in picture.lines:
        assert all(0 <= point.x <= picture.width for point in line.points)


@given(graphs())
def test_the_same_graph_is_drawn_the_same(given: Given) -> None:
    assert graph_layout.of(*given) == graph_layout.of(*given)


@given(graphs())
def test_each_pair_has_one_line_and_no_word_is_lost(given: Given) -> None:
    vertices, edges = given
    lines = graph_layout.of(vertices, edges).lines
    pairs = [(line.edge.source, line.edge.target) for line in lines]
    assert len(set(pairs)) == len(pairs) and set(pairs) == {(edge.source, edge.target) for edge in edges}
    said = {pair: line.edge.label for pair, line in zip(pairs, lines, strict=True)}
    assert all(edge.label in said[edge.source, edge.target] for edge in edges)


def test_a_chain_is_one_straight_line() -> None:
    picture = graph_layout.of(boxes(6), [Edge(n, n + 1) for n in range(5)])
    assert len({place.x for place in picture.places.values()}) == 1
    assert all(len(line.points) == 2 for line in picture.lines)


def test_a_fork_stands_above_the_middle_of_its_ways_and_where_they_meet() -> None:
    edges = [Edge(0, 1, "yes", 40), Edge(0, 2, "no", 40), Edge(1, 3), Edge(2, 3)]
    places = graph_layout.of(boxes(4), edges).places
    assert places[0].middle == places[3].middle == (places[1].middle + places[2].middle) // 2
    assert places[1].y == places[2].y and places[1].x < places[2].x, "as they are listed"


def test_ways_that_need_not_cross_do_not() -> None:
    """Listed crosswise: two forks, each of whose ways meet below the other."""
    edges = [Edge(0, 1), Edge(0, 2), Edge(1, 4), Edge(2, 3), Edge(3, 5), Edge(4, 6)]
    places = graph_layout.of(boxes(7), edges).places
    left_first = places[1].x < places[2].x
    assert left_first == (places[4].x < places[3].x) == (places[6].x < places[5].x)


def test_what_nothing_leads_to_stands_right_above_what_it_leads_to() -> None:
    edges = [Edge(0, 1), Edge(1, 2), Edge(2, 3), Edge(4, 3)]
    places = graph_layout.of(boxes(5), edges).places
    assert places[4].y == places[2].y
    assert places[0].y < places[1].y


def test_what_nothing_leads_to_does_not_draw_the_rest_aside() -> None:
    edges = [Edge(0, 1), Edge(1, 2), Edge(2, 3), Edge(4, 3), Edge(5, 2)]
    places = graph_layout.of(boxes(6), edges).places
    assert len({places[key].middle for key in range(4)}) == 1


def test_corners_are_round() -> None:
    picture = graph_layout.of(boxes(3), [Edge(0, 1), Edge(0, 2)])
    path = picture.lines[0].path
    assert path.startswith("M") and path.count("Q") == 2


def test_a_circle_is_no_picture() -> None:
    with pytest.raises(ValueError, match="circle"):
        graph_layout.of(boxes(2), [Edge(0, 1), Edge(1, 0)])


def test_sixty_boxes_take_less_than_50_ms() -> None:
    """Of processor time, two ways out of each: the machine may be busy with something else."""
    edges = []
    for key in range(59):
        targets = dict.fromkeys([key + 1, min(59, key + 2 + key * 5 % 11)])
        edges += [Edge(key, target, "yes" if place else "no", 40) for place, target in enumerate(targets)]
    took = []
    for _ in range(5):
        began = time.process_time()
        graph_layout.of(boxes(60), edges)
        took.append(time.process_time() - began)
    assert min(took) < 0.05
