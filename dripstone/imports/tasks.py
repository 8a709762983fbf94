"""The Procrastinate tasks of imports. They only wake the work: the rows say what is to be done."""

import threading

from procrastinate.contrib.django import app

from dripstone import clock
from dripstone.imports import wake
from dripstone.imports import work as imports

SECONDS = 2.0  # of one run: then others have the thread, and a worker that is told to stop stops

# One run in a process, since the threads of its queue are the ticks' as well. A job that comes meanwhile makes it
# another run longer: as a rule the one process took it by chance, and it is what the other would go on with.
_running = threading.Lock()
_is_asked = threading.Event()


@app.periodic(cron="* * * * * */10")  # every 10 seconds (the last field)
@app.task(
    name="dripstone.imports.tasks.work_periodic", queue="engine", queueing_lock="dripstone.imports.tasks.work_periodic"
)
def work_periodic(timestamp: int) -> None:
    """What a lost job, or a worker that was killed, has left."""
    _work()


@app.task(name=wake.TASK, queue="engine")
def work() -> None:
    """Somebody has just asked for something, or for help."""
    _work()


def _work() -> None:
    _is_asked.set()
    while _is_asked.is_set() and _running.acquire(blocking=False):
        try:
            _is_asked.clear()
            has_more = imports.work(clock.now, 0)
            if has_more:
                wake.worker()  # another process may do batches beside ours
                has_more = imports.work(clock.now, SECONDS)
        finally:
            _running.release()
        if has_more:
            wake.worker()
