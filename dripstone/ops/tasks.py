"""Upkeep that Procrastinate runs. Every task may run any number of times, anywhere, beside itself."""

import structlog
from procrastinate.contrib.django import app

from dripstone import clock
from dripstone.ops import prune
from dripstone.tallies import verbs as tallies

log = structlog.get_logger(__name__)


@app.periodic(cron="17 3 * * *")  # at night, UTC, and off the full hour, when many emails are due
@app.task(
    name="dripstone.ops.tasks.prune_periodic",
    aliases=["dripstone.engine.tasks.prune_periodic"],  # jobs that version 0.1 queued before the upgrade
    queue="engine",
    lock="prune",
    queueing_lock="prune",
)
def prune_periodic(timestamp: int) -> None:
    """Deletes rows that nothing needs any more. Not with a virtual clock: a rehearsal of ten years keeps its mail."""
    if not clock.is_virtual():
        prune.everything(clock.now())


@app.periodic(cron="* * * * *")
@app.task(name="dripstone.ops.tasks.fold_counts", queue="engine", lock="counts", queueing_lock="counts")
def fold_counts(timestamp: int) -> None:
    """One row per count again, of those that changed in the last minute."""
    tallies.fold()


@app.periodic(cron="47 3 * * *")  # after the pruning
@app.task(name="dripstone.ops.tasks.repair_counts", queue="engine", lock="counts", queueing_lock="repair_counts")
def repair_counts(timestamp: int) -> None:
    """Finds nothing, unless a worker of the version before wrote during the upgrade, or somebody by hand."""
    if mended := tallies.differences(repair=True):
        log.warning("counts_repaired", n_counts=len(mended), kinds=sorted({one.kind.value for one in mended}))
