"""A place in a sequence, and the notes about it."""

from collections.abc import Sequence as Series

from typing_extensions import TypedDict

from dripstone.engine import notes
from dripstone.engine.models import Enrollment, Note
from dripstone.explain import edit_words
from dripstone.shapes.instants import instant


class EnrollmentShape(TypedDict):
    id: int
    sequence_id: int
    subscriber_id: int
    status: str
    run: int
    entered_at: str
    next_email_id: int | None
    due_at: str | None
    paused_at: str | None
    completed_at: str | None


class NoteShape(TypedDict):
    id: int
    at: str
    kind: str
    email_id: int | None
    due_before: str | None
    due_after: str | None
    reason: str | None
    reason_text: str | None
    actor: str


def enrollment(row: Enrollment) -> EnrollmentShape:
    return EnrollmentShape(
        id=row.pk,
        sequence_id=row.sequence_id,
        subscriber_id=row.subscriber_id,
        status=row.status,
        run=row.run,
        entered_at=instant(row.entered_at),
        next_email_id=row.next_email_id,
        due_at=instant(row.due_at) if row.due_at else None,
        paused_at=instant(row.paused_at) if row.paused_at else None,
        completed_at=instant(row.completed_at) if row.completed_at else None,
    )


def notes_of(place: Enrollment, rows: Series[Note]) -> list[NoteShape]:
    """`reason`: what somebody gave, or a code where the engine acted; `reason_text` is both in words."""
    log = edit_words.log_of(place.sequence_id, (row.reason for row in rows if row.kind == notes.MOVED))
    return [note(row, log) for row in rows]


def note(row: Note, log: edit_words.Log) -> NoteShape:
    return NoteShape(
        id=row.pk,
        at=instant(row.at),
        kind=row.kind,
        email_id=row.email_id,
        due_before=instant(row.due_before) if row.due_before else None,
        due_after=instant(row.due_after) if row.due_after else None,
        reason=row.reason or None,
        reason_text=edit_words.reason_of(row, log) or None,
        actor=row.actor,
    )
