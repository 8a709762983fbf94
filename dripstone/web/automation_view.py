"""An automation on a page: its picture, and its steps as sentences, which say the same."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from dripstone import words
from dripstone.automations import reading
from dripstone.automations import words as automation_words
from dripstone.automations.graph import AT_ENTRY, Graph
from dripstone.conditions.words import Names
from dripstone.explain.findings import ERROR, NOTICE, WARNING, Finding
from dripstone.grammar import Thing
from dripstone.web import automation_graph, automation_steps
from dripstone.web.automation_graph import Drawing, Shown
from dripstone.web.automation_places import people_at
from dripstone.web.automation_steps import Row

PAGES: Mapping[str, str] = {
    "tag": "tag",
    "form": "form",
    "sequence": "sequence",
    "custom_field": "field",
    "segment": "segment",
    "automation": "automation",
}


_WORST = {ERROR: ("Does not work", "bad"), WARNING: ("To mend", "wait"), NOTICE: ("Good to know", "")}


@dataclass(frozen=True, slots=True)
class Told:
    """A row of the list.

    said    of a step its sentence, with links; of a way what stands at it
    n       how many stand there
    note    when somebody was there, where one person is shown
    """

    row: Row
    said: SafeString | str = ""
    n: int = 0
    n_url: str = ""
    is_here: bool = False
    is_passed: bool = False
    note: str = ""
    findings: tuple[Finding, ...] = ()

    @property
    def what(self) -> str:
        return self.row.what

    @property
    def key(self) -> str:
        return self.row.node.key if self.row.node else ""

    @property
    def worst(self) -> str:
        """Of what the checks found here."""
        return next((word for severity, (word, _) in _WORST.items() if severity in self._severities), "")

    @property
    def pill(self) -> str:
        return next((pill for severity, (_, pill) in _WORST.items() if severity in self._severities), "")

    @property
    def _severities(self) -> set[str]:
        return {one.severity for one in self.findings}

    @property
    def is_deep(self) -> bool:
        """Further in than there is room for."""
        return self.row.depth > 4


@dataclass(frozen=True, slots=True)
class View:
    drawing: Drawing
    entry: Told
    steps: list[Told] = field(default_factory=list)


def of(
    graph: Graph,
    names: Names,
    shown: Shown,
    findings: Collection[Finding] = (),
    *,
    meets: Mapping[str, str | None] | None = None,
) -> View:
    """meets   where ways meet in the list, if not as usual (automation_steps.py)"""
    counts = dict(shown.counts)
    for key in (shown.here, *shown.passed):  # of one person: what was taken out is shown where they were
        if key is not None:
            counts.setdefault(key, 1)
    teller = _Teller(graph, names, shown, findings, reading.things(graph))
    steps = [teller.told(row) for row in automation_steps.of(graph, counts, meets=meets)]
    return View(automation_graph.drawn(graph, names, shown), teller.entry(), steps)


@dataclass(frozen=True, slots=True)
class _Teller:
    graph: Graph
    names: Names
    shown: Shown
    findings: Collection[Finding]
    things: Mapping[str, Iterable[Thing]]

    def told(self, row: Row) -> Told:
        if row.node is not None and row.what == automation_steps.STEP:
            said = automation_words.node(row.node, self.names)
            return self._at(row, row.node.key, said, self.things.get(row.node.key, ()))
        if row.node is not None and row.what == automation_steps.WAY:
            said = automation_words.way(row.node, row.exit, self.names)
            return Told(row, f"{said[:1].upper()}{said[1:]}")
        return Told(row)

    def entry(self) -> Told:
        said = automation_words.entry(self.graph.entries, self.names)
        things = [thing for one in self.graph.entries for thing in self.things.get(f"entry {one['id']}", ())]
        return self._at(Row(automation_steps.STEP), AT_ENTRY, said, things)

    def _at(self, row: Row, key: str, said: str, things: Iterable[Thing]) -> Told:
        n = self.shown.counts.get(key, 0)
        return Told(
            row,
            linked(said, things, self.names),
            n,
            people_at(self.shown.people, key) if n else "",
            is_here=self.shown.here == key,
            is_passed=key in self.shown.passed,
            note=self.shown.notes.get(key, ""),
            findings=tuple(one for one in self.findings if key and one.node == key),
        )


def linked(said: str, things: Iterable[Thing], names: Names) -> SafeString:
    """A sentence in which what it names leads there."""
    links = dict(_links(things, names))
    found = sorted((said.find(title), title) for title in links if title in said)
    parts, done = [], 0
    for start, title in found:
        if start >= done:
            parts.append(format_html('{}<a href="{}">{}</a>', said[done:start], links[title], title))
            done = start + len(title)
    parts.append(format_html("{}", said[done:]))
    return mark_safe("".join(parts))  # noqa: S308  # each part is escaped


def _links(things: Iterable[Thing], names: Names) -> Iterator[tuple[str, str]]:
    for kind, pk in things:
        if kind in PAGES and (kind, pk) in names:
            yield words.title(names[kind, pk]), reverse(PAGES[kind], args=[pk])
