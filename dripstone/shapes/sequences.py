"""Sequences, their emails, and what the engine knows of people in them."""

from collections.abc import Iterable
from collections.abc import Sequence as Series
from typing import NotRequired

from typing_extensions import TypedDict

from dripstone.engine import audience, identity, notes, reasons
from dripstone.engine.models import Delivery, Enrollment, Note
from dripstone.explain import edit_words
from dripstone.sequences.models import Sequence, SequenceEmail
from dripstone.shapes.instants import instant
from dripstone.stats.emails import Counts, EmailStats, SequenceStats
from dripstone.words import WEEKDAYS


class Source(TypedDict):
    type: str
    ids: list[int]


class SequenceShape(TypedDict):
    id: int
    name: str
    hold: bool
    repeat: bool
    created_at: str
    updated_at: str
    email_address: str
    email_template_id: int | None
    send_days: list[str]
    send_hour: int
    time_zone: str
    active: bool
    exclude_subscriber_sources: list[Source]
    email_count: int
    subscriber_count: int
    stats: NotRequired[SequenceStats]


class SequenceEmailShape(TypedDict):
    id: int
    sequence_id: int
    subject: str
    preview_text: str | None
    email_address: str
    email_template_id: int | None
    published: bool
    position: int
    delay_value: int
    delay_unit: str
    send_days: list[str] | None
    content: NotRequired[str | None]
    stats: NotRequired[EmailStats]


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


class DeliveryShape(TypedDict):
    id: int
    sequence_id: int | None
    email_id: int | None
    subscriber_id: int | None
    broadcast_id: int | None
    run: int | None
    status: str
    reason: str | None
    reason_text: str | None
    reply: str | None
    attempts: int
    planned_at: str
    sent_at: str | None
    message_id: str


def sequence(row: Sequence, counts: Counts, stats: SequenceStats | None = None) -> SequenceShape:
    shape = SequenceShape(
        id=row.pk,
        name=row.name,
        hold=row.hold,
        repeat=row.repeat,
        created_at=instant(row.created_at),
        updated_at=instant(row.updated_at),
        email_address=row.sending_address.email_address,
        email_template_id=row.email_template_id,
        send_days=_names(row.send_days),
        send_hour=row.send_hour,
        time_zone=row.time_zone,
        active=row.active,
        exclude_subscriber_sources=row.exclude_subscriber_sources,
        email_count=counts.n_emails,
        subscriber_count=counts.n_subscribers,
    )
    if stats is not None:
        shape["stats"] = stats
    return shape


def sequence_email(
    email: SequenceEmail, sequence: Sequence, *, with_content: bool = True, stats: EmailStats | None = None
) -> SequenceEmailShape:
    """`email_address` is the sequence's. An email without days of its own reads back all seven, an hourly one null."""
    shape = SequenceEmailShape(
        id=email.pk,
        sequence_id=email.sequence_id,
        subject=email.subject,
        preview_text=email.preview_text,
        email_address=sequence.sending_address.email_address,
        email_template_id=email.email_template_id,
        published=email.published,
        position=email.position,
        delay_value=email.delay_value,
        delay_unit=email.delay_unit,
        send_days=None if email.delay_unit == SequenceEmail.Unit.HOURS else _names(email.send_days or range(7)),
    )
    if with_content:
        shape["content"] = email.content
    if stats is not None:
        shape["stats"] = stats
    return shape


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
    return [_note(row, log) for row in rows]


def _note(row: Note, log: edit_words.Log) -> NoteShape:
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


def deliveries(rows: Series[Delivery]) -> list[DeliveryShape]:
    """Of one account."""
    names = audience.names_of((row.reason for row in rows), rows[0].account_id) if rows else {}
    return [_delivery(row, names) for row in rows]


def delivery(row: Delivery) -> DeliveryShape:
    (shape,) = deliveries([row])
    return shape


def _delivery(row: Delivery, names: reasons.Named) -> DeliveryShape:
    return DeliveryShape(
        id=row.pk,
        sequence_id=row.sequence_id,
        email_id=row.email_id,
        subscriber_id=row.subscriber_id,
        broadcast_id=row.broadcast_id,
        run=row.run,
        status=row.status,
        reason=row.reason or None,
        reason_text=reasons.sentence(row.reason, names) or None,
        reply=row.reply or None,
        attempts=row.tries,
        planned_at=instant(row.planned_at),
        sent_at=instant(row.sent_at) if row.sent_at else None,
        message_id=identity.message_id(row.pk),
    )


def _names(days: Iterable[int]) -> list[str]:
    return [WEEKDAYS[day] for day in sorted(days)]
