"""Answers that are made while they are read: a file of a million lines is never whole in memory.

Only a few at a time, because each holds a thread and a connection to the database from its first line to its last: it
is one reading of the database. The thread waits until the server has taken a piece, and the server takes no more than
its client does; a client that takes nothing is cut off (sockets.py), and so is its file.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from dripstone.errors import Unavailable

Send = Callable[[dict[str, Any]], Awaitable[None]]

PIECE_SECONDS = 120.0  # for one piece to be taken; beyond, nobody is there


class Cut(Exception):
    """The client went away in the middle of its answer."""


class Lanes:
    """So many streams at a time."""

    def __init__(self, n_lanes: int) -> None:
        self._free = threading.BoundedSemaphore(n_lanes)

    @contextmanager
    def one(self) -> Iterator[None]:
        if not self._free.acquire(blocking=False):
            raise Unavailable("Too many files are being downloaded right now; try again in a moment")
        try:
            yield
        finally:
            self._free.release()


class Stream:
    """From a thread to one connection."""

    def __init__(self, send: Send, loop: asyncio.AbstractEventLoop) -> None:
        self._send, self._loop = send, loop

    def all_of(self, status: int, headers: list[tuple[str, str]], pieces: Iterable[bytes]) -> None:
        """Blocks until the last piece is taken. Raises Cut."""
        encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        self._wait({"type": "http.response.start", "status": status, "headers": encoded})
        for piece in pieces:
            self._wait({"type": "http.response.body", "body": piece, "more_body": True})
        self._wait({"type": "http.response.body", "body": b"", "more_body": False})

    def _wait(self, message: dict[str, Any]) -> None:
        sent = asyncio.run_coroutine_threadsafe(_sent(self._send, message), self._loop)
        try:
            sent.result(PIECE_SECONDS)
        except Exception as error:
            sent.cancel()
            raise Cut from error


async def _sent(send: Send, message: dict[str, Any]) -> None:
    await send(message)
