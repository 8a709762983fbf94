"""What a crash left in `sending`: given back, settled, or unknown, by the flight log of the worker that held it.

Takes       rows whose lease has run out, and those of workers of this machine that are dead
Leaves      not started → planned again; final reply known → that outcome; body started, no reply → unknown (or
            planned again under DRIPSTONE_UNKNOWN=resend)
A crash here means the same rows are found again.
"""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from django.db import connection

from dripstone.engine import figures, queries, record, send
from dripstone.engine.models import Delivery
from dripstone.engine.record import Tally
from dripstone.engine.send import Outcome
from dripstone.senders import flight
from dripstone.senders.base import Answer, Kind

BATCH = 500


def abandoned(flights: Path, now: datetime) -> Tally:
    """Settle everything nobody works on any more. `flights`: the folder of this machine's flight logs."""
    workers = flight.workers(flights)
    dead = [worker for worker, lives in workers.items() if not lives]
    tally = Tally()
    while rows := _expired(dead, now):
        log = flight.read(flights)
        chunk = [_settle(row, row[2] in workers, log) for row in rows]
        settled = record.outcomes(chunk, now)
        tally += settled
        if not settled:
            break  # somebody else was faster with all of them
    figures.outcomes(tally)
    for worker in dead:
        if not Delivery.objects.filter(status=Delivery.Status.SENDING, worker=worker).exists():
            flight.forget(flights, worker)
    return tally


def _expired(dead: list[str], now: datetime) -> list[tuple[int, int, str]]:
    with connection.cursor() as cursor:
        cursor.execute(queries.EXPIRED, {"now": now, "dead_workers": dead, "limit": BATCH})
        return list(cursor.fetchall())


def _settle(row: tuple[int, int, str], has_log: bool, log: dict[flight.Key, str]) -> Outcome:
    delivery_id, attempt, _ = row
    if not has_log:  # another machine's worker: for all we know the body left
        return send.outcome(Answer(delivery_id, "unknown", reason="worker lost"), attempt)
    match log.get((delivery_id, attempt)):
        case None:
            given_back = Answer(delivery_id, "temporary", reason="worker stopped before the body left")
            return send.outcome(given_back, attempt)._replace(retry_in=send.AT_ONCE)
        case "started":
            return send.outcome(Answer(delivery_id, "unknown", reason="worker stopped after the body started"), attempt)
        case kind:
            return send.outcome(Answer(delivery_id, _kind(kind), reason="worker stopped before recording"), attempt)


def _kind(text: str) -> Kind:
    kinds: Iterator[Kind] = (kind for kind in ("sent", "temporary", "permanent", "unknown") if kind == text)
    return next(kinds)
