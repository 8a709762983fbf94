"""One SMTP connection after AUTH: replies come in, commands and bodies go out. Callbacks, no task per message.

With PIPELINING a message costs one round trip: the body of one and MAIL, RCPT, DATA of the next go out in one write
(RFC 2920 allows the end of a body as the first command of a group). At most one body is in the air per connection,
so a lost connection makes at most one `unknown`.

A crash here means: the flight log knows which body had started; nothing else can have been accepted.
"""

import asyncio
import enum
import logging
from collections import deque
from collections.abc import Callable
from typing import Protocol

from dripstone.senders import reasons
from dripstone.senders.base import Answer, printable, withheld
from dripstone.senders.reasons import Cause
from dripstone.senders.smtp.batch import Job
from dripstone.senders.smtp.message import Unsendable, transaction
from dripstone.senders.smtp.open import Features, Timeouts
from dripstone.senders.smtp.replies import Nonsense, Reply, ReplyReader, accepted, refused

log = logging.getLogger(__name__)

SECONDS_TO_SAY_GOODBYE = 5.0


class Stage(enum.IntEnum):
    """The command whose reply is awaited. BODY: the final dot; LONE_DOT: a dot without a body (RFC 2920 § 3.1)."""

    RSET = enum.auto()
    MAIL = enum.auto()
    RCPT = enum.auto()
    DATA = enum.auto()
    BODY = enum.auto()
    LONE_DOT = enum.auto()
    QUIT = enum.auto()


class Work(Protocol):
    """What a conversation asks of the pool it belongs to (pool.py says what each means)."""

    loop: asyncio.AbstractEventLoop
    is_stopping: bool

    @property
    def is_crowded(self) -> bool: ...
    def take(self, conversation: "Conversation") -> Job | None: ...
    def take_ahead(self, conversation: "Conversation") -> Job | None: ...
    def body_starts(self, job: Job) -> None: ...
    def answer(self, job: Job, answer: Answer) -> None: ...
    def write_log(self) -> None: ...
    def again(self, job: Job, answer: Answer) -> None: ...
    def is_idle(self, conversation: "Conversation") -> None: ...
    def lost(self, conversation: "Conversation") -> None: ...
    def gone(self, conversation: "Conversation") -> None: ...


