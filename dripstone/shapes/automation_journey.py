"""What comes for a person in an automation, or why they are not inside."""

from collections.abc import Iterable

from typing_extensions import TypedDict

from dripstone.explain.automation_journey import Ahead, Way
from dripstone.shapes.instants import instant


class AheadShape(TypedDict):
    """`node` null: they leave."""

    at: str
    node: str | None
    sentence: str
    email_id: int | None


class WalkJourneyShape(TypedDict):
    """`now`: where they stand; null outside. `coming`: as far as it is decided. `depends_on`: what the rest depends on,
    null where nothing is left to be decided. `unless`: what would take them forward before. `why_not`: of whoever is
    outside, what is known about why they did not enter."""

    automation_id: int
    subscriber_id: int
    inside: bool
    now: str | None
    coming: list[AheadShape]
    depends_on: str | None
    unless: list[str]
    why_not: list[str]


def inside(way: Way) -> WalkJourneyShape:
    return WalkJourneyShape(
        automation_id=way.automation.pk,
        subscriber_id=way.walk.subscriber_id,
        inside=True,
        now=way.now,
        coming=[_ahead(one) for one in way.coming],
        depends_on=way.depends or None,
        unless=list(way.unless),
        why_not=[],
    )


def outside(automation_id: int, subscriber_id: int, why_not: Iterable[str]) -> WalkJourneyShape:
    return WalkJourneyShape(
        automation_id=automation_id,
        subscriber_id=subscriber_id,
        inside=False,
        now=None,
        coming=[],
        depends_on=None,
        unless=[],
        why_not=list(why_not),
    )


def _ahead(one: Ahead) -> AheadShape:
    return AheadShape(at=instant(one.at), node=one.node or None, sentence=one.what, email_id=one.email_id)
