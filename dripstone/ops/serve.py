"""Two of the processes beside the database: web, and the local inbox's SMTP door (worker.py is the third). Each runs
until stopped."""

import signal
import threading

from django.conf import settings
from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server import Server

from dripstone.senders import inbox_server

STOP_SECONDS = 8  # requests under way may take this long after SIGTERM


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


def inbox_door() -> None:
    """Takes mail on DRIPSTONE_INBOX_PORT into the local inbox until stopped."""
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    door = inbox_server.run(settings.DRIPSTONE_HOST, settings.DRIPSTONE_INBOX_PORT)
    stopped.wait()
    door.stop()
