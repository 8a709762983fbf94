"""Works off events, dates and waits for rules and automations, and sends what owners are to be told, until nothing is
due: what the job does, and the virtual clock on its way."""

from collections.abc import Callable
from datetime import datetime

Now = Callable[[], datetime]


def until_idle(now: Now) -> int:
    """Everything that is due at this instant. Returns how many firings and steps there were."""
    raise NotImplementedError


def next_instant(after: datetime) -> datetime | None:
    """When something is due next; for the virtual clock."""
    raise NotImplementedError


def keep_going(now: Now, is_told_to_stop: Callable[[], bool]) -> int:
    """The same for a worker, again and again, for some seconds."""
    raise NotImplementedError
