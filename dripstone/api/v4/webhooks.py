"""Webhooks of before: https://developers.kit.com/api-reference/webhooks-legacy"""

from typing import Annotated, Any

from django.db.models import Q, QuerySet
from django.http import HttpResponse
from ninja import Query, Router
from pydantic import WithJsonSchema
from typing_extensions import TypedDict

from dripstone import clock
from dripstone.api import lookup
from dripstone.api.auth import KitRequest
from dripstone.api.body import MISSING, Body, needs
from dripstone.api.paging import Pagination, Paging, page
from dripstone.api.replies import no_content, reply
from dripstone.api.v4.webhook_endpoints import Url
from dripstone.given import MAX_ID
from dripstone.webhooks import kinds, legacy, shapes
from dripstone.webhooks.models import Webhook

router = Router(tags=["Webhooks (Legacy)"])

_ID = {"type": ["integer", "null"], "minimum": 1, "maximum": MAX_ID}
_EVENT = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "enum": list(kinds.LEGACY)},
        **dict.fromkeys(sorted({kind.member for kind in kinds.LEGACY.values() if kind.member}), _ID),
    },
}


class WebhookBody(Body):
    """`event` names the kind and, where it has one, the thing: `{"name": "subscriber.tag_add", "tag_id": 50}`."""

    model_config = needs("target_url", "event")
    target_url: Url = MISSING
    event: Annotated[Any, WithJsonSchema(_EVENT)] = MISSING


EMPTY = WebhookBody()


class WebhookAnswer(TypedDict):
    webhook: shapes.WebhookShape


class WebhooksAnswer(TypedDict):
    webhooks: list[shapes.WebhookShape]
    pagination: Pagination


@router.get("/webhooks", response=WebhooksAnswer, summary="List webhooks")
def list_webhooks(request: KitRequest, filters: Query[Paging]) -> HttpResponse:
    found = page(_shown(request), filters, "-id")
    return reply(200, webhooks=[shapes.webhook(row) for row in found.rows], pagination=found.pagination)


@router.post("/webhooks", response={201: WebhookAnswer}, summary="Create a webhook")
def create_webhook(request: KitRequest, body: WebhookBody = EMPTY) -> HttpResponse:
    row = legacy.create(request.auth.account, body.given(), clock.now(), application_id=request.auth.application_id)
    return reply(201, webhook=shapes.webhook(row, is_new=True))


@router.delete("/webhooks/{int:id}", response={204: None}, summary="Delete a webhook")
def delete_webhook(request: KitRequest, id: int) -> HttpResponse:
    legacy.delete(lookup.row(_shown(request), id), clock.now())
    return no_content()


def _shown(request: KitRequest) -> QuerySet[Webhook]:
    """An app sees its own and those that no app has made. A key sees them all."""
    rows = legacy.of(request.auth.account)
    app = request.auth.application_id
    return rows if app is None else rows.filter(Q(application_id=None) | Q(application_id=app))
