"""Where the parts of a picture stand that leads downwards: boxes in rows, lines between them. Pure.

    picture = graph_layout.of([Vertex("a", 200, 48), …], [Edge("a", "b", "yes", 40), …])

Rows are the longest way from the top, so that every line goes down. A line that passes rows, and the words on a line,
keep a place in each of them: nothing is drawn across a box. Places within a row are found by the middle of what they
are tied to, row after row, down and up (Sugiyama, Tagawa and Toda 1981); the way with fewest crossings is kept. Then
each row is moved as near as its order allows to what it hangs from (isotonic regression, exact).
"""

import math
from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from operator import attrgetter
from typing import Any, Generic, NamedTuple, TypeVar

GAP = 28  # between two boxes of a row
PASSING = 14  # on either side of a line that passes a row
CHANNEL = 26  # between two rows, when the lines between them go straight down
ABOVE, BELOW = 16, 14  # a line's turns
TRACK = 10  # between two lines that run side by side
CORNER = 10
LABEL = 20  # height of words on a line
MARGIN = 16  # around the whole
NEAR = 16  # a line that would bend by less is straightened, if there is room
SWEEPS, ROUNDS = 8, 4

K = TypeVar("K", bound=Hashable)


class Vertex(NamedTuple, Generic[K]):
    id: K
    width: int
    height: int


class Edge(NamedTuple, Generic[K]):
    """label   words on it; label_width   the room they take"""

    source: K
    target: K
    label: str = ""
    label_width: int = 0


class Place(NamedTuple):
    """x, y   of the upper left corner"""

    x: int
    y: int
    width: int
    height: int

    @property
    def middle(self) -> int:
        return self.x + self.width // 2

    @property
    def text_y(self) -> int:
        """Where one line of small letters stands in its middle."""
        return self.y + self.height // 2 + 4


class Point(NamedTuple):
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Line(Generic[K]):
    """points   from the bottom of its source to the top of its target, turning at right angles
    words    where its label stands; None without one
    """

    edge: Edge[K]
    points: tuple[Point, ...]
    words: Place | None

    @property
    def path(self) -> str:
        """For SVG, with round corners."""
        return _rounded(self.points)


@dataclass(frozen=True, slots=True)
class Picture(Generic[K]):
    width: int
    height: int
    places: Mapping[K, Place]
    lines: Sequence[Line[K]]


def of(vertices: Sequence[Vertex[K]], edges: Iterable[Edge[K]]) -> Picture[K]:
    """The first vertex stands at the top. Of equals what is given first stands further left. Raises ValueError for
    edges that go in a circle.
    """
    merged = _merged(edges)
    grid: _Grid[K] = _Grid(vertices, merged)
    _order(grid)
    _spread(grid)
    return _drawn(grid, vertices, merged)


def _merged(edges: Iterable[Edge[K]]) -> list[Edge[K]]:
    """Those between the same two are one line with the words of both."""
    found: dict[tuple[K, K], Edge[K]] = {}
    for edge in edges:
        ends = (edge.source, edge.target)
        if (before := found.get(ends)) is not None:
            label = ", ".join(filter(None, [before.label, edge.label]))
            edge = edge._replace(label=label, label_width=before.label_width + edge.label_width)
        found[ends] = edge
    return list(found.values())


# --- Rows -----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Spot:
    """A place in a row: of a vertex, of words on a line, or of a line that passes.

    hangs_from   what it stands below: of `ups` those that the first vertex leads to, if there are any
    """

    row: int
    half: float
    height: int = 0
    weight: float = 1
    is_words: bool = False
    ups: list["_Spot"] = field(default_factory=list)
    downs: list["_Spot"] = field(default_factory=list)
    hangs_from: list["_Spot"] = field(default_factory=list)
    position: int = 0
    x: float = 0  # of its middle


