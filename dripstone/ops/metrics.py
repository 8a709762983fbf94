"""Figures for Prometheus: what waits, what was done, and how long requests took.

Counts are read from the rows when asked, so every web process answers the same and a restart loses nothing;
only the request durations are this process's own.
"""

import time
from collections.abc import Callable, Iterator
from datetime import datetime

from django.db import connection
from django.http import HttpRequest, HttpResponseBase
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from dripstone.senders import breaker

_requests = CollectorRegistry()
REQUEST_SECONDS = Histogram(
    "dripstone_request_seconds",
    "Time to answer a request",
    ["area", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=_requests,
)

_AREAS = {"v4": "api", "ext": "api", "oauth": "api", "u": "public", "c": "public", "static": "static"}

# Purpose: deliveries by how they stand. Index delivery_by_email (email_id, status): an index-only scan.
_DELIVERIES = "SELECT status, count(*) FROM engine_delivery GROUP BY status"
# Purpose: enrollments by how they stand. A sequential scan: a row is small, and Prometheus asks every 15 s or more.
_ENROLLMENTS = "SELECT status, count(*) FROM engine_enrollment GROUP BY status"
# Purpose: who is due and waiting longest. Partial index enrollment_due: it costs what is due.
_DUE = "SELECT count(*), min(due_at) FROM engine_enrollment WHERE due_at <= %s AND NOT in_flight AND status = 'active'"


class RequestMetrics:
    """Middleware: how long each request took, by area and status class. Outermost, so that it counts everything."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        begun = time.perf_counter()
        response = self.get_response(request)
        area = _AREAS.get(request.path_info.split("/", 2)[1], "web")
        REQUEST_SECONDS.labels(area, f"{response.status_code // 100}xx").observe(time.perf_counter() - begun)
        return response


class _Rows(Collector):
    """Figures read from the database at the moment they are asked for."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def collect(self) -> Iterator[GaugeMetricFamily]:
        with connection.cursor() as cursor:
            for name, help_text, query in (
                ("dripstone_deliveries", "Deliveries by status", _DELIVERIES),
                ("dripstone_enrollments", "Enrollments by status", _ENROLLMENTS),
            ):
                cursor.execute(query)
                family = GaugeMetricFamily(name, help_text, labels=["status"])
                for status, n_rows in cursor.fetchall():
                    family.add_metric([status], n_rows)
                yield family
            cursor.execute(_DUE, [self.now])
            n_due, oldest = cursor.fetchone()
        yield GaugeMetricFamily("dripstone_due", "People due now and not yet planned", value=n_due)
        age = (self.now - oldest).total_seconds() if oldest else 0.0
        yield GaugeMetricFamily("dripstone_oldest_due_seconds", "Age of the longest waiting of them", value=age)
        left_alone = GaugeMetricFamily(
            "dripstone_server_left_alone_seconds", "For how long a mail server has been of no use", labels=["server"]
        )
        for row in breaker.open_ones():
            left_alone.add_metric([row.server], (self.now - (row.opened_at or self.now)).total_seconds())
        yield left_alone


def text(now: datetime) -> bytes:
    """Everything in Prometheus's text format."""
    rows = CollectorRegistry()
    rows.register(_Rows(now))
    return generate_latest(rows) + generate_latest(_requests)
