"""The Procrastinate tasks. They only wake the engine: the rows say what is to be done, so a lost job costs seconds.

Sending has a queue of its own: nothing else may wait behind a slow mail server.

A job that is killed stays "doing" for ever; `retry_stalled` gives it back. Every task may run any number of times, on
any machine, and beside itself.
"""

from contextlib import suppress
from typing import Any

import structlog
from django.db import connection
from procrastinate import JobContext
from procrastinate.contrib.django import app
from procrastinate.exceptions import ConnectorException

from dripstone import clock
from dripstone.engine import claim, counters, follow, letters, life, plan, process, pulse, rescue, virtual, wake
from dripstone.engine.models import Delivery
from dripstone.engine.record import Tally

log = structlog.get_logger(__name__)

MOST_SEND_JOBS = 40  # a tick never queues more than this: 20,000 messages


@app.periodic(cron="* * * * * */5", priority=1)  # every 5 seconds (the last field), before the batches that wait
@app.task(name="dripstone.engine.tasks.tick_periodic", queue="engine")
def tick_periodic(timestamp: int) -> None:
    _tick()


@app.task(name="dripstone.engine.tasks.tick", queue="engine")
def tick() -> None:
    """A person is due at once: do not wait for the periodic tick."""
    _tick()


def _tick() -> None:
    with virtual.turn():
        now = clock.now()
        for sequence_id in follow.pending():
            wake.reevaluation(sequence_id)
        if not pulse.beat(now):
            return  # sending is halted: the operator decides about mail after a long silence
        with counters.timed("plan"):
            planned = plan.everything_due(now, wake.TICK.total_seconds())
        wake.missing_senders(now, claim.jobs_worth_waking(now, MOST_SEND_JOBS))
    counters.flush_if_due()
    if planned:
        log.info("tick", planned=planned)


@app.task(name="dripstone.engine.tasks.send", queue="send")
def send() -> None:
    """Send batch after batch for a while."""
    if process.is_hindered():
        return  # the next tick wakes another job
    crew = process.current()
    with virtual.turn():
        tally = life.keep_sending(crew.worker, crew.sender, desk=crew.desk)
        if any(status == Delivery.Status.SENT for _, status in tally):
            pulse.sent(clock.now())
    counters.flush_if_due()
    if tally:
        log.info("batch_sent", **_by_status(tally))


@app.task(name="dripstone.engine.tasks.reevaluate", queue="engine")
def reevaluate(sequence_id: int) -> None:
    """Move people after an edit, and compile what they will get. One process at a time per sequence; the tick finds
    what was left over."""
    with virtual.turn(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [virtual.TURN, sequence_id % 2**31])
        if not cursor.fetchone()[0]:
            return
        try:
            moved = follow.everybody(sequence_id, clock.now())
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [virtual.TURN, sequence_id % 2**31])
    log.info("reevaluated", sequence_id=sequence_id, moved=moved)
    letters.make_ready(sequence_id, clock.now())


def look_after(neighbours: rescue.Watch) -> None:
    """Settle what dead workers left in `sending`. No job: a machine's flight logs can only be read on it."""
    with virtual.turn():
        now = clock.now()
        if tally := neighbours.look(now):
            wake.missing_senders(now, claim.jobs_worth_waking(now, MOST_SEND_JOBS))
            log.warning("rescued", **_by_status(tally))


@app.periodic(cron="* * * * *")
@app.task(name="dripstone.engine.tasks.retry_stalled", queue="engine", pass_context=True)
async def retry_stalled(context: JobContext, timestamp: int) -> None:
    """Jobs of dead workers start over."""
    manager = context.app.job_manager
    stalled = list(await manager.get_stalled_jobs())
    for job in stalled:
        with suppress(ConnectorException):  # another worker retried this one first
            await manager.retry_job(job)
    if stalled:
        log.warning("jobs_stalled", n_jobs=len(stalled))


def _by_status(tally: Tally) -> dict[str, Any]:
    counts: dict[str, int] = {}
    for (_, status), n in tally.items():
        counts[status] = counts.get(status, 0) + n
    return counts
