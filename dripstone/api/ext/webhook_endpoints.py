"""Ours: what was sent to a webhook endpoint, with what it answered. Kit shows it in its app only."""

from typing import Literal

from django.db.models import QuerySet
from django.http import HttpResponse
from ninja import Query, Router
from typing_extensions import TypedDict

from dripstone import clock
from dripstone.api import lookup
from dripstone.api.auth import KitRequest
from dripstone.api.paging import Pagination, Paging, page
from dripstone.api.replies import reply
from dripstone.api.v4.webhook_endpoints import own, shown
from dripstone.calls.models import Call
from dripstone.shapes import webhooks as shapes
from dripstone.webhooks import endpoints, receivers

router = Router(tags=["Webhooks"])


class DeliveryFilters(Paging):
    status: Literal["planned", "sending", "done", "failed"] | None = None


class WebhookDeliveriesAnswer(TypedDict):
    webhook_deliveries: list[shapes.DeliveryShape]
    pagination: Pagination


class WebhookDeliveryAnswer(TypedDict):
    webhook_delivery: shapes.DeliveryShape


class SentAgainAnswer(TypedDict):
    sent_again: int


@router.get(
    "/webhook_endpoints/{int:id}/deliveries",
    response=WebhookDeliveriesAnswer,
    summary="List deliveries of a webhook endpoint",
)
def list_deliveries(request: KitRequest, id: int, filters: Query[DeliveryFilters]) -> HttpResponse:
    rows = _calls(request, id)
    if filters.status:
        rows = rows.filter(status=filters.status)
    found = page(rows, filters, "-id")
    shaped = [shapes.delivery(row) for row in found.rows]
    return reply(200, webhook_deliveries=shaped, pagination=found.pagination)


@router.get(
    "/webhook_endpoints/{int:id}/deliveries/{int:delivery_id}",
    response=WebhookDeliveryAnswer,
    summary="Get a delivery of a webhook endpoint",
)
def get_delivery(request: KitRequest, id: int, delivery_id: int) -> HttpResponse:
    """With what was sent, and each attempt with the beginning of its answer."""
    row = lookup.row(_calls(request, id), delivery_id)
    return reply(200, webhook_delivery=shapes.whole_delivery(row, list(row.attempts.order_by("number"))))


@router.post(
    "/webhook_endpoints/{int:id}/deliveries/{int:delivery_id}/send_again",
    response=WebhookDeliveryAnswer,
    summary="Send a delivery again",
)
def send_again(request: KitRequest, id: int, delivery_id: int) -> HttpResponse:
    """With the same id and body. One that is still on its way stays as it is."""
    endpoint = own(request, id)
    row = lookup.row(_calls(request, id), delivery_id)
    receivers.send_again(endpoint, clock.now(), [row.pk])
    return reply(200, webhook_delivery=shapes.delivery(lookup.row(_calls(request, id), delivery_id)))


@router.post(
    "/webhook_endpoints/{int:id}/send_failed_again",
    response=SentAgainAnswer,
    summary="Send all deliveries that failed again",
)
def send_failed_again(request: KitRequest, id: int) -> HttpResponse:
    """Ten thousand at a time, the oldest first."""
    return reply(200, sent_again=receivers.send_again(own(request, id), clock.now()))


@router.post("/webhook_endpoints/{int:id}/test", response={201: WebhookDeliveryAnswer}, summary="Send a test event")
def send_test(request: KitRequest, id: int) -> HttpResponse:
    """A made-up event of the endpoint's first kind, about nobody."""
    return reply(201, webhook_delivery=shapes.delivery(endpoints.send_test(own(request, id), clock.now())))


def _calls(request: KitRequest, endpoint_id: int) -> QuerySet[Call]:
    return Call.objects.filter(receiver_id=lookup.row(shown(request), endpoint_id).pk)
