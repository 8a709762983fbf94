"""The processes of `dripstone up` but the worker (worker.py): web, the local inbox's SMTP door, and the one that starts
an embedded database again. Each runs until stopped."""

import resource
import signal
import threading
import time

import structlog
from django.conf import settings
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server import Server

from dripstone import embedded
from dripstone.ops import processes
from dripstone.senders import inbox_server

log = structlog.get_logger(__name__)

STOP_SECONDS = 7  # requests under way may take this long after SIGTERM
SECONDS_BETWEEN_LOOKS = 1.0  # whether the database lives: 0.2 ms each

# A connection on which no whole head of a request has come for so long is closed: silent, slow, or kept for later.
HEAD_SECONDS = 10.0
HEAD_BYTES = 65_536  # path and headers; also what is buffered of a body for each connection

# Of one process. Whoever comes beyond waits in the system's queue until one is closed.
MOST_CONNECTIONS = 8_192
OTHER_FILES = 256


def port_problem() -> str | None:
    """Why the web server cannot listen, as a sentence; None when it can.

    granian's processes share their port, so it would share it with another installation too, in silence. Asked for two
    seconds: the children of a killed `up` let go of the port when they notice.
    """
    give_up_at = time.monotonic() + 2
    while taken := processes.port_problem(settings.DRIPSTONE_HOST, settings.DRIPSTONE_PORT):
        if time.monotonic() > give_up_at:
            return f"{taken} Stop it, or choose another port: DRIPSTONE_PORT=8001"
        time.sleep(0.1)
    return None


def web() -> None:
    """Serves HTTP on DRIPSTONE_HOST and DRIPSTONE_PORT until SIGTERM or Ctrl-C.

    A process that is killed starts again beside the others; when it ends again at once, this ends too.
    Plain HTTP/1: before granian knows which HTTP a connection speaks, it waits for its first bytes without a limit.
    """
    Server(
        "dripstone.asgi:application",
        address=settings.DRIPSTONE_HOST,
        port=settings.DRIPSTONE_PORT,
        interface=Interfaces.ASGINL,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=int(1000 * HEAD_SECONDS), max_buffer_size=HEAD_BYTES),
        backpressure=_n_connections(),
        workers=settings.DRIPSTONE_WEB_PROCESSES,
        respawn_failed_workers=True,
        log_level=LogLevels.error,
        workers_kill_timeout=STOP_SECONDS,
        websockets=False,
    ).serve()


def _n_connections() -> int:
    """How many a process may hold; raises its limit of open files as far as the system lets it."""
    _, highest = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_CONNECTIONS + OTHER_FILES
    n_files = wanted if highest == resource.RLIM_INFINITY else min(wanted, highest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (n_files, highest))
    return max(n_files - OTHER_FILES, n_files // 2)


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
