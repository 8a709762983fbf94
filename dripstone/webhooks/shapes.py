"""Endpoints and webhooks of before as JSON. (What calls say of events is in payloads.py.)"""

from typing import NotRequired

from typing_extensions import TypedDict

from dripstone.shapes.instants import instant
from dripstone.webhooks import kinds
from dripstone.webhooks.models import Endpoint, Webhook


class EndpointShape(TypedDict):
    id: int
    name: str
    url: str
    events: list[str]
    status: str
    source: str
    description: str
    created_by_app: str | None
    created_at: str
    previous_secret_expires_at: str | None


class EndpointWithSecretShape(EndpointShape):
    """The secret is told here and never again."""

    secret: str


class WebhookEventShape(TypedDict):
    name: str
    form_id: NotRequired[int]
    tag_id: NotRequired[int]
    sequence_id: NotRequired[int]
    product_id: NotRequired[int]
    custom_field_id: NotRequired[int | None]
    initiator_value: NotRequired[str | None]


class WebhookShape(TypedDict):
    id: int
    account_id: int
    event: WebhookEventShape
    target_url: str


def endpoint(row: Endpoint) -> EndpointShape:
    expires_at = row.previous_secret_expires_at
    return EndpointShape(
        id=row.pk,
        name=row.name,
        url=row.url,
        events=row.events,
        status="active" if row.is_active else "disabled",
        source="creator" if row.application_id is None else "app",
        description=row.description,
        created_by_app=None if row.application_id is None else row.application_name,
        created_at=instant(row.created_at),
        previous_secret_expires_at=None if expires_at is None else instant(expires_at),
    )


def endpoint_with_secret(row: Endpoint, secret: str) -> EndpointWithSecretShape:
    return EndpointWithSecretShape(**endpoint(row), secret=secret)


def webhook(row: Webhook, *, is_new: bool = False) -> WebhookShape:
    """Kit leaves the prefix of the event out: `subscriber.tag_add` reads back `tag_add`. Of a new one it also says
    which link it is about; here none is."""
    event = WebhookEventShape(name=row.event.partition(".")[2])
    if is_new:
        event["initiator_value"] = None
    if member := kinds.LEGACY[row.event].member:
        event[member] = row.thing_id  # type: ignore[literal-required]
    return WebhookShape(id=row.pk, account_id=row.account_id, event=event, target_url=row.url)
