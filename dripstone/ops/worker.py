"""The worker process: takes jobs, looks after its neighbours, and stops within 10 seconds of being told.

It outlives a restart of PostgreSQL and a change of the clock: it then begins a new round with the queue.
Procrastinate's listener and its periodic jobs do not survive a restart, and after the clock was set back the periodic
jobs do not run until it has caught up with itself.
"""

import asyncio
import os
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import structlog
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import DatabaseError, close_old_connections, connections
from procrastinate.contrib.django import app
from procrastinate.contrib.django.django_connector import DjangoConnector

from dripstone import clock
from dripstone.engine import counters, process, pulse, rescue, tasks
from dripstone.ops import past
from dripstone.senders import hindrances

log = structlog.get_logger(__name__)

SECONDS_BETWEEN_LOOKS = 2.0
SECONDS_BETWEEN_ROUNDS = 1.0
STOP_SECONDS = 9.5  # the sender lets go after 7; a longer hang is the database's, and the flight log has the outcomes


def run() -> None:
    """Until SIGTERM or Ctrl-C."""
    with suppress(DatabaseError):  # away: it is waited for below
        if not pulse.may_send(clock.now()):
            log.warning("worker_starts_halted", mend=past.COMMAND)  # the log may be all that the operator sees
    connections.close_all()
    try:
        asyncio.run(_Worker().run())
    finally:
        counters.flush()


class _Worker:
    def __init__(self) -> None:
        self._told_to_stop, self._new_round = asyncio.Event(), asyncio.Event()
        self._clock = clock.Watch()
        self._neighbours = rescue.Watch(process.flights())
        self._own = hindrances.Watch(f"{socket.gethostname()}-{os.getpid()}", process.flights())
        self._looking = ThreadPoolExecutor(1, "look")  # one thread, because Django keeps a connection per thread

    async def run(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stop)
        looks = asyncio.create_task(self._look_again_and_again())
        while not self._told_to_stop.is_set():
            await self._round()
        looks.cancel()
        await asyncio.to_thread(process.close)
        self._looking.shutdown(wait=False, cancel_futures=True)

    def _stop(self) -> None:
        self._told_to_stop.set()
        deadline = threading.Timer(STOP_SECONDS, os._exit, [1])
        deadline.daemon = True
        deadline.start()

    async def _round(self) -> None:
        """Jobs until told to stop, until the clock jumps, or until the database is lost."""
        self._new_round.clear()
        await sync_to_async(close_old_connections)()  # in the thread of the periodic jobs, which never looks itself
        jobs = asyncio.create_task(_take_jobs())
        ends = [asyncio.create_task(event.wait()) for event in (self._told_to_stop, self._new_round)]
        await asyncio.wait([jobs, *ends], return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()
        if self._told_to_stop.is_set():
            await _let_go(jobs)
        jobs.cancel()
        try:
            await jobs
        except asyncio.CancelledError:
            return
        except Exception as error:  # any error: a worker that has stopped working is worse
            log.warning("queue_lost", error=str(error).strip())
        with suppress(TimeoutError):
            await asyncio.wait_for(self._told_to_stop.wait(), SECONDS_BETWEEN_ROUNDS)

    async def _look_again_and_again(self) -> None:
        """At the start too: a worker that was killed is soon started again, and then its rows move."""
        loop = asyncio.get_running_loop()
        while True:
            if jump := self._clock.jump():
                log.warning("clock_jumped", seconds=round(jump.total_seconds()))
                self._new_round.set()
            await loop.run_in_executor(self._looking, self._look)
            await asyncio.sleep(SECONDS_BETWEEN_LOOKS)

    def _look(self) -> None:
        close_old_connections()
        try:
            process.hinder(self._own.look())
            self._own.tell(clock.system_now())
            tasks.look_after(self._neighbours)
        except Exception as error:
            log.warning("rescue_failed", error=str(error).strip())
        close_old_connections()


async def _take_jobs() -> None:
    """The jobs come over a connection of the worker's own (LISTEN/NOTIFY), while what a job enqueues goes through
    Django's, inside the job's transaction: hence a second app around the same tasks."""
    connector = app.connector
    assert isinstance(connector, DjangoConnector)
    async with app.with_connector(connector.get_worker_connector()).open_async() as worker_app:
        await worker_app.run_worker_async(
            concurrency=settings.DRIPSTONE_WORKER_THREADS,
            listen_notify=True,
            delete_jobs="successful",
            install_signal_handlers=False,
        )


async def _let_go(jobs: "asyncio.Task[None]") -> None:
    """Take no new jobs. Messages on the wire may finish, the rest is given back. A batch that reaches the sender only
    now opens it again, so it is closed until all jobs have ended."""
    letting_go = asyncio.get_running_loop().run_in_executor(None, process.retire)
    jobs.cancel()
    await letting_go
    while not jobs.done():
        await asyncio.to_thread(process.retire)
        await asyncio.wait([jobs], timeout=0.1)
