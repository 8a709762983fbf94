"""Decides about rows that a crash left in `sending`, by the flight log of the worker that held them.

Takes       rows of dead workers on this machine, of batches this process broke off, and rows whose lease is over
Leaves      not started → planned again; final reply known → that outcome; body started, no reply → unknown (or
            planned again under DRIPSTONE_UNKNOWN=resend); not in a log that was cut, damaged or made before the
            machine was last started → unknown too
A crash here means the same rows are found again.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import structlog
from django.db import connection

from dripstone import clock
from dripstone.engine import attempts, claim, counters, process, queries, reasons, record, send
from dripstone.engine.attempts import Outcome
from dripstone.engine.claim import Batch
from dripstone.engine.models import Delivery
from dripstone.engine.record import Tally
from dripstone.senders import breaker, flight
from dripstone.senders.base import Answer, Kind
from dripstone.senders.breaker import Evidence
from dripstone.senders.models import Breaker

log = structlog.get_logger(__name__)

RESCUE_BATCH = 500
NEVER = datetime(1, 1, 1, tzinfo=UTC)
# A claim that was being committed when its worker died may become visible after the rescue has looked.
SECONDS_TO_REMEMBER = 60.0


class Held(NamedTuple):
    """A row of queries.ABANDONED."""

    delivery_id: int
    attempt: int
    worker: str
    is_lease_over: bool


class Watch:
    """What one worker process does for the others. Flight logs can only be read on their own machine, so every process
    looks for itself; a job might run on any machine."""

    def __init__(
        self, flights: Path, steady: clock.Watch | None = None, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._flights, self._monotonic = flights, monotonic
        self._clock = steady or clock.Watch(monotonic=monotonic)
        self._gone_since: dict[str, float] = {}  # dead workers, and batches broken off
        self._warned: set[str] = set()

    def look(self, now: datetime) -> Tally:
        """Settle abandoned rows. A process may only end a lease if its clock has been steady for the length of one:
        after a clock was set forwards, leases look over while their holders are still at work."""
        self._mend_waits(now)
        self._warn()
        tally = abandoned(self._flights, now, leases=self._clock.steady() >= claim.LEASE)
        self._forget()
        return tally

    def _mend_waits(self, now: datetime) -> None:
        jump = self._clock.jump()
        if jump.total_seconds() < 0 and not clock.is_virtual():
            with connection.cursor() as cursor:
                seconds = -jump.total_seconds()
                cursor.execute(queries.SHORTEN_WAITS, {"now": now, "seconds": seconds, "parked": Delivery.PARKED})
                cursor.execute(queries.SHORTEN_WAITS_OF_NOTICES, {"now": now, "seconds": seconds})
                cursor.execute(queries.SHORTEN_LEASES, {"longest": now + claim.LEASE})

    def _warn(self) -> None:
        """Once of each. Its worker's messages wait for the lease, like those of another machine."""
        for name, why in flight.unreadable(self._flights).items():
            if name not in self._warned:
                self._warned.add(name)
                log.warning("flight_log_unreadable", file=name, error=why)

    def _forget(self) -> None:
        """Delete logs of dead workers and forget batches broken off, once they have held nothing for a while."""
        dead = {worker for worker, lives in flight.workers(self._flights).items() if not lives}
        gone = dead | process.broken_off()
        self._gone_since = {name: self._gone_since.get(name, self._monotonic()) for name in gone}
        for name, since in self._gone_since.items():
            if self._monotonic() - since >= SECONDS_TO_REMEMBER and not _holds_rows(name):
                flight.forget(self._flights, name)
                process.forget(name)


def abandoned(flights: Path, now: datetime, *, leases: bool = True) -> Tally:
    """Settle all abandoned rows.

    flights  the folder of this machine's flight logs
    leases   whether to trust the clock when it says that a lease is over
    """
    lives = flight.workers(flights)
    tally = Tally()
    while rows := _abandoned(lives, now if leases else NEVER):
        said = flight.read(flights, {row.worker for row in rows} & lives.keys())
        outcomes = [outcome for row in rows for outcome in _settle(row, lives, said)]
        settled = record.outcomes(outcomes, now)
        tally += settled
        _tell_of_silence(rows, outcomes, said)
        if not settled:
            break  # another process settled them all first, or their replies may still come
    counters.outcomes(tally, now)
    return tally


