"""A real SMTP server that does what a test tells it to, on a port of 127.0.0.1, in a thread of its own."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

EXTENSIONS = ("PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 50000000")

SILENCE = b""  # a reply that never comes


class Accepted(NamedTuple):
    mail_from: str
    rcpt_to: str
    data: bytes  # without dot-stuffing


@dataclass
class Script:
    """How the server behaves. Replies are whole lines; `cut` closes the connection instead."""

    extensions: tuple[str, ...] = EXTENSIONS
    greeting: bytes = b"220 test ESMTP\r\n"
    ehlo: bytes | None = None
    # (connection number from 0, verb or "BODY", argument) → reply, or None for the usual one
    reply: Callable[[int, str, str], bytes | None] = lambda number, verb, argument: None
    cut_after_sent: dict[int, int] = field(default_factory=dict)  # connection number → bytes of ours
    cut_after_received: dict[int, int] = field(default_factory=dict)  # connection number → bytes of the client's
    always_cut_after_received: int | None = None
    body_begins: Callable[[str], None] = lambda rcpt_to: None  # called once per recipient, with its first bytes here


CUT = b"<cut>"


class ScriptedServer:
    def __init__(self, script: Script) -> None:
        self.script = script
        self.accepted: list[Accepted] = []  # what a whole 2xx was decided for, whether or not its reply got through
        self.started: list[str] = []  # recipients whose body had at least a byte here
        self.commands: list[tuple[int, str]] = []
        self.writes: list[tuple[int, bytes]] = []  # as they arrived
        self.n_connections = 0
        self.n_sent = 0
        self.port = 0
        self.open: set[_Connection] = set()
        self.loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}?starttls=0"

    def start(self) -> None:
        self._thread.start()
        self._ready.wait()

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()

    def cut_all(self) -> None:
        """Close every connection now, and wait until that has happened."""

        async def cut() -> None:
            for connection in list(self.open):
                connection.cut()

        asyncio.run_coroutine_threadsafe(cut(), self.loop).result()

    def say_on_all(self, reply: bytes) -> None:
        """What the script left unanswered."""

        async def say() -> None:
            for connection in list(self.open):
                connection.say(reply)

        asyncio.run_coroutine_threadsafe(say(), self.loop).result()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        server = self.loop.run_until_complete(self.loop.create_server(lambda: _Connection(self), "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self.loop.run_forever()
        for connection in list(self.open):
            connection.cut()
        server.close()
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()


class _Connection(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self, server: ScriptedServer) -> None:
        self.server, self.script = server, server.script
        self.buffer, self.in_body = b"", False
        self.mail_from: str | None = None
        self.rcpt_to: str | None = None
        self.n_sent = self.n_received = 0
        self.is_cut = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.number = self.server.n_connections
        self.server.n_connections += 1
        self.server.open.add(self)
        self.say(self.script.greeting)

    def connection_lost(self, exc: Exception | None) -> None:
        self.server.open.discard(self)

    def cut(self) -> None:
        self.is_cut = True
        self.transport.abort()

    def say(self, reply: bytes) -> None:
        if reply == CUT:
            self.cut()
            return
        limit = self.script.cut_after_sent.get(self.number)
        if limit is not None and self.n_sent + len(reply) >= limit:
            self.transport.write(reply[: limit - self.n_sent])
            self.is_cut = True
            self.transport.close()  # what was written still goes out
            return
        self.n_sent += len(reply)
        self.server.n_sent += len(reply)
        self.transport.write(reply)

    def data_received(self, data: bytes) -> None:
        self.server.writes.append((self.number, data))
        limit = self.script.cut_after_received.get(self.number, self.script.always_cut_after_received)
        if limit is not None and self.n_received + len(data) >= limit:
            self.consume(data[: limit - self.n_received])
            self.cut()
            return
        self.n_received += len(data)
        self.consume(data)

    def consume(self, data: bytes) -> None:
        self.buffer += data
        while not self.is_cut and (self.body() if self.in_body else self.line()):
            pass

    def line(self) -> bool:
        line, newline, rest = self.buffer.partition(b"\r\n")
        if not newline:
            return False
        self.buffer = rest
        text = line.decode()
        verb, _, argument = text.partition(" ")
        self.server.commands.append((self.number, text))
        told = self.script.reply(self.number, verb.upper(), argument)
        self.say(self.usual(verb.upper(), argument) if told is None else self.told(verb.upper(), argument, told))
        return True

    def told(self, verb: str, argument: str, reply: bytes) -> bytes:
        if reply[:1] in (b"2", b"3"):
            self.usual(verb, argument)
        if verb == "DATA" and reply[:3] == b"354":
            self.in_body = True
        return reply

    def usual(self, verb: str, argument: str) -> bytes:
        match verb:
            case "EHLO":
                lines = ["test", *self.script.extensions]
                last = len(lines) - 1
                return self.script.ehlo or b"".join(
                    f"250{' ' if i == last else '-'}{line}\r\n".encode() for i, line in enumerate(lines)
                )
            case "HELO":
                return b"250 test\r\n"
            case "MAIL":
                if self.mail_from is not None:
                    return b"503 5.5.1 nested MAIL\r\n"
                self.mail_from = argument[argument.index("<") + 1 : argument.index(">")]
                return b"250 2.1.0 Ok\r\n"
            case "RCPT":
                if self.mail_from is None:
                    return b"503 5.5.1 MAIL first\r\n"
                self.rcpt_to = argument[argument.index("<") + 1 : argument.index(">")]
                return b"250 2.1.5 Ok\r\n"
            case "DATA":
                if self.rcpt_to is None:
                    return b"554 5.5.1 no valid recipients\r\n"
                self.in_body = True
                return b"354 go ahead\r\n"
            case "RSET":
                self.mail_from = self.rcpt_to = None
                return b"250 2.0.0 Ok\r\n"
            case "QUIT":
                self.transport.write(b"221 bye\r\n")
                self.transport.close()
                return b""
        return b"502 5.5.2 unknown command\r\n"

    def body(self) -> bool:
        if self.buffer and self.rcpt_to is not None and self.rcpt_to not in self.server.started:
            self.server.started.append(self.rcpt_to)
            self.script.body_begins(self.rcpt_to)
        if self.buffer.startswith(b".\r\n"):
            data, self.buffer = b"", self.buffer[3:]
        else:
            data, end, rest = self.buffer.partition(b"\r\n.\r\n")
            if not end:
                return False
            data, self.buffer = data + b"\r\n", rest
        self.in_body = False
        rcpt_to = self.rcpt_to or ""
        told = self.script.reply(self.number, "BODY", rcpt_to)
        if self.rcpt_to is None:
            told = b"554 5.5.1 no valid recipients\r\n"
        reply = b"250 2.0.0 Ok: queued as Q%d\r\n" % len(self.server.accepted) if told is None else told
        if reply.startswith(b"2"):
            unstuffed = (b"\r\n" + data).replace(b"\r\n..", b"\r\n.")[2:]
            self.server.accepted.append(Accepted(self.mail_from or "", rcpt_to, unstuffed))
        self.mail_from = self.rcpt_to = None
        self.say(reply)
        return True


@contextmanager
def scripted(script: Script | None = None) -> Iterator[ScriptedServer]:
    server = ScriptedServer(script or Script())
    server.start()
    try:
        yield server
    finally:
        server.stop()