class _Grid(Generic[K]):
    """rows     of spots, each in the order in which it stands
    spots    of the vertices
    chains   of each edge: from its source through what passes rows to its target
    words    of each edge: the spot of its label
    """

    def __init__(self, vertices: Sequence[Vertex[K]], edges: Sequence[Edge[K]]) -> None:
        ranks = _ranks(vertices, edges)
        labelled = {ranks[edge.source] for edge in edges if edge.label}
        row_of, n_rows = {}, 0
        for rank in range(max(ranks.values(), default=-1) + 1):
            row_of[rank] = n_rows
            n_rows += 2 if rank in labelled else 1
        self.spots = {one.id: _Spot(row_of[ranks[one.id]], one.width / 2, one.height) for one in vertices}
        self.words: list[_Spot | None] = []
        self.chains = [self._chain(edge) for edge in edges]
        self.rows = self._rows(n_rows)
        self._hang()

    def _chain(self, edge: Edge[K]) -> list[_Spot]:
        source, target = self.spots[edge.source], self.spots[edge.target]
        between = [_Spot(row, 0, weight=4) for row in range(source.row + 1, target.row)]
        words = between[0] if edge.label else None
        if words is not None:
            words.half, words.height, words.weight, words.is_words = edge.label_width / 2, LABEL, 2, True
        self.words.append(words)
        chain = [source, *between, target]
        for upper, lower in pairwise(chain):
            upper.downs.append(lower)
            lower.ups.append(upper)
        return chain

    def _rows(self, n_rows: int) -> list[list[_Spot]]:
        """What leads on stands below, from the left as it is listed."""
        rows: list[list[_Spot]] = [[] for _ in range(n_rows)]
        seen: set[int] = set()
        waiting = list(reversed(self.spots.values()))
        while waiting:
            spot = waiting.pop()
            if id(spot) not in seen:
                seen.add(id(spot))
                rows[spot.row].append(spot)
                waiting.extend(reversed(spot.downs))
        return rows

    def _hang(self) -> None:
        """What nothing leads to must not draw the rest aside."""
        waiting = list(self.spots.values())[:1]
        seen = {id(spot) for spot in waiting}
        while waiting:
            for below in waiting.pop().downs:
                if id(below) not in seen:
                    seen.add(id(below))
                    waiting.append(below)
        for row in self.rows:
            for spot in row:
                spot.hangs_from = [one for one in spot.ups if id(one) in seen] or spot.ups


def _ranks(vertices: Sequence[Vertex[K]], edges: Iterable[Edge[K]]) -> dict[K, int]:
    """The longest way to it. What nothing leads to stands right above what it leads to; the first at the top."""
    after, n_before = defaultdict(list), dict.fromkeys((one.id for one in vertices), 0)
    for edge in edges:
        after[edge.source].append(edge.target)
        n_before[edge.target] += 1
    ranks = dict.fromkeys(n_before, 0)
    tops = ready = [key for key, n in n_before.items() if not n]
    n_seen = 0
    while ready:
        further = []
        for key in ready:
            n_seen += 1
            for target in after[key]:
                ranks[target] = max(ranks[target], ranks[key] + 1)
                n_before[target] -= 1
                if not n_before[target]:
                    further.append(target)
        ready = further
    if n_seen < len(ranks):
        raise ValueError("the edges go in a circle")
    for key in tops:
        if after[key] and key != vertices[0].id:
            ranks[key] = min(ranks[target] for target in after[key]) - 1
    return ranks


# --- Order within a row ---------------------------------------------------------------------------------------------


def _order(grid: _Grid[Any]) -> None:
    best, fewest = [list(row) for row in grid.rows], None
    for sweep in range(SWEEPS):
        _number(grid.rows)
        crossings = sum(_crossings(row) for row in grid.rows)
        if fewest is None or crossings < fewest:
            best, fewest = [list(row) for row in grid.rows], crossings
        if not crossings:
            break
        for row in grid.rows if sweep % 2 == 0 else reversed(grid.rows):
            _sort(row, "ups" if sweep % 2 == 0 else "downs")
    grid.rows = best


def _number(rows: Iterable[Iterable[_Spot]]) -> None:
    for row in rows:
        for position, spot in enumerate(row):
            spot.position = position


def _sort(row: list[_Spot], side: str) -> None:
    """By the middle of what each is tied to on that side; what is tied to nothing stays."""
    for spot in row:
        near: list[_Spot] = getattr(spot, side)
        spot.x = sum([one.position for one in near]) / len(near) if near else spot.position
    row.sort(key=attrgetter("x"))
    _number([row])


def _crossings(row: Iterable[_Spot]) -> int:
    """Of the lines down from it: pairs that end in the other order than they begin."""
    ends: list[int] = []
    n = 0
    for spot in row:
        below = [one.position for one in spot.downs]
        n += sum([len(ends) - bisect_right(ends, position) for position in below])
        for position in below:
            insort(ends, position)
    return n


# --- Places ---------------------------------------------------------------------------------------------------------


def _apart(left: _Spot, right: _Spot) -> float:
    gap = GAP if left.height and right.height else PASSING
    return left.half + gap + right.half


