"""Deliveries: what was sent to whom, how it ended, and an owner's two decisions about one that may not have arrived."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

from django.db.models import QuerySet
from django.http import HttpResponse
from ninja import Query, Router
from typing_extensions import TypedDict

from dripstone import clock
from dripstone.api import if_match, lookup
from dripstone.api.auth import KitRequest
from dripstone.api.body import QueryId
from dripstone.api.ext.acting import NO_REASON, Act, Why
from dripstone.api.ext.enrollments import PlaceFilters
from dripstone.api.paging import Pagination, ahead, page
from dripstone.api.replies import reply
from dripstone.engine import notes
from dripstone.engine.acts import previews, undecided
from dripstone.engine.models import Delivery, deliveries_of, first_of_sequence
from dripstone.shapes import deliveries as shapes
from dripstone.shapes import previews as previews_shapes
from dripstone.stats import deliveries as stats

router = Router(tags=["Deliveries"])


class DeliveryFilters(PlaceFilters):
    email_id: QueryId | None = None
    status: Literal["planned", "sending", "sent", "skipped", "failed", "unknown"] | None = None


class DeliveryAnswer(TypedDict):
    delivery: shapes.DeliveryShape


class MessageAnswer(TypedDict):
    message: previews_shapes.MessageShape


class DeliveriesAnswer(TypedDict):
    deliveries: list[shapes.DeliveryShape]
    pagination: Pagination


@router.get("/deliveries", response=DeliveriesAnswer, summary="List deliveries")
def list_deliveries(request: KitRequest, filters: Query[DeliveryFilters]) -> HttpResponse:
    """One per enrollment run and email, per notice, and per person and broadcast; newest first."""
    account_id = request.auth.account.pk
    narrowed = filters.columns("email_id", "status")
    rows = Delivery.objects.filter(account=account_id)
    if filters.subscriber_id is not None:
        rows = deliveries_of(account_id, filters.subscriber_id)
    rows = rows.filter(**narrowed)
    is_whole = not narrowed and filters.subscriber_id is None
    count = partial(stats.of_account, account_id) if is_whole else None
    sequence_id = _whole_sequence(filters)
    beyond = None if sequence_id is None else partial(_of_sequence, rows, sequence_id)
    found = page(rows, filters, "-id", count=count, beyond=beyond)
    return reply(200, deliveries=shapes.deliveries(found.rows), pagination=found.pagination)


def _whole_sequence(filters: DeliveryFilters) -> int | None:
    """The sequence, if all of its deliveries are asked for, or those sent, which nearly all are. By whatever else is
    asked for there is an index."""
    others = (filters.email_id, filters.subscriber_id)
    return filters.sequence_id if others == (None, None) and filters.status in (None, "sent") else None


def _of_sequence(
    rows: QuerySet[Delivery],
    sequence_id: int,
    edge: Sequence[Any],
    walk: Sequence[str],
    n: int,
    *,
    or_at: bool = False,
) -> list[Delivery]:
    return first_of_sequence(ahead(rows, edge, walk, or_at=or_at), sequence_id, n, *walk)


@router.get("/deliveries/{int:id}", response=DeliveryAnswer, summary="Get a delivery")
def get_delivery(request: KitRequest, id: int) -> HttpResponse:
    row = lookup.row(Delivery.objects.filter(account=request.auth.account), id)
    return reply(200, delivery=shapes.delivery(row))


@router.get("/deliveries/{int:id}/message", response=MessageAnswer, summary="Get the message of a delivery")
def get_message(request: KitRequest, id: int) -> HttpResponse:
    """As it was made, of the versions of email, template and snippets that it was made of. The person's own values are
    today's, and the unsubscribe link is an example. 404 when it is not known what it was made of."""
    row = lookup.row(Delivery.objects.select_related("account").filter(account=request.auth.account), id)
    return reply(200, message=previews_shapes.message(previews.as_sent(row)))


@router.post("/deliveries/{int:id}/send_again", response=DeliveryAnswer, summary="Send an email again")
def send_again(request: KitRequest, id: int, body: Why = NO_REASON) -> HttpResponse:
    """For one that failed, or that may not have arrived. 422 when it may not be sent right now."""
    return _decided(request, id, undecided.send_again, body)


@router.post("/deliveries/{int:id}/treat_as_sent", response=DeliveryAnswer, summary="Treat an unknown email as sent")
def treat_as_sent(request: KitRequest, id: int, body: Why = NO_REASON) -> HttpResponse:
    """It counts as sent at the moment it was handed over. Nothing else changes."""
    return _decided(request, id, undecided.treat_as_sent, body)


def _decided(request: KitRequest, id: int, act: Act, body: Why) -> HttpResponse:
    reason = notes.reason_of(body.given())
    found = lookup.row(Delivery.objects.filter(account=request.auth.account).select_related("enrollment"), id)
    with if_match.held_place(request, found.enrollment, body.given()):
        row = act(found.pk, request.auth.actor, reason, clock.now())
    return reply(200, delivery=shapes.delivery(row))
