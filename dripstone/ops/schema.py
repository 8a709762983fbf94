"""Bringing the database to this version, once, however many processes ask for it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.core.management import call_command
from django.db import connection

from dripstone.errors import Invalid
from dripstone.ops import readiness

OLDEST_POSTGRESQL = 14
_LOCK = 7_264_511  # pg_advisory_lock: any number, the same in every version of Dripstone


def migrate(tell: Callable[[str], None]) -> int:
    """Applies what is missing and returns how many migrations that were. Waits while another process does it."""
    _refuse_old_server()
    with _only_one():
        n_pending = readiness.n_pending_migrations()
        if n_pending:
            tell(f"Setting up the database ({n_pending} migrations)")
            call_command("migrate", interactive=False, verbosity=0)
    return n_pending


def _refuse_old_server() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version_num")
        version = int(cursor.fetchone()[0]) // 10_000
    if version < OLDEST_POSTGRESQL:
        raise Invalid(f"The database is PostgreSQL {version}; Dripstone needs {OLDEST_POSTGRESQL} or newer.")


@contextmanager
def _only_one() -> Iterator[None]:
    """A session lock: it goes with the connection, should we be killed."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])
