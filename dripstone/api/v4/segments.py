"""Segments: https://developers.kit.com/api-reference/segments. Read-only as in Kit; ext/segments.py makes them."""

from django.http import HttpResponse
from ninja import Query, Router
from typing_extensions import TypedDict

from dripstone.api.auth import KitRequest
from dripstone.api.paging import Pagination, Paging, page
from dripstone.api.replies import reply
from dripstone.shapes import segments as shapes

router = Router(tags=["Segments"])


class SegmentsAnswer(TypedDict):
    segments: list[shapes.SegmentShape]
    pagination: Pagination


@router.get("/segments", response=SegmentsAnswer, summary="List segments")
def list_segments(request: KitRequest, paging: Query[Paging]) -> HttpResponse:
    found = page(request.auth.account.segments.all(), paging, "-id")
    return reply(200, segments=[shapes.segment(row) for row in found.rows], pagination=found.pagination)
