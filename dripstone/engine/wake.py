"""Wake a worker. Rows say what waits, so a lost job costs only latency (the tick runs anyway)."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import connection, transaction
from procrastinate.contrib.django import app

from dripstone.engine import queries
from dripstone.engine.advance import Place
from dripstone.postgresql import prepared

CLAIM_BATCH = 500  # deliveries of one batch
TICK = timedelta(seconds=5)  # the periodic one of tasks.py


def engine_if_due(places: Iterable[Place], now: datetime) -> None:
    """A person is due this instant (an immediate first email): do not wait for the next tick."""
    if any(place.due_at is not None and place.due_at <= now for place in places):
        engine()


def engine() -> None:
    """Queue a tick once the caller's transaction is committed, unless one is queued already: it begins later, so it
    sees what was committed. (Asked before the commit, it could begin too early.)"""
    transaction.on_commit(_tick)


def _tick() -> None:
    ((is_queued,),) = prepared.rows(queries.IS_TICK_QUEUED)
    if not is_queued:
        _defer("tick")


def senders(n_deliveries: int) -> None:
    """One send job per batch of planned deliveries."""
    for _ in range(-(-n_deliveries // CLAIM_BATCH)):
        _defer("send")


def reevaluation(sequence_id: int) -> None:
    _defer("reevaluate", sequence_id=sequence_id)


def _defer(task: str, **arguments: int) -> None:
    app.configure_task(f"dripstone.engine.tasks.{task}").defer(**arguments)


def missing_senders(now: datetime, most: int) -> None:
    """Queue send jobs for ready deliveries that have none: retries whose time has come, and leftovers of a lost job."""
    with connection.cursor() as cursor:
        cursor.execute(
            queries.READY_AND_SEND_JOBS, {"after": queries.BEFORE_ALL, "now": now, "limit": most * CLAIM_BATCH}
        )
        n_ready, n_jobs = cursor.fetchone()
    senders(min(n_ready, most * CLAIM_BATCH) - n_jobs * CLAIM_BATCH)
