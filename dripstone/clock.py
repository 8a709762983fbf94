"""The only caller of the system clock.

Domain functions take `now` as an argument; views, commands and tasks ask here. With `DRIPSTONE_VIRTUAL_CLOCK=1`
the instant is a row in the database, shared by every process: it stands still until `set_virtual` moves it.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

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


class Watch:
    """Notices that the machine's clock was set, or that the machine slept: time.monotonic() knows of neither.

    A process cannot know what happened before it began: the clock counts as steady since then at the longest.
    """

    TOLERANCE = 5.0  # seconds between two looks: NTP slews by less, a thread that is held up is no jump

    def __init__(
        self, wall: Callable[[], datetime] = system_now, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._wall, self._monotonic = wall, monotonic
        self._ahead = self._distance()
        self._steady_since = monotonic()

    def jump(self) -> timedelta:
        """How far the clock has jumped since the last look, negative backwards; zero when it kept step."""
        ahead = self._distance()
        jumped, self._ahead = ahead - self._ahead, ahead
        if abs(jumped) < self.TOLERANCE:
            return timedelta(0)
        self._steady_since = self._monotonic()
        return timedelta(seconds=jumped)

    def steady(self) -> timedelta:
        """For how long there has been no jump, as of the last look."""
        return timedelta(seconds=self._monotonic() - self._steady_since)

    def _distance(self) -> float:
        return self._wall().timestamp() - self._monotonic()


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
