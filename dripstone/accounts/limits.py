"""How many requests a credential may make: Kit's 120 per rolling 60 seconds and key, or what the operator set.

The counts are a row per key and second in PostgreSQL, so every web process on every machine counts together. Accepted
sloppiness: requests in flight at the same instant do not see each other, so a few too many may pass at the edge.
"""

from django.conf import settings
from django.db import connection

from dripstone import clock

WINDOW = 60  # seconds

# Purpose: count a request unless the window is full; no row comes back then. A refused request is not counted, so
# that a client that keeps trying is let in as soon as old requests leave the window. Primary key (api_key_id,
# second): at most 60 rows are read; 0.2 ms.
_COUNT = """
INSERT INTO request_count AS c (api_key_id, second, n)
SELECT %(key)s, %(second)s, 1
WHERE (
    SELECT coalesce(sum(n), 0) FROM request_count WHERE api_key_id = %(key)s AND second > %(second)s - %(window)s
) < %(limit)s
ON CONFLICT (api_key_id, second) DO UPDATE SET n = c.n + 1
RETURNING n
"""
# Purpose: forget what left the window; once per key and second.
_FORGET = "DELETE FROM request_count WHERE api_key_id = %(key)s AND second <= %(second)s - %(window)s"


class TooMany(Exception):
    """Retry later"""


def count(key_id: int) -> None:
    """Counts one request with an API key. Raises TooMany when it is one too many."""
    if settings.DRIPSTONE_RATE_LIMITS is None:
        return
    per_key, _ = settings.DRIPSTONE_RATE_LIMITS
    second = int(clock.system_now().timestamp())
    values = {"key": key_id, "second": second, "window": WINDOW, "limit": per_key}
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, values)
        row = cursor.fetchone()
        if row is None:
            raise TooMany
        if row[0] == 1:
            cursor.execute(_FORGET, values)
