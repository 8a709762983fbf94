"""Segments: Kit makes them in its app only. Answered as /v4 shows them, and with what they say."""

from django.http import HttpResponse
from ninja import Query, Router
from typing_extensions import TypedDict

from dripstone import clock
from dripstone.api import lookup
from dripstone.api.auth import KitRequest
from dripstone.api.body import MISSING, Body, Filters, Flag, Name, needs
from dripstone.api.conditions import Condition
from dripstone.api.replies import reply
from dripstone.automations import uses as automation_uses
from dripstone.conditions import segments, uses
from dripstone.errors import Invalid
from dripstone.grammar import Thing
from dripstone.rules import uses as rule_uses
from dripstone.shapes import segments as shapes
from dripstone.subscribers.models import Segment
from dripstone.words import listed

router = Router(tags=["Segments"])


class SegmentBody(Body):
    model_config = needs("name", "filter")
    name: Name = MISSING
    filter: Condition = MISSING


EMPTY = SegmentBody()


class SegmentChanges(Body):
    name: Name = MISSING
    filter: Condition = MISSING


class Anyway(Filters):
    anyway: Flag = False


class SegmentAnswer(TypedDict):
    segment: shapes.SegmentShape


class WholeSegmentAnswer(TypedDict):
    segment: shapes.WholeSegmentShape


@router.post("/segments", response={201: SegmentAnswer}, summary="Create a segment")
def create_segment(request: KitRequest, body: SegmentBody = EMPTY) -> HttpResponse:
    """A condition with a name, which other conditions and exclusions may name. `{"all": []}` is everybody."""
    segment = segments.create(request.auth.account.pk, body.given(), clock.now())
    return reply(201, segment=shapes.segment(segment))


@router.get("/segments/{int:id}", response=WholeSegmentAnswer, summary="Get a segment")
def get_segment(request: KitRequest, id: int) -> HttpResponse:
    """With its `filter`, and the same in words."""
    return reply(200, segment=shapes.whole_segment(_segment(request, id)))


@router.put("/segments/{int:id}", response=WholeSegmentAnswer, summary="Update a segment")
def update_segment(request: KitRequest, id: int, body: SegmentChanges) -> HttpResponse:
    """What is left out stays."""
    segment = segments.update(_segment(request, id), body.given())
    return reply(200, segment=shapes.whole_segment(segment))


@router.delete("/segments/{int:id}", response={204: None}, summary="Delete a segment")
def delete_segment(request: KitRequest, id: int, query: Query[Anyway]) -> HttpResponse:
    """Refused while something names it, unless `anyway`: then conditions about it are met by nobody, exclusions by it
    exclude everybody, rules do nothing with it, and automations pass it by."""
    segment = _segment(request, id)
    if not query.anyway:
        refuse_used(("segment", segment.pk), segment.account_id)
    segments.delete(segment)
    return HttpResponse(status=204)


def refuse_used(thing: Thing, account_id: int) -> None:
    """What conditions, exclusions, rules or automations name is deleted on purpose only."""
    places = [one.words for one in uses.of(thing, account_id)]
    places += [one.words for one in rule_uses.of(thing, account_id)]
    places += [one.words for one in automation_uses.of(thing, account_id)]
    if places:
        raise Invalid(
            f"The {thing[0]} is used in {listed(places)}; "
            "with anyway=true it is deleted all the same, and nobody meets them any more"
        )


def _segment(request: KitRequest, segment_id: int) -> Segment:
    return lookup.row(request.auth.account.segments.all(), segment_id)
