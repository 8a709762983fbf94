"""How many requests a credential may make: Kit's 120 per rolling 60 seconds and key, or what the operator set.

The counts are one row per credential in PostgreSQL, so that all web processes on all machines count together. A request
is let through by one statement that changes this row: of two at the same instant one waits for the other and counts on
from what it has written. So never is one too many let through, however many processes there are.

Above EXACT a query for each request would be many, and nobody notices one more in a hundred. There a process counts in
memory what it lets through, and writes that down and reads the sum when a second has begun, or when it has let through
1/64 of what was left at the last look. With less than 64 left that is every request, so a single process is exact.

Accepted sloppiness: seconds are whole, so a request leaves the window up to a second early, and machines whose clocks
differ see one another's so much earlier or later. Above EXACT each further process may let through 1/64 of the limit
that the others have not read yet.
"""

import threading
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from django.conf import settings
from django.db import connection

from dripstone import clock

WINDOW = 60  # seconds
EXACT = 600  # requests per window
SHARE = 64
MOST_COUNTED = 10_000  # credentials that a process counts in memory

# Purpose: write down what was let through, and one more unless the window is full; the window comes back. A refused
# request is not counted, so that a client that keeps trying is let in as soon as old requests leave the window. What
# lies ahead of the window is from before the clock was set back. By primary key, one row of at most 61 seconds: 0.2 ms.
#
# ON CONFLICT locks the newest row and computes from that. A plain UPDATE that has to wait for the row does not, where
# SET has a subquery: with three processes 123 to 132 of 160 requests passed a limit of 120.
_COUNT = """
INSERT INTO credential_windows AS w (credential, seconds, ns, is_full)
VALUES (%(credential)s, %(first_seconds)s, %(first_ns)s, false)
ON CONFLICT (credential) DO UPDATE SET (seconds, ns, is_full) = (
    WITH recent AS (
        SELECT second, n FROM unnest(w.seconds, w.ns) AS u (second, n) WHERE abs(%(second)s - second) < %(window)s
        UNION ALL
        SELECT second, n FROM unnest(%(seconds)s::bigint[], %(ns)s::bigint[]) AS u (second, n)),
    this AS (SELECT coalesce(sum(n), 0) >= %(limit)s AS is_one_too_many FROM recent),
    counted AS (
        SELECT second, sum(n)::bigint AS n FROM (
            SELECT second, n FROM recent UNION ALL SELECT %(second)s, 1 FROM this WHERE NOT is_one_too_many) AS u
        GROUP BY second)
    SELECT array_agg(second ORDER BY second), array_agg(n ORDER BY second), (SELECT is_one_too_many FROM this)
    FROM counted)
RETURNING seconds, ns, is_full
"""
# Purpose: forget credentials that make no requests. Reads the table, a row per credential, once a night.
_FORGET = "DELETE FROM credential_windows WHERE seconds[cardinality(seconds)] <= %s"


class TooMany(Exception):
    """Retry later"""

    def __init__(self, after_seconds: int) -> None:
        """after_seconds: until the window has room again, if nothing else is let through"""
        super().__init__()
        self.after_seconds = after_seconds


class Credential(NamedTuple):
    """What a request was signed with."""

    kind: Literal["key", "token"]
    id: int

    def __str__(self) -> str:
        return f"{self.kind}:{self.id}"


class _Window(NamedTuple):
    """The requests of the last 60 seconds."""

    seconds: list[int]  # in order; whole ones of the machine's clock
    ns: list[int]  # how many in each
    is_full: bool  # whether the last one was one too many, and is not counted

    def wait(self, limit: int, second: int) -> int:
        """Seconds until enough of them have left."""
        n_left = sum(self.ns)
        for at, n in zip(self.seconds, self.ns, strict=True):
            n_left -= n
            if n_left < limit:
                return at + WINDOW - second
        return WINDOW


@dataclass
class _Count:
    """One credential's requests in this process."""

    looked: int = 0
    room: int = 0  # requests that may pass before the next look
    unwritten: Counter[int] = field(default_factory=Counter)  # by second


class Meter:
    """The counts of one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: defaultdict[Credential, _Count] = defaultdict(_Count)

    def count(self, credential: Credential, limit: int, second: int) -> None:
        """Counts one request. Raises TooMany when it is one too many."""
        if limit <= EXACT:
            _let_in(credential, {}, limit, second)
            return
        with self._lock:
            mine = self._counts[credential]
            if mine.looked == second and mine.room > 0:
                mine.room -= 1
                mine.unwritten[second] += 1
                return
            unwritten, mine.unwritten, mine.looked = mine.unwritten, Counter(), second
            if len(self._counts) > MOST_COUNTED:
                self._forget(second)
        # The database is asked without the lock: others go on with the room that is left.
        n = _let_in(credential, {at: n for at, n in unwritten.items() if second - WINDOW < at <= second}, limit, second)
        mine.room = (limit - n) // SHARE

    def _forget(self, second: int) -> None:
        for credential in [one for one, count in self._counts.items() if abs(second - count.looked) >= WINDOW]:
            del self._counts[credential]


def _let_in(credential: Credential, unwritten: Mapping[int, int], limit: int, second: int) -> int:
    """How many requests the window holds with this one. Raises TooMany."""
    window = _count(credential, unwritten, limit, second)
    if window.is_full:
        raise TooMany(window.wait(limit, second))
    return sum(window.ns)


def _count(credential: Credential, unwritten: Mapping[int, int], limit: int, second: int) -> _Window:
    first = sorted((Counter(unwritten) + Counter([second])).items())
    values: dict[str, Any] = {"credential": str(credential), "second": second, "window": WINDOW, "limit": limit}
    values |= {"seconds": list(unwritten), "ns": list(unwritten.values())}
    values |= {"first_seconds": [at for at, _ in first], "first_ns": [n for _, n in first]}
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, values)
        return _Window._make(cursor.fetchone())


_here = Meter()


def count(credential: Credential) -> None:
    """Counts one request against DRIPSTONE_RATE_LIMITS. Raises TooMany."""
    if settings.DRIPSTONE_RATE_LIMITS is not None:
        per_key, per_token = settings.DRIPSTONE_RATE_LIMITS
        limit = per_key if credential.kind == "key" else per_token
        _here.count(credential, limit, _second())


def forget_idle() -> None:
    """Credentials whose window is empty: most of them were revoked, or are tokens that another has followed."""
    with connection.cursor() as cursor:
        cursor.execute(_FORGET, [_second() - WINDOW])


def _second() -> int:
    return int(clock.system_now().timestamp())
