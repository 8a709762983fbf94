"""Small charts as SVG: shapes are computed here, a template draws them. Each comes with its numbers in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dripstone import words

SPARK_WIDTH, SPARK_HEIGHT = 84, 22
_ROOM = 2  # above and below a line, so that its ends are not cut

WEEK_WIDTH, WEEK_HEIGHT = 280, 92
WEEK_NAMES = 88  # where the names of the days stand
_HIGHEST = 50  # of a bar


@dataclass(frozen=True, slots=True)
class Spark:
    """A line of 84 × 22; `words` for who does not see it."""

    points: str
    words: str
    is_flat: bool  # nothing but zeros


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
