"""A subscriber as Kit's filter answers: ids are text here, and only here."""

from collections.abc import Sequence
from typing import NotRequired

from typing_extensions import TypedDict

from dripstone.shapes.instants import instant, instant_or_none
from dripstone.shapes.subscribers import AttributionShape, LocationShape, NamedTagShape
from dripstone.stats.engagement import Engagement
from dripstone.subscribers.models import Subscriber, Tag


class EngagementShape(TypedDict):
    sent: int
    opened: int
    clicked: int
    bounced: int
    open_rate: float
    click_rate: float
    last_sent: str | None
    last_opened: str | None
    last_clicked: str | None
    sends_since_last_open: int
    sends_since_last_click: int


class FilteredShape(TypedDict):
    id: str
    first_name: str | None
    email_address: str
    created_at: str
    tag_names: list[str]
    tag_ids: list[str]
    attribution: NotRequired[AttributionShape]
    tags: NotRequired[list[NamedTagShape]]
    location: NotRequired[LocationShape]
    canceled_at: NotRequired[str | None]
    stats: NotRequired[EngagementShape]
    fields: NotRequired[dict[str, str | None]]


def filtered(person: Subscriber, tags: Sequence[Tag]) -> FilteredShape:
    """Without what is included on request."""
    return FilteredShape(
        id=str(person.pk),
        first_name=person.first_name,
        email_address=person.email_address,
        created_at=instant(person.created_at),
        tag_names=[tag.name for tag in tags],
        tag_ids=[str(tag.pk) for tag in tags],
    )


def engagement(found: Engagement) -> EngagementShape:
    """Rates are fractions of what was sent, 0 where nothing was."""
    return EngagementShape(
        sent=found.sent,
        opened=found.opened,
        clicked=found.clicked,
        bounced=found.bounced,
        open_rate=_rate(found.opened, found.sent),
        click_rate=_rate(found.clicked, found.sent),
        last_sent=instant_or_none(found.last_sent_at),
        last_opened=instant_or_none(found.last_opened_at),
        last_clicked=instant_or_none(found.last_clicked_at),
        sends_since_last_open=found.sends_since_last_open,
        sends_since_last_click=found.sends_since_last_click,
    )


def _rate(n: int, of: int) -> float:
    return round(n / of, 3) if of else 0.0
