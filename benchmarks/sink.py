"""An SMTP server that takes every message, forgets it, and counts: PIPELINING, 8BITMIME, no TLS, no checks.

A process of its own, so that its work is not counted as the sender's. Besides SMTP it knows one command, XCOUNT:
`250 <messages> <bytes of their bodies>` since it started. Prints its port when it listens; ends with its stdin.

    python -m benchmarks.sink [--port 2525]
"""

import argparse
import asyncio
import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, cast

END = b"\r\n.\r\n"
EHLO = b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250 SIZE 52428800\r\n"


class Count(NamedTuple):
    messages: int
    body_bytes: int  # as they came over the wire


class Counter:
    """What all connections have taken together."""

    def __init__(self) -> None:
        self.messages = self.body_bytes = 0


class Conversation(asyncio.Protocol):
    def __init__(self, counter: Counter) -> None:
        self.counter = counter
        self.buffer = bytearray()
        self.in_body = False
        self.scanned = 0  # of the body in the buffer: has no end in it

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        self.transport.write(b"220 sink ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        replies: list[bytes] = []
        while (reply := self._body() if self.in_body else self._command()) is not None:
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
        self.counter.messages += 1
        self.counter.body_bytes += end + 2
        del self.buffer[: 3 if end == 1 else end + len(END)]
        self.in_body, self.scanned = False, 0
        return b"250 2.0.0 Ok: taken as %d\r\n" % self.counter.messages

    def _command(self) -> bytes | None:
        end = self.buffer.find(b"\r\n")
        if end < 0:
            return None
        line = bytes(self.buffer[:end])
        del self.buffer[: end + 2]
        match line[:4].upper():
            case b"MAIL" | b"RCPT" | b"RSET" | b"NOOP":
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


async def serve(port: int) -> None:
    """Until stdin ends: whoever started the sink is gone then."""
    counter, loop = Counter(), asyncio.get_running_loop()
    server = await loop.create_server(lambda: Conversation(counter), "127.0.0.1", port, backlog=512)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)


class Sink:
    """A running sink, as the process that started it sees it."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        self.pid = process.pid
        self.port = int(process.stdout.readline())

    def count(self) -> Count:
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            replies = connection.makefile("rb")
            replies.readline()
            connection.sendall(b"XCOUNT\r\n")
            _, n_messages, n_bytes = replies.readline().split()
        return Count(int(n_messages), int(n_bytes))


@contextmanager
def running() -> Iterator[Sink]:
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.sink"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Sink(process)
        finally:
            process.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(description="Takes mail and counts it.")
    parser.add_argument("--port", type=int, default=0, help="default: any free one")
    run = asyncio.run
    with contextlib.suppress(ImportError):
        from uvloop import run
    with contextlib.suppress(KeyboardInterrupt):
        run(serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
