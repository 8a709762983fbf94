"""How many requests a credential may make: Kit's 120 per rolling 60 seconds and key, or what the operator set.

The counts are rows in PostgreSQL, per credential and second, so that all web processes on all machines count together.
A process does not query them for every request. It counts in memory what it lets through, and writes that down and
reads the sum when a second has begun, or when it has let through 1/64 of what was left at the last look. With less than
64 left that is every request, so a single process is exact.

Accepted sloppiness: requests in flight at the same instant do not see each other, and each further process may let
through 1/64 of the limit that the others have not read yet.
"""

import threading
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from django.conf import settings
from django.db import connection

from dripstone import clock

WINDOW = 60  # seconds
SHARE = 64

# Purpose: write down what was let through, and one more unless the window is full; the sum without that one comes back.
# A refused request is not counted, so that a client that keeps trying is let in as soon as old requests leave the
# window. Primary key (credential, second): at most two windows of rows are read; 0.2 ms.
_WRITE = """
WITH used AS (
    SELECT coalesce(sum(n), 0) + %(n_unwritten)s AS n FROM credential_requests
    WHERE credential = %(credential)s AND second > %(second)s - %(window)s),
written AS (
    INSERT INTO credential_requests AS c (credential, second, n)
    SELECT %(credential)s, second, sum(n) FROM (
        SELECT * FROM unnest(%(seconds)s::bigint[], %(ns)s::integer[]) AS u (second, n)
        UNION ALL SELECT %(second)s, 1 FROM used WHERE used.n < %(limit)s) AS u
    GROUP BY second
    ON CONFLICT (credential, second) DO UPDATE SET n = c.n + excluded.n)
SELECT n FROM used
"""
# Purpose: forget what left the window; once per process, credential and window.
_FORGET = "DELETE FROM credential_requests WHERE credential = %(credential)s AND second <= %(second)s - %(window)s"


class TooMany(Exception):
    """Retry later"""


class Credential(NamedTuple):
    """What a request was signed with."""

    kind: Literal["key", "token"]
    id: int


@dataclass
class _Count:
    """One credential's requests in this process. Seconds are whole ones of the machine's clock."""

    looked: int = 0
    forgot: int = 0
    room: int = 0  # requests that may pass before the next look
    unwritten: Counter[int] = field(default_factory=Counter)  # by second


class Meter:
    """The counts of one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: defaultdict[Credential, _Count] = defaultdict(_Count)

    def count(self, credential: Credential, limit: int, second: int) -> None:
        """Counts one request. Raises TooMany when it is one too many."""
        with self._lock:
            mine = self._counts[credential]
            if mine.looked == second and mine.room > 0:
                mine.room -= 1
                mine.unwritten[second] += 1
                return
            unwritten, mine.unwritten, mine.looked = mine.unwritten, Counter(), second
        # The database is asked without the lock: others go on with the room that is left.
        n_before = _write(credential, unwritten, limit, second)
        mine.room = max(0, limit - n_before - 1) // SHARE
        if abs(second - mine.forgot) >= WINDOW:  # the clock may have been set back
            mine.forgot = second
            _forget(credential, second)
        if n_before >= limit:
            raise TooMany


def _write(credential: Credential, unwritten: Counter[int], limit: int, second: int) -> int:
    """How many requests the window held before this one."""
    recent = {at: n for at, n in unwritten.items() if second - WINDOW < at <= second}
    values = _window(credential, second) | {"n_unwritten": sum(recent.values()), "limit": limit}
    values |= {"seconds": list(recent), "ns": list(recent.values())}
    with connection.cursor() as cursor:
        cursor.execute(_WRITE, values)
        n_before: int = cursor.fetchone()[0]
    return n_before


def _forget(credential: Credential, second: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_FORGET, _window(credential, second))


def _window(credential: Credential, second: int) -> dict[str, Any]:
    return {"credential": f"{credential.kind}:{credential.id}", "second": second, "window": WINDOW}


_here = Meter()


def count(credential: Credential) -> None:
    """Counts one request against DRIPSTONE_RATE_LIMITS. Raises TooMany."""
    if settings.DRIPSTONE_RATE_LIMITS is not None:
        per_key, per_token = settings.DRIPSTONE_RATE_LIMITS
        limit = per_key if credential.kind == "key" else per_token
        _here.count(credential, limit, int(clock.system_now().timestamp()))
