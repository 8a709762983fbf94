"""The three processes beside the database: web, worker, and the local inbox's SMTP door. Each runs until stopped."""

import asyncio
import signal
import threading

import structlog
from django.conf import settings
from django.db import connections
from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server import Server
from procrastinate.contrib.django import app
from procrastinate.contrib.django.django_connector import DjangoConnector

from dripstone import clock
from dripstone.engine import figures, pulse
from dripstone.ops import past
from dripstone.senders import inbox_server

log = structlog.get_logger(__name__)

STOP_SECONDS = 8  # jobs and requests under way may take this long after SIGTERM


def web() -> None:
    """Serves HTTP on DRIPSTONE_HOST and DRIPSTONE_PORT until SIGTERM or Ctrl-C."""
    Server(
        "dripstone.wsgi:application",
        address=settings.DRIPSTONE_HOST,
        port=settings.DRIPSTONE_PORT,
        interface=Interfaces.WSGI,
        blocking_threads=settings.DRIPSTONE_WEB_THREADS,
        log_level=LogLevels.error,
        workers_kill_timeout=STOP_SECONDS,
        websockets=False,
    ).serve()


def worker() -> None:
    """Runs jobs until SIGTERM or Ctrl-C; then finishes those under way.

    The jobs come over a connection of the worker's own (LISTEN/NOTIFY), while what a job enqueues goes through
    Django's, inside the job's transaction: hence a second app around the same tasks.
    """
    if not pulse.may_send(clock.now()):
        log.warning("worker_starts_halted", mend=past.COMMAND)  # nobody may look at more than the log
    connections.close_all()
    connector = app.connector
    assert isinstance(connector, DjangoConnector)
    worker_app = app.with_connector(connector.get_worker_connector())

    async def run() -> None:
        async with worker_app.open_async():
            await worker_app.run_worker_async(
                concurrency=settings.DRIPSTONE_WORKER_THREADS,
                listen_notify=True,
                delete_jobs="successful",
                shutdown_graceful_timeout=STOP_SECONDS,
            )

    try:
        asyncio.run(run())
    finally:
        figures.flush()


def inbox_door() -> None:
    """Takes mail on DRIPSTONE_INBOX_PORT into the local inbox until stopped."""
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    door = inbox_server.run(settings.DRIPSTONE_HOST, settings.DRIPSTONE_INBOX_PORT)
    stopped.wait()
    door.stop()
