"""Whose turn it is to read events and dates for rules and automations, and what a turn came to."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from django.db import connection

READER = "triggers"  # its cursor among the events (events/reading.py)
TURN = 0x7275_6C65  # the advisory lock's number: "rule"


class Passed(NamedTuple):
    """n_done   how often rules were asked, with or without effect, and people in automations moved
    is_more    there may be more to do at once"""

    n_done: int
    is_more: bool


NOTHING = Passed(0, False)


@contextmanager
def turn() -> Iterator[bool]:
    """One process works off events and dates at a time, so that each person's come in their order. Of the connection:
    between its transactions nobody else has it either."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [TURN])
        (is_ours,) = cursor.fetchone()
    try:
        yield is_ours
    finally:
        if is_ours:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [TURN])
