"""Figures for Prometheus: what waits, what was done, how long each stage and each request took.

What waits is counted from the rows when asked, by partial indexes that hold only what is on its way: the cost does not
grow with what was sent before. What was done comes from engine/counters.py, summed over all workers and web processes:
each of them answers the same, up to the last ten seconds of the others, and a restart loses nothing.
"""

import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import lru_cache

from django.db import connection
from django.http import HttpRequest, HttpResponseBase
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from dripstone.automations import standing as automations
from dripstone.calls import standing
from dripstone.engine import counters, pulse
from dripstone.engine.models import Delivery
from dripstone.rules import standing as rules
from dripstone.senders import breaker

REQUEST_SECONDS = "request_seconds"  # sum, by "area/status"
REQUEST_BUCKET = "request_bucket"  # requests that took so long, by "area/status/number of bucket"
REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds

_AREAS = {
    "v4": "api",
    "ext": "api",
    "oauth": "api",
    ".well-known": "api",
    "mcp": "mcp",
    "u": "public",
    "c": "public",
    "f": "public",
    "static": "static",
}
_OUTCOMES = ("sent", "failed", "unknown", "skipped", "retry")
PEOPLE_EVERY_SECONDS = 300

# Purpose: deliveries that are on their way or want somebody's eye. Partial indexes
# delivery_ready_of_account, delivery_notice_of_account, delivery_leased and delivery_ended_unsent, index-only. A scrape
# takes 30 to 40 ms with 3 million sent rows and 24,000 planned, where counting all of them took 1.1 s.
_DELIVERIES = """
SELECT 'ready', (SELECT count(*) FROM engine_delivery WHERE status = 'planned' AND ready_at <= %(now)s)
              + (SELECT count(*) FROM engine_delivery WHERE notice_ready_at <= %(now)s) UNION ALL
SELECT 'later', (SELECT count(*) FROM engine_delivery
                 WHERE status = 'planned' AND ready_at > %(now)s AND ready_at < %(parked)s)
              + (SELECT count(*) FROM engine_delivery WHERE notice_ready_at > %(now)s) UNION ALL
SELECT 'parked', count(*) FROM engine_delivery WHERE status = 'planned' AND ready_at >= %(parked)s UNION ALL
SELECT 'sending', count(*) FROM engine_delivery WHERE status = 'sending' UNION ALL
SELECT 'failed', count(*) FROM engine_delivery WHERE status = 'failed' UNION ALL
SELECT 'unknown', count(*) FROM engine_delivery WHERE status = 'unknown'
"""

# Purpose: entries of bulk calls that are still to be done, and since when these or actions on people wait. Partial
# indexes bulk_job_waiting and bulk_action_waiting.
_BULK = """
SELECT COALESCE(sum(n_entries - n_done), 0),
       LEAST(min(asked_at), (SELECT min(queued_at) FROM bulk_action WHERE state IN ('running', 'undoing')))
FROM bulk_job WHERE ended_at IS NULL
"""

# Purpose: enrollments by how they stand. A sequential scan, so asked every five minutes at most.
_ENROLLMENTS = "SELECT status, count(*) FROM engine_enrollment GROUP BY status"


