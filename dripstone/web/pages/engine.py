"""/engine: what is due, what was sent by the minute, whether the server runs, and what waits for somebody to decide.

Everything is about the account but the words about the server, which tell nothing of others (explain/running.py).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from dripstone import clock, words
from dripstone.accounts.models import Account
from dripstone.bulk import jobs
from dripstone.engine import counters
from dripstone.engine.acts import undecided
from dripstone.engine.models import Delivery
from dripstone.explain import running
from dripstone.stats import deliveries as delivery_stats
from dripstone.stats import sending
from dripstone.stats.sending import Span
from dripstone.web import charts
from dripstone.web.charts import Column
from dripstone.web.frame import member, show
from dripstone.web.pages.deliveries import SHOWN, names_in

DAY, WEEK = timedelta(days=1), timedelta(days=7)
UNDECIDED, FAILED, BULK_JOBS = 20, 5, 5  # that are shown
RUNNING = "running"  # the id of what is loaded again while one looks


@dataclass(frozen=True, slots=True)
class Chart:
    """Of a span of time: its columns, what stands below their ends, and the same in words."""

    name: str
    columns: list[Column]
    width: int
    height: int
    begins: str
    ends: str
    words: str


@dataclass(frozen=True, slots=True)
class BulkJob:
    words: str
    is_waiting: bool
    n_entries: int
    n_done: int
    n_failed: int
    first_failure: str
    callback: str
    asked_at: datetime
    asked_by: str


CALLBACKS = {
    "too_large": "your callback is told how many, since the whole answer has more than 64 MB",
    "refused": "this server may not call your callback any more",
}
SPANS = {"hour": ("Last hour", 60, timedelta(minutes=1)), "day": ("Last 24 hours", 96, timedelta(minutes=15))}


@require_safe
@member
def engine(request: HttpRequest, account: Account) -> HttpResponse:
    is_part = request.headers.get("HX-Target") == RUNNING
    context = _running(request, account)
    if not is_part:
        context |= _waiting(account)
    response = show(request, "engine/_running.html" if is_part else "engine/page.html", account, context)
    response["Vary"] = "HX-Target, Cookie"
    return response


def _running(request: HttpRequest, account: Account) -> dict[str, Any]:
    counters.flush()  # what this process did is in it, with the virtual clock everything
    now, wanted = clock.now(), request.GET.get("span", "")
    span = wanted if wanted in SPANS else "hour"
    name, n_spans, length = SPANS[span]
    found = sending.spans(account.pk, now, n_spans, length)
    hour = found[-60:] if span == "hour" else sending.spans(account.pk, now, 60, timedelta(minutes=1))
    failed = delivery_stats.failed_since(account.pk, now - WEEK)
    return {
        "section": "engine",
        "span": span,
        "spans": [(key, label) for key, (label, *_) in SPANS.items()],
        "chart": _chart(account, name, found, length, now),
        "standing": sending.standing(account.pk, now),
        "most": sending.MOST,
        "sent_in_hour": sum(one.sent for one in hour),
        "retried_in_hour": sum(one.retried for one in hour),
        "failed": failed,
        "has_more_failed": failed == delivery_stats.COUNTED_FAILED,
        "bulk_jobs": _bulk_jobs(account, now),
        "facts": running.of_server(now, clock.system_now(), account.time_zone),
    }


def _bulk_jobs(account: Account, now: datetime) -> list[BulkJob]:
    """Those that wait, and the last of a day."""
    return [
        BulkJob(
            words=job.operation.replace("_", " ").capitalize(),
            is_waiting=job.ended_at is None,
            n_entries=job.n_entries,
            n_done=job.n_done,
            n_failed=job.n_failed,
            first_failure=jobs.first_failure(job) if job.n_failed else "",
            callback=CALLBACKS.get(job.callback, ""),
            asked_at=job.asked_at,
            asked_by=job.asked_by,
        )
        for job in jobs.recent(account.pk, now - DAY, BULK_JOBS)
    ]


def _waiting(account: Account) -> dict[str, Any]:
    """What is for somebody to decide, or to look at."""
    unknown = undecided.undecided(account.pk)
    n_unknown = unknown.values("pk")[: sending.MOST].count()
    failed = Delivery.objects.filter(account=account, status=Delivery.Status.FAILED).order_by("-pk")
    last_failed = list(failed.select_related(*SHOWN).defer("notice__message")[:FAILED])
    return {
        "unknown": list(unknown.select_related(*SHOWN).defer("notice__message")[:UNDECIDED]),
        "n_unknown": n_unknown,
        "has_more_unknown": n_unknown == sending.MOST,
        "last_failed": last_failed,
        "names": names_in(last_failed, account),
    }


def _chart(account: Account, name: str, spans: list[Span], length: timedelta, now: datetime) -> Chart:
    zone = ZoneInfo(account.time_zone)
    drawn = [
        (f"{one.begins.astimezone(zone):%H:%M}", one.sent, one.failed + one.unknown + one.retried) for one in spans
    ]
    return Chart(
        name=name,
        columns=charts.columns(drawn),
        width=charts.COLUMNS_WIDTH,
        height=charts.COLUMNS_HEIGHT,
        begins=words.instant(spans[0].begins, account.time_zone, now),
        ends="now",
        words=_in_words(spans, length, zone),
    )


def _in_words(spans: list[Span], length: timedelta, zone: ZoneInfo) -> str:
    n_sent, n_other = sum(one.sent for one in spans), sum(one.failed + one.unknown + one.retried for one in spans)
    if not n_sent and not n_other:
        return "Nothing was sent."
    fullest = max(spans, key=lambda one: one.sent)
    minutes = length // timedelta(minutes=1)
    within = "the minute" if minutes == 1 else f"the {minutes} minutes"
    most = f", at most {fullest.sent:,} in {within} from {fullest.begins.astimezone(zone):%H:%M} on" if n_sent else ""
    other = f"; {words.count(n_other, 'attempt')} came to nothing" if n_other else ""
    return f"{words.count(n_sent, 'email')} went out{most}{other}."