def _spread(grid: _Grid[Any]) -> None:
    rows = [(row, _offsets(row)) for row in grid.rows]
    for row, offsets in rows:
        _settle(row, offsets, [0.0] * len(row))
    for _ in range(ROUNDS):
        for row, offsets in rows[1:]:
            _settle(row, offsets, [_middle(spot, spot.hangs_from) for spot in row])
        for row, offsets in reversed(rows[:-1]):
            _settle(row, offsets, [_middle(spot, spot.downs) for spot in row])
    for row, offsets in rows[1:]:
        _settle(row, offsets, [_middle(spot, spot.hangs_from) for spot in row])
    for row in grid.rows:
        for spot in row:
            spot.x = round(spot.x)
    for row in reversed(grid.rows):  # words stand over what they lead to, not below where they come from
        _straighten(row, "downs", [spot for spot in row if spot.is_words], math.inf)
    for row in grid.rows[1:]:
        _straighten(row, "hangs_from", row, NEAR)
    for row in reversed(grid.rows):
        _straighten(row, "downs", row, NEAR)


def _offsets(row: Sequence[_Spot]) -> list[float]:
    """From the first to each, if they stand as close as they may."""
    return list(accumulate((_apart(left, right) for left, right in pairwise(row)), initial=0.0))


def _middle(spot: _Spot, near: Sequence[_Spot]) -> float:
    """Of those at the ends, so that what stands between them counts no more than they do."""
    if len(near) == 1:
        return near[0].x
    if not near:
        return spot.x
    xs = [one.x for one in near]
    return (min(xs) + max(xs)) / 2


def _settle(row: Sequence[_Spot], offsets: Sequence[float], wanted: Sequence[float]) -> None:
    """As near to where each wants to be as the room that the others need allows (least squares)."""
    blocks: list[tuple[float, float, int]] = []  # mean, weight, how many
    for place, spot in enumerate(row):
        mean, weight, n = wanted[place] - offsets[place], spot.weight, 1
        while blocks and blocks[-1][0] >= mean:
            before, heavy, many = blocks.pop()
            mean = (before * heavy + mean * weight) / (heavy + weight)
            weight, n = weight + heavy, n + many
        blocks.append((mean, weight, n))
    means = [mean for mean, _, n in blocks for _ in range(n)]
    for place, spot in enumerate(row):
        spot.x = means[place] + offsets[place]


def _straighten(row: Sequence[_Spot], side: str, spots: Iterable[_Spot], within: float) -> None:
    """Above or below the one that each is tied to on that side, as far as the others leave room."""
    _number([row])
    for spot in spots:
        near: list[_Spot] = getattr(spot, side)
        if len(near) != 1 or abs(near[0].x - spot.x) > within:
            continue
        x, place = near[0].x, spot.position
        if place > 0:
            x = max(x, row[place - 1].x + math.ceil(_apart(row[place - 1], spot)))
        if place < len(row) - 1:
            x = min(x, row[place + 1].x - math.ceil(_apart(spot, row[place + 1])))
        if abs(near[0].x - x) < abs(near[0].x - spot.x):
            spot.x = x


# --- Lines ----------------------------------------------------------------------------------------------------------


class _Run(NamedTuple):
    """What lines have in common between two rows: a fork, a join, or one line alone. From these places to those."""

    sources: tuple[float, ...]
    targets: tuple[float, ...]

    @property
    def span(self) -> tuple[float, float]:
        every = (*self.sources, *self.targets)
        return min(every), max(every)

    def overlaps(self, other: "_Run") -> bool:
        (left, right), (far_left, far_right) = self.span, other.span
        return left <= far_right and far_left <= right


Ends = tuple[int, int]  # ids of two spots


def _tracks(row: Iterable[_Spot]) -> tuple[dict[Ends, int], int]:
    """At which height each line down from this row turns, counted from above, and how many heights there are."""
    bending = [(spot, below) for spot in row for below in spot.downs if spot.x != below.x]
    n_bends: dict[int, int] = defaultdict(int)
    for spot, _ in bending:
        n_bends[id(spot)] += 1
    grouped: dict[tuple[str, int], list[tuple[_Spot, _Spot]]] = defaultdict(list)
    for spot, below in bending:
        is_fork = n_bends[id(spot)] > 1 or len(spot.downs) > 1
        grouped["fork" if is_fork else "join", id(spot if is_fork else below)].append((spot, below))
    runs = [_Run(tuple(dict.fromkeys(one.x for one, _ in some)), tuple(dict.fromkeys(one.x for _, one in some)))
            for some in grouped.values()]  # fmt: skip
    levels = _levels(runs)
    found = {
        (id(spot), id(below)): level
        for level, some in zip(levels, grouped.values(), strict=True)
        for spot, below in some
    }
    return found, max(levels, default=-1) + 1


