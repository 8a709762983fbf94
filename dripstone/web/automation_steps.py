"""An automation as a list of sentences: the same as its picture, for who reads, hears or edits it.

A fork has a list under each of its ways. Where the ways meet again the list goes on; what cannot be said so is said by
number: "on with step 7". The rows are flat, with what opens and closes between them, so that a template only loops.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from dripstone.automations.graph import NEXT, Exit, Graph, GraphNode

STEP: Final = "step"  # a node; its ways follow, up to DONE
DONE: Final = "done"
WAY: Final = "way"  # a list of its own, up to MET
MET: Final = "met"
LEAVE: Final = "leave"  # then they leave
ON: Final = "on"  # then they go on at a step that stands elsewhere
LOOSE: Final = "loose"  # what follows is reached by nobody who enters
GONE: Final = "gone"  # what follows was taken out while people stood there


@dataclass(frozen=True, slots=True)
class Row:
    """what     of the above
    number   of a step, and of that where ON leads
    exit     of a WAY: its name
    depth    how many ways stand around it
    """

    what: str
    node: GraphNode | None = None
    number: int = 0
    exit: str = ""
    depth: int = 0
    target: str | None = None


def of(
    graph: Graph, counts: Mapping[str, int] | None = None, *, meets: Mapping[str, str | None] | None = None
) -> list[Row]:
    """counts   how many people stand where: a deleted node is listed while somebody does
    meets    where the ways of each node meet, if not as `meeting` says
    """
    telling = _Telling(graph, meets=meeting(graph) if meets is None else meets)
    telling.chain(graph.start, None, 0)
    loose = [node for node in graph.living if node.key not in telling.numbers]
    if loose:
        telling.rows.append(Row(LOOSE))
        # Those first that none of the others leads to.
        led_to = {to for node in loose for _, to in node.ways}
        for node in sorted(loose, key=lambda node: node.key in led_to):
            if node.key not in telling.numbers:
                telling.chain(node.key, None, 0)
    gone = [node for node in graph.nodes.values() if node.is_deleted and (counts or {}).get(node.key)]
    if gone:
        telling.rows.append(Row(GONE))
        for node in gone:
            telling.chain(node.key, None, 0)
    return [
        replace(row, number=telling.numbers[row.target]) if row.what == ON and row.target else row
        for row in telling.rows
    ]


def forks(node: GraphNode) -> list[Exit]:
    """The ways that have a list of their own. A limit that is over is one; what goes on as usual is none."""
    return [way for way in node.ways if way[0] != NEXT] if len(node.ways) > 1 else []


@dataclass(slots=True)
class _Telling:
    graph: Graph
    meets: Mapping[str, str | None]
    rows: list[Row] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)

    def chain(self, key: str | None, until: str | None, depth: int, *, flows_on: bool = True) -> None:
        """From this node to where its list ends.

        until      where the ways meet again
        flows_on   that is what stands next behind the list, so that it need not be said
        """
        n_before = len(self.rows)
        while key is not None and key != until and key in self.graph.nodes:
            if key in self.numbers:
                self.rows.append(Row(ON, depth=depth, target=key))
                return
            node = self.graph.nodes[key]
            self.numbers[key] = len(self.numbers) + 1
            self.rows.append(Row(STEP, node, self.numbers[key], depth=depth))
            key = self._after(node, depth)
            self.rows.append(Row(DONE, node, depth=depth))
            if not node.ways or (len(forks(node)) == len(node.ways) and key is None):
                return  # each way has said where it ends
        if key is not None and key == until:
            if not flows_on or len(self.rows) == n_before:
                self.rows.append(Row(ON, depth=depth, target=key))
        else:
            self.rows.append(Row(LEAVE, depth=depth))

    def _after(self, node: GraphNode, depth: int) -> str | None:
        """With the lists of its ways. The node that stands next behind it."""
        asides, meet = forks(node), self.meets.get(node.key)
        if not asides:
            return node.ways[0][1] if node.ways else None
        has_usual = len(asides) < len(node.ways)
        for name, to in asides:
            self.rows.append(Row(WAY, node, exit=name, depth=depth + 1))
            self.chain(to, meet, depth + 1, flows_on=not has_usual)
            self.rows.append(Row(MET, node, depth=depth + 1))
        return node.ways[0][1] if has_usual else meet


def meeting(graph: Graph) -> dict[str, str | None]:
    """Of each node the nearest that its ways come to, those aside that lead out at once; None: they part for good."""
    order = _backwards(graph)
    depths: dict[str | None, int] = {None: 0}
    meets: dict[str, str | None] = {}

    def both(one: str | None, other: str | None) -> str | None:
        while one != other:
            if depths[one] >= depths[other] and one is not None:
                one = meets[one]
            elif other is not None:
                other = meets[other]
        return one

    for key in order:
        targets: list[str | None] = [to for _, to in graph.nodes[key].ways if to in meets] or [None]
        found = targets[0]
        for to in targets[1:]:
            found = both(found, to)
        meets[key], depths[key] = found, depths[found] + 1
    return meets


def _backwards(graph: Graph) -> list[str]:
    """Each node behind all that it leads to."""
    order: list[str] = []
    seen: set[str] = set()
    for first in graph.nodes:
        way = [(first, _targets(graph, first))] if first not in seen else []
        seen.add(first)
        while way:
            key, targets = way[-1]
            to = next(targets, None)
            if to is None:
                order.append(key)
                way.pop()
            elif to not in seen:
                seen.add(to)
                way.append((to, _targets(graph, to)))
    return order


def _targets(graph: Graph, key: str) -> Iterator[str]:
    return iter([to for _, to in graph.nodes[key].ways if to is not None and to in graph.nodes])
