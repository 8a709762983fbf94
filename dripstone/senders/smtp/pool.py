"""The messages that wait for one server and the connections to it. Lives in one event loop; no locks."""

import asyncio
import logging
from collections import deque

from dripstone.senders import reasons
from dripstone.senders.base import Answer, withheld
from dripstone.senders.flight import FlightLog
from dripstone.senders.smtp.batch import Batch, Job
from dripstone.senders.smtp.conversation import Conversation
from dripstone.senders.smtp.open import NotOpened, Opener, Timeouts

log = logging.getLogger(__name__)

# After a failure to open one more connection beside living ones (servers limit them).
SECONDS_BETWEEN_FAILED_OPENINGS = 5.0

CLOSED = withheld(0, reasons.SENDER_CLOSED, given_back=True)


def _unreached(reason: str, reply: str = "") -> Answer:
    return Answer(0, "temporary", reply, reason=reason, about="connection")


class Pool:
    """Opens up to n connections as needed, hands them jobs, and gives up early when the server answers nothing."""

    def __init__(self, opener: Opener, n_connections: int, timeouts: Timeouts, flight: FlightLog | None) -> None:
        self.loop = asyncio.get_running_loop()
        self.is_stopping = False
        self.stopped = asyncio.Event()
        self._opener, self._n_connections, self._timeouts, self._flight = opener, n_connections, timeouts, flight
        self._waiting: deque[Job] = deque()
        self._again: deque[Job] = deque()  # lost an old connection before their body; wait for a fresh one
        self._living: set[Conversation] = set()
        self._idle: set[Conversation] = set()
        self._leaving: set[Conversation] = set()  # said goodbye, socket not closed yet
        self._openings: set[asyncio.Task[None]] = set()
        self._batches: set[Batch] = set()
        self._no_opening_before = 0.0
        self._n_fruitless = 0  # connections lost in a row without one answer

    # From the sender

    def submit(self, batch: Batch) -> None:
        batch.is_submitted = True
        if self.is_stopping:
            self._waiting.extend(batch.jobs)
            self._answer_waiting(CLOSED)
            return
        self._n_fruitless = 0
        self._batches.add(batch)
        self._waiting.extend(batch.jobs)
        self._distribute()

    def withdraw(self, batch: Batch) -> None:
        """The caller has stopped listening: messages that have not begun must not begin."""
        batch.is_withdrawn = True
        self._batches.discard(batch)
        self._waiting = deque(job for job in self._waiting if job.batch is not batch)
        self._again = deque(job for job in self._again if job.batch is not batch)

    def stop(self) -> None:
        """Finish what is on the wire, answer the rest."""
        self.is_stopping = True
        self._answer_waiting(CLOSED)
        for conversation in list(self._idle):
            conversation.quit()
        for opening in self._openings:
            opening.cancel()
        self._check_stopped()

    def cut(self) -> None:
        """End every conversation at once: what had started is unknown."""
        for conversation in [*self._living, *self._leaving]:
            conversation.cut()
        for batch in self._batches:
            batch.flush()

    def limit(self, n_connections: int) -> None:
        """At most this many connections from now on. Those above it leave after their current message."""
        self._n_connections = n_connections
        for conversation in list(self._idle):
            if self.is_crowded:
                conversation.quit()
        self._distribute()

    @property
    def is_crowded(self) -> bool:
        """Are there more connections than allowed? The one that asks should go."""
        return len(self._living) > self._n_connections

    # From conversations

    def take(self, conversation: Conversation) -> Job | None:
        """The next job for a connection that has nothing to do."""
        if self._again and (conversation.is_fresh or not self._openings):
            return self._again.popleft()
        return self._waiting.popleft() if self._waiting else None

    def take_ahead(self, conversation: Conversation) -> Job | None:
        """The next job for a connection whose body is in the air, unless another could begin it at once."""
        if not self._waiting or self._idle or self.is_crowded:
            return None
        return self._waiting.popleft()

    def body_starts(self, job: Job) -> None:
        """Raises OSError when that cannot be written down."""
        if self._flight is not None:
            self._flight.started(job.message.delivery_id, job.message.attempt)
        job.has_body_started = True

    def answer(self, job: Job, answer: Answer) -> None:
        """Once per job, for good."""
        job.is_answered = True
        job.body = b""
        if job.has_body_started and self._flight is not None:
            self._flight.ended(job.message.delivery_id, job.message.attempt, answer.kind, is_held=True)
        if job.batch.add(answer):
            self._batches.discard(job.batch)

    def write_log(self) -> None:
        """Whoever has answered calls this in a moment: a body that starts at once takes the line along."""
        if self._flight is not None:
            self._flight.flush()

    def again(self, job: Job, answer: Answer) -> None:
        """One more try on a fresh connection; `answer` if this was that try."""
        if job.batch.is_withdrawn:
            return
        if job.is_second_try or self.is_stopping:
            self.answer(job, answer)
        else:
            job.is_second_try = True
            self._again.append(job)

    def is_idle(self, conversation: Conversation) -> None:
        self._idle.add(conversation)

    def lost(self, conversation: Conversation) -> None:
        """A connection is gone, and its jobs were answered or put back. May be called twice."""
        if conversation not in self._living:
            return
        self._living.discard(conversation)
        self._leaving.add(conversation)
        was_idle = conversation in self._idle
        self._idle.discard(conversation)
        if conversation.is_fruitful:
            self._n_fruitless = 0
        elif not was_idle:
            self._n_fruitless += 1
        if self._n_fruitless >= max(3, self._n_connections):
            # The server accepts connections and answers nothing. Going on would make every message unknown.
            log.warning("smtp_server_fruitless", extra={"n_connections": self._n_fruitless})
            self._answer_waiting(_unreached(reasons.CUT_BEFORE_BODY))
        self._distribute()

    def gone(self, conversation: Conversation) -> None:
        """Its socket is closed."""
        self.lost(conversation)
        self._leaving.discard(conversation)
        self._check_stopped()

    # Inside

    def _distribute(self) -> None:
        """Wake idle connections, then open as many as there are jobs left for."""
        for conversation in list(self._idle):
            if (self._waiting or self._again) and conversation in self._idle:
                self._idle.discard(conversation)
                conversation.next()
        if self.is_stopping or ((self._living or self._openings) and self.loop.time() < self._no_opening_before):
            return
        n_wanted = len(self._waiting) + len(self._again) - len(self._openings)
        n_free = self._n_connections - len(self._living) - len(self._openings)
        for _ in range(min(n_wanted, n_free)):
            opening = self.loop.create_task(self._open())
            self._openings.add(opening)
            opening.add_done_callback(self._opened)

    async def _open(self) -> None:
        try:
            transport, features = await self._opener.open()
        except NotOpened as problem:
            self._opened()
            self._not_opened(problem)
        except BaseException as error:  # stopping; or our bug: then no caller may wait for ever
            self._opened()
            self._not_opened(NotOpened(reasons.NOT_OPENED, type(error).__name__))
            if not isinstance(error, asyncio.CancelledError):
                log.exception("smtp_open_failed")
        else:
            self._opened()
            conversation = Conversation(self, transport, features, self._timeouts)
            self._living.add(conversation)
            conversation.next()

    def _opened(self, opening: "asyncio.Task[None] | None" = None) -> None:
        """Called in the task, and again when it is done: one cancelled before its first step never calls it."""
        done = opening or asyncio.current_task()
        assert done is not None
        self._openings.discard(done)
        self._check_stopped()

    def _not_opened(self, problem: NotOpened) -> None:
        """Without another connection every waiting job is answered now. Otherwise the other connections do the work."""
        log.warning("smtp_not_opened", extra={"reason": problem.reason, "reply": problem.reply})
        self._no_opening_before = self.loop.time() + SECONDS_BETWEEN_FAILED_OPENINGS
        if not self._living and not self._openings:
            self._answer_waiting(_unreached(problem.reason, problem.reply))
        self._distribute()
        self._check_stopped()

    def _answer_waiting(self, answer: Answer) -> None:
        """Answers every job that no connection has begun, alike but for the id: one time-out is enough for all."""
        jobs = [*self._again, *self._waiting]
        self._again.clear()
        self._waiting.clear()
        for job in jobs:
            self.answer(job, answer._replace(delivery_id=job.message.delivery_id))

    def _check_stopped(self) -> None:
        if self.is_stopping and not (self._living or self._leaving or self._openings):
            self.stopped.set()
