"""SMTP and SMTPS: a pool of kept connections in an event loop of its own, beside the thread that asks."""

import asyncio
import contextlib
import os
import queue
import threading
from collections.abc import Callable, Iterator, Sequence

from dripstone.senders import reasons
from dripstone.senders.base import Answer, Outgoing, withheld
from dripstone.senders.flight import FlightLog
from dripstone.senders.smtp.batch import Batch
from dripstone.senders.smtp.open import Opener, Timeouts
from dripstone.senders.smtp.pool import Pool
from dripstone.senders.urls import MailUrl

SECONDS_TO_FINISH = 7.0  # so that a worker is gone 10 s after it was told to stop
SECONDS_TO_CLOSE = 1.0
SECONDS_BETWEEN_LOOKS = 0.5  # whether the thread still lives; answers wake the caller by themselves


class SmtpSender:
    """Connections stay open between batches. hand_over may be called from several threads at once.

    The thread starts with the first batch; after a fork the child starts its own and never touches the parent's.
    """

    def __init__(self, mail: MailUrl, *, flight: FlightLog | None = None, timeouts: Timeouts | None = None) -> None:
        """Raises ValueError when the ca file cannot be used."""
        self._timeouts = timeouts or Timeouts()
        self._opener = Opener(mail, self._timeouts)
        self._n_connections, self._flight = mail.connections, flight
        self._lock = threading.RLock()  # a signal handler may close while this thread is in here
        self._background: _Background | None = None
        self._is_closed_for_good = False

    @property
    def eight_bit(self) -> bool:
        """What the server said last; no before the first connection."""
        return self._opener.features.eight_bit

    def hand_over(self, messages: Sequence[Outgoing]) -> Iterator[list[Answer]]:
        if not messages:
            return
        background = self._running()
        if background is None:
            yield [_closed(message.delivery_id) for message in messages]
            return
        batch = Batch(background.loop, messages, background.pool.write_log)
        background.call(background.pool.submit, batch)
        n_left = len(messages)
        try:
            while n_left:
                answers = background.next_answers(batch)
                n_left -= len(answers)
                yield answers
        finally:
            if n_left:
                background.call(background.pool.withdraw, batch)

    def limit_connections(self, n_connections: int) -> None:
        self._n_connections = n_connections
        if self._background is not None and self._background.pid == os.getpid():
            self._background.limit(n_connections)

    def close(self, grace_seconds: float = SECONDS_TO_FINISH, *, for_good: bool = False) -> None:
        """What is on the wire gets grace_seconds to finish; a body without its final reply by then is "unknown".

        A hand_over under way in another thread gets all its answers. A later hand_over starts again, unless for_good.
        """
        with self._lock:
            self._is_closed_for_good |= for_good
            background, self._background = self._background, None
        if background is not None and background.pid == os.getpid():
            background.stop(grace_seconds)

    def _running(self) -> "_Background | None":
        with self._lock:
            if self._is_closed_for_good:
                return None
            if self._background is None or self._background.pid != os.getpid():
                self._background = _Background(self._opener, self._n_connections, self._timeouts, self._flight)
            return self._background


class _Background:
    """A thread with an event loop and a pool in it."""

    def __init__(self, opener: Opener, n_connections: int, timeouts: Timeouts, flight: FlightLog | None) -> None:
        self.pid = os.getpid()
        self.loop = _new_loop()
        self._thread = threading.Thread(target=self._run, name="dripstone-smtp", daemon=True)
        self._thread.start()

        async def new_pool() -> Pool:
            return Pool(opener, n_connections, timeouts, flight)

        self.pool = asyncio.run_coroutine_threadsafe(new_pool(), self.loop).result()

    def call(self, function: Callable[[Batch], None], batch: Batch) -> None:
        with contextlib.suppress(RuntimeError):  # closed meanwhile; its last answers are in the queue
            self.loop.call_soon_threadsafe(function, batch)

    def limit(self, n_connections: int) -> None:
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self.pool.limit, n_connections)

    def next_answers(self, batch: Batch) -> list[Answer]:
        """Empty when none came for a while."""
        with contextlib.suppress(queue.Empty):
            return batch.queue.get(timeout=SECONDS_BETWEEN_LOOKS)
        if self._thread.is_alive() or not batch.queue.empty():
            return []
        if batch.is_submitted:
            raise RuntimeError("the SMTP thread has died")
        # close() came between: the pool has never seen this batch.
        return [_closed(job.message.delivery_id) for job in batch.jobs]

    def stop(self, grace_seconds: float) -> None:
        asyncio.run_coroutine_threadsafe(self._finish(grace_seconds), self.loop).result()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(SECONDS_TO_CLOSE)  # a daemon: a socket that will not close does not keep the process

    async def _finish(self, grace_seconds: float) -> None:
        self.pool.stop()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.pool.stopped.wait(), grace_seconds)
        self.pool.cut()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.pool.stopped.wait(), SECONDS_TO_CLOSE)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()
        self.loop.close()


def _closed(delivery_id: int) -> Answer:
    return withheld(delivery_id, reasons.SENDER_CLOSED, given_back=True)


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
