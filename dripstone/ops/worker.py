"""The worker process: takes jobs, looks after its neighbours, and stops within 10 seconds of being told.

Sending has a queue and threads of its own, so that ticks and reevaluations never wait behind a slow mail server. Its
threads mostly wait: one at a time computes (engine/desk.py). So have calls of webhooks, for slow receivers, and rules,
which wait for neither.

It outlives a restart of PostgreSQL and a change of the clock: it then begins a new round with its queues.
Procrastinate's listener and its periodic jobs do not survive a restart, and after the clock was set back the periodic
jobs do not run until it has caught up with itself.
"""

import asyncio
import gc
import os
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime

import structlog
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import DatabaseError, close_old_connections, connection, connections
from procrastinate.contrib.django import app
from procrastinate.contrib.django.utils import connector_params
from procrastinate.psycopg_connector import PsycopgConnector

from dripstone import clock
from dripstone.engine import counters, process, pulse, rescue, tasks
from dripstone.ops import past
from dripstone.senders import hindrances

log = structlog.get_logger(__name__)

SECONDS_BETWEEN_LOOKS = 2.0
SECONDS_BETWEEN_ROUNDS = 1.0
SECONDS_TO_END = 10.0  # for a round that is told to; one that hangs longer is left behind
ALLOCATIONS_BETWEEN_COLLECTIONS = 10_000  # a batch makes some thousands, nearly all without circles
SENDING_THREADS = 4  # one computes, one or two wait for the server, and there is room for a batch with a slow answer
CALLING_JOBS = 1  # it has threads of its own (calls/send.py)
RULES_JOBS = 1  # of all processes one works off events; the others look whether it still does
STOP_SECONDS = 9.5  # the sender lets go after 7; a longer hang is the database's, and the flight log has the outcomes


def run() -> None:
    """Until SIGTERM or Ctrl-C."""
    with suppress(DatabaseError):  # away: it is waited for below
        if not pulse.may_send(clock.now()):
            log.warning("worker_starts_halted", mend=past.COMMAND)  # the log may be all that the operator sees
    connections.close_all()
    # What is loaded by now stays. The collector looked through it again and again: 6 % of a worker's time.
    gc.collect()
    gc.freeze()
    gc.set_threshold(ALLOCATIONS_BETWEEN_COLLECTIONS, 20, 20)
    try:
        asyncio.run(Worker().run())
    finally:
        counters.flush()


class Worker:
    def __init__(self) -> None:
        self._told_to_stop, self._clock_jumped = asyncio.Event(), asyncio.Event()
        self._database_back = asyncio.Event()  # after it was away, or started again; another one each time
        self._clock = clock.Watch()
        self._neighbours = rescue.Watch(process.flights())
        self._own = hindrances.Watch(f"{socket.gethostname()}-{os.getpid()}", process.flights())
        self._looking = ThreadPoolExecutor(1, "look")  # one thread, because Django keeps a connection per thread

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        n_threads = threads()
        loop.set_default_executor(ThreadPoolExecutor(sum(n_threads.values()) + 2, "job"))  # 2: who lets go never waits
        looks = asyncio.create_task(self._look_again_and_again())
        await asyncio.gather(*(self._rounds(queue, n) for queue, n in n_threads.items()))
        looks.cancel()
        await asyncio.to_thread(process.close)
        self._looking.shutdown(wait=False, cancel_futures=True)

    def _stop(self) -> None:
        self._told_to_stop.set()
        deadline = threading.Timer(STOP_SECONDS, os._exit, [1])
        deadline.daemon = True
        deadline.start()

    async def _rounds(self, queue: str, n_threads: int) -> None:
        while not self._told_to_stop.is_set():
            await self._round(queue, n_threads)

    async def _round(self, queue: str, n_threads: int) -> None:
        """Jobs until told to stop, until the database is lost, or (where the periodic ones are) the clock jumps.

        A queue should notice by itself that the database is lost. On a busy machine Procrastinate's worker sometimes
        does not come to its end then, and waits for ever: so it is also ended when the database is back.
        """
        events = [self._told_to_stop, self._database_back, *([self._clock_jumped] if queue == "engine" else [])]
        self._clock_jumped.clear()
        await sync_to_async(close_old_connections)()  # in the thread of the periodic jobs, which never looks itself
        jobs = asyncio.create_task(_take_jobs(queue, n_threads))
        ends = [asyncio.create_task(event.wait()) for event in events]
        await asyncio.wait([jobs, *ends], return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()
        if self._told_to_stop.is_set():
            await _let_go(jobs)
        jobs.cancel()
        await asyncio.wait([jobs], timeout=SECONDS_TO_END)
        if not jobs.done() or jobs.cancelled():
            return
        if error := jobs.exception():  # any error: a worker that has stopped working is worse
            log.warning("queue_lost", queue=queue, error=str(error).strip())
        with suppress(TimeoutError):
            await asyncio.wait_for(self._told_to_stop.wait(), SECONDS_BETWEEN_ROUNDS)

    async def _look_again_and_again(self) -> None:
        """At the start too: a worker that was killed is soon started again, and then its rows move."""
        known = await self._looked()
        while True:
            if jump := self._clock.jump():
                log.warning("clock_jumped", seconds=round(jump.total_seconds()))
                self._clock_jumped.set()
            await asyncio.sleep(SECONDS_BETWEEN_LOOKS)
            found = await self._looked()
            if found is not None and found != known:
                self._database_back.set()
                self._database_back = asyncio.Event()
            known = found

    async def _looked(self) -> datetime | None:
        return await asyncio.get_running_loop().run_in_executor(self._looking, self._look)

    def _look(self) -> datetime | None:
        """When the PostgreSQL that answers was started, which tells of a restart between two looks; None: it does not
        answer, or not all that is looked after could be."""
        started_at = None
        close_old_connections()
        try:
            process.hinder(self._own.look())
            self._own.tell(clock.system_now())
            tasks.look_after(self._neighbours)
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_postmaster_start_time()")
                (started_at,) = cursor.fetchone()
        except Exception as error:
            log.warning("rescue_failed", error=str(error).strip())
        close_old_connections()
        return started_at


def threads() -> dict[str, int]:
    """How many jobs run side by side, by queue. A task of another queue would never run."""
    return {
        "engine": settings.DRIPSTONE_WORKER_THREADS,
        "send": SENDING_THREADS,
        "calls": CALLING_JOBS,
        "rules": RULES_JOBS,
    }


async def _take_jobs(queue: str, n_threads: int) -> None:
    """The jobs come over connections of the worker's own (LISTEN/NOTIFY), while what a job enqueues goes through
    Django's, inside the job's transaction: hence a second app around the same tasks."""
    connector = PsycopgConnector(kwargs=connector_params("default"), min_size=1, max_size=4)
    async with app.with_connector(connector).open_async() as worker_app:
        await worker_app.run_worker_async(
            queues=[queue],
            concurrency=n_threads,
            listen_notify=True,
            delete_jobs="successful",
            install_signal_handlers=False,
        )


async def _let_go(jobs: "asyncio.Task[None]") -> None:
    """Take no new jobs. Messages on the wire may finish; the rest goes back, even what comes to the sender only now."""
    letting_go = asyncio.get_running_loop().run_in_executor(None, process.retire)
    jobs.cancel()
    await letting_go
    await asyncio.wait([jobs])
