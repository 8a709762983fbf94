"""Works through imports: batch after batch, each account in its turn."""

from collections.abc import Callable
from datetime import datetime

Now = Callable[[], datetime]


def work(now: Now, seconds: float) -> bool:
    """For so many seconds, one batch at least. Whether there is more to do; not what other processes are at."""
    raise NotImplementedError


def until_idle(now: Now) -> None:
    """All that waits, without a rest."""
    raise NotImplementedError


def next_instant(after: datetime) -> None:
    """None: they wait for no instant."""
