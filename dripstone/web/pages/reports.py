"""What became of a sequence: the funnel from email to email, rates, and how it went over time. All kept counts."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.text import slugify
from django.views.decorators.http import require_safe

from dripstone import clock
from dripstone.accounts.models import Account
from dripstone.explain import door_words, report_words
from dripstone.explain.report_words import Counted
from dripstone.sequences.models import Sequence
from dripstone.shapes import report as shapes
from dripstone.stats import doors
from dripstone.stats import report as stats
from dripstone.stats.report import Period, Report, Row
from dripstone.web import charts
from dripstone.web.frame import member, show
from dripstone.web.paging import page

SPANS = {"quarter": "13 weeks", "year": "A year", "all": "All of it"}
PER_PAGE = 30
DOORS = 12  # shown one by one


@dataclass(frozen=True, slots=True)
class Step:
    """An email of the funnel. Its bar is of what was sent, skipped, failed and is unknown; its ends in percent of the
    longest bar.

    skipped, left   how many, and why
    """

    number: int
    row: Row
    parts: list[tuple[str, float, float]]  # kind, begins, width
    skipped: list[Counted]
    left: list[Counted]


@require_safe
@member
def report(request: HttpRequest, account: Account, sequence_id: int) -> HttpResponse:
    sequence, span = _sequence(account, sequence_id), request.GET.get("span", "")
    span = span if span in SPANS else "quarter"
    found, periods = stats.of_sequence(sequence), stats.over_time(sequence, clock.now(), span)
    came = doors.of_sequence(sequence.pk, clock.now())
    context: dict[str, Any] = {
        "section": "sequences",
        "current": "true",
        "sequence": sequence,
        "report": found,
        "steps": list(_steps(found)),
        "doors": door_words.told(came.rows[:DOORS], account.pk),
        "came": came,
        "other_doors": came.rows[DOORS:],
        "n_by_others": sum(row.n for row in came.rows[DOORS:]),
        "left_before": report_words.left(found.left_before),
        "left_since": report_words.left(found.left_since),
        "spans": SPANS,
        "span": span,
        "unit": "Week of" if span in stats.WEEKS else "Month",
        "sent_chart": charts.stack(_columns(periods, span), [("Sent", [one.sent for one in periods])]),
        "left_chart": charts.stack(_columns(periods, span), list(_ways(periods))),
    }
    return show(request, "reports/report.html", account, context)


@require_safe
@member
def report_file(request: HttpRequest, account: Account, sequence_id: int) -> HttpResponse:
    """The emails of a report as CSV."""
    sequence = _sequence(account, sequence_id)
    name = f"{slugify(sequence.name) or 'sequence'}-report.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    text = shapes.as_csv(stats.of_sequence(sequence))
    return HttpResponse(text, content_type="text/csv; charset=utf-8", headers=headers)


@require_safe
@member
def reports(request: HttpRequest, account: Account) -> HttpResponse:
    """All sequences beside each other, the newest first."""
    found = page(request, Sequence.objects.filter(account=account, deleted_at=None), PER_PAGE)
    summaries = stats.summaries([one.pk for one in found.rows])
    rows = [
        (one, summary, stats.rate(summary.unsubscribed, summary.sent), stats.rate(summary.completed, summary.entered))
        for one, summary in ((one, summaries[one.pk]) for one in found.rows)
    ]
    context = {"section": "sequences", "current": "true", "page": found, "rows": rows}
    return show(request, "reports/all.html", account, context)


def _sequence(account: Account, sequence_id: int) -> Sequence:
    return get_object_or_404(Sequence, pk=sequence_id, account=account, deleted_at=None)


def _steps(found: Report) -> Iterator[Step]:
    names = report_words.names_in(found)
    longest = max((_length(row) for row in found.rows), default=0)
    for number, row in enumerate(found.rows, 1):
        skipped = report_words.skipped(row.skipped, names)
        yield Step(number, row, list(_parts(row, max(longest, 1))), skipped, report_words.left(row.left))


def _length(row: Row) -> int:
    return row.sent + row.skipped.total() + row.failed + row.unknown


def _parts(row: Row, longest: int) -> Iterator[tuple[str, float, float]]:
    begins = 0.0
    kinds = (("sent", row.sent), ("skipped", row.skipped.total()), ("failed", row.failed), ("unknown", row.unknown))
    for kind, n in kinds:
        if n:
            width = max(0.5, 100 * n / longest)
            yield kind, round(begins, 2), round(width, 2)
            begins += width


def _columns(periods: Iterable[Period], span: str) -> list[tuple[str, str]]:
    every = {"quarter": 3, "year": 13}.get(span, 6)
    return [(_tick(one.begins, span) if place % every == 0 else "", _named(one.begins, span))
            for place, one in enumerate(periods)]  # fmt: skip


def _tick(begins: date, span: str) -> str:
    return f"{begins.day} {begins:%b}" if span in stats.WEEKS else f"{begins:%b %Y}"


def _named(begins: date, span: str) -> str:
    return f"{begins.day} {begins:%B %Y}" if span in stats.WEEKS else f"{begins:%B %Y}"


def _ways(periods: Iterable[Period]) -> Iterator[tuple[str, list[int]]]:
    counts = [report_words.ways_of(one.left) for one in periods]
    for way, said in report_words.LEFT.items():
        if any(one[way] for one in counts):
            yield said.capitalize(), [one[way] for one in counts]
