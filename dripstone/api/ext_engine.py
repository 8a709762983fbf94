"""What the engine is doing, for developers and their tests: places in sequences, and deliveries."""

from typing import Any, Literal

from django.db.models import QuerySet
from django.http import HttpResponse
from ninja import Query, Router
from typing_extensions import TypedDict

from dripstone.api import lookup
from dripstone.api.auth import KitRequest
from dripstone.api.body import QueryId
from dripstone.api.paging import Pagination, Paging, page
from dripstone.api.replies import reply
from dripstone.engine.models import Delivery, Enrollment, places_of
from dripstone.shapes import sequences as shapes

router = Router(tags=["Engine"])


class PlaceFilters(Paging):
    sequence_id: QueryId | None = None
    subscriber_id: QueryId | None = None

    def columns(self, *names: str) -> dict[str, Any]:
        """The filters that were given, by column."""
        given = {name: getattr(self, name) for name in ("sequence_id", *names)}
        return {name: value for name, value in given.items() if value is not None}


class EnrollmentFilters(PlaceFilters):
    status: Literal["unconfirmed", "active", "completed", "removed"] | None = None


class DeliveryFilters(PlaceFilters):
    email_id: QueryId | None = None
    status: Literal["planned", "sending", "sent", "skipped", "failed", "unknown"] | None = None


class EnrollmentAnswer(TypedDict):
    enrollment: shapes.EnrollmentShape


class EnrollmentsAnswer(TypedDict):
    enrollments: list[shapes.EnrollmentShape]
    pagination: Pagination


class DeliveryAnswer(TypedDict):
    delivery: shapes.DeliveryShape


class DeliveriesAnswer(TypedDict):
    deliveries: list[shapes.DeliveryShape]
    pagination: Pagination


@router.get("/enrollments", response=EnrollmentsAnswer, summary="List enrollments")
def list_enrollments(request: KitRequest, filters: Query[EnrollmentFilters]) -> HttpResponse:
    """Who is where, newest first; people who were removed or completed included."""
    rows = _places(request, filters).filter(**filters.columns("status"))
    found = page(rows, filters, "-id")
    return reply(200, enrollments=[shapes.enrollment(row) for row in found.rows], pagination=found.pagination)


def _places(request: KitRequest, filters: PlaceFilters) -> QuerySet[Enrollment]:
    account = request.auth.account
    if filters.subscriber_id is not None:
        return places_of(account.pk, filters.subscriber_id).filter(**filters.columns())
    return Enrollment.objects.filter(account=account, sequence__in=account.sequences.all(), **filters.columns())


@router.get("/enrollments/{int:id}", response=EnrollmentAnswer, summary="Get an enrollment")
def get_enrollment(request: KitRequest, id: int) -> HttpResponse:
    row = lookup.row(Enrollment.objects.filter(account=request.auth.account), id)
    return reply(200, enrollment=shapes.enrollment(row))


@router.get("/deliveries", response=DeliveriesAnswer, summary="List deliveries")
def list_deliveries(request: KitRequest, filters: Query[DeliveryFilters]) -> HttpResponse:
    """One per enrollment run and email, newest first."""
    rows = Delivery.objects.filter(account=request.auth.account, **filters.columns("email_id", "status"))
    if filters.subscriber_id is not None:
        rows = rows.filter(enrollment__in=_places(request, filters))
    found = page(rows, filters, "-id")
    return reply(200, deliveries=[shapes.delivery(row) for row in found.rows], pagination=found.pagination)


@router.get("/deliveries/{int:id}", response=DeliveryAnswer, summary="Get a delivery")
def get_delivery(request: KitRequest, id: int) -> HttpResponse:
    row = lookup.row(Delivery.objects.filter(account=request.auth.account), id)
    return reply(200, delivery=shapes.delivery(row))
