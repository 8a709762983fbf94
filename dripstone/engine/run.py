"""The life of an email on one page: due → planned (a tick), then claimed → rendered → sent → recorded (a batch).

tasks.py calls these in the background, virtual.py while it moves the clock, tests as they like.
"""

import time
from collections.abc import Callable
from datetime import datetime

import structlog

from dripstone import clock
from dripstone.engine import plan, process, record, reevaluate, render, rescue, send
from dripstone.engine.record import Tally
from dripstone.engine.send import Outcome
from dripstone.senders.base import Sender

log = structlog.get_logger(__name__)

Now = Callable[[], datetime]


def send_batch(worker: str, sender: Sender, now: Now = clock.now) -> Tally:
    """Steps 3 to 5 for one batch. A crash here leaves rows in `sending`; rescue.py decides about them."""
    not_after = time.monotonic() + plan.LEASE.total_seconds()  # taken before the claim: never later than the lease
    batch = plan.claim(worker, now())
    rendered = render.messages(batch, now(), not_after, eight_bit=sender.eight_bit)
    for delivery_id, warnings in rendered.warnings.items():
        log.warning("message_has_gaps", delivery_id=delivery_id, warnings=warnings)
    withheld = [Outcome(row.delivery_id, row.attempt, status, reason) for row, status, reason in rendered.withheld]
    tally = record.outcomes(withheld, now()) if withheld else Tally()
    for chunk in send.chunks(send.hand_over(rendered.messages, sender)):
        tally += record.outcomes(chunk, now())
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
