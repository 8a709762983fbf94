"""Ours: what became of a sequence, from email to email and over time."""

from typing import Any, Literal

from django.http import HttpResponse
from ninja import Query, Router
from typing_extensions import TypedDict

from dripstone import clock
from dripstone.api import lookup
from dripstone.api.auth import KitRequest
from dripstone.api.body import Filters
from dripstone.api.replies import reply
from dripstone.sequences.models import Sequence
from dripstone.shapes import doors as door_shapes
from dripstone.shapes import report as shapes
from dripstone.stats import doors
from dripstone.stats import report as stats

router = Router(tags=["Reports"])

_CSV: dict[str, Any] = {"responses": {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}}}


class ReportFilters(Filters):
    span: Literal["quarter", "year", "all"] = "quarter"
    format: Literal["json", "csv"] = "json"


class ReportAnswer(TypedDict):
    report: shapes.ReportShape


class DoorsAnswer(TypedDict):
    doors: door_shapes.DoorsShape


@router.get(
    "/sequences/{int:id}/report", response=ReportAnswer, summary="What became of a sequence", openapi_extra=_CSV
)
def get_report(request: KitRequest, id: int, filters: Query[ReportFilters]) -> HttpResponse:
    """Sent, skipped, failed, who waits and who left, per email and over all its versions; sent and left over time: by
    week for a quarter or a year, by month for all of it. As CSV: the emails alone."""
    sequence = _sequence(request, id)
    found = stats.of_sequence(sequence)
    if filters.format == "csv":
        return HttpResponse(shapes.as_csv(found), content_type="text/csv; charset=utf-8")
    periods = stats.over_time(sequence, clock.now(), filters.span)
    return reply(200, report=shapes.report(found, periods, "week" if filters.span in stats.WEEKS else "month"))


@router.get("/sequences/{int:id}/doors", response=DoorsAnswer, summary="By which doors people came into a sequence")
def get_doors(request: KitRequest, id: int) -> HttpResponse:
    """API, each form, rule, bulk action and import, by hand: how many came by each, in all and lately. Whoever came
    more than once counts by the last; together they are those who `entered`."""
    sequence = _sequence(request, id)
    return reply(200, doors=door_shapes.doors(id, sequence.account_id, doors.of_sequence(id, clock.now())))


def _sequence(request: KitRequest, sequence_id: int) -> Sequence:
    return lookup.row(Sequence.objects.filter(account=request.auth.account, deleted_at=None), sequence_id)
