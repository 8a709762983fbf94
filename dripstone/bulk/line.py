"""The line of an account: the jobs and actions of it that wait. Accounts take turns (runner.py).

Each is part of the caller's transaction, which writes what stands in the line, or ends it.
"""

from django.db import connection

MOST_BYTES = 300_000_000  # of an account's calls that wait, as Kit's

# Purpose: stand in line, unless it is full: then no row comes back. Primary key.
_STAND_IN = """
INSERT INTO bulk_line AS line (account_id, n_jobs, n_bytes, turn_at)
SELECT %(account)s, 1, %(bytes)s, clock_timestamp() WHERE %(bytes)s <= %(most)s
ON CONFLICT (account_id) DO UPDATE SET n_jobs = line.n_jobs + 1, n_bytes = line.n_bytes + EXCLUDED.n_bytes
WHERE line.n_bytes + EXCLUDED.n_bytes <= %(most)s
RETURNING account_id
"""
_LEAVE = "UPDATE bulk_line SET n_jobs = n_jobs - 1, n_bytes = n_bytes - %(bytes)s WHERE account_id = %(account)s"


def stand_in(account_id: int, n_bytes: int = 0) -> bool:
    """False: so much waits already that this does not fit."""
    with connection.cursor() as cursor:
        cursor.execute(_STAND_IN, {"account": account_id, "bytes": n_bytes, "most": MOST_BYTES})
        return cursor.fetchone() is not None


def leave(account_id: int, n_bytes: int = 0) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_LEAVE, {"account": account_id, "bytes": n_bytes})
