"""A segment."""

from typing import Any

from typing_extensions import TypedDict

from dripstone.conditions import reading, words
from dripstone.shapes.instants import instant
from dripstone.subscribers.models import Segment


class SegmentShape(TypedDict):
    id: int
    name: str
    created_at: str


class WholeSegmentShape(SegmentShape):
    """`sentence`: the filter in words. `problem`: why nobody meets it; null where people may."""

    filter: dict[str, Any]
    sentence: str
    problem: str | None


def segment(segment: Segment) -> SegmentShape:
    return SegmentShape(id=segment.pk, name=segment.name, created_at=instant(segment.created_at))


def whole_segment(row: Segment) -> WholeSegmentShape:
    return WholeSegmentShape(
        **segment(row),
        filter=reading.as_given(row.filter, row.account_id),
        sentence=f"People who {words.sentence(row.filter, row.account_id)}.",
        problem=words.problem(row.filter, row.account_id) or None,
    )
