"""The life of an email on one page: due → planned (a tick), then claimed → rendered → held back or sent →
recorded (a batch). The numbers are those at the head of each step's file.

tasks.py calls these in the background, virtual.py while it moves the clock, tests as they like.
"""

import threading
import time
from collections.abc import Callable
from datetime import datetime

from dripstone import clock
from dripstone.engine import claim, counters, follow, hold_back, plan, process, record, render, rescue, send, wake
from dripstone.engine.record import Tally
from dripstone.senders.base import Sender
from dripstone.senders.breaker import Evidence

Now = Callable[[], datetime]

_pacing = threading.Lock()


def send_batch(worker: str, sender: Sender, now: Now = clock.now) -> Tally:
    """Steps 3 to 7 for one batch. A crash here leaves rows in `sending`; rescue.py decides about them."""
    return _send_batch(worker, sender, now)[0]


def _send_batch(worker: str, sender: Sender, now: Now) -> tuple[Tally, bool]:
    """The second value says that a limit applies to these messages, so the next batch may have to wait for room."""
    not_after = time.monotonic() + claim.LEASE.total_seconds()  # taken before the claim: never later than the lease
    with process.batch(worker) as holder:
        with counters.timed("claim"):
            batch = claim.batch(holder, sender, now())  # 3
        if not batch.rows:
            return Tally(), not batch.server.limit.is_none
        with counters.timed("render"):
            rendered = render.messages(batch.rows, now(), not_after, eight_bit=sender.eight_bit)  # 4
        going, staying = hold_back.sort(batch, rendered, now())  # 5
        tally = record.patiently(staying, now, not_after)
        evidence = Evidence()
        for chunk in counters.timed_each("hand_over", send.chunks(send.hand_over(going, sender, evidence))):  # 6
            with counters.timed("record"):
                tally += record.patiently(chunk, now, not_after)  # 7
        tally += rescue.learned(batch, holder, evidence, now())
    return tally, hold_back.is_paced(batch, rendered)


def keep_pace(
    worker: str,
    sender: Sender,
    now: Now = clock.now,
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> Tally:
    """One batch. Under limits batches are only as large as the room left, so one job per process goes on until nothing
    is ready soon; when its time is over, it queues another. Waiting deliveries stay in the rows in any case."""
    ends_at, began = monotonic() + wake.TICK.total_seconds(), now()
    tally, is_paced = _send_batch(worker, sender, now)
    if not is_paced or clock.is_virtual() or not _pacing.acquire(blocking=False):
        return tally
    try:
        while (ready := claim.next_ready(now())) is not None and ready <= now() + wake.TICK:
            sleep(claim.pause(ready, began, now()).total_seconds())
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


def until_idle(now: Now = clock.now) -> Tally:
    """Do everything that is due at this instant, in this process."""
    crew = process.current()
    tally = rescue.abandoned(process.flights(), now())
    while True:
        for sequence_id in follow.pending():
            follow.everybody(sequence_id, now())
        planned = plan.everything_due(now())
        sent = send_batch(crew.worker, crew.sender, now)
        tally += sent
        if not planned and not sent:
            return tally
