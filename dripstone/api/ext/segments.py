"""Segments: Kit makes them in its app only. Answered as /v4 shows them."""

from typing import Annotated, Any

from django.http import HttpResponse
from ninja import Router
from pydantic import WithJsonSchema
from typing_extensions import TypedDict

from dripstone import clock
from dripstone.api.auth import KitRequest
from dripstone.api.body import MISSING, Body, Name, needs
from dripstone.api.replies import reply
from dripstone.given import MAX_ID, MAX_IDS, MAX_NAME
from dripstone.shapes import segments as shapes
from dripstone.subscribers import segments

router = Router(tags=["Segments"])


_CONDITION = {
    "type": "object",
    "description": "`ids` with tag, form and sequence; `key` and `value` with field.",
    "required": ["type", "operator"],
    "properties": {
        "type": {"type": "string", "enum": list(segments.TYPES)},
        "operator": {"type": "string", "enum": [*segments.SOURCE_OPERATORS, *segments.FIELD_OPERATORS]},
        "ids": {
            "type": ["array", "null"],
            "items": {"type": "integer", "minimum": 1, "maximum": MAX_ID},
            "maxItems": MAX_IDS,
        },
        "key": {"type": ["string", "null"], "maxLength": MAX_NAME},
        "value": {"type": ["string", "null"], "maxLength": segments.MAX_VALUE},
    },
}
_FILTER = {
    "type": "object",
    "required": ["conditions"],
    "properties": {
        "match": {"type": "string", "enum": list(segments.MATCHES), "default": segments.MATCHES[0]},
        "conditions": {"type": "array", "items": _CONDITION, "maxItems": segments.MAX_CONDITIONS},
    },
}


class SegmentBody(Body):
    model_config = needs("name", "filter")
    name: Name = MISSING
    filter: Annotated[Any, WithJsonSchema(_FILTER)] = MISSING


EMPTY = SegmentBody()


class SegmentAnswer(TypedDict):
    segment: shapes.SegmentShape


@router.post("/segments", response={201: SegmentAnswer}, summary="Create a segment")
def create_segment(request: KitRequest, body: SegmentBody = EMPTY) -> HttpResponse:
    """A saved filter over tags, forms, sequences and fields. Without conditions it holds all subscribers."""
    account = request.auth.account
    own = account.sequences.filter(deleted_at=None).values_list("pk", flat=True)
    segment = segments.create(account.pk, body.given(), clock.now(), sequence_ids=set(own))
    return reply(201, segment=shapes.segment(segment))