class Conversation(asyncio.Protocol):
    """Takes jobs from the pool until there are none, answers each through the pool, then waits idle."""

    def __init__(self, pool: Work, transport: asyncio.Transport, features: Features, timeouts: Timeouts) -> None:
        self.is_fresh = True  # no message yet: the server had no reason to close this connection
        self.is_fruitful = False  # the server has answered for at least one message
        self._pool, self._transport, self._features, self._timeouts = pool, transport, features, timeouts
        self._replies = ReplyReader()
        self._awaited: deque[tuple[Stage, Job | None]] = deque()
        self._commands: deque[tuple[Stage, bytes]] = deque()  # lock-step only: the rest of the envelope
        self._is_reset_needed = False
        self._has_recipient = False
        self._is_over = False
        self._loop = pool.loop
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        transport.set_protocol(self)

    # From the pool

    def next(self) -> None:
        """Begin the next message, or wait idle when there is none."""
        if self._is_over:
            return
        if self._pool.is_crowded:
            self.quit()
            return
        job, commands = self._take(self._pool.take)
        if job is not None:
            self._send(job, commands)
        elif self._pool.is_stopping:
            self.quit()
        else:
            self._expect_within(self._timeouts.idle)
            self._pool.is_idle(self)

    def quit(self) -> None:
        """Leave politely. Only without a message under way."""
        if not self._is_over:
            self._pool.lost(self)
            self._awaited.append((Stage.QUIT, None))
            self._transport.write(b"QUIT\r\n")
            self._expect_within(SECONDS_TO_SAY_GOODBYE)

    def cut(self) -> None:
        """Leave at once, whatever is on the wire."""
        self._lose("cut", retry=False)

    # Out

    def _take(self, take: "Callable[[Conversation], Job | None]") -> tuple[Job | None, list[tuple[Stage, bytes]]]:
        """A job and its envelope. Jobs that cannot be sent over this connection are answered on the way."""
        while (job := take(self)) is not None:
            if job.message.is_overdue:
                self._pool.answer(job, withheld(job.message.delivery_id, reasons.LEASE_OVER, given_back=True))
                continue
            try:
                mail, rcpt, job.body = transaction(job.message, self._features)
            except Unsendable as problem:
                id_ = job.message.delivery_id
                self._pool.answer(job, Answer(id_, "permanent", reason=problem.reason, about="us"))
            except Exception:  # our bug; this message must not take the others with it
                log.exception("smtp_message_failed", extra={"delivery_id": job.message.delivery_id})
                self._pool.answer(job, withheld(job.message.delivery_id, reasons.INTERNAL_ERROR))
            else:
                return job, [(Stage.MAIL, mail), (Stage.RCPT, rcpt), (Stage.DATA, b"DATA\r\n")]
        return None, []

    def _send(self, job: Job, commands: list[tuple[Stage, bytes]], after: bytes = b"") -> None:
        """Write `after` (the end of the message before) and as much of the envelope as the server may get at once."""
        if self._is_reset_needed:
            commands.insert(0, (Stage.RSET, b"RSET\r\n"))
            self._is_reset_needed = False
        if not self._features.pipelining:
            self._commands.extend(commands[1:])
            del commands[1:]
        self._awaited += [(stage, job) for stage, _ in commands]
        self._transport.write(b"".join([after, *[command for _, command in commands]]))
        self._expect_reply()

    def _send_body(self, job: Job) -> None:
        """The one place where a message leaves. From here to its final reply its outcome is unknown."""
        if job.message.is_overdue:  # this process stood still between the envelope and now
            self._pool.answer(job, withheld(job.message.delivery_id, reasons.LEASE_OVER, given_back=True))
            self.cut()
            return
        try:
            self._pool.body_starts(job)
        except OSError as error:  # no flight log, no body: a kill could not be told from a message never begun
            log.error("flight_log_failed", extra={"delivery_id": job.message.delivery_id, "error": str(error)})
            self._pool.answer(job, withheld(job.message.delivery_id, reasons.FLIGHT_LOG))
            self.cut()
            return
        self._end_message(Stage.BODY, job, job.body)

    def _end_message(self, stage: Stage, job: Job, content: bytes) -> None:
        """A body or a lone dot, and behind it the envelope of the next message when the server allows that."""
        self.is_fresh = False
        self._awaited[0] = (stage, job)  # in place of DATA, the last of its envelope
        ahead, commands = self._take(self._pool.take_ahead) if self._features.pipelining else (None, [])
        if ahead is not None:
            self._send(ahead, commands, content)
        else:
            self._transport.write(content)
            self._expect_reply()

    # In

    def data_received(self, data: bytes) -> None:
        try:
            for reply in self._replies.feed(data):
                if self._is_over:
                    return
                self._on_reply(reply)
            if self._awaited and not self._is_over:
                self._expect_reply()
        except Nonsense as nonsense:
            self._lose("nonsense", reply=str(nonsense))
        except Exception:
            # Our bug. The messages of this connection must still be answered, or their batch would wait for ever.
            log.exception("smtp_conversation_failed")
            self._lose("cut", retry=False)
        finally:
            self._pool.write_log()

    def eof_received(self) -> None:
        self._lose("cut")

    def connection_lost(self, exc: Exception | None) -> None:
        self._lose("cut", reply=printable(str(exc or "")))
        self._pool.gone(self)

    def _on_reply(self, reply: Reply) -> None:
        if not self._awaited:  # idle, and the server says goodbye; or it is out of step
            self._lose("cut")
            return
        stage, job = self._awaited[0]
        if job is None or stage is Stage.QUIT:
            self._close()
        elif reply.code == 421:
            self._on_goodbye(stage, job, reply)
        else:
            ACTIONS[stage](self, job, reply)

    def _on_reset(self, job: Job, reply: Reply) -> None:
        if reply.code >= 300:
            self._lose("nonsense", reply=str(reply))
            return
        self._went_well()

    def _on_mail(self, job: Job, reply: Reply) -> None:
        self._has_recipient = False
        if 200 <= reply.code < 300:
            self._went_well()
        elif reply.code < 400:
            self._lose("nonsense", reply=str(reply))
        else:
            self._refuse(job, refused(job.message, reply, at="MAIL"))

    def _on_rcpt(self, job: Job, reply: Reply) -> None:
        if 200 <= reply.code < 300:
            self._has_recipient = True
            self._went_well()
        elif reply.code < 400:
            self._lose("nonsense", reply=str(reply))
        else:
            self._refuse(job, refused(job.message, reply, at="RCPT"))

    def _on_data(self, job: Job, reply: Reply) -> None:
        if reply.code == 354:
            if not job.is_answered:
                self._send_body(job)
            elif self._has_recipient:  # MAIL refused and RCPT taken: a dot would deliver an empty message
                self._lose("cut")
            else:
                self._is_reset_needed = False
                self._end_message(Stage.LONE_DOT, job, b".\r\n")
        elif reply.code < 400:
            self._lose("nonsense", reply=str(reply))
        else:
            self._refuse(job, refused(job.message, reply, at="DATA"))

    def _on_final(self, job: Job, reply: Reply) -> None:
        if not 200 <= reply.code < 300 and reply.code < 400:
            self._lose("nonsense", reply=str(reply))
            return
        if not job.is_answered:
            self.is_fruitful = True
            is_taken = reply.code < 300
            answer = accepted(job.message, reply) if is_taken else refused(job.message, reply, at="body")
            self._pool.answer(job, answer)
        self._awaited.popleft()
        if not self._awaited:
            self.next()

    def _went_well(self) -> None:
        """On to the next command of the envelope; with PIPELINING it is already out."""
        _, job = self._awaited.popleft()
        if self._commands:
            stage, command = self._commands.popleft()
            self._awaited.append((stage, job))
            self._transport.write(command)

    def _refuse(self, job: Job, answer: Answer) -> None:
        """The first refusal decides about a message; with PIPELINING the replies to its other commands follow."""
        self._is_reset_needed = True
        if not job.is_answered:
            self.is_fruitful = True
            self.is_fresh = False
            self._pool.answer(job, answer)
        self._awaited.popleft()
        self._commands.clear()
        if not self._awaited:
            self.next()

    def _on_goodbye(self, stage: Stage, job: Job, reply: Reply) -> None:
        """421: the server closes. On a used connection that says nothing about this message: it gets a fresh one."""
        if not job.is_answered and (self.is_fresh or stage is Stage.BODY):
            self._pool.answer(job, refused(job.message, reply, at="body" if stage is Stage.BODY else "MAIL"))
        self._lose("cut", reply=str(reply))

    # The end

    def _lose(self, cause: Cause, *, retry: bool = True, reply: str = "") -> None:
        """The connection is lost: decide about every message on it.

        Only the first one awaited is affected; the others have sent just their envelope, and get a fresh connection.
        """
        if self._is_over:
            return
        self._is_over = True
        awaited, self._awaited = list(self._awaited), deque()
        self._close()
        stages = {job: stage for stage, job in reversed(awaited) if job is not None and not job.is_answered}
        for job, stage in reversed(stages.items()):
            id_ = job.message.delivery_id
            is_body_out = stage is Stage.BODY
            reason = reasons.of_a_lost_connection(cause, has_body_started=is_body_out)
            if is_body_out:
                self._pool.answer(job, Answer(id_, "unknown", reply, reason=reason, about="server"))
                continue
            answer = Answer(id_, "temporary", reply, reason=reason, about="server")
            is_concerned = job is awaited[0][1] and cause != "cut"
            if retry and not is_concerned:
                self._pool.again(job, answer)
            else:
                self._pool.answer(job, answer)
        self._pool.write_log()
        self._pool.lost(self)

    def _close(self) -> None:
        self._is_over = True
        if self._timer is not None:
            self._timer.cancel()
        self._transport.abort()

    # Time

    def _expect_reply(self) -> None:
        is_last = self._awaited[0][0] in (Stage.BODY, Stage.LONE_DOT)
        self._expect_within(self._timeouts.final if is_last else self._timeouts.command)

    def _expect_within(self, seconds: float) -> None:
        """One timer per connection, moved only when it would ring too late: moving it per command costs more."""
        self._deadline = self._loop.time() + seconds
        if self._timer is None:
            self._timer = self._loop.call_at(self._deadline, self._on_timer)
        elif self._timer.when() > self._deadline:
            self._timer.cancel()
            self._timer = self._loop.call_at(self._deadline, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._is_over:
            return
        if self._loop.time() < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._on_timer)
        elif self._awaited and self._awaited[0][0] is not Stage.QUIT:
            self._lose("timeout")
        elif self._awaited:
            self._close()
        else:
            self.quit()


ACTIONS = {
    Stage.RSET: Conversation._on_reset,
    Stage.MAIL: Conversation._on_mail,
    Stage.RCPT: Conversation._on_rcpt,
    Stage.DATA: Conversation._on_data,
    Stage.BODY: Conversation._on_final,
    Stage.LONE_DOT: Conversation._on_final,
}
