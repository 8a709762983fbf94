"""One person in an automation: where they stand, what they passed and when, as the picture and the list show it."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from dripstone import words
from dripstone.automations import reasons, who
from dripstone.automations.graph import AT_ENTRY
from dripstone.automations.models import Automation, Step, Walk

_PASSED = (reasons.ACTED, reasons.PASSED, reasons.WENT, reasons.OVER, reasons.LEFT_BEHIND)
_HERE = (reasons.WAITS, reasons.PUT_OFF)


@dataclass(frozen=True, slots=True)
class Passed:
    """Of one run. here   where they stand; None: they have left. at   when they came to a node, or passed it"""

    walk: Walk | None
    here: str | None
    passed: Collection[str]
    at: dict[str, datetime]

    def notes(self, zone: str, now: datetime) -> dict[str, str]:
        """What stands at each node: `since today, 09:00`, `Mon 30 Nov, 09:00`."""
        return {
            key: f"since {words.soon(at, zone, now)}" if key == self.here else words.instant(at, zone, now)
            for key, at in self.at.items()
        }


def of(automation: Automation, subscriber_id: int) -> Passed:
    """Of the run that goes on, else of the last one."""
    rows = Walk.objects.filter(automation=automation.pk, subscriber_id=subscriber_id)
    walk = rows.order_by("-run").first()
    if walk is None:
        return Passed(None, None, (), {})
    steps = who.log(automation.pk, person=subscriber_id).filter(run=walk.run).order_by("pk")
    at = dict(_stations(steps))
    here = walk.node if walk.left_at is None else None
    if here is not None:
        at[here] = walk.arrived_at
    return Passed(walk, here, [key for key in at if key != here], at)


def _stations(steps: Iterable[Step]) -> Iterator[tuple[str, datetime]]:
    for step in steps:
        if step.what == Step.What.ENTERED:
            yield AT_ENTRY, step.at
        for one in step.path:
            if one["what"] in (*_PASSED, *_HERE):
                yield one["node"], step.at
