"""Is anybody at work? Workers write a heartbeat; no models here, so that it can be asked before Django is set up."""

from datetime import datetime

from django.db import connection

ENGINE_SILENT_SECONDS = 60  # workers write a heartbeat every 10 s

# procrastinate_workers holds a row per worker process; nothing else is in it, so no index is needed.
_LAST_HEARTBEAT = "SELECT max(last_heartbeat) FROM procrastinate_workers"


def last_heartbeat() -> datetime | None:
    """The instant a worker last said it lives, by the machine's clock; None when none runs."""
    with connection.cursor() as cursor:
        cursor.execute(_LAST_HEARTBEAT)
        instant: datetime | None = cursor.fetchone()[0]
    return instant
