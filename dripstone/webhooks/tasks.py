"""The jobs that read events and make calls. They have a queue of their own: neither mail nor ticks wait for a receiver.

Rows say what is to be done, so a lost job costs seconds. Any number of them may run side by side, on any machine.
"""

import structlog
from procrastinate.contrib.django import app

from dripstone import clock
from dripstone.calls.queue import JOB, QUEUE
from dripstone.engine import process, virtual
from dripstone.webhooks import run

log = structlog.get_logger(__name__)


@app.periodic(cron="* * * * * */5")
@app.task(name="dripstone.webhooks.tasks.call_periodic", queue=QUEUE, queueing_lock="calls_periodic")
def call_periodic(timestamp: int) -> None:
    _call()


@app.task(name=JOB, queue=QUEUE)
def call() -> None:
    """Something is to be called at once: do not wait for the periodic one."""
    _call()


def _call() -> None:
    with virtual.turn():
        n_made = run.until_idle(clock.now) if clock.is_virtual() else run.keep_going(clock.now, process.is_retiring)
    if n_made:
        log.info("called", n_calls=n_made)
