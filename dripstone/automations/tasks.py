"""The jobs that work off events, dates and waits for rules and automations. They have a queue of their own: rules wait
neither for a slow mail server nor for a receiver of calls, and ticks of sequences do not wait for rules.

Rows say what is to be done, so a lost job costs seconds. (The names of the jobs are from before automations.)
"""

import structlog
from procrastinate.contrib.django import app

from dripstone import clock
from dripstone.automations import run
from dripstone.engine import process, virtual
from dripstone.rules import wake

log = structlog.get_logger(__name__)


@app.periodic(cron="* * * * * */5")
@app.task(name="dripstone.rules.tasks.work_periodic", queue=wake.QUEUE, queueing_lock="dripstone.rules.tasks.periodic")
def work_periodic(timestamp: int) -> None:
    _work()


@app.task(name=wake.TASK, queue=wake.QUEUE)
def work() -> None:
    """A rule or an automation was switched on: do not wait for the periodic one."""
    _work()


def _work() -> None:
    with virtual.turn():
        n_done = run.until_idle(clock.now) if clock.is_virtual() else run.keep_going(clock.now, process.is_retiring)
    if n_done:
        log.info("rules_read", n_done=n_done)
