"""An SMTP server that takes every message, forgets it, and counts: PIPELINING, 8BITMIME, no TLS, no checks.

A process of its own, so that its work is not counted as the sender's. Besides SMTP it knows one command, XCOUNT:
`250 <messages> <bytes of their bodies>` since it started. Prints its port when it listens; ends with its stdin.

--log FILE    a line `<recipient> <Message-ID> <seconds since 1970>` per message, written before the message is answered
--delay N     milliseconds between a message and its answer, as of a server that puts it on its disk first

    python -m benchmarks.sink [--host 127.0.0.1] [--port 2525] [--log FILE] [--delay 20]
"""

import argparse
import asyncio
import contextlib
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, cast

END = b"\r\n.\r\n"
EHLO = b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250 SIZE 52428800\r\n"
MESSAGE_ID = re.compile(rb"^Message-ID: <([^>]*)>", re.MULTILINE)
LONGEST_HEADER = 4096


class Count(NamedTuple):
    messages: int
    body_bytes: int  # as they came over the wire


class Counter:
    """What all connections have taken together, and where it is written down."""

    def __init__(self, log: Path | None = None, delay_seconds: float = 0.0) -> None:
        self.messages = self.body_bytes = 0
        self.log = None if log is None else os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self.delay_seconds = delay_seconds

    def add(self, recipient: bytes, header: bytes, n_bytes: int) -> None:
        self.messages += 1
        self.body_bytes += n_bytes
        if self.log is not None:
            found = MESSAGE_ID.search(header)
            os.write(self.log, b"%b %b %.6f\n" % (recipient, found[1] if found else b"-", time.time()))


class Conversation(asyncio.Protocol):
    def __init__(self, counter: Counter) -> None:
        self.counter = counter
        self.buffer = bytearray()
        self.in_body = self.is_waiting = False
        self.recipient = b"-"
        self.scanned = 0  # of the body in the buffer: has no end in it

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        self.transport.write(b"220 sink ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        self._go_on()

    def _go_on(self) -> None:
        replies: list[bytes] = []
        while not self.is_waiting and (reply := self._body() if self.in_body else self._command()) is not None:
            replies.append(reply)
        if replies:
            self.transport.write(b"".join(replies))
        if replies and replies[-1].startswith(b"221"):
            self.transport.close()

    def _body(self) -> bytes | None:
        """The reply to a whole body, if there is one in the buffer. The CRLF before its first line is the command's."""
        end = 1 if self.buffer.startswith(b".\r\n") else self.buffer.find(END, self.scanned)
        if end < 0:
            self.scanned = max(0, len(self.buffer) - len(END))
            return None
        self.counter.add(self.recipient, bytes(self.buffer[:LONGEST_HEADER]), end + 2)
        del self.buffer[: 3 if end == 1 else end + len(END)]
        self.in_body, self.scanned = False, 0
        reply = b"250 2.0.0 Ok: taken as %d\r\n" % self.counter.messages
        if not self.counter.delay_seconds:
            return reply
        self.is_waiting = True
        asyncio.get_running_loop().call_later(self.counter.delay_seconds, self._answer, reply)
        return None

    def _answer(self, reply: bytes) -> None:
        self.is_waiting = False
        if not self.transport.is_closing():
            self.transport.write(reply)
            self._go_on()

    def _command(self) -> bytes | None:
        end = self.buffer.find(b"\r\n")
        if end < 0:
            return None
        line = bytes(self.buffer[:end])
        del self.buffer[: end + 2]
        match line[:4].upper():
            case b"RCPT":
                self.recipient = line[line.find(b"<") + 1 : line.rfind(b">")]
                return b"250 2.1.5 Ok\r\n"
            case b"MAIL" | b"RSET" | b"NOOP":
                return b"250 2.1.0 Ok\r\n"
            case b"DATA":
                self.in_body = True
                return b"354 Go on\r\n"
            case b"EHLO":
                return EHLO
            case b"HELO":
                return b"250 sink\r\n"
            case b"QUIT":
                return b"221 2.0.0 Bye\r\n"
            case b"XCOU":
                return b"250 %d %d\r\n" % (self.counter.messages, self.counter.body_bytes)
        return b"502 5.5.1 Not here\r\n"


async def serve(host: str, port: int, counter: Counter) -> None:
    """Until stdin ends: the process that started the sink is gone then."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Conversation(counter), host, port, backlog=512)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)


class Sink:
    """A running sink, as the process that started it sees it."""

    def __init__(self, process: "subprocess.Popen[str]", host: str) -> None:
        assert process.stdout is not None
        self.pid, self.host = process.pid, host
        self.port = int(process.stdout.readline())

    def count(self) -> Count:
        with socket.create_connection((self.host, self.port), timeout=60) as connection:
            replies = connection.makefile("rb")
            replies.readline()
            connection.sendall(b"XCOUNT\r\n")
            _, n_messages, n_bytes = replies.readline().split()
        return Count(int(n_messages), int(n_bytes))


@contextmanager
def running(*options: str, host: str = "127.0.0.1", within: Sequence[str] = ()) -> Iterator[Sink]:
    """options: as on the command line. within: a command that runs another one, in a network namespace for instance."""
    command = [*within, sys.executable, "-m", "benchmarks.sink", "--host", host, *options]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Sink(process, host)
        finally:
            process.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(description="Takes mail and counts it.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="default: any free one")
    parser.add_argument("--log", type=Path, metavar="FILE", help="write down who got which message")
    parser.add_argument("--delay", type=float, default=0.0, metavar="MS", help="between a message and its answer")
    options = parser.parse_args()
    run = asyncio.run
    with contextlib.suppress(ImportError):
        from uvloop import run
    with contextlib.suppress(KeyboardInterrupt):
        run(serve(options.host, options.port, Counter(options.log, options.delay / 1000)))


if __name__ == "__main__":
    main()
