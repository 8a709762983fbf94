"""The messages of one hand_over, and their answers on the way back. Used by one event loop; no locks."""

import asyncio
import queue
from collections.abc import Callable, Sequence

from dripstone.senders.base import Answer, Outgoing

# Answers wait at most this long for company: waking the caller's thread for each one costs more than sending it.
FLUSH_SECONDS = 0.01
FLUSH_ANSWERS = 100


class Batch:
    """The answers of one hand_over, on their way to the thread that waits for them."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, messages: Sequence[Outgoing], write_log: Callable[[], None]
    ) -> None:
        """write_log  what an answer says stands in the flight log before the caller hears of it"""
        self.jobs = [Job(message, self) for message in messages]
        self.queue: queue.SimpleQueue[list[Answer]] = queue.SimpleQueue()
        self.is_submitted = self.is_withdrawn = False
        self._loop, self._n_left, self._write_log = loop, len(messages), write_log
        self._answers: list[Answer] = []
        self._timer: asyncio.TimerHandle | None = None

    def add(self, answer: Answer) -> bool:
        """True: it was the last one."""
        self._answers.append(answer)
        self._n_left -= 1
        if not self._n_left:
            self.jobs.clear()  # they know their batch: such a circle would keep all messages until the collector comes
        if not self._n_left or len(self._answers) >= FLUSH_ANSWERS:
            self.flush()
        elif self._timer is None:
            self._timer = self._loop.call_later(FLUSH_SECONDS, self.flush)
        return not self._n_left

    def flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._answers:
            self._write_log()
            self.queue.put(self._answers)
            self._answers = []


class Job:
    """One message on its way through the pool."""

    __slots__ = ("batch", "body", "has_body_started", "is_answered", "is_second_try", "message")

    def __init__(self, message: Outgoing, batch: Batch) -> None:
        self.message, self.batch = message, batch
        self.body = b""
        self.has_body_started = self.is_answered = self.is_second_try = False
