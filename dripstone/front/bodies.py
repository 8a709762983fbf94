"""Takes a request's body from its socket: within a time, a size, and what this process holds of all bodies together.

No thread waits meanwhile: this is a coroutine, and a body that stands still costs its bytes and nothing else.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from dripstone.errors import BadRequest, DripstoneError, TooLarge, TooSlow, Unavailable
from dripstone.front import sizes

Receive = Callable[[], Awaitable[dict[str, Any]]]

# A body has ten seconds, and one more for each 50 KB that came; and no piece of it may take longer than ten.
GRACE_SECONDS = 10.0
BYTES_PER_SECOND = 50_000
SPREAD_SECONDS = 2.0  # on top: a thousand that were begun together do not end together, and hold up the loop

# Each piece costs 0.1 ms of this process, whatever its size. One that is cut into single bytes is no honest one.
MOST_PIECES = 500
BYTES_PER_PIECE = 100

# A refused one is read on, so that its client hears why: while it is sent, up to so many times the largest size.
REFUSED_SECONDS = 2.0
HEARD_OUT = 4

# Of all bodies in hand, from their first byte to their answer. Small ones always find room.
MOST_HELD = 48 * sizes.MB
SMALL = 16 * sizes.KB


class Gone(Exception):
    """The client went away in the middle of its request."""


class Room:
    """For the bodies of one process. Used by its event loop only, so nothing is locked."""

    def __init__(self) -> None:
        self.n_held = 0

    @contextmanager
    def share(self) -> Iterator["Share"]:
        share = Share(self)
        try:
            yield share
        finally:
            self.n_held -= share.n_held


@dataclass
class Share:
    """What one body holds of the room."""

    room: Room
    n_held: int = 0

    def grow(self, n_bytes: int) -> bool:
        """To so many in all. False: there is no room for them."""
        more = max(0, n_bytes - SMALL) - self.n_held
        if more > 0 and self.room.n_held + more > MOST_HELD:
            return False
        self.n_held += more
        self.room.n_held += more
        return True


async def take(receive: Receive, limit: int, length: int | None, share: Share) -> bytes:
    """The whole body.

    limit   bytes at most
    length  what Content-Length says; None when the body comes in chunks

    Raises Gone, TooLarge, TooSlow, Unavailable, and BadRequest for one in too many pieces.
    """
    body = _Body(limit, share)
    if length is not None:
        body.expect(length)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    grace = GRACE_SECONDS + random.uniform(0, SPREAD_SECONDS)  # noqa: S311
    try:
        async with asyncio.timeout(grace) as patience:
            while body.n_bytes != length and body.n_expected <= limit * HEARD_OUT:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Gone
                body.add(message["body"])
                if not message["more_body"]:
                    break
                pause = grace if body.refusal is None else REFUSED_SECONDS
                in_all = begun + grace + body.n_bytes / BYTES_PER_SECOND
                patience.reschedule(min(loop.time() + pause, in_all))
    except TimeoutError:
        body.refuse(TooSlow, "The request body did not arrive in time")
    return body.whole()


class _Body:
    """What has come so far, or why it will not be taken.

    The error is made when it is raised: one that is kept refers to itself by its traceback, and to the connection by
    the frames in there, which would stay open until Python looks for such circles.
    """

    def __init__(self, limit: int, share: Share) -> None:
        self.n_bytes = self.n_pieces = self.n_expected = 0
        self.refusal: tuple[type[DripstoneError], str] | None = None
        self._limit, self._share = limit, share
        self._pieces: list[bytes] = []

    def expect(self, n_bytes: int) -> None:
        self.n_expected = max(self.n_expected, n_bytes)
        if self.n_expected > self._limit:
            self.refuse(TooLarge, f"The request body is too large (maximum is {sizes.shown(self._limit)})")

    def add(self, piece: bytes) -> None:
        self.n_bytes += len(piece)
        self.n_pieces += 1
        if self.n_pieces > MOST_PIECES + self.n_bytes // BYTES_PER_PIECE:
            raise BadRequest("The request body comes in too many small pieces")
        self.expect(self.n_bytes)
        if self.refusal is None and not self._share.grow(self.n_bytes):
            self.refuse(Unavailable, "Too many large requests are being read right now; try again in a moment")
        if self.refusal is None:
            self._pieces.append(piece)

    def refuse(self, kind: type[DripstoneError], sentence: str) -> None:
        self.refusal = self.refusal or (kind, sentence)
        self._pieces.clear()

    def whole(self) -> bytes:
        if self.refusal is not None:
            kind, sentence = self.refusal
            raise kind(sentence)
        return b"".join(self._pieces)
