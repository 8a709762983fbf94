"""Of two transactions that wait for each other PostgreSQL ends one. What it did is undone, and may be done again."""

import psycopg
from django.db import OperationalError


def is_deadlock(error: OperationalError) -> bool:
    return isinstance(error.__cause__, psycopg.errors.DeadlockDetected)