def _abandoned(lives: Mapping[str, bool], leases_until: datetime) -> list[Held]:
    dead = [worker for worker, is_alive in lives.items() if not is_alive]
    with connection.cursor() as cursor:
        cursor.execute(
            queries.ABANDONED,
            {
                "leases_until": leases_until,
                "dead_workers": dead,
                "broken_off": list(process.broken_off()),
                "limit": RESCUE_BATCH,
            },
        )
        return [Held(*row) for row in cursor.fetchall()]


def _holds_rows(name: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(queries.HOLDS, {"name": name})
        return cursor.fetchone() is not None


def _settle(row: Held, lives: Mapping[str, bool], said: flight.Said) -> Iterator[Outcome]:
    """What becomes of a row; yields nothing while its reply may still reach a live process."""
    if row.worker not in lives:  # another machine's worker, or no log: for all we know the body left
        yield _outcome(row, "unknown", reasons.WORKER_LOST)
        return
    match said.flights.get((row.delivery_id, row.attempt)):
        case None if row.worker not in said.silent:
            given_back = _outcome(row, "temporary", reasons.STOPPED_BEFORE_BODY)
            yield given_back._replace(retry_in=attempts.AT_ONCE, untried=True)
        case None | "started" if lives[row.worker] and not row.is_lease_over:
            return
        case None:
            yield _outcome(row, "unknown", reasons.STOPPED_WITHOUT_LOG)
        case "started":
            yield _outcome(row, "unknown", reasons.STOPPED_AFTER_BODY)
        case kind:
            yield _outcome(row, _kind(kind), reasons.STOPPED_BEFORE_RECORDING)


def _tell_of_silence(rows: list[Held], outcomes: list[Outcome], said: flight.Said) -> None:
    """Once per log: its rows are decided now."""
    unsaid = {outcome.delivery_id for outcome in outcomes if outcome.reason == reasons.STOPPED_WITHOUT_LOG}
    for worker, why in said.silent.items():
        if n_messages := sum(row.worker == worker and row.delivery_id in unsaid for row in rows):
            log.warning("flight_log_incomplete", worker=worker, error=why, n_messages=n_messages)


def _outcome(row: Held, kind: Kind, reason: str) -> Outcome:
    return send.outcome(Answer(row.delivery_id, kind, reason=reason), row.attempt)


def _kind(text: str) -> Kind:
    kinds: Iterator[Kind] = (kind for kind in ("sent", "temporary", "permanent", "unknown") if kind == text)
    return next(kinds)


def learned(batch: Batch, holder: str, evidence: Evidence, now: datetime) -> Tally:
    """Learn from a batch's answers about its server. After a probe, give up deliveries that have waited too long."""
    breaker.learn(batch.server.server, evidence, now, is_probe=batch.is_probe)
    if not batch.is_probe:
        return Tally()
    given_up = give_up(holder, now)
    counters.outcomes(given_up, now)
    return given_up


def give_up(worker: str, now: datetime) -> Tally:
    """After a probe that found a server gone for three days, deliveries that have waited that long for it fail."""
    long_ago, with_the_probe = now - attempts.GIVE_UP_AFTER, now + attempts.UNREACHED_RETRY
    server = claim.server().server
    gone = Breaker.objects.filter(server=server, retry_at__isnull=False, opened_at__lte=long_ago).first()
    tally = Tally()
    while gone is not None and (rows := claim.take(worker, now, planned_until=long_ago, ready_until=with_the_probe)):
        reason = reasons.gave_up(gone.reason)
        failed = [Outcome(row.delivery_id, row.attempt, "failed", reason, reply=gone.reply) for row in rows]
        tally += record.outcomes(failed, now)
    return tally
