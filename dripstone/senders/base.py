"""What every sender takes and answers. A sender fails in exactly three ways: temporary, permanent, unknown."""

import math
import time
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple, Protocol

Kind = Literal["sent", "temporary", "permanent", "unknown"]
About = Literal["message", "server", "connection", "us"]

REPLY_LENGTH = 500


class Lines(NamedTuple):
    """What is known of the lines of a message from the way it was made. To look for it takes longer than to send it.

    end_in_crlf    all of them, the last one too, and there is no other CR or LF
    may_have_dots  one may begin with a dot
    """

    end_in_crlf: bool = False
    may_have_dots: bool = True


class Outgoing(NamedTuple):
    """One message, ready to leave.

    mail_from  envelope sender, a bare address; "" for the null sender
    rcpt_to    envelope recipient, a bare address
    data       the whole RFC 5322 message, lines ending in CRLF, not dot-stuffed
    not_after  time.monotonic() after which the body must not start any more: the end of the caller's lease. If this
               process was stopped (SIGSTOP, a laptop's lid) and woken again, another worker may own the delivery
    """

    delivery_id: int
    account_id: int
    attempt: int
    mail_from: str
    rcpt_to: str
    data: bytes
    not_after: float = math.inf
    lines: Lines = Lines()

    @property
    def is_overdue(self) -> bool:
        return time.monotonic() > self.not_after


class Answer(NamedTuple):
    """What became of one message.

    kind         sent: our provider has it. temporary: it was not taken, try again. permanent: stop.
                 unknown: the body left and no final reply came, so it may or may not have arrived
    reply        the provider's own words, "550 5.1.1 No such user", or the system's error when no connection could be
                 opened: at most 500 characters, none of them a control character; "" when there are none
    provider_id  what the provider calls the message, "" when it did not say
    reason       ours, a code of senders/reasons.py, where no reply to the message says why; "" otherwise
    hard_bounce  the reply says that this address does not exist
    about        what the answer is about (breaker.py). message: this one alone. server: it was tried, and the server is
                 not well (421, a cut, silence, a full queue). connection: none could be opened, so no server was asked.
                 us: our own decision, which says nothing about the server
    given_back   it never began to leave, because its worker stopped or stood still: it may go again at once
    """

    delivery_id: int
    kind: Kind
    reply: str = ""
    provider_id: str = ""
    reason: str = ""
    hard_bounce: bool = False
    about: About = "message"
    given_back: bool = False


def withheld(delivery_id: int, reason: str, *, given_back: bool = False) -> Answer:
    """Not handed over, for a reason of ours; it is tried again."""
    return Answer(delivery_id, "temporary", reason=reason, about="us", given_back=given_back)


class Sender(Protocol):
    """One way out. May be kept for the life of a process and used for any number of batches."""

    @property
    def eight_bit(self) -> bool:
        """Messages may have bytes beyond ASCII, as far as is known now. A wrong yes costs time, not mail: the message
        is then rewritten on its way out."""
        ...

    def hand_over(self, messages: Sequence[Outgoing]) -> Iterator[list[Answer]]:
        """Exactly one answer per message, as they come and in any order. Never raises for what happens to a message.

        A list is empty when no answer came for half a second, so that the caller may record those it has.
        Nothing leaves before the first answer is asked for. Leaving the loop early withdraws what has not begun.
        """
        ...

    def limit_connections(self, n_connections: int) -> None:
        """At most this many connections from now on, fewer or more than the URL says: this process's share."""
        ...

    def close(self, *, for_good: bool = False) -> None:
        """Finish what is on the wire, answer the rest "temporary", give back connections. May be called twice.

        for_good  what is handed over later must not leave either: the process is to stop
        """
        ...


def printable(text: str) -> str:
    """One line, no control characters, at most REPLY_LENGTH characters: safe for logs, database and pages."""
    if len(text) <= REPLY_LENGTH and text.isprintable():
        return text.strip()
    return "".join(c if c.isprintable() else " " for c in text[: 2 * REPLY_LENGTH]).strip()[:REPLY_LENGTH]
