"""A test run in words: what became of the imagined person, line by line, each with its time and reason."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from dripstone import words
from dripstone.automations import imagining, trial
from dripstone.automations import words as node_words
from dripstone.automations.graph import Graph
from dripstone.automations.imagining import Happening
from dripstone.automations.models import Automation
from dripstone.automations.trial import Called, Did, Happened, Life, Mailed, Walked
from dripstone.conditions.words import Names
from dripstone.content import subjects
from dripstone.engine import audience, reasons
from dripstone.explain import walk_words
from dripstone.explain.walk_words import Passed
from dripstone.triggers import when

CUT: Mapping[str, str] = {
    trial.TOO_MUCH: "So much happens that the test run ends here.",
    trial.TOO_LONG: "More than five years have gone by, so the test run ends here.",
}
_ENDS = "That is all: nothing waits any more."


@dataclass(frozen=True, slots=True)
class Line:
    """kind   "did", "step", "mail", "call": what a page marks
    said   a sentence without its full stop
    why    what brought it about; "" for nothing that is worth saying
    way    of a step: the nodes on it
    other  of a step in another automation: that one
    """

    at: datetime
    kind: str
    said: str
    why: str = ""
    way: tuple[Passed, ...] = ()
    other: Automation | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """stands   key of the node where they wait at the end; None: outside
    passed    keys of the nodes on their way
    end       how it ended, a sentence
    """

    lines: list[Line]
    stands: str | None
    passed: frozenset[str]
    end: str


def told(life: Life) -> Told:
    """While the rows of the test run are there."""
    steps = [one.step for one in life.happened if isinstance(one, Walked)]
    said = {line.row.pk: line for line in walk_words.of(steps, walk_words.names_of(steps, life.account.pk))}
    names = node_words.names_of([life.graph], life.account.pk)
    lines = [line for one in life.happened for line in _lines(one, life, said, names)]
    ours = [step for step in steps if step.automation_id == life.automation.pk]
    passed = frozenset(one["node"] for step in ours for one in step.path)
    return Told(lines, life.stands.node if life.stands else None, passed, _end(life, names))


def _lines(one: Happened, life: Life, said: Mapping[int, walk_words.Line], names: Names) -> Iterator[Line]:
    match one:
        case Did():
            yield Line(one.at, "did", _happening(one.what, life.person.first_name or "The person", names))
        case Walked():
            line = said[one.step.pk]
            is_other = one.step.automation_id != life.automation.pk
            yield Line(one.at, "step", line.said, line.by, line.way, line.automation if is_other else None)
        case Mailed():
            yield _mailed(one, life)
        case trial.Told():
            yield Line(one.at, "call", "The owners would be mailed", words.title(one.text))
        case Called():
            yield Line(one.at, "call", f"{one.url} would be called", _body(one.body))


def _happening(what: Happening, who: str, names: Names) -> str:
    if what == imagining.CONFIRMS:
        return f"{who} confirms the address"
    if what == imagining.UNSUBSCRIBES:
        return f"{who} unsubscribes"
    assert isinstance(what, dict)
    return when.words(what, names, who)


def _mailed(one: Mailed, life: Life) -> Line:
    title, sequence = words.title(subjects.readable(one.email.subject)), words.title(one.sequence.name)
    if one.why_not:
        why = reasons.because(one.why_not, audience.names_of([one.why_not], life.account.pk))
        return Line(one.at, "mail", f"{title} of {sequence} would be skipped", f"because {why}")
    return Line(one.at, "mail", f"{title} of {sequence} would be sent")


def _body(body: bytes) -> str:
    try:
        return json.dumps(json.loads(body), ensure_ascii=False)
    except ValueError:
        return body.decode(errors="replace")


def _end(life: Life, names: Names) -> str:
    if life.cut:
        return CUT[life.cut]
    paused = "".join(
        f" {words.title(one.name)} is paused, and sends nothing."
        for one in {one.pk: one for one in life.paused}.values()
    )
    if life.stands is None:
        return _ENDS + paused
    return f"They wait for ever: {words_of_place(life.graph, life.stands.node, names)}.{paused}"


def words_of_place(graph: Graph, key: str, names: Names) -> str:
    """`wait until the person buys “Book”`."""
    node = graph.nodes.get(key)
    said = node_words.node(node, names) if node is not None else "at the entry"
    return f"{said[:1].lower()}{said[1:]}"
