"""Hands events to rules."""

from datetime import datetime

READER = "triggers"


def next_events(now: datetime) -> bool:
    """Work off the next events. False: there are no more, or another process is at them just now."""
    raise NotImplementedError
