"""The entry point of each web process: Django, a connection pool for its threads, and one that writes its figures."""

import threading
import time
from typing import Any

from django.core.wsgi import get_wsgi_application
from django.db import connections

from dripstone.ops.processes import ask_to_die_with_parent


def _pool_connections() -> None:
    """Threads borrow a connection for a request and give it back, so an idle thread holds none.

    Only here: workers and commands keep one connection per thread (settings.py), and have few threads.
    """
    database: dict[str, Any] = connections.settings["default"]
    from django.conf import settings

    database["OPTIONS"]["pool"] = {"min_size": 1, "max_size": settings.DRIPSTONE_WEB_THREADS + 2, "timeout": 10}
    database["CONN_MAX_AGE"] = 0


def _write_figures() -> None:
    """Writes what this process has counted into the rows that any process reads for /metrics."""
    from dripstone.engine import counters

    while True:
        time.sleep(counters.FLUSH_EVERY_SECONDS)
        counters.flush()
        connections.close_all()


ask_to_die_with_parent()  # granian starts this process; if granian is killed, nothing else stops it
application = get_wsgi_application()
_pool_connections()
threading.Thread(target=_write_figures, name="figures", daemon=True).start()
