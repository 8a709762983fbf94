"""Sequences: https://developers.kit.com/api-reference/sequences

sequences/sequence_checks.py checks the members of a body, all together; the body classes here are for the docs.
"""

from collections.abc import Iterable
from typing import Annotated, Any

from django.db.models import QuerySet
from django.http import HttpResponse
from ninja import Query, Router
from pydantic import WithJsonSchema
from typing_extensions import TypedDict

from dripstone import clock
from dripstone.api import if_match, lookup
from dripstone.api.auth import KitRequest
from dripstone.api.body import (
    MISSING,
    AnyDays,
    Body,
    Days,
    Filters,
    Hour,
    Name,
    TemplateId,
    TextOrNull,
    WithStats,
    Words,
    YesNo,
    needs,
)
from dripstone.api.paging import Pagination, Paging, page
from dripstone.api.replies import no_content, reply
from dripstone.engine.acts import edits
from dripstone.given import MAX_ID
from dripstone.postgresql.compiled import Compiled
from dripstone.sequences.models import Sequence
from dripstone.sequences.sequence_checks import MAX_SOURCES, SOURCES
from dripstone.shapes import sequences as shapes
from dripstone.stats import emails as email_stats

router = Router(tags=["Sequences"])

_IDS = {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": MAX_ID}, "maxItems": MAX_SOURCES}
_SOURCE = {
    "type": "object",
    "required": ["type", "ids"],
    "properties": {
        "type": {"type": "string", "enum": list(SOURCES)},
        "ids": {
            "type": "array",
            "items": {"type": "integer", "minimum": 1, "maximum": MAX_ID},
            "maxItems": MAX_SOURCES,
        },
    },
}
Sources = Annotated[Any, WithJsonSchema({"type": "array", "items": _SOURCE})]


class SequenceChanges(Body):
    """An update changes what it contains; no days change none."""

    name: Name = MISSING
    email_address: TextOrNull = MISSING
    email_template_id: TemplateId = MISSING
    send_days: AnyDays = MISSING
    send_hour: Hour = MISSING
    time_zone: Words = MISSING
    active: YesNo = MISSING
    repeat: YesNo = MISSING
    hold: YesNo = MISSING
    exclude_subscriber_sources: Sources = MISSING


class SequenceBody(SequenceChanges):
    """`name` is all a new sequence needs."""

    model_config = needs("name")
    send_days: Days = MISSING


_BY_ID = Compiled(
    lambda: Sequence.objects.filter(account=lookup.ACCOUNT, pk=lookup.ID, deleted_at=None).select_related(
        "sending_address"
    )
)


class SequencesFilters(Paging):
    include: WithStats = frozenset()


class SequenceFilters(Filters):
    include: WithStats = frozenset()


class SequenceAnswer(TypedDict):
    sequence: shapes.SequenceShape


class SequencesAnswer(TypedDict):
    sequences: list[shapes.SequenceShape]
    pagination: Pagination


@router.get("/sequences", response=SequencesAnswer, summary="List sequences")
def list_sequences(request: KitRequest, filters: Query[SequencesFilters]) -> HttpResponse:
    found = page(_live(request), filters, "-id")
    return reply(200, sequences=shapes_of(found.rows, filters.include), pagination=found.pagination)


@router.post("/sequences", response={201: SequenceAnswer}, summary="Create a sequence")
def create_sequence(request: KitRequest, body: SequenceBody = SequenceBody()) -> HttpResponse:  # noqa: B008
    done = edits.create_sequence(request.auth.account, body.given(), clock.now(), request.auth.actor)
    return reply(201, sequence=shapes_of([done.sequence])[0])


@router.get("/sequences/{int:id}", response=SequenceAnswer, summary="Get a sequence")
def get_sequence(request: KitRequest, id: int, filters: Query[SequenceFilters]) -> HttpResponse:
    return reply(200, sequence=shapes_of([sequence_of(request, id)], filters.include)[0])


@router.put("/sequences/{int:id}", response=SequenceAnswer, summary="Update a sequence")
def update_sequence(request: KitRequest, id: int, body: SequenceChanges) -> HttpResponse:
    """`active: false` pauses in place, true resumes; a new schedule holds for dates given from now on."""
    given = body.given()
    with if_match.held(request, id, given):
        done = edits.update_sequence(request.auth.account, id, given, clock.now(), request.auth.actor)
    return reply(200, sequence=shapes_of([done.sequence])[0])


@router.delete("/sequences/{int:id}", response={204: None}, summary="Delete a sequence")
def delete_sequence(request: KitRequest, id: int) -> HttpResponse:
    """No more of its emails are sent; its history stays."""
    with if_match.held(request, id):
        edits.delete_sequence(request.auth.account, id, clock.now(), request.auth.actor)
    return no_content()


def sequence_of(request: KitRequest, sequence_id: int) -> Sequence:
    """Raises NotFound, for deleted ones too."""
    return lookup.own(_BY_ID, request.auth.account, sequence_id)


def _live(request: KitRequest) -> QuerySet[Sequence]:
    return request.auth.account.sequences.filter(deleted_at=None).select_related("sending_address")


def shapes_of(rows: list[Sequence], include: Iterable[str] = ()) -> list[shapes.SequenceShape]:
    ids = [row.pk for row in rows]
    counts = email_stats.counts(ids)
    stats = email_stats.of_sequences(ids) if "stats" in include else {}
    return [shapes.sequence(row, counts[row.pk], stats.get(row.pk)) for row in rows]