class RequestMetrics:
    """Middleware: how long each request took, by area and status class. Outermost, so that it counts everything."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        begun = time.perf_counter()
        response = self.get_response(request)
        count_request(request.path_info, response.status_code, time.perf_counter() - begun)
        return response


def count_request(path: str, status: int, seconds: float) -> None:
    label = f"{_AREAS.get(path[1:].partition('/')[0], 'web')}/{status // 100}xx"
    counters.add(REQUEST_SECONDS, label, seconds)
    counters.add(REQUEST_BUCKET, f"{label}/{bisect_left(REQUEST_BUCKETS, seconds)}")


class _Rows(Collector):
    """Figures read from the database at the moment they are asked for."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def collect(self) -> Iterator[Metric]:
        yield from self._what_waits()
        yield from self._bulk_jobs()
        yield from self._the_engine()
        yield from self._the_rules()
        yield from self._the_automations()
        yield from self._the_webhooks()
        counts = counters.read()
        yield from _what_was_done(counts)
        yield _requests(counts)
        yield _by_label(
            "dripstone_enrollments",
            "Enrollments by status, counted every five minutes",
            "status",
            _people(int(time.monotonic() // PEOPLE_EVERY_SECONDS)),
        )

    def _what_waits(self) -> Iterator[Metric]:
        with connection.cursor() as cursor:
            cursor.execute(_DELIVERIES, {"now": self.now, "parked": Delivery.PARKED})
            counts = dict(cursor.fetchall())
        planned = {name: counts.pop(name) for name in ("ready", "later", "parked")}
        standing = {"planned": sum(planned.values()), **counts}
        yield _by_label("dripstone_deliveries", "Deliveries on their way or not sent, by status", "status", standing)
        yield _by_label("dripstone_planned", "Planned deliveries: ready, for later, parked", "state", planned)
        found = pulse.overdue(self.now)
        yield GaugeMetricFamily("dripstone_due", "People due now and not yet planned", value=found.n_people)
        for name, oldest, help_text in (
            ("dripstone_oldest_due_seconds", found.due_since, "How long the longest of them waits"),
            ("dripstone_oldest_ready_seconds", found.ready_since, "How long the oldest ready delivery waits"),
        ):
            age = (self.now - oldest).total_seconds() if oldest else 0.0
            yield GaugeMetricFamily(name, help_text, value=age)

    def _bulk_jobs(self) -> Iterator[Metric]:
        with connection.cursor() as cursor:
            cursor.execute(_BULK)
            n_entries, since = cursor.fetchone()
        yield GaugeMetricFamily("dripstone_bulk_entries", "Entries of bulk calls that wait", value=n_entries)
        age = (self.now - since).total_seconds() if since else 0.0
        yield GaugeMetricFamily("dripstone_oldest_bulk_seconds", "How long ago the oldest was asked for", value=age)

    def _the_rules(self) -> Iterator[Metric]:
        found = rules.now(others_listen=automations.are_listening())
        yield GaugeMetricFamily("dripstone_rules", "Rules that are on", value=found.n_on)
        yield GaugeMetricFamily(
            "dripstone_rules_events", "Events that rules and automations have not read yet", value=found.n_events
        )
        age = (self.now - found.oldest).total_seconds() if found.oldest else 0.0
        yield GaugeMetricFamily("dripstone_oldest_rules_event_seconds", "How long the oldest of them waits", value=age)

    def _the_automations(self) -> Iterator[Metric]:
        found = automations.now(self.now)
        yield GaugeMetricFamily("dripstone_automations", "Automations that are active", value=found.n_active)
        yield GaugeMetricFamily("dripstone_automations_due", "People in them whose wait is over", value=found.n_due)
        age = (self.now - found.oldest).total_seconds() if found.oldest else 0.0
        yield GaugeMetricFamily("dripstone_oldest_automations_due_seconds", "For how long the first of them", value=age)

    def _the_webhooks(self) -> Iterator[Metric]:
        found = standing.now()
        by_state = {"new": found.n_new, "again": found.n_again, "sending": found.n_sending}
        yield _by_label("dripstone_webhook_deliveries", "Deliveries of webhooks on their way", "state", by_state)
        age = (self.now - found.oldest).total_seconds() if found.oldest else 0.0
        yield GaugeMetricFamily(
            "dripstone_oldest_webhook_seconds", "How long the oldest delivery waits that was not tried yet", value=age
        )
        receivers = {"failing": found.n_failing, "switched_off": found.n_switched_off}
        yield _by_label("dripstone_webhooks", "Receivers of webhooks that take nothing", "state", receivers)

    def _the_engine(self) -> Iterator[Metric]:
        row = pulse.read()
        yield GaugeMetricFamily(
            "dripstone_halted", "1: sending waits for the operator", value=pulse.is_halted(row, self.now)
        )
        for name, instant, help_text in (
            ("dripstone_last_tick_timestamp_seconds", row.beat_at, "When the engine last looked for what is due"),
            ("dripstone_last_sent_timestamp_seconds", row.sent_at, "When a mail server last took something"),
        ):
            yield GaugeMetricFamily(name, help_text, value=instant.timestamp() if instant else 0.0)
        left_alone = GaugeMetricFamily(
            "dripstone_server_left_alone_seconds", "For how long a mail server has accepted nothing", labels=["server"]
        )
        for server in breaker.open_ones():
            left_alone.add_metric([server.server], (self.now - (server.opened_at or self.now)).total_seconds())
        yield left_alone


def _what_was_done(counts: dict[tuple[str, str], float]) -> Iterator[Metric]:
    yield CounterMetricFamily(
        "dripstone_deliveries_planned_total", "Deliveries made", value=counts.get((counters.PLANNED, ""), 0)
    )
    outcomes = CounterMetricFamily("dripstone_outcomes_total", "Attempts and skips by outcome", labels=["outcome"])
    for name in _OUTCOMES:
        outcomes.add_metric([name], counts.get((counters.OUTCOME, name), 0))
    yield outcomes
    stages = HistogramMetricFamily("dripstone_stage_seconds", "Time of one run of a stage of sending", labels=["stage"])
    for stage in counters.STAGES:
        stages.add_metric([stage], counters.buckets(counts, stage), counts.get((counters.SECONDS, stage), 0))
    yield stages


def _requests(counts: dict[tuple[str, str], float]) -> Metric:
    requests = HistogramMetricFamily("dripstone_request_seconds", "Time to answer a request", labels=["area", "status"])
    for label in sorted(label for name, label in counts if name == REQUEST_SECONDS):
        buckets = counters.buckets(counts, label, REQUEST_BUCKET, REQUEST_BUCKETS)
        requests.add_metric(label.split("/"), buckets, counts[REQUEST_SECONDS, label])
    return requests


@lru_cache(maxsize=1)
def _people(period: int) -> dict[str, int]:
    """`period`: the answer is kept while it stays the same."""
    with connection.cursor() as cursor:
        cursor.execute(_ENROLLMENTS)
        return dict(cursor.fetchall())


def _by_label(name: str, help_text: str, label: str, counts: dict[str, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, help_text, labels=[label])
    for value, n in counts.items():
        family.add_metric([value], n)
    return family


def text(now: datetime) -> bytes:
    """Everything in Prometheus's text format."""
    counters.flush()  # at least what this process did is in it
    rows = CollectorRegistry()
    rows.register(_Rows(now))
    return generate_latest(rows)
