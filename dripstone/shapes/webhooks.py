"""Webhook endpoints, webhooks of before, their deliveries, and a sequence as events tell of it."""

from datetime import datetime
from typing import NotRequired

from typing_extensions import TypedDict

from dripstone.calls import reasons
from dripstone.calls.models import Attempt, Call, Receiver
from dripstone.sequences.models import Sequence
from dripstone.shapes.instants import instant


class WebhookSequenceShape(TypedDict):
    id: int
    name: str
    hold: bool
    repeat: bool
    created_at: str
    updated_at: str
    email_template_id: int | None
    active: bool


class AttemptShape(TypedDict):
    number: int
    at: str
    seconds: float
    response_status: int | None
    response_body: str
    reason: str
    reason_text: str


class DeliveryShape(TypedDict):
    """`next_attempt_at` while it waits; `reason` why the last attempt was no success, or why it was given up."""

    id: int
    event_type: str
    event_count: int
    status: str
    reason: str
    reason_text: str
    attempts: int
    created_at: str
    next_attempt_at: str | None
    ended_at: str | None
    request_body: NotRequired[str]
    history: NotRequired[list[AttemptShape]]


def sequence(row: Sequence) -> WebhookSequenceShape:
    return WebhookSequenceShape(
        id=row.pk,
        name=row.name,
        hold=row.hold,
        repeat=row.repeat,
        created_at=instant(row.created_at),
        updated_at=instant(row.updated_at),
        email_template_id=row.email_template_id,
        active=row.active,
    )


def delivery(row: Call) -> DeliveryShape:
    return DeliveryShape(
        id=row.pk,
        event_type=row.about,
        event_count=row.n_events,
        status=row.status,
        reason=row.reason,
        reason_text=reasons.WORDS.get(row.reason, ""),
        attempts=row.attempt,
        created_at=instant(row.planned_at),
        next_attempt_at=_or_none(row.next_attempt_at),
        ended_at=_or_none(row.ended_at),
    )


def whole_delivery(row: Call, attempts: list[Attempt]) -> DeliveryShape:
    shape = delivery(row)
    shape["request_body"] = bytes(row.body).decode("utf-8", "replace")
    shape["history"] = [attempt(one) for one in attempts]
    return shape


def attempt(row: Attempt) -> AttemptShape:
    return AttemptShape(
        number=row.number,
        at=instant(row.at),
        seconds=row.seconds,
        response_status=row.answer_status,
        response_body=row.answer,
        reason=row.reason,
        reason_text=row.sentence or reasons.WORDS.get(row.reason, ""),
    )


def status_of(row: Receiver) -> str:
    return "active" if row.is_active else "disabled"


def _or_none(at: datetime | None) -> str | None:
    return None if at is None else instant(at)
