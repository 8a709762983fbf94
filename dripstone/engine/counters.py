"""Counts work done, for /metrics: attempts by outcome, how long each stage of sending takes, and each request. And for
the page of the engine: an account's attempts by the minute.

A process counts in memory and adds to the rows (models.Figure, models.Minute) every ten seconds, so that any web
process can tell the sum over all workers on all machines. A worker that is killed takes the last seconds' counts with
it: these figures are for graphs and alerts. Exact figures are counted from the deliveries themselves.
"""

import threading
import time
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Sequence as Series
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TypeVar

import structlog
from django.db import DatabaseError, connection, transaction

from dripstone.engine.models import Figure, Minute

log = structlog.get_logger(__name__)

T = TypeVar("T")

FLUSH_EVERY_SECONDS = 10.0
STAGES = ("plan", "claim", "render", "hand_over", "record")
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)  # seconds

PLANNED = "planned"  # deliveries made
OUTCOME = "outcome"  # how attempts and skips ended, by status; "retry" is what goes back to planned
SECONDS = "stage_seconds"  # sum, by stage
KEEP_MINUTES = timedelta(days=8)
OF_A_MINUTE = ("sent", "failed", "unknown", "retried")

BUCKET = "stage_bucket"  # how often a stage took that long, by "stage/number of bucket"

# In order, so that two processes cannot wait for each other.
_ADD = """
INSERT INTO engine_figure (name, label, value)
SELECT * FROM unnest(%(names)s::text[], %(labels)s::text[], %(values)s::float8[]) AS u (name, label, value)
ORDER BY name, label
ON CONFLICT (name, label) DO UPDATE SET value = engine_figure.value + EXCLUDED.value
"""

_ADD_MINUTES = """
INSERT INTO engine_minute (account_id, minute, sent, failed, unknown, retried)
SELECT * FROM unnest(%(accounts)s::bigint[], %(minutes)s::timestamptz[], %(sent)s::int[], %(failed)s::int[],
                     %(unknown)s::int[], %(retried)s::int[]) AS u (account_id, minute, sent, failed, unknown, retried)
ORDER BY account_id, minute
ON CONFLICT (account_id, minute) DO UPDATE SET
    sent = engine_minute.sent + EXCLUDED.sent, failed = engine_minute.failed + EXCLUDED.failed,
    unknown = engine_minute.unknown + EXCLUDED.unknown, retried = engine_minute.retried + EXCLUDED.retried
"""

_lock = threading.Lock()
_counts: defaultdict[tuple[str, str], float] = defaultdict(float)
_minutes: defaultdict[tuple[int, datetime], Counter[str]] = defaultdict(Counter)
_flushed = time.monotonic()


def add(name: str, label: str = "", n: float = 1) -> None:
    if n:
        with _lock:
            _counts[name, label] += n


def outcomes(tally: Mapping[tuple[int, str], int], now: datetime) -> None:
    """(account, status) → number, as record.outcomes returns it."""
    minute = now.replace(second=0, microsecond=0)
    for (account_id, status), n in tally.items():
        add(OUTCOME, "retry" if status == "planned" else status, n)
        with _lock:
            _minutes[account_id, minute]["retried" if status == "planned" else status] += n


def on_commit(*, planned: int = 0, skipped: int = 0) -> None:
    """Count what an act of the owner or of a person changed, outside the hot path. Nothing is counted if it is rolled
    back (impact.py makes edits only to look). Written at once, since a web process has no tick to do it later."""

    def count() -> None:
        add(PLANNED, n=planned)
        add(OUTCOME, "skipped", skipped)
        flush()

    if planned or skipped:
        transaction.on_commit(count)


@contextmanager
def timed(stage: str) -> Iterator[None]:
    """One run of a stage, whatever the number of messages in it."""
    begun = time.perf_counter()
    try:
        yield
    finally:
        seconds = time.perf_counter() - begun
        add(SECONDS, stage, seconds)
        add(BUCKET, f"{stage}/{bisect_left(BUCKETS, seconds)}")


def timed_each(stage: str, items: Iterable[T]) -> Iterator[T]:
    """The time until each item comes; what the caller does with it does not count."""
    source = iter(items)
    while True:
        with timed(stage):
            try:
                item = next(source)
            except StopIteration:
                return
        yield item


def flush_if_due() -> None:
    if time.monotonic() - _flushed >= FLUSH_EVERY_SECONDS:
        flush()


def flush() -> None:
    """Add what was counted to the rows. A failure never stops mail: what cannot be written now is written later."""
    global _flushed
    with _lock:
        counts, minutes, _flushed = dict(_counts), dict(_minutes), time.monotonic()
        _counts.clear()
        _minutes.clear()
    try:
        if counts:
            _write(counts)
            counts = {}
        if minutes:
            _write_minutes(minutes)
    except DatabaseError as error:
        log.warning("figures_not_written", error=type(error).__name__)
        for (name, label), n in counts.items():
            add(name, label, n)
        with _lock:
            for key, tally in minutes.items():
                _minutes[key].update(tally)


def _write(counts: Mapping[tuple[str, str], float]) -> None:
    names, labels = zip(*counts, strict=True)
    values = {"names": list(names), "labels": list(labels), "values": [float(n) for n in counts.values()]}
    with connection.cursor() as cursor:
        cursor.execute(_ADD, values)


def _write_minutes(minutes: Mapping[tuple[int, datetime], Counter[str]]) -> None:
    accounts, instants = zip(*minutes, strict=True)
    columns = {name: [tally[name] for tally in minutes.values()] for name in OF_A_MINUTE}
    with connection.cursor() as cursor:
        cursor.execute(_ADD_MINUTES, {"accounts": list(accounts), "minutes": list(instants), **columns})


def forget_minutes(now: datetime) -> None:
    Minute.objects.filter(minute__lt=now - KEEP_MINUTES).delete()


def read() -> dict[tuple[str, str], float]:
    """(name, label) → value, over all processes."""
    return {(name, label): value for name, label, value in Figure.objects.values_list("name", "label", "value")}


def buckets(
    figures: Mapping[tuple[str, str], float], label: str, name: str = BUCKET, bounds: Series[float] = BUCKETS
) -> list[tuple[str, float]]:
    """Prometheus's cumulative buckets of one stage, or of another histogram kept as "label/number of bucket"."""
    total, result = 0.0, []
    for number, bound in enumerate((*bounds, float("inf"))):
        total += figures.get((name, f"{label}/{number}"), 0.0)
        result.append(("+Inf" if number == len(bounds) else str(bound), total))
    return result
