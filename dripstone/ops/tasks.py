"""Upkeep that Procrastinate runs. Every task may run any number of times, anywhere, beside itself."""

from procrastinate.contrib.django import app

from dripstone import clock
from dripstone.ops import prune


@app.periodic(cron="17 3 * * *")  # at night, UTC, and off the full hour, when many emails are due
@app.task(
    name="dripstone.ops.tasks.prune_periodic",
    aliases=["dripstone.engine.tasks.prune_periodic"],  # jobs that version 0.1 queued before the upgrade
    queue="engine",
    lock="prune",
    queueing_lock="prune",
)
def prune_periodic(timestamp: int) -> None:
    """Rows that nothing needs any more. Not by a virtual clock: a rehearsal of ten years keeps its mail."""
    if not clock.is_virtual():
        prune.everything(clock.now())
