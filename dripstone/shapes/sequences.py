"""A sequence and its emails."""

from collections.abc import Iterable
from typing import NotRequired

from typing_extensions import TypedDict

from dripstone.grammar import Condition
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


class WholeEmailShape(SequenceEmailShape):
    """Beyond Kit: since when and by whom it is on hold (R22), and who alone gets it (R21)."""

    held_at: str | None
    held_by: str | None
    filter: Condition | None


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


def whole_email(email: SequenceEmail, sequence: Sequence) -> WholeEmailShape:
    held_at = None if email.held_at is None else instant(email.held_at)
    own = sequence_email(email, sequence)
    return {**own, "held_at": held_at, "held_by": email.held_by or None, "filter": email.filter}


def _names(days: Iterable[int]) -> list[str]:
    return [WEEKDAYS[day] for day in sorted(days)]
