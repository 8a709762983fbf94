"""What becomes of the imagined person of a test run."""

from typing_extensions import TypedDict

from dripstone.explain.trial_words import Line, Told
from dripstone.shapes.automations import PassedShape, passed
from dripstone.shapes.instants import instant


class TestRunLineShape(TypedDict):
    """kind   did (it happens to them, as was asked for), step, mail or call (of others, or mail to the owners)
    why    what brought it about; null for nothing that is worth saying
    way    of a step, the nodes on it
    automation_id   of a step in another automation, that one
    """

    at: str
    kind: str
    sentence: str
    why: str | None
    way: list[PassedShape]
    automation_id: int | None


class TestRunShape(TypedDict):
    """node: where they wait at the end; null at the entry, and for whoever is outside"""

    lines: list[TestRunLineShape]
    inside: bool
    node: str | None
    end: str


def test_run(told: Told) -> TestRunShape:
    return TestRunShape(
        lines=[_line(one) for one in told.lines],
        inside=told.stands is not None,
        node=told.stands or None,
        end=told.end,
    )


def _line(one: Line) -> TestRunLineShape:
    return TestRunLineShape(
        at=instant(one.at),
        kind=one.kind,
        sentence=one.said,
        why=one.why or None,
        way=[passed(part) for part in one.way],
        automation_id=one.other.pk if one.other else None,
    )
