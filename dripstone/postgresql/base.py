"""Django's PostgreSQL backend, with instants read by psycopg's C code, and a pool that asks a connection's socket.

Django's own loader of instants is a Python subclass that puts its zone into every value: 7 µs an instant, and a batch
reads several thousand. Our connections are in UTC (Django sees to that as long as DATABASES names no other zone), and
there the C loader answers the same: aware datetimes in UTC, 0.4 µs each. It is registered once per connection, since a
cursor with a loader of its own copies the whole map of them: 15 µs per query.
"""

import select
import sys
import time
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from django.db.backends.postgresql import base
from psycopg.adapt import AdaptersMap
from psycopg_pool import ConnectionPool, PoolTimeout

_INSTANTS = psycopg.adapters.types["timestamptz"].oid
_LOADER: Any = psycopg.adapters.get_loader(_INSTANTS, psycopg.pq.Format.TEXT)

IMPATIENT_SECONDS = 0.2
TRUSTED_SECONDS = 30.0  # a firewall that forgets idle connections takes longer

_asked: WeakKeyDictionary[psycopg.Connection[Any], float] = WeakKeyDictionary()  # time.monotonic


class DatabaseWrapper(base.DatabaseWrapper):
    def get_connection_params(self) -> dict[str, Any]:
        parameters: dict[str, Any] = super().get_connection_params()
        return parameters | {
            "context": _with_fast_instants(parameters["context"]),
            "prepare_threshold": sys.maxsize,  # only prepared.py prepares statements
        }

    def create_cursor(self, name: str | None = None) -> Any:
        """Skips Django's check of the loader of instants, which is ours."""
        if name is None:
            return self.connection.cursor()
        server_side: Any = base.ServerSideCursor
        return server_side(self.connection, name=name, scrollable=False, withhold=self.connection.autocommit)

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """From the pool, if there is one.

        When somebody has waited for it in vain, the next ones are told soon: while the database is away, requests would
        queue up behind one another's waiting.
        """
        pool = self.pool
        try:
            connection = super().get_new_connection(conn_params)
        except PoolTimeout:
            pool.timeout = IMPATIENT_SECONDS
            raise
        if pool is not None:
            pool.timeout = self.settings_dict["OPTIONS"]["pool"]["timeout"]
        return connection

    @property
    def pool(self) -> Any:
        """With CONN_HEALTH_CHECKS Django has its pool ask the server before each request; ours looks first."""
        pool = super().pool
        if pool is not None and pool._check is not None:
            pool._check = check
        return pool


@lru_cache
def _with_fast_instants(adapters: AdaptersMap) -> AdaptersMap:
    fast = AdaptersMap(adapters)
    fast.register_loader(_INSTANTS, _LOADER)
    return fast


def check(connection: psycopg.Connection[Any]) -> None:
    """Raises when the connection is dead. Called for each request: 2 µs, where an empty statement takes 40 and a
    round trip.

    A server that ends or restarts says so, or closes the socket: either makes it readable.
    """
    now = time.monotonic()
    is_trusted = now - _asked.get(connection, 0.0) < TRUSTED_SECONDS
    if not is_trusted or _has_news(connection):
        ConnectionPool.check_connection(connection)
        _asked[connection] = now


def _has_news(connection: psycopg.Connection[Any]) -> bool:
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))
