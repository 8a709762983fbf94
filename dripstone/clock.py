"""The only caller of the system clock.

Domain functions take `now` as an argument; views, commands and tasks ask here. With `DRIPSTONE_VIRTUAL_CLOCK=1`
the instant is a row in the database, shared by every process: it stands still until `set_virtual` moves it.
"""

from datetime import UTC, datetime

from django.conf import settings
from django.db import connection

from dripstone.errors import Invalid

# The table belongs to accounts.models.VirtualClock (one row, id 1). Raw SQL, because the clock stands left of
# every app: nothing may be imported from them here.
_READ = "SELECT now FROM virtual_clock WHERE id = 1"
_CREATE = "INSERT INTO virtual_clock (id, now) VALUES (1, %s) ON CONFLICT (id) DO NOTHING"
_MOVE = "UPDATE virtual_clock SET now = %s WHERE id = 1 AND now <= %s"


def now() -> datetime:
    """The current instant, aware, UTC: the system's, or the virtual one."""
    return _virtual_now() if is_virtual() else system_now()


def system_now() -> datetime:
    """The machine's clock, whatever `now()` stands at: for leases, logs and durations that are about the machine."""
    return datetime.now(UTC)


def is_virtual() -> bool:
    """Whether the virtual clock stands in for the system's."""
    return bool(settings.DRIPSTONE_VIRTUAL_CLOCK)


def set_virtual(instant: datetime) -> None:
    """Moves the virtual clock forward to `instant` (aware). Raises Invalid with a real clock, or backwards."""
    if not is_virtual():
        raise Invalid("The clock is not virtual: start with DRIPSTONE_VIRTUAL_CLOCK=1")
    _virtual_now()  # makes the row when this is the first use
    with connection.cursor() as cursor:
        cursor.execute(_MOVE, [instant, instant])
        if cursor.rowcount == 0:
            raise Invalid("The clock cannot be moved backwards")


def _virtual_now() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute(_READ)
        row = cursor.fetchone()
        if row is None:
            cursor.execute(_CREATE, [system_now().replace(microsecond=0)])
            cursor.execute(_READ)
            row = cursor.fetchone()
    instant: datetime = row[0]
    return instant.astimezone(UTC)
