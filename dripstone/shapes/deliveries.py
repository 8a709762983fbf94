"""A delivery."""

from collections.abc import Sequence as Series

from typing_extensions import TypedDict

from dripstone.engine import audience, identity, reasons
from dripstone.engine.models import Delivery
from dripstone.shapes.instants import instant


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
