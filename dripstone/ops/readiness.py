"""Is it ready, and does mail flow? For /healthz, `dripstone doctor` and the start of `dripstone up`. Cheap queries."""

from collections.abc import Iterator
from datetime import datetime
from functools import cache

from django.db import DatabaseError, connection
from django.db.migrations.loader import MigrationLoader

from dripstone import clock, words
from dripstone.engine.pulse import ENGINE_SILENT_SECONDS, last_heartbeat
from dripstone.explain import disk
from dripstone.ops import flow
from dripstone.senders import hindrances

OK, NOT_READY, NOT_SENDING, NO_ROOM = "ok", "not ready", "not sending", "no room"

_APPLIED = "SELECT app, name FROM django_migrations"


def report() -> tuple[str, list[str]]:
    """The state right now, and a sentence for each thing that is wrong."""
    no_room = [problem] if (problem := disk.problem()) else []
    missing = list(findings(clock.system_now()))
    if missing:
        return NOT_READY, no_room + missing
    if stop := flow.stopped(clock.now()):
        return NOT_SENDING, [*no_room, stop]
    return (NO_ROOM, no_room) if no_room else (OK, [])


def findings(now: datetime) -> Iterator[str]:
    """A sentence for everything that is not ready; none when all is well.

    now  the machine's instant (clock.system_now), not the virtual one: heartbeats are about processes
    """
    try:
        pending = n_pending_migrations()
    except DatabaseError as error:
        yield f"The database does not answer: {str(error).strip().splitlines()[0]}"
        return
    if pending:
        yield f"{words.count(pending, 'migration is', 'migrations are')} not applied: run dripstone migrate."
        return
    last_seen = last_heartbeat()
    if last_seen is None or (now - last_seen).total_seconds() > ENGINE_SILENT_SECONDS:
        yield "No worker has shown itself for a minute, so nothing is sent: start dripstone worker."
    yield from hindrances.current(now)


def n_pending_migrations() -> int:
    """How many migrations of the code are not in the database. Raises DatabaseError without a database."""
    if "django_migrations" not in connection.introspection.table_names():
        return len(_migrations())
    with connection.cursor() as cursor:
        cursor.execute(_APPLIED)
        return len(_migrations() - set(cursor.fetchall()))


@cache
def _migrations() -> frozenset[tuple[str, str]]:
    """Every (app, name) the code brings. Read from disk once per process."""
    return frozenset(MigrationLoader(None).disk_migrations)
