"""The life of an email on one page: due → planned (a tick), then claimed → rendered → held back or sent →
recorded (a batch). The numbers are those at the head of each step's file.

tasks.py calls these in the background, virtual.py while it moves the clock, tests as they like.
"""

import threading
import time
from collections.abc import Callable
from datetime import datetime

from dripstone import clock
from dripstone.engine import (
    claim,
    counters,
    follow,
    hold_back,
    plan,
    process,
    pulse,
    record,
    render,
    rescue,
    send,
    wake,
)
from dripstone.engine.desk import Desk
from dripstone.engine.record import Tally
from dripstone.senders.base import Sender
from dripstone.senders.breaker import Evidence

Now = Callable[[], datetime]

_pacing = threading.Lock()


def send_batch(worker: str, sender: Sender, now: Now = clock.now) -> Tally:
    """Steps 3 to 7 for one batch. A crash here leaves rows in `sending`; rescue.py decides about them."""
    return _send_batch(worker, sender, now, Desk())[0]


def _send_batch(worker: str, sender: Sender, now: Now, desk: Desk) -> tuple[Tally, bool]:
    """The second value says that a limit applies to these messages, so the next batch may have to wait for room."""
    with process.batch(worker) as holder, desk.wire() as wire:
        with desk.turn_to_claim(most_on_the_wire=wake.CLAIM_BATCH):
            if desk.is_closing or not pulse.may_send(now()):
                return Tally(), False
            not_after = time.monotonic() + claim.LEASE.total_seconds()  # before the claim: never later than the lease
            with counters.timed("claim"):
                batch = claim.batch(holder, sender, now())  # 3
            if not batch.rows:
                return Tally(), not batch.server.limit.is_none
            with counters.timed("render"):
                rendered = render.messages(batch.rows, now(), not_after, eight_bit=sender.eight_bit)  # 4
            going, staying = hold_back.sort(batch, rendered, now())  # 5
            tally = record.patiently(staying, now, not_after)
            wire.left(len(going))
        evidence = Evidence()
        outcomes = send.hand_over(going, sender, evidence, rendered.editions)
        for chunk in counters.timed_each("hand_over", send.chunks(outcomes)):  # 6
            wire.came_back(len(chunk))
            with desk.turn(), counters.timed("record"):
                tally += record.patiently(chunk, now, not_after)  # 7
        with desk.turn():
            tally += rescue.learned(batch, holder, evidence, now())
    return tally, hold_back.is_paced(batch, rendered)


def keep_sending(
    worker: str,
    sender: Sender,
    now: Now = clock.now,
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
    desk: Desk | None = None,
) -> Tally:
    """Batch after batch, until nothing is ready; when its time is over, it leaves a job to follow. Waiting deliveries
    stay in the rows in any case. Under limits batches are only as large as the room left, so one job per process waits
    for what is ready soon; the others end."""
    desk = desk or Desk()
    ends_at, began, holds_pace = monotonic() + wake.TICK.total_seconds(), now(), False
    tally, is_paced = _send_batch(worker, sender, now, desk)
    total = tally.copy()
    try:
        while not clock.is_virtual():
            holds_pace = holds_pace or (is_paced and _pacing.acquire(blocking=False))
            is_more = (holds_pace and _rest(began, now, sleep)) if is_paced else bool(tally)
            if not is_more or process.is_retiring():
                break
            if monotonic() > ends_at:
                wake.senders(1)
                break
            began = now()
            tally, is_paced = _send_batch(worker, sender, now, desk)
            total += tally
    finally:
        if holds_pace:
            _pacing.release()
    return total


def _rest(began: datetime, now: Now, sleep: Callable[[float], None]) -> bool:
    """Until there is room for more. False: there will be none before the next tick."""
    ready = claim.next_ready(now())
    if ready is None or ready > now() + wake.TICK:
        return False
    sleep(claim.pause(ready, began, now()).total_seconds())
    return True


def until_idle(now: Now = clock.now, first: Callable[[], object] = lambda: None) -> Tally:
    """Do everything that is due at this instant, in this process.

    first   what comes before the mail of this instant, and again whenever some was sent: an email may set it off, and
            it may decide about the next. At the end there is nothing of it left either
    """
    crew = process.current()
    tally = rescue.abandoned(process.flights(), now())
    while True:
        first()
        for sequence_id in follow.pending():
            follow.everybody(sequence_id, now())
        planned = plan.everything_due(now())
        sent = send_batch(crew.worker, crew.sender, now)
        tally += sent
        if not planned and not sent:
            return tally
