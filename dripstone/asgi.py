"""The entry point of each web process: Django behind our front, a connection pool for its threads, and one that writes
its figures."""

import threading
import time
from typing import Any

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import connections

from dripstone.ops.processes import ask_to_die_with_parent

# A request that gets no connection within this time is answered with 503. Each thread has one at most, so this is
# about a database that is away, not about a busy one.
WAIT_SECONDS = 2.0
# The pool gives up by itself after so long, and asks again with the next request. Left alone for longer it would pause
# for up to minutes between two attempts.
RECONNECT_SECONDS = 5.0


def _pool_connections() -> None:
    """Threads borrow a connection for a request and give it back, so an idle thread holds none.

    Only here: workers and commands keep one connection per thread (settings.py), and have few threads.
    """
    database: dict[str, Any] = connections.settings["default"]
    size = settings.DRIPSTONE_WEB_THREADS + 2
    database["OPTIONS"]["pool"] = {
        "min_size": 1,
        "max_size": size,
        "timeout": WAIT_SECONDS,
        "reconnect_timeout": RECONNECT_SECONDS,
    }
    database["CONN_MAX_AGE"] = 0


def _write_figures() -> None:
    """Writes what this process has counted into the rows that any process reads for /metrics."""
    from dripstone.engine import counters

    while True:
        time.sleep(counters.FLUSH_EVERY_SECONDS)
        counters.flush()
        connections.close_all()


ask_to_die_with_parent()  # granian starts this process; if granian is killed, nothing else stops it
_django = get_wsgi_application()
_pool_connections()
threading.Thread(target=_write_figures, name="figures", daemon=True).start()

from dripstone.front.application import Front  # noqa: E402  (its imports need Django)

application = Front(_django, settings.DRIPSTONE_WEB_THREADS)
