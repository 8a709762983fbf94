"""Webhook endpoints: https://developers.kit.com/api-reference/webhooks"""

from typing import Annotated, Any, Literal

from django.db.models import Q, QuerySet
from django.http import HttpResponse
from ninja import Query, Router
from pydantic import WithJsonSchema
from typing_extensions import TypedDict

from dripstone import clock, outbound
from dripstone.api import lookup
from dripstone.api.auth import KitRequest
from dripstone.api.body import MISSING, Body, NameOrNull, YesNoOrNull, needs, one_of
from dripstone.api.paging import Pagination, Paging, page
from dripstone.api.replies import no_content, reply
from dripstone.errors import Forbidden
from dripstone.webhooks import endpoints, kinds, receivers, shapes
from dripstone.webhooks.models import Endpoint

router = Router(tags=["Webhooks"])

OF_APP = "This webhook endpoint was made by an app, which alone may change it"

Url = Annotated[
    Any, WithJsonSchema({"type": "string", "format": "uri", "pattern": "^https?://", "maxLength": outbound.LONGEST_URL})
]
_KIND = {"type": "string", "enum": list(kinds.ENDPOINT)}
Events = Annotated[Any, WithJsonSchema({"type": "array", "minItems": 1, "maxItems": 100, "items": _KIND})]
_DESCRIPTION = {"type": ["string", "null"], "maxLength": endpoints.LONGEST_DESCRIPTION}
Description = Annotated[Any, WithJsonSchema(_DESCRIPTION)]


class EndpointBody(Body):
    model_config = needs("url", "events")
    url: Url = MISSING
    events: Events = MISSING
    name: NameOrNull = MISSING
    description: Description = MISSING


EMPTY = EndpointBody()


class EndpointChanges(Body):
    name: NameOrNull = MISSING
    url: Url = MISSING
    description: Description = MISSING
    status: Annotated[Any, one_of(*endpoints.STATUSES)] = MISSING
    events: Events = MISSING


class Rotation(Body):
    force: YesNoOrNull = MISSING


AT_EASE = Rotation()


class EndpointFilters(Paging):
    status: Literal["active", "disabled"] | None = None


class EndpointAnswer(TypedDict):
    webhook_endpoint: shapes.EndpointShape


class EndpointWithSecretAnswer(TypedDict):
    webhook_endpoint: shapes.EndpointWithSecretShape


class EndpointsAnswer(TypedDict):
    webhook_endpoints: list[shapes.EndpointShape]
    pagination: Pagination


@router.get("/webhook_endpoints", response=EndpointsAnswer, summary="List webhook endpoints")
def list_endpoints(request: KitRequest, filters: Query[EndpointFilters]) -> HttpResponse:
    rows = shown(request)
    if filters.status:
        rows = rows.filter(off="") if filters.status == "active" else rows.exclude(off="")
    found = page(rows, filters, "-id")
    shaped = [shapes.endpoint(row) for row in found.rows]
    return reply(200, webhook_endpoints=shaped, pagination=found.pagination)


@router.post("/webhook_endpoints", response={201: EndpointWithSecretAnswer}, summary="Create a webhook endpoint")
def create_endpoint(request: KitRequest, body: EndpointBody = EMPTY) -> HttpResponse:
    """The secret is in this answer alone."""
    caller = request.auth
    row, secret = endpoints.create(
        caller.account,
        body.given(),
        clock.now(),
        application_id=caller.application_id,
        application_name=caller.name if caller.application_id else "",
    )
    return reply(201, webhook_endpoint=shapes.endpoint_with_secret(row, secret))


@router.get("/webhook_endpoints/{int:id}", response=EndpointAnswer, summary="Get a webhook endpoint")
def get_endpoint(request: KitRequest, id: int) -> HttpResponse:
    return reply(200, webhook_endpoint=shapes.endpoint(lookup.row(shown(request), id)))


@router.patch("/webhook_endpoints/{int:id}", response=EndpointAnswer, summary="Update a webhook endpoint")
def update_endpoint(request: KitRequest, id: int, body: EndpointChanges) -> HttpResponse:
    """Only what is given changes; `events` replaces all of them."""
    row = endpoints.update(own(request, id), body.given(), clock.now())
    return reply(200, webhook_endpoint=shapes.endpoint(row))


@router.delete("/webhook_endpoints/{int:id}", response={204: None}, summary="Delete a webhook endpoint")
def delete_endpoint(request: KitRequest, id: int) -> HttpResponse:
    endpoints.delete(own(request, id), clock.now())
    return no_content()


@router.post(
    "/webhook_endpoints/{int:id}/rotate_secret",
    response=EndpointWithSecretAnswer,
    summary="Rotate a webhook endpoint secret",
)
def rotate_secret(request: KitRequest, id: int, body: Rotation = AT_EASE) -> HttpResponse:
    """The one before signs too for a day. Within that day 409, unless `force` ends the older one at once."""
    row, is_forced = own(request, id), endpoints.is_forced(body.given())
    secret = receivers.rotate(row.pk, clock.now(), force=is_forced)
    return reply(200, webhook_endpoint=shapes.endpoint_with_secret(own(request, id), secret))


@router.post(
    "/webhook_endpoints/{int:id}/revoke_previous_secret",
    response=EndpointAnswer,
    summary="Revoke the previous webhook endpoint secret",
)
def revoke_previous_secret(request: KitRequest, id: int) -> HttpResponse:
    receivers.revoke_previous(own(request, id).pk)
    return reply(200, webhook_endpoint=shapes.endpoint(own(request, id)))


def shown(request: KitRequest) -> QuerySet[Endpoint]:
    """An app sees its own and the account's, and nothing of other apps. A key sees them all."""
    rows = endpoints.of(request.auth.account)
    app = request.auth.application_id
    return rows if app is None else rows.filter(Q(application_id=None) | Q(application_id=app))


def own(request: KitRequest, endpoint_id: int) -> Endpoint:
    """To be changed. Raises Forbidden when an app made it and this is not the app."""
    row = lookup.row(shown(request), endpoint_id)
    if row.application_id not in (None, request.auth.application_id):
        raise Forbidden(OF_APP)
    return row
