"""A proxy before PostgreSQL that drops one answer, as a network does that breaks after the server has committed."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import connection


class Proxy:
    """Drops the answer to the last of `needles`, which are looked for in what clients send, in this order; and the
    connection with it. Afterwards, or without any, it only passes on."""

    def __init__(self, needles: Sequence[bytes] = (), port: int = 0) -> None:
        self.needles = list(needles)
        self.listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self.listener.getsockname()[1]
        self.sockets: list[socket.socket] = [self.listener]
        self.threads: list[threading.Thread] = []
        self._start(self._listen)

    @property
    def has_dropped(self) -> bool:
        return not self.needles

    def close(self) -> None:
        for one in self.sockets:
            _shut(one)
        for thread in self.threads:
            thread.join(10)
        for one in self.sockets:
            one.close()

    def _start(self, work: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self.threads.append(thread)
        thread.start()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server, dropping = _connect(), threading.Event()
                self.sockets += [client, server]
                for work in (self._to_server, self._to_client):
                    self._start(work, client, server, dropping)

    def _to_server(self, client: socket.socket, server: socket.socket, dropping: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                if self.needles and self.needles[0] in data:
                    self.needles.pop(0)
                    if not self.needles:
                        dropping.set()
                server.sendall(data)
        _shut(server)

    def _to_client(self, client: socket.socket, server: socket.socket, dropping: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while (data := server.recv(65536)) and not dropping.is_set():
                client.sendall(data)
        _shut(client)
        _shut(server)


def _connect() -> socket.socket:
    host, port = connection.settings_dict["HOST"], int(connection.settings_dict["PORT"] or 5432)
    if not host.startswith("/"):
        return socket.create_connection((host or "localhost", port))
    server = socket.socket(socket.AF_UNIX)
    server.connect(f"{host}/.s.PGSQL.{port}")
    return server


def _shut(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)


@contextmanager
def dropping_the_answer_to(*needles: bytes) -> Iterator[Proxy]:
    proxy = Proxy(needles)
    try:
        yield proxy
    finally:
        proxy.close()
