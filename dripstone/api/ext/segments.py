"""Segments: Kit makes them in its app only. Answered as /v4 shows them."""

from typing import Literal

from django.http import HttpResponse
from ninja import Router
from typing_extensions import TypedDict

from dripstone import clock
from dripstone.api.auth import KitRequest
from dripstone.api.body import Body, Id, Name, Part
from dripstone.api.replies import reply
from dripstone.shapes import subscribers as shapes
from dripstone.subscribers import segments

router = Router(tags=["Segments"])


class Condition(Part):
    """`ids` with tag, form and sequence; `key` and `value` with field. Operators: subscribers/segments.py."""

    type: Literal["tag", "form", "sequence", "field"]
    operator: str
    ids: list[Id] | None = None
    key: str | None = None
    value: str | None = None


class SegmentFilter(Part):
    match: Literal["all", "any"] = "all"
    conditions: list[Condition]


class SegmentBody(Body):
    name: Name
    filter: SegmentFilter


class SegmentAnswer(TypedDict):
    segment: shapes.SegmentShape


@router.post("/segments", response={201: SegmentAnswer}, summary="Create a segment")
def create_segment(request: KitRequest, body: SegmentBody) -> HttpResponse:
    """A saved filter over tags, forms, sequences and fields. Without conditions it holds everybody."""
    account = request.auth.account
    own = account.sequences.filter(deleted_at=None).values_list("pk", flat=True)
    segment = segments.create(account.pk, body.name, body.filter.model_dump(), clock.now(), sequence_ids=set(own))
    return reply(201, segment=shapes.segment(segment))
