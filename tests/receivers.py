"""Receivers of calls: real servers on 127.0.0.1, as well-behaved or as bad as a test asks for."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass(frozen=True)
class Got:
    """A request as it came. Header names in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    """`answer(429, retry_after="7")`."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass
class Receiver:
    """`says` is asked for each request: bytes are sent, or it talks to the socket itself and returns None."""

    says: Callable[[Got, socket.socket], bytes | None]
    got: list[Got] = field(default_factory=list)
    n_connections: int = 0
    port: int = 0
    scheme: str = "http"
    host: str = "127.0.0.1"
    came: threading.Condition = field(default_factory=threading.Condition)

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}/hooks"

    @property
    def bodies(self) -> list[bytes]:
        return [one.body for one in self.got]

    def wait_for(self, n: int, seconds: float = 10.0) -> list[Got]:
        with self.came:
            assert self.came.wait_for(lambda: len(self.got) >= n, seconds), f"{len(self.got)} of {n} came"
            return list(self.got)


@contextmanager
def receiver(
    says: Callable[[Got, socket.socket], bytes | None] | bytes = OK, tls: ssl.SSLContext | None = None
) -> Iterator[Receiver]:
    """Listens until the block ends. It keeps connections, as servers do."""
    made = Receiver((lambda got, sock: says) if isinstance(says, bytes) else says)
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    made.port, made.scheme = listener.getsockname()[1], "https" if tls else "http"
    open_ones: list[socket.socket] = []

    def accept() -> None:
        with suppress(OSError):
            while True:
                sock, _ = listener.accept()
                open_ones.append(sock)
                made.n_connections += 1
                threading.Thread(target=_serve, args=(made, sock, tls), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for sock in open_ones:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        thread.join(5)


def _serve(made: Receiver, sock: socket.socket, tls: ssl.SSLContext | None) -> None:
    with suppress(OSError, ValueError):
        if tls is not None:
            sock = tls.wrap_socket(sock, server_side=True)
        with sock, sock.makefile("rb") as lines:
            while (got := _read(lines)) is not None:
                with made.came:
                    made.got.append(got)
                    made.came.notify_all()
                said = made.says(got, sock)
                if said is None:
                    return
                sock.sendall(said)


def _read(lines: Any) -> Got | None:
    first = lines.readline()
    if not first:
        return None
    headers = {}
    while (line := lines.readline().strip()) != b"":
        name, _, value = line.decode().partition(":")
        headers[name.lower()] = value.strip()
    length = int(headers.get("content-length", "0"))
    body = lines.read(length)
    if len(body) < length:  # whoever sent it died
        return None
    return Got(first.split()[1].decode(), headers, body)


def drip(got: Got, sock: socket.socket) -> None:
    """A byte now and then, for ever."""
    sock.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
    with suppress(OSError):
        while True:
            sock.sendall(b"a")
            time.sleep(0.02)


def flood(got: Got, sock: socket.socket) -> None:
    sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    with suppress(OSError):
        while True:
            sock.sendall(b"x" * 65_536)


def silence(got: Got, sock: socket.socket) -> None:
    """Takes the request and never answers."""
    with suppress(OSError):
        sock.recv(1)
