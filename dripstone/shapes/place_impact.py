"""The impact of an act on one person's place: each email before and after, in the words of explain/place_impact.py."""

from typing_extensions import TypedDict

from dripstone.content import subjects
from dripstone.explain import place_impact as words
from dripstone.explain.journey import Step
from dripstone.explain.place_impact import PlaceImpact
from dripstone.shapes.enrollments import EnrollmentShape, enrollment
from dripstone.shapes.instants import instant


class StandShape(TypedDict):
    outcome: str
    at: str | None


class EmailChange(TypedDict):
    email_id: int
    subject: str
    before: StandShape | None
    after: StandShape


class PlaceImpactShape(TypedDict):
    token: str
    summary: str
    sentences: list[str]
    right_away: int | None
    emails: list[EmailChange]
    before: EnrollmentShape
    after: EnrollmentShape


def place_impact(told: PlaceImpact, token: str) -> PlaceImpactShape:
    """`right_away`: the id of the email that the act sends now. `emails`: those that fare otherwise; outcomes are those
    of a journey."""
    first = told.right_away
    before = told.before.facts.row if told.before is not None else told.after.facts.row
    return PlaceImpactShape(
        token=token,
        summary=words.summary(told),
        sentences=[str(change) for change in words.changes(told)],
        right_away=first.email.pk if first is not None else None,
        emails=[_email(was, step) for was, step in told.changed()],
        before=enrollment(before),
        after=enrollment(told.after.facts.row),
    )


def _email(was: Step | None, step: Step) -> EmailChange:
    return EmailChange(
        email_id=step.email.pk,
        subject=subjects.readable(step.email.subject),
        before=_stand(was) if was is not None else None,
        after=_stand(step),
    )


def _stand(step: Step) -> StandShape:
    return StandShape(outcome=step.outcome, at=instant(step.at) if step.at is not None else None)
