"""Files of any size: put away in pieces while they come, so that neither memory, nor a disk, nor a thread holds one.

    head → whose? → Django: may it come, and where to? → piece → database, piece → database … → Django: it is here

Django is asked twice, each time with a whole request that has no body (imports/arriving.py): first by what stands in
the head, and in a form before its file; then when all has come. Between pieces nobody waits in a thread, so a slow
client holds up nobody. What breaks off stays as far as it came: an import that waits for its file.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Generic, TypeVar

from dripstone.errors import BadRequest, DripstoneError, Unavailable
from dripstone.front import bodies, multipart, pieces, sizes
from dripstone.front.heads import Environ
from dripstone.imports import arriving
from dripstone.imports.arriving import Announced, Arrived

A = TypeVar("A")

_PLACES = {"PUT": re.compile(r"/ext/v1/imports/\d+/file$"), "POST": re.compile(r"/imports/(\d+/)?file$")}

MOST = 12  # at a time, of one process
HELD = 2 * pieces.PIECE  # by each: a piece that is put away, and what comes meanwhile
BEFORE_FILE = 64 * sizes.KB  # of a form, until its file begins
HEARD_OUT = 40 * sizes.MB  # of one that is refused, so that its client hears why
FULL = "Too many files are being uploaded right now; try again in a moment"

CSRF_FIELD, CSRF_HEADER = "csrfmiddlewaretoken", "HTTP_X_CSRFTOKEN"


def is_one(environ: Environ) -> bool:
    place = _PLACES.get(environ["REQUEST_METHOD"])
    return place is not None and place.match(environ["PATH_INFO"]) is not None


class Entrance(Generic[A]):
    """Where an upload comes in."""

    def __init__(
        self,
        room: bodies.Room,
        ask: Callable[[Environ], Awaitable[A]],
        put_away: Callable[[Callable[[], None]], Awaitable[None]],
    ) -> None:
        """ask       Django, with an empty body
        put_away  does something short in a thread
        """
        self._room, self._ask, self._in_a_thread = room, ask, put_away
        self._n_coming = 0

    async def take(self, environ: Environ, receive: bodies.Receive, length: int | None) -> tuple[A, bool]:
        """Django's answer, and whether the body was read to its end.

        length   what Content-Length says; None when the body comes in chunks
        Raises what pieces.coming raises, what imports/files.py refuses, and Unavailable.
        """
        with self._room.share() as share:
            if self._n_coming >= MOST or not share.grow(HELD):
                raise Unavailable(FULL)
            self._n_coming += 1
            try:
                return await self._take(environ, pieces.coming(receive, length), length)
            finally:
                self._n_coming -= 1

    async def _take(self, environ: Environ, packets: AsyncIterator[bytes], length: int | None) -> tuple[A, bool]:
        try:
            if environ["REQUEST_METHOD"] == "POST":
                form = await _begun(environ, packets)
                content, name = form.content(packets), form.file_name
            else:
                content, name = packets, ""
            first = {**environ, arriving.ANNOUNCED: None if name is None else Announced(name, length)}
            answer = await self._ask(first)
            if (import_id := arriving.expected(first)) is None:
                await _hear_out(environ, packets)
                return answer, False
            number = n_bytes = 0
            async for piece in pieces.cut(content):
                await self._in_a_thread(partial(arriving.put_away, import_id, number, piece))
                number, n_bytes = number + 1, n_bytes + len(piece)
        except DripstoneError:
            await _hear_out(environ, packets)
            raise
        return await self._ask({**environ, arriving.ARRIVED: Arrived(import_id, n_bytes)}), True


class _Begun:
    """A form that was read until its file begins, or to its end when it brings none."""

    def __init__(self, content_type: str) -> None:
        self._form = multipart.Form(content_type)
        self._begin = b""

    @property
    def file_name(self) -> str | None:
        return self._form.file_name

    async def read(self, packets: AsyncIterator[bytes]) -> None:
        n_read = 0
        async for packet in packets:
            self._begin += self._form.feed(packet)
            n_read += len(packet)
            if self.file_name is not None or self._form.is_over:
                return
            if n_read > BEFORE_FILE:
                raise BadRequest("The form has too much before its file")

    async def content(self, packets: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        yield self._begin
        async for packet in packets:
            yield self._form.feed(packet)
        if not self._form.is_over:
            raise BadRequest("The form breaks off before its end")

    @property
    def csrf_token(self) -> str:
        return self._form.fields.get(CSRF_FIELD, "")


async def _begun(environ: Environ, packets: AsyncIterator[bytes]) -> _Begun:
    """The token that a form has in a field, Django looks for in the head as well, where scripts have it."""
    form = _Begun(environ.get("CONTENT_TYPE", ""))
    await form.read(packets)
    environ.setdefault(CSRF_HEADER, form.csrf_token)
    return form


async def _hear_out(environ: Environ, packets: AsyncIterator[bytes]) -> None:
    """Unless the client waits for a word before it sends anything."""
    if environ.get("HTTP_EXPECT"):
        return
    n_heard = 0
    with suppress(DripstoneError, bodies.Gone):
        async for packet in packets:
            n_heard += len(packet)
            if n_heard > HEARD_OUT:
                return
