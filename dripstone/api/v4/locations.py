"""Where a subscriber is: https://developers.kit.com/api-reference/subscribers"""

from typing import Annotated, Any

from django.http import HttpResponse
from ninja import Router
from pydantic import WithJsonSchema
from typing_extensions import TypedDict

from dripstone import clock
from dripstone.api.auth import KitRequest
from dripstone.api.body import MISSING, Body, needs
from dripstone.api.people import person_of
from dripstone.api.replies import no_content, reply
from dripstone.given import MAX_NAME
from dripstone.shapes import subscribers as shapes
from dripstone.subscribers import locations
from dripstone.subscribers.countries import CODES

router = Router(tags=["Subscribers"])

_TEXT = {"type": "string", "minLength": 1, "maxLength": MAX_NAME, "pattern": r"\S"}
_LOCATION = {
    "type": "object",
    "required": list(locations.LABELS),
    "properties": {
        "city": _TEXT,
        "state_province": _TEXT,
        "country_code": {"type": "string", "enum": sorted(CODES | {code.lower() for code in CODES})},
        "latitude": {"type": "number", "minimum": -90, "maximum": 90},
        "longitude": {"type": "number", "minimum": -180, "maximum": 180},
        "timezone": {"type": "string", "minLength": 1, "description": "An IANA name, such as America/Denver."},
    },
}


class LocationBody(Body):
    model_config = needs("location")
    location: Annotated[Any, WithJsonSchema(_LOCATION)] = MISSING


EMPTY = LocationBody()


class LocatedShape(TypedDict):
    id: int
    location: shapes.PinShape


class LocatedAnswer(TypedDict):
    subscriber: LocatedShape


@router.post("/subscribers/{int:subscriber_id}/location", response=LocatedAnswer, summary="Pin a subscriber's location")
def pin_location(request: KitRequest, subscriber_id: int, body: LocationBody = EMPTY) -> HttpResponse:
    """In place of the one there is."""
    return _pin(request, subscriber_id, body)


@router.patch(
    "/subscribers/{int:subscriber_id}/location", response=LocatedAnswer, summary="Update a subscriber's pinned location"
)
def update_location(request: KitRequest, subscriber_id: int, body: LocationBody = EMPTY) -> HttpResponse:
    """Replaced whole: every member is required. Whoever has none gets this one."""
    return _pin(request, subscriber_id, body)


@router.delete(
    "/subscribers/{int:subscriber_id}/location", response={204: None}, summary="Delete a subscriber's location"
)
def delete_location(request: KitRequest, subscriber_id: int) -> HttpResponse:
    """204 also if there was none."""
    locations.unpin(person_of(request, subscriber_id).pk, clock.now())
    return no_content()


def _pin(request: KitRequest, subscriber_id: int, body: LocationBody) -> HttpResponse:
    person = person_of(request, subscriber_id)
    location = locations.pin(person.pk, body.given(), clock.now())
    return reply(200, subscriber=LocatedShape(id=person.pk, location=shapes.pin(location)))
