"""An automation as a picture: SVG made here and in automations/_graph.html, laid out by graph_layout.py.

It is for eyes and pointers alone: a press leads on where there are scripts. The list of steps says the same to
everybody, and has the links.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe

from dripstone import words
from dripstone.automations import kinds
from dripstone.automations import words as automation_words
from dripstone.automations.graph import AT_ENTRY, Graph, GraphNode
from dripstone.conditions.words import Names
from dripstone.explain.findings import ERROR, NOTICE, WARNING
from dripstone.web import automation_faces, automation_places, graph_layout
from dripstone.web.automation_faces import Face
from dripstone.web.graph_layout import Edge, Line, Place, Vertex

WIDTH, HEIGHT = 232, 48
OUT_WIDTH, OUT_HEIGHT = 66, 22
LETTER = 7.2  # pixels of one, of the size of words on lines
DIGIT = 7

Key = tuple[str, str]  # of a node and "", or of a node and the exit by which one leaves


class Said(Protocol):
    """A finding of the checks."""

    @property
    def node(self) -> str: ...

    @property
    def severity(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Box:
    """looks    classes: what kind it is, and how somebody stands to it
    whole    all that is to be said of it
    n        how many people stand there, and their list; "" for nobody, or where nobody is counted
    mark     the worst that the checks found there
    """

    place: Place
    looks: str
    face: Face
    whole: str
    url: str
    n: str = ""
    n_words: str = ""
    n_width: int = 0
    n_url: str = ""
    mark: str = ""

    @property
    def shape(self) -> str:
        """Its kind is seen by the shape, too: what forks has pointed ends, an event round ones."""
        x, y, width, height = self.place
        look = self.looks.split()[0]
        if look == "fork":
            return f"M{x + 10} {y}h{width - 20}l10 {height // 2}l-10 {height // 2}h{20 - width}l-10 {-height // 2}z"
        r = height // 2 if look == "event" else 10
        corners = f"a{r} {r} 0 0 1 {r} {r}", f"a{r} {r} 0 0 1 {-r} {r}", f"a{r} {r} 0 0 1 {-r} {-r}"
        across, down = width - 2 * r, height - 2 * r
        right, bottom, left = corners
        return f"M{x + r} {y}h{across}{right}v{down}{bottom}h{-across}{left}v{-down}a{r} {r} 0 0 1 {r} {-r}z"

    @property
    def text_x(self) -> int:
        return self.place.x + 18

    @property
    def title_y(self) -> int:
        return self.place.y + (20 if self.face.sub else 29)

    @property
    def sub_y(self) -> int:
        return self.place.y + 37

    @property
    def mark_shape(self) -> str:
        """At the upper left corner: as in the list of checks, each gravity has its own."""
        x, y = self.place.x + 6, self.place.y
        shapes = {ERROR: f"M{x} {y - 7}l7 7l-7 7l-7-7z", WARNING: f"M{x - 5} {y - 5}h10v10h-10z"}
        return shapes.get(self.mark, f"M{x - 5} {y}a5 5 0 0 1 10 0a5 5 0 0 1-10 0z")

    @property
    def n_x(self) -> int:
        return self.place.x + self.place.width - self.n_width + 10

    @property
    def n_y(self) -> int:
        return self.place.y - 12

    @property
    def n_middle(self) -> int:
        return self.n_x + self.n_width // 2

    @property
    def n_text_y(self) -> int:
        return self.place.y + 4


@dataclass(frozen=True, slots=True)
class Wire:
    """place   of its words"""

    path: str
    looks: str
    words: str = ""
    whole: str = ""
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Drawing:
    width: int
    height: int
    boxes: list[Box]
    ends: list[Place]
    wires: list[Wire]
    top: int = 0  # the middle of what stands at the top


@dataclass(frozen=True, slots=True)
class Shown:
    """What is shown of people on a graph.

    counts    how many stand where, by key
    here      where one of them stands; None: nowhere
    passed    where they were
    notes     second lines of boxes, in place of their own: when they were there
    people    address of the list of people, to which `node` is added
    step      what stands before a node's key in the address of its step
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    here: str | None = None
    passed: Collection[str] = ()
    notes: Mapping[str, str] = field(default_factory=dict)
    findings: Collection[Said] = ()
    people: str = ""
    step: str = "#step-"


def svg(
    graph: Graph,
    names: Names,
    counts: Mapping[str, int],
    *,
    here: str | None = None,
    passed: Collection[str] = (),
    findings: Collection[Said] = (),
    people: str = "",
) -> SafeString:
    """Of a graph that may be any, with how many people stand where. Deleted nodes are drawn while somebody does."""
    drawing = drawn(graph, names, Shown(counts, here, passed, findings=findings, people=people))
    return mark_safe(render_to_string("automations/_graph.html", {"drawing": drawing}))  # noqa: S308  # a template's


