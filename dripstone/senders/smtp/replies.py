"""SMTP replies: reading them from bytes and saying what they mean. Pure; no socket, no clock."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from dripstone.senders.base import About, Answer, Kind, Outgoing, printable

# RFC 5321 asks for at least 512; generous, yet bounded: a server may send lines for ever.
MAX_REPLY_BYTES = 65_536

ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?:\s|$)")
QUEUE_ID = re.compile(r"queued as <?([^\s;>]+)|\bid=<?([^\s;>]+)|\bOk:? ([\w.@-]{16,})", re.IGNORECASE)
USER_UNKNOWN = re.compile(
    r"(user|mailbox|recipient|address|account)[^.]{0,40}(unknown|not found|does ?n.t exist|does not exist|invalid)"
    r"|(no such|unknown|invalid) (local )?(user|mailbox|recipient|address|account|person)",
    re.IGNORECASE,
)
# Not about the message: out of step (503), or "sign in first" (530). It goes once the settings are corrected.
SESSION_CODES = (503, 530)
# About the sender's address, not the recipient's (RFC 3463 § 3.2, RFC 7505).
SENDER_AT_FAULT = ("5.1.7", "5.1.8", "5.7.27")


# What a line that is a whole reply begins with.
CODES = {b"%d " % code: code for code in range(200, 600)}


class Nonsense(Exception):
    """The server sent something that is no SMTP reply"""


class Reply(NamedTuple):
    code: int
    text: str

    def __str__(self) -> str:
        return printable(f"{self.code} {self.text}")

    @property
    def enhanced(self) -> str:
        """RFC 3463 code at the start of the text, "5.1.1", or ""."""
        found = ENHANCED.match(self.text)
        return found[1] if found else ""


class ReplyReader:
    """Turns the bytes of a connection into replies."""

    __slots__ = ("_buffer", "_code", "_lines", "_size")

    def __init__(self) -> None:
        self._buffer = b""
        self._lines: list[bytes] = []
        self._code = 0
        self._size = 0

    def feed(self, data: bytes) -> Iterator[Reply]:
        """Each reply that `data` completes. Raises Nonsense at the first line that is none, after what came before."""
        lines = (self._buffer + data).split(b"\n")
        self._buffer = lines.pop()
        for line in lines:
            reply = self._line(line)
            if reply is not None:
                yield reply
        if len(self._buffer) + self._size > MAX_REPLY_BYTES:
            raise Nonsense("the reply is too long")

    def _line(self, line: bytes) -> Reply | None:
        if (whole := CODES.get(line[:4])) is not None and not self._lines:
            return Reply(whole, line[4:].decode("utf-8", "replace").strip())
        digits, mark = line[:3], line[3:4]
        if len(digits) != 3 or not digits.isdigit() or mark not in b" -\r" or not b"200" <= digits <= b"599":
            raise Nonsense(printable(line.decode("utf-8", "replace")))
        code = int(digits)
        if self._lines and code != self._code:  # RFC 5321 § 4.2.1: every line of a reply has the same code
            raise Nonsense(f"{self._code} and {code} in one reply")
        if mark == b"-":
            self._code, self._size = code, self._size + len(line)
            self._lines.append(line[4:])
            if self._size > MAX_REPLY_BYTES:
                raise Nonsense("the reply is too long")
            return None
        text = b" ".join(part.strip() for part in [*self._lines, line[4:]])
        self._lines, self._size = [], 0
        return Reply(code, text.decode("utf-8", "replace"))


def accepted(message: Outgoing, reply: Reply) -> Answer:
    """The server took the message. The queue's name for it is worth keeping: it is what a postmaster asks for."""
    found = QUEUE_ID.search(reply.text)
    provider_id = (found[1] or found[2] or found[3]) if found else ""
    return Answer(message.delivery_id, "sent", str(reply), printable(provider_id))


def refused(message: Outgoing, reply: Reply, *, at: str) -> Answer:
    """The server said no. at: the command it answered, "MAIL", "RCPT", "DATA" or "body"."""
    permanent = reply.code >= 500 and reply.code not in SESSION_CODES
    kind: Kind = "permanent" if permanent else "temporary"
    hard = permanent and is_hard_bounce(reply, at=at)
    about: About = "server" if is_server_unwell(reply, at=at) else "message"
    return Answer(message.delivery_id, kind, str(reply), hard_bounce=hard, about=about)


def is_server_unwell(reply: Reply, *, at: str) -> bool:
    """Is a reply about the server, and not about this message? 421: it closes. 4.3.x (RFC 3463: mail system status)
    or a bare 452, except at RCPT, where both are said of single recipients: its queue or its disk is full."""
    if reply.code == 421:
        return True
    bare = reply.enhanced or ("4.3.1" if reply.code == 452 else "")
    return at != "RCPT" and reply.code < 500 and bare.startswith("4.3.")


def is_hard_bounce(reply: Reply, *, at: str) -> bool:
    """Does a 5xx reply say that the address does not exist? In doubt no: yes ends all of a person's sequences."""
    enhanced = reply.enhanced
    if at == "RCPT":
        if enhanced:
            return enhanced.startswith("5.1.") and enhanced not in SENDER_AT_FAULT
        return reply.code in (550, 551, 553) and USER_UNKNOWN.search(reply.text) is not None
    return at in ("DATA", "body") and enhanced in ("5.1.1", "5.1.10")
