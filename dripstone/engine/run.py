"""The life of an email on one page: due → planned (a tick), then claimed → rendered → sent → recorded (a batch).

tasks.py calls these in the background, virtual.py while it moves the clock, tests as they like.
"""

import threading
import time
from collections.abc import Callable
from collections.abc import Sequence as Series
from datetime import datetime

import structlog
from django.db import InterfaceError, OperationalError, connection

from dripstone import clock
from dripstone.engine import figures, gate, plan, process, record, reevaluate, render, rescue, send, wake
from dripstone.engine.record import Tally
from dripstone.engine.send import Outcome
from dripstone.senders import breaker
from dripstone.senders.base import Sender
from dripstone.senders.breaker import Evidence

log = structlog.get_logger(__name__)

Now = Callable[[], datetime]

SECONDS_BETWEEN_TRIES = 0.5

_pacing = threading.Lock()


def send_batch(worker: str, sender: Sender, now: Now = clock.now) -> Tally:
    """Steps 3 to 5 for one batch. A crash here leaves rows in `sending`; rescue.py decides about them."""
    return _send_batch(worker, sender, now)[0]


def _send_batch(worker: str, sender: Sender, now: Now) -> tuple[Tally, bool]:
    """The second value: a limit applies to these messages, so that the next batch may have to wait for room."""
    not_after = time.monotonic() + plan.LEASE.total_seconds()  # taken before the claim: never later than the lease
    with process.batch(worker) as holder:
        with figures.timed("claim"):
            batch = gate.claim(holder, sender, now())
        if not batch.rows:
            return Tally(), not batch.server.limit.is_none
        with figures.timed("render"):
            rendered = render.messages(batch.rows, now(), not_after, eight_bit=sender.eight_bit)
        for delivery_id, warnings in rendered.warnings.items():
            log.warning("message_has_gaps", delivery_id=delivery_id, warnings=warnings)
        going, put_off = gate.within_limits(batch, rendered, now())
        withheld = [Outcome(row.delivery_id, row.attempt, status, reason) for row, status, reason in rendered.withheld]
        tally = _record([*withheld, *put_off], now, not_after) if withheld or put_off else Tally()
        evidence = Evidence()
        for chunk in figures.timed_each("hand_over", send.chunks(send.hand_over(going, sender, evidence))):
            with figures.timed("record"):
                tally += _record(chunk, now, not_after)
        breaker.learn(batch.server.server, evidence, now(), is_probe=batch.is_probe)
        if batch.is_probe:
            given_up = gate.give_up(holder, now())
            figures.outcomes(given_up)
            tally += given_up
    return tally, gate.is_paced(batch, rendered)


def keep_pace(
    worker: str,
    sender: Sender,
    now: Now = clock.now,
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> Tally:
    """One batch. Under limits batches are as small as the room there is, so one job per process goes on until nothing
    is ready soon, and leaves another to follow it when its time is over. What waits stands in the rows all the same."""
    ends_at, began = monotonic() + wake.TICK.total_seconds(), now()
    tally, is_paced = _send_batch(worker, sender, now)
    if not is_paced or clock.is_virtual() or not _pacing.acquire(blocking=False):
        return tally
    try:
        while (ready := gate.next_ready(now())) is not None and ready <= now() + wake.TICK:
            sleep(gate.pause(ready, began, now()).total_seconds())
            if process.is_retiring():
                break
            if monotonic() > ends_at:
                wake.senders(1)
                break
            began = now()
            tally += send_batch(worker, sender, now)
    finally:
        _pacing.release()
    return tally


def _record(chunk: Series[Outcome], now: Now, not_after: float) -> Tally:
    """What happened must be written down: a database that is away is waited for, as long as the lease is ours."""
    while True:
        try:
            tally = record.outcomes(chunk, now())
        except (OperationalError, InterfaceError):
            if time.monotonic() > not_after or connection.in_atomic_block:
                raise
            log.warning("record_waits_for_database", n_outcomes=len(chunk))
            connection.close()
            time.sleep(SECONDS_BETWEEN_TRIES)
        else:
            process.settled((outcome.delivery_id, outcome.attempt) for outcome in chunk)
            figures.outcomes(tally)
            return tally


def until_idle(now: Now = clock.now) -> Tally:
    """Do everything that is due at this instant, in this process."""
    crew = process.current()
    tally = rescue.abandoned(process.flights(), now())
    while True:
        for sequence_id in reevaluate.pending():
            reevaluate.sequence(sequence_id, now())
        planned = plan.everything_due(now())
        sent = send_batch(crew.worker, crew.sender, now)
        tally += sent
        if not planned and not sent:
            return tally