def _levels(runs: Sequence[_Run]) -> list[int]:
    """Of two that run side by side, the one stands above whose ends the other would cross; never both at one height."""
    levels: list[int] = [-1] * len(runs)
    left = set(range(len(runs)))
    above: dict[int, set[int]] = {
        i: {j for j in left if j != i and runs[j].overlaps(runs[i]) and _costs(runs[j], runs[i])} for i in left
    }
    while left:
        free = [i for i in sorted(left) if not above[i] & left] or [min(left, key=lambda i: (len(above[i] & left), i))]
        for i in free:
            near = [levels[j] for j in range(len(runs)) if levels[j] >= 0 and runs[j].overlaps(runs[i])]
            levels[i] = max(near, default=-1) + 1
            left.discard(i)
    return levels


def _costs(upper: _Run, lower: _Run) -> bool:
    """Whether it is better that the first stands above the second: fewer crossings, and no line upon another."""
    return _price(upper, lower) < _price(lower, upper)


def _price(upper: _Run, lower: _Run) -> int:
    (left, right), (low_left, low_right) = upper.span, lower.span
    crossings = sum(left < x < right for x in lower.sources) + sum(low_left < x < low_right for x in upper.targets)
    upon = sum(source == target for source in lower.sources for target in upper.targets)
    return crossings + 10 * upon


def _drawn(grid: _Grid[K], vertices: Sequence[Vertex[K]], edges: Sequence[Edge[K]]) -> Picture[K]:
    tracks = [_tracks(row) for row in grid.rows]
    tops, y = [], MARGIN
    heights = [max((spot.height for spot in row), default=0) for row in grid.rows]
    for height, (_, n_tracks) in zip(heights, tracks, strict=True):
        tops.append(y)
        y += height + (ABOVE + BELOW + (n_tracks - 1) * TRACK if n_tracks else CHANNEL)
    shift = MARGIN - min((spot.x - spot.half for row in grid.rows for spot in row), default=0)

    def placed(spot: _Spot, width: int) -> Place:
        return Place(int(spot.x + shift) - width // 2, tops[spot.row], width, spot.height)

    def points(chain: Sequence[_Spot]) -> Iterator[Point]:
        yield Point(int(chain[0].x + shift), tops[chain[0].row] + chain[0].height)
        for upper, lower in pairwise(chain):
            if upper.x != lower.x:
                turn = tops[upper.row] + heights[upper.row] + ABOVE
                turn += tracks[upper.row][0][id(upper), id(lower)] * TRACK
                yield Point(int(upper.x + shift), turn)
                yield Point(int(lower.x + shift), turn)
        yield Point(int(chain[-1].x + shift), tops[chain[-1].row])

    places = {one.id: placed(grid.spots[one.id], one.width) for one in vertices}
    lines = [
        Line(edge, tuple(points(chain)), None if words is None else placed(words, edge.label_width))
        for edge, chain, words in zip(edges, grid.chains, grid.words, strict=True)
    ]
    right = max((int(spot.x + spot.half + shift) for row in grid.rows for spot in row), default=0)
    bottom = max((place.y + place.height for place in places.values()), default=0)
    return Picture(right + MARGIN, bottom + MARGIN, places, lines)


def _rounded(points: Sequence[Point]) -> str:
    first, last = points[0], points[-1]
    said = [f"M{first.x} {first.y}"]
    for before, here, after in zip(points, points[1:], points[2:], strict=False):
        radius = min(CORNER, _length(before, here) // 2, _length(here, after) // 2)
        start, end = _towards(here, before, radius), _towards(here, after, radius)
        said.append(f"L{start.x} {start.y}Q{here.x} {here.y} {end.x} {end.y}")
    return "".join([*said, f"L{last.x} {last.y}"])


def _length(one: Point, other: Point) -> int:
    return abs(one.x - other.x) + abs(one.y - other.y)


def _towards(here: Point, there: Point, by: int) -> Point:
    def step(a: int, b: int) -> int:
        return a + (by if b > a else -by if b < a else 0)

    return Point(step(here.x, there.x), step(here.y, there.y))
