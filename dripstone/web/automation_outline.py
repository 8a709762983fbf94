"""The list of an automation's steps to be edited: a place for a new one on every connection, and where each may move.

The list is that of automation_steps.py, which pages show to everybody; but what was put under a way stands there, even
where the other ways lead out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from dripstone.automations import editing
from dripstone.automations.editing import AFTER, START, Place
from dripstone.automations.graph import NEXT, Graph
from dripstone.conditions.words import Names
from dripstone.web import automation_faces, automation_form, automation_steps
from dripstone.web.automation_steps import LOOSE, MET, STEP, WAY, Row
from dripstone.web.automation_view import Told

Shift = tuple[Place | None, Place | None]


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a step may be put. label: "after step 3, Wait 3 days" """

    place: Place
    label: str


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the list.

    spot   a place for a new step that stands here; None: nothing may stand here
    called  of a step: "step 3, Wait 3 days"
    up, down   where a step moves by one; None: it goes no further
    leads  the exit that may be led elsewhere, here; None: there is none, or it is that of a way
    """

    told: Told
    spot: Spot | None = None
    called: str = ""
    up: Place | None = None
    down: Place | None = None
    leads: Place | None = None
    may_be_copied: bool = False
    is_asked: bool = False  # its form asks for a condition, which has a page of its own


def lines(graph: Graph, told: Sequence[Told], names: Names) -> list[Line]:
    """told   the rows of this graph, of which none was taken out"""
    rows = [one.row for one in told]
    numbers = {one.key: one.row.number for one in told if one.what == STEP}
    found = _Lines(graph, numbers, shifts(graph, rows), _followed(graph), names)
    return [found.line(one) for one in told]


@dataclass(frozen=True, slots=True)
class _Lines:
    """followed   the steps that something may be put behind"""

    graph: Graph
    numbers: dict[str, int]
    moves: dict[str, Shift]
    followed: set[str]
    names: Names

    def line(self, told: Told) -> Line:
        node = told.row.node
        if node is None:
            return Line(told)
        called = f"step {self.numbers[node.key]}, {automation_faces.title(node, self.names)}"
        match told.what:
            case automation_steps.STEP:
                leads = Place(node.key, NEXT) if NEXT in node.exits else None
                is_asked = automation_form.kind_of(node).asks
                may_be_copied = node.key in self.followed
                return Line(told, None, called, *self.moves[node.key], leads, may_be_copied, is_asked)
            case automation_steps.DONE if node.key in self.followed:
                return Line(told, Spot(Place(node.key, AFTER), f"after {called}"))
            case automation_steps.WAY:
                place = Place(node.key, told.row.exit)
                way = f"way {int(place.exit) + 1}, " if place.exit.isdigit() else ""
                return Line(told, Spot(place, f"under {called}, {way}{told.said}"), leads=place)
        return Line(told)


def _followed(graph: Graph) -> set[str]:
    meets = editing.joins(graph)
    return {key for key in graph.nodes if editing.may_follow(graph, key, meets)}


def spots(lines: Sequence[Line]) -> list[Spot]:
    """All of them, in the order of the list."""
    return [Spot(START, "at the beginning"), *(line.spot for line in lines if line.spot is not None)]


# --- Up and down --------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Chain:
    """Steps one after the other.

    head    the place before the first of them; None: nothing leads there
    fork    the step whose way it is
    """

    head: Place | None
    fork: "tuple[_Chain, int] | None" = None
    keys: list[str] = field(default_factory=list)


def shifts(graph: Graph, rows: Sequence[Row]) -> dict[str, Shift]:
    """Of each step the place before the one above it and the place behind the one below; at the ends of a way, before
    and behind the fork."""
    found: dict[str, Shift] = {}
    for chain in _chains(rows):
        for number, key in enumerate(chain.keys):
            found[key] = (_above(chain, number), _below(chain, number))
    followed = _followed(graph)
    return {key: (_if_there(followed, up), _if_there(followed, down)) for key, (up, down) in found.items()}


def _chains(rows: Sequence[Row]) -> Iterator[_Chain]:
    chain = _Chain(START)
    around: list[_Chain] = []
    for row in rows:
        if row.what == STEP and row.node is not None:
            chain.keys.append(row.node.key)
        elif row.what == WAY and row.node is not None:
            around.append(chain)
            chain = _Chain(Place(row.node.key, row.exit), (chain, len(chain.keys) - 1))
        elif row.what == MET:
            yield chain
            chain = around.pop()
        elif row.what == LOOSE:
            yield chain
            chain = _Chain(None)
    yield chain


def _above(chain: _Chain, number: int) -> Place | None:
    if number:
        return _before(chain, number - 1)
    return _before(*chain.fork) if chain.fork else None


def _before(chain: _Chain, number: int) -> Place | None:
    return Place(chain.keys[number - 1], AFTER) if number else chain.head


def _below(chain: _Chain, number: int) -> Place | None:
    if number + 1 < len(chain.keys):
        return Place(chain.keys[number + 1], AFTER)
    if chain.fork is None:
        return None
    outer, fork = chain.fork
    return Place(outer.keys[fork], AFTER)


def _if_there(followed: set[str], place: Place | None) -> Place | None:
    return None if place is None or (place.exit == AFTER and place.key not in followed) else place


# --- Steps to go on at --------------------------------------------------------------------------------------------


def targets(graph: Graph, edge: Place, lines: Sequence[Line]) -> list[tuple[str, str]]:
    """The steps to which an exit may lead without a circle: (key, what it is called)."""
    steps = [line for line in lines if line.told.what == STEP]
    return [
        (line.told.key, line.called)
        for line in steps
        if edge == START or edge.key not in {line.told.key, *graph.ahead(line.told.key)}
    ]
