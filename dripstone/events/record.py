"""Write events. Call it inside the transaction that makes them true."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from dripstone.events.models import Event


def event(
    kind: str,
    account_id: int,
    now: datetime,
    *,
    subscriber_id: int | None = None,
    subject_id: int | None = None,
    **data: Any,
) -> Event:
    """One unsaved fact; give a set of them to `record`."""
    return Event(
        account_id=account_id,
        type=kind,
        subscriber_id=subscriber_id,
        subject_id=subject_id,
        data=data,
        occurred_at=now,
    )


def record(events: Iterable[Event]) -> None:
    Event.objects.bulk_create(events, batch_size=1000)
