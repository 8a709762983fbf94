"""Reads events and makes calls, until nothing is due: what the job does, and the virtual clock on its way."""

import time
from collections.abc import Callable
from datetime import datetime

from dripstone import outbound
from dripstone.calls import send
from dripstone.webhooks import health, read

Now = Callable[[], datetime]

STAYS_SECONDS = 5.0  # while somebody listens: until the next periodic job
READS_EVERY = 0.25  # seconds: what happens in between goes in one call
LOOKS_EVERY = 5.0  # seconds: after what dead workers left, and who takes nothing
LET_GO_SECONDS = 5.0


def until_idle(now: Now, resolve: outbound.Resolve | None = None) -> int:
    """Everything that is due at this instant. Returns how many calls were made."""
    read.all_events(now())
    n_made = send.everything_due(now, resolve)
    health.switch_off_failing(now())
    return n_made


def next_instant(after: datetime) -> datetime | None:
    """When a call is due next, or a receiver has failed for too long; for the virtual clock."""
    instants = (send.next_instant(after), health.next_instant(after))
    return min((instant for instant in instants if instant is not None), default=None)


def keep_going(now: Now, is_told_to_stop: Callable[[], bool]) -> int:
    """The same for a worker, again and again: as long as there is something to do, and for five seconds while anybody
    listens, so that events are told within a second. Returns how many calls were made.

    While calls are on their way, events are read and others begin: nobody waits for a slow receiver.
    """
    dispatch, n_made, ends_at = send.Dispatch(), 0, time.monotonic() + STAYS_SECONDS
    reads, looks = _Every(READS_EVERY), _Every(LOOKS_EVERY)
    has_more = False
    try:
        while not is_told_to_stop():
            if looks.is_time():
                send.rescue(now())
                health.switch_off_failing(now())
            if has_more or reads.is_time():
                has_more = read.new_events(now())
            n_claimed = dispatch.fill(now())
            if dispatch.lanes:
                n_made += dispatch.collect(now, READS_EVERY)
            elif not (has_more or n_claimed):
                if time.monotonic() > ends_at or not read.is_heard():
                    break
                time.sleep(READS_EVERY)
    finally:
        dispatch.let_go(now, LET_GO_SECONDS)
    return n_made


class _Every:
    def __init__(self, seconds: float) -> None:
        self._seconds, self._next = seconds, 0.0

    def is_time(self) -> bool:
        if time.monotonic() < self._next:
            return False
        self._next = time.monotonic() + self._seconds
        return True