def drawn(graph: Graph, names: Names, shown: Shown) -> Drawing:
    nodes = [node for node in graph.nodes.values() if not node.is_deleted or _matters(node, shown)]
    edges = list(_edges(graph, nodes, names))
    ends = [edge.target for edge in edges if edge.target[1]]
    keys = [(AT_ENTRY, ""), *((node.key, "") for node in nodes)]
    picture = graph_layout.of(
        [*(Vertex(key, WIDTH, HEIGHT) for key in keys), *(Vertex(end, OUT_WIDTH, OUT_HEIGHT) for end in ends)], edges
    )
    boxes = _Boxes(picture.places, names, shown)
    gone = {node.key for node in nodes if node.is_deleted}
    return Drawing(
        picture.width,
        picture.height,
        [boxes.of_entry(graph), *map(boxes.of, nodes)],
        [picture.places[end] for end in ends],
        [_wire(line, shown, gone) for line in picture.lines],
        picture.places[AT_ENTRY, ""].middle,
    )


def _matters(node: GraphNode, shown: Shown) -> bool:
    """Of one that was taken out: somebody is told about who stands there, or was."""
    return bool(shown.counts.get(node.key)) or node.key == shown.here or node.key in shown.passed


def _edges(graph: Graph, nodes: Collection[GraphNode], names: Names) -> Iterator[Edge[Key]]:
    """Each way out has an end of its own, so that its line is short."""
    drawn_keys = {node.key for node in nodes}
    for node in (None, *nodes):
        key = AT_ENTRY if node is None else node.key
        for name, to in graph.exits_of(key):
            label = "" if node is None or node.is_deleted else automation_words.way(node, name, names)
            width = round(automation_faces.width_of(_short(label)) * LETTER) + 14 if label else 0
            yield Edge((key, ""), (to, "") if to in drawn_keys and to else (key, name), label, width)


def _short(label: str) -> str:
    return automation_faces.cut(label, automation_faces.WAY)


@dataclass(frozen=True, slots=True)
class _Boxes:
    places: Mapping[Key, Place]
    names: Names
    shown: Shown

    def of_entry(self, graph: Graph) -> Box:
        said = automation_words.entry(graph.entries, self.names)
        return self._box(AT_ENTRY, "entry", automation_faces.of_entry(graph, self.names), said)

    def of(self, node: GraphNode) -> Box:
        said = automation_words.node(node, self.names)
        looks = _LOOKS.get(node.kind, "act")
        if node.is_deleted:
            looks, said = f"{looks} is-gone", f"Taken out, but somebody stands here: {said}"
        return self._box(node.key, looks, automation_faces.of(node, self.names), said)

    def _box(self, key: str, looks: str, face: Face, said: str) -> Box:
        shown, n = self.shown, self.shown.counts.get(key, 0)
        if key in shown.notes:
            face = Face(face.title, automation_faces.cut(shown.notes[key], automation_faces.SUB))
        states = {"is-here": key == shown.here, "is-passed": key in shown.passed}
        label = words.short(n) if n else ""
        return Box(
            self.places[key, ""],
            " ".join([looks, *(name for name, is_so in states.items() if is_so)]),
            face,
            said,
            url=f"{shown.step}{key}" if shown.step else "",
            n=label,
            n_words=words.people(n, "stands here", "stand here"),
            n_width=max(24, DIGIT * len(label) + 14),
            n_url=automation_places.people_at(shown.people, key) if n else "",
            mark=_worst(shown.findings, key),
        )


_LOOKS = {
    kinds.SEQUENCE: "sequence",
    kinds.WAIT: "wait",
    kinds.CONDITION: "fork",
    kinds.SPLIT: "fork",
    kinds.EVENT: "event",
}


def _worst(findings: Iterable[Said], key: str) -> str:
    """The entry has no finding of its own: what is about no node is about the whole."""
    found = {one.severity for one in findings if key and one.node == key}
    return next((severity for severity in (ERROR, WARNING, NOTICE) if severity in found), "")


def _wire(line: Line[Key], shown: Shown, gone: Collection[str]) -> Wire:
    (source, _), (target, _) = line.edge.source, line.edge.target
    stations = {*shown.passed, shown.here}
    looks = "is-gone" if source in gone else "is-passed" if source in shown.passed and target in stations else ""
    return Wire(line.path, looks, _short(line.edge.label), line.edge.label, line.words)
