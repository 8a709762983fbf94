"""The processes of `dripstone up` but the worker (worker.py): web, the local inbox's SMTP door, and the one that starts
an embedded database again. Each runs until stopped."""

import signal
import threading
import time

import structlog
from django.conf import settings
from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server import Server

from dripstone import embedded
from dripstone.senders import inbox_server

log = structlog.get_logger(__name__)

STOP_SECONDS = 8  # requests under way may take this long after SIGTERM
SECONDS_BETWEEN_LOOKS = 1.0  # whether the database lives: 0.2 ms each


def web() -> None:
    """Serves HTTP on DRIPSTONE_HOST and DRIPSTONE_PORT until SIGTERM or Ctrl-C.

    A process that is killed starts again beside the others; when it ends again at once, this ends too.
    """
    Server(
        "dripstone.wsgi:application",
        address=settings.DRIPSTONE_HOST,
        port=settings.DRIPSTONE_PORT,
        interface=Interfaces.WSGI,
        workers=settings.DRIPSTONE_WEB_PROCESSES,
        respawn_failed_workers=True,
        blocking_threads=settings.DRIPSTONE_WEB_THREADS,
        log_level=LogLevels.error,
        workers_kill_timeout=STOP_SECONDS,
        websockets=False,
    ).serve()


def inbox_door() -> None:
    """Takes mail on DRIPSTONE_INBOX_PORT into the local inbox until stopped."""
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    door = inbox_server.run(settings.DRIPSTONE_INBOX_HOST, settings.DRIPSTONE_INBOX_PORT)
    stopped.wait()
    door.stop()


def database_keeper() -> None:
    """Starts the embedded PostgreSQL again when it was killed; the other processes wait for it. A process of its own,
    because recovery takes minutes at worst, and `dripstone up` must hear signals."""
    while True:
        if embedded.is_dead(settings.DRIPSTONE_DATA):
            log.error("database_ended")
            embedded.revive(settings.DRIPSTONE_DATA)
            log.warning("database_started_again")
        time.sleep(SECONDS_BETWEEN_LOOKS)
