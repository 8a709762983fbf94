"""Work that one process does at a time, over all machines."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection


@contextmanager
def turn(number: int) -> Iterator[bool]:
    """Whether it is ours now; False: another process is at it. number: of the advisory lock.

    Of the connection, not of a transaction: what is done inside has several, and between them nobody else has it
    either.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [number])
        (is_ours,) = cursor.fetchone()
    try:
        yield is_ours
    finally:
        if is_ours:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [number])
