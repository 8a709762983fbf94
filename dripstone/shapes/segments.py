"""A segment."""

from typing_extensions import TypedDict

from dripstone.shapes.instants import instant
from dripstone.subscribers.models import Segment


class SegmentShape(TypedDict):
    id: int
    name: str
    created_at: str


def segment(segment: Segment) -> SegmentShape:
    return SegmentShape(id=segment.pk, name=segment.name, created_at=instant(segment.created_at))
