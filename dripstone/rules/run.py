"""Reads events, takes dates that have come, and sends what owners are to be told, until nothing is due."""

from collections.abc import Callable
from datetime import datetime

Now = Callable[[], datetime]


def until_idle(now: Now) -> int:
    """Everything that is due at this instant. Returns how much was done."""
    raise NotImplementedError


def next_instant(after: datetime) -> datetime | None:
    """When a date comes next, or mail to an owner; for the virtual clock."""
    raise NotImplementedError


def keep_going(now: Now, is_told_to_stop: Callable[[], bool]) -> int:
    """The same for a worker, again and again."""
    raise NotImplementedError
