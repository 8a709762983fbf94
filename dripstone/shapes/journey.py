"""One person's way through a sequence."""

from datetime import datetime

from typing_extensions import TypedDict

from dripstone.engine.models import Note
from dripstone.explain import journey_words as words
from dripstone.explain.journey import EarlierRun, Facts, Journey, Reckoning, Step
from dripstone.shapes import enrollments
from dripstone.shapes.enrollments import EnrollmentShape, enrollment
from dripstone.shapes.instants import instant
from dripstone.words import WEEKDAYS


class AnchorShape(TypedDict):
    kind: str
    at: str
    email_id: int | None


class RuleShape(TypedDict):
    anchor: AnchorShape
    delay_value: int
    delay_unit: str
    send_days: list[str] | None
    send_hour: int | None
    time_zone: str
    counted_to: str | None
    moved_to: str | None
    due_at: str


class StepShape(TypedDict):
    email_id: int
    subject: str
    position: int
    published: bool
    deleted: bool
    held_at: str | None
    outcome: str
    at: str | None
    why: str | None
    reason: str | None
    reason_text: str | None
    delivery_id: int | None
    attempts: int
    reply: str | None
    rule: RuleShape | None
    note_id: int | None
    after_email_id: int | None
    sentence: str
    changes: list[str]


class NoteShape(enrollments.NoteShape):
    sentence: str


class EarlierRunShape(TypedDict):
    run: int
    began_at: str
    ended_at: str | None
    deliveries: dict[str, int]
    sentence: str


class JourneyShape(TypedDict):
    enrollment: EnrollmentShape
    time_zone: str
    waiting_because: str | None
    sentence: str
    emails: list[StepShape]
    notes: list[NoteShape]
    earlier_runs: list[EarlierRunShape]


def journey(told: Journey) -> JourneyShape:
    facts = told.facts
    return JourneyShape(
        enrollment=enrollment(facts.row),
        time_zone=facts.sequence.time_zone,
        waiting_because=told.waiting_because or None,
        sentence=words.journey(told),
        emails=[_step(step, facts) for step in told.steps],
        notes=[_note(row, facts) for row in told.notes],
        earlier_runs=[_earlier_run(run, facts) for run in told.earlier_runs],
    )


def _step(step: Step, facts: Facts) -> StepShape:
    email, delivery, coming = step.email, step.delivery, step.coming
    reason = delivery.reason if delivery else coming.excluded if coming else ""
    return StepShape(
        email_id=email.pk,
        subject=email.subject,
        position=email.position,
        published=email.published,
        deleted=email.deleted_at is not None,
        held_at=_instant(email.held_at),
        outcome=step.outcome,
        at=_instant(step.at),
        why=step.why or None,
        reason=reason or None,
        reason_text=words.reason(step, facts) or None,
        delivery_id=delivery.pk if delivery else None,
        attempts=delivery.tries if delivery else 0,
        reply=(delivery.reply if delivery else "") or None,
        rule=_rule(step.reckoning, facts) if step.reckoning else None,
        note_id=step.given_by.pk if step.given_by else None,
        after_email_id=step.after.pk if step.after else None,
        sentence=words.sentence(step, facts),
        changes=[words.note(row, facts) for row in step.changes],
    )


def _rule(reckoning: Reckoning, facts: Facts) -> RuleShape:
    own, anchor = reckoning.schedule, reckoning.anchor
    return RuleShape(
        anchor=AnchorShape(kind=anchor.kind, at=instant(anchor.at), email_id=anchor.email.pk if anchor.email else None),
        delay_value=reckoning.delay.value,
        delay_unit=reckoning.delay.unit,
        send_days=[WEEKDAYS[day] for day in sorted(own.send_days)] if own else None,
        send_hour=own.send_hour if own else None,
        time_zone=facts.sequence.time_zone,
        counted_to=reckoning.counted_to.isoformat() if reckoning.counted_to else None,
        moved_to=reckoning.local_due().date().isoformat() if reckoning.moved else None,
        due_at=instant(reckoning.due),
    )


def _note(row: Note, facts: Facts) -> NoteShape:
    return {**enrollments.note(row, facts.edits), "sentence": words.note(row, facts)}


def _earlier_run(run: EarlierRun, facts: Facts) -> EarlierRunShape:
    return EarlierRunShape(
        run=run.number,
        began_at=instant(run.began),
        ended_at=_instant(run.ended),
        deliveries=run.counts,
        sentence=words.earlier_run(run, facts),
    )


def _instant(value: datetime | None) -> str | None:
    return instant(value) if value is not None else None
