"""Small charts as SVG: shapes are computed here, a template draws them. Each comes with its numbers in words."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dripstone import words

SPARK_WIDTH, SPARK_HEIGHT = 84, 22
_ROOM = 2  # above and below a line, so that its ends are not cut

WEEK_WIDTH, WEEK_HEIGHT = 280, 92
WEEK_NAMES = 88  # where the names of the days stand
_HIGHEST = 50  # of a bar

COLUMNS_WIDTH, COLUMNS_HEIGHT = 720, 120


@dataclass(frozen=True, slots=True)
class Spark:
    """A line of 84 × 22; `words` for who does not see it."""

    points: str
    words: str
    is_flat: bool  # nothing but zeros


class Column(NamedTuple):
    """In a box of COLUMNS_WIDTH × COLUMNS_HEIGHT; `upper` stands on it (what did not arrive)."""

    x: float
    y: float
    width: float
    height: float
    upper: float  # its height; 0: none
    n: int
    n_upper: int
    name: str


class Bar(NamedTuple):
    """In a box of 280 × 92: its number stands above it (short: 1.2k), its name below."""

    x: float
    y: float
    width: float
    height: float
    middle: float
    above: float
    n: int
    label: str
    name: str
    in_full: str


def spark(counts: Sequence[int], noun: str, unit: str) -> Spark:
    """counts   the oldest first; at least two

    `noun` and `unit` in the singular: "email", "week".
    """
    most, last = max(*counts, 1), len(counts) - 1
    room = SPARK_HEIGHT - 2 * _ROOM
    points = (
        f"{SPARK_WIDTH * place / last:g},{SPARK_HEIGHT - _ROOM - room * n / most:.4g}" for place, n in enumerate(counts)
    )
    return Spark(" ".join(points), _in_words(counts, noun, unit), not any(counts))


def _in_words(counts: Sequence[int], noun: str, unit: str) -> str:
    if not any(counts):
        return f"None in the last {words.count(len(counts), unit)}"
    numbers = ", ".join(f"{n:,}" for n in counts)
    return f"{noun.capitalize()}s in each of the last {words.count(len(counts), unit)}, this one last: {numbers}"


def bars(days: Sequence[tuple[str, str, int]]) -> list[Bar]:
    """days   short name, name in full, how many"""
    most = max(*(n for _, _, n in days), 1)
    room = WEEK_WIDTH / len(days)
    floor = WEEK_HEIGHT - 20
    return [
        _bar(room * place, floor, room, max(2, _HIGHEST * n / most) if n else 1, n, name, in_full)
        for place, (name, in_full, n) in enumerate(days)
    ]


def columns(spans: Sequence[tuple[str, int, int]]) -> list[Column]:
    """Many spans of time side by side, without room for numbers.

    spans   name, how many, how many more that stand upon them
    """
    most = max(*(n + upper for _, n, upper in spans), 1)
    room, highest = COLUMNS_WIDTH / len(spans), COLUMNS_HEIGHT - 4
    return [_column(place * room, room, highest / most, *span) for place, span in enumerate(spans)]


def _column(x: float, room: float, each: float, name: str, n: int, n_upper: int) -> Column:
    height = max(2, n * each) if n else 0
    upper = max(2, n_upper * each) if n_upper else 0
    y = max(0, COLUMNS_HEIGHT - height)
    return Column(round(x + 1, 2), round(y, 2), round(room - 2, 2), round(height, 2), round(upper, 2), n, n_upper, name)


def _bar(x: float, floor: float, room: float, height: float, n: int, name: str, in_full: str) -> Bar:
    width = room * 0.65
    return Bar(
        x=round(x + (room - width) / 2, 2),
        y=round(floor - height, 2),
        width=round(width, 2),
        height=round(height, 2),
        middle=round(x + room / 2, 2),
        above=round(floor - height - 5, 2),
        n=n,
        label=words.short(n),
        name=name,
        in_full=in_full,
    )


# --- Columns of several parts -------------------------------------------------------------------------------------

COLUMN, STACK_HEIGHT = 10, 100  # the picture is stretched to the room there is; what is written stands around it
MOST_SERIES = 6  # that are told apart by colour; the rest are one


class Series(NamedTuple):
    """number   of its colour, from 1; 0: all the others together"""

    name: str
    number: int
    counts: list[int]

    @property
    def total(self) -> int:
        return sum(self.counts)


class Piece(NamedTuple):
    x: float
    y: float
    width: float
    height: float
    number: int
    words: str


class Stacked(NamedTuple):
    """tick   below it, where there is room for every few; "" for none"""

    tick: str
    in_full: str
    counts: list[tuple[str, int]]  # series, how many

    @property
    def total(self) -> int:
        return sum(n for _, n in self.counts)


@dataclass(frozen=True, slots=True)
class Stack:
    """Columns beside each other, each of parts on top of one another; `most` is the highest."""

    width: int
    height: int
    pieces: list[Piece]
    series: list[Series]
    columns: list[Stacked]
    most: int


def stack(columns: Sequence[tuple[str, str]], counts: Sequence[tuple[str, Sequence[int]]], others: str = "") -> Stack:
    """columns   tick, name in full
    counts    per series its name, and how many in each column: the one that stands at the bottom first
    others    what the smallest are called together, when there are too many to be told apart
    """
    series = _told_apart(counts, others)
    shown = [
        Stacked(tick, name, [(one.name, one.counts[i]) for one in series]) for i, (tick, name) in enumerate(columns)
    ]
    most = max((column.total for column in shown), default=0)
    pieces = [piece for i, column in enumerate(shown) for piece in _pieces(i, column, series, max(most, 1))]
    return Stack(COLUMN * len(shown), STACK_HEIGHT, pieces, series, shown, most)


def _told_apart(counts: Sequence[tuple[str, Sequence[int]]], others: str) -> list[Series]:
    largest = sorted(counts, key=lambda one: -sum(one[1]))[:MOST_SERIES] if len(counts) > MOST_SERIES else counts
    series = [Series(name, number, list(ns)) for number, (name, ns) in enumerate(largest, 1)]
    rest = [ns for name, ns in counts if (name, ns) not in largest]
    return [*series, Series(others, 0, [sum(ns) for ns in zip(*rest, strict=True)])] if rest else series


def _pieces(place: int, column: Stacked, series: Sequence[Series], most: int) -> Iterator[Piece]:
    y = float(STACK_HEIGHT)
    for one, (_, n) in zip(series, column.counts, strict=True):
        if n:
            height = max(STACK_HEIGHT * n / most, 1.0)
            y -= height
            words_of_it = f"{column.in_full}: {one.name}, {n:,}"
            yield Piece(place * COLUMN + 1, round(y, 2), COLUMN - 2, round(height, 2), one.number, words_of_it)
