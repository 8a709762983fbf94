"""Slow emails do not hold others up: of a batch they are rendered last, and what is left after a second goes back.

An ordinary message takes half a millisecond; one whose Liquid takes nearly all it may (content/liquid_cost.py), a tenth
of a second. Only CPU time of this thread counts, so a stopped or busy machine makes nothing slow. What this decides is
when a message goes, never whether or how.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from collections.abc import Sequence as Series
from datetime import timedelta

from dripstone import clock
from dripstone.engine.attempts import AT_ONCE, Outcome
from dripstone.engine.claim import Claimed

LONGEST = 1.0  # seconds of CPU that one batch may render
SLOW = 0.02  # seconds of CPU for one message
SHARE = 0.5  # of one thread, that the messages of one email which go back may take


def cpu() -> float:
    """Seconds that this thread has worked. With the virtual clock nobody waits, and each run must be like the last."""
    return 0.0 if clock.is_virtual() else time.thread_time()


class Turns:
    """The rows of a batch in the order in which to render them, until it has taken too long."""

    def __init__(self, batch: Series[Claimed], cpu: Callable[[], float] = cpu) -> None:
        self._batch, self._cpu = batch, cpu
        self._ends_at = cpu() + LONGEST
        self._slow: dict[int | None, float] = {}  # email id → seconds that its last message took
        self._left: list[Claimed] = []

    def __iter__(self) -> Iterator[Claimed]:
        later: list[Claimed] = []
        for row in self._batch:
            if row.email_id in self._slow:
                later.append(row)
            else:
                yield from self._one(row)
        for row in later:
            yield from self._one(row)

    def _one(self, row: Claimed) -> Iterator[Claimed]:
        """The row, unless time is up. The caller renders it before asking for the next."""
        began = self._cpu()
        if began >= self._ends_at:
            self._left.append(row)
            return
        yield row
        took = self._cpu() - began
        if took > SLOW:
            self._slow[row.email_id] = took
        else:
            self._slow.pop(row.email_id, None)  # its first message took long: what all share was made then

    def back(self) -> list[Outcome]:
        """What was left goes back to planned: at once, or if its email is slow, one after another, so that later
        batches find a few of them at a time."""
        n_before: Counter[int | None] = Counter()
        outcomes = []
        for row in self._left:
            n_before[row.email_id] += 1
            wait = timedelta(seconds=self._slow.get(row.email_id, 0) / SHARE * n_before[row.email_id])
            outcomes.append(Outcome(row.delivery_id, row.attempt, "planned", retry_in=wait or AT_ONCE, untried=True))
        return outcomes
