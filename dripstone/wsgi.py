"""The web process's entry point: Django, with a connection pool for its threads."""

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


ask_to_die_with_parent()  # granian starts this process; should granian be killed, nobody else would stop it
application = get_wsgi_application()
_pool_connections()
