"""What stands before Django: it takes requests whole, so that no thread waits for somebody who does not go on.

    head → is there a body? whose? → the body, within its time and size → Django, in a thread → the answer

The answer to a sign-up waits a moment before it leaves (evenly.py).

A server that calls Django first lets it read the body when it comes to it: sixteen unfinished requests then hold
sixteen threads. Here a thread gets a request that is complete. A body on a path of the API is read only for a key that
is known, so that strangers fill no memory; the forms of pages are small, and anybody may send them. A large one is
read from somebody who is signed in. Files to import have no largest size, and go to the database in pieces (files.py).
"""

import asyncio
from collections.abc import Callable
from functools import partial
from io import BytesIO
from time import perf_counter
from typing import Any, NamedTuple

from django.conf import settings
from django.db import DatabaseError
from django.http import HttpResponse

from dripstone.api import auth, errors, request_ids
from dripstone.errors import DripstoneError, Unavailable
from dripstone.front import bodies, evenly, files, heads, sizes, sockets, streams
from dripstone.front.threads import Threads
from dripstone.ops import metrics
from dripstone.web import uploads

# Bodies that take long to read get a quarter of the threads, since Python runs one thread at a time. So do files that
# are made while they are downloaded, and sign-ups, which anybody may send.
LARGE = 64 * sizes.KB

STREAM = "dripstone.stream"  # where a request's environ has the way back to its connection


class Answer(NamedTuple):
    status: int
    headers: list[tuple[str, str]]
    content: bytes
    is_sent: bool = False  # it was made while it was read


class Front:
    """An ASGI application around a WSGI one."""

    def __init__(self, application: Callable[..., Any], n_threads: int) -> None:
        self._application = application
        self._threads = Threads(n_threads)
        self._shelf = Threads(1)  # for files of pages, which wait for no database and no call
        self._room = bodies.Room()
        self._lanes = asyncio.Semaphore(max(1, n_threads // 4))
        self._door = asyncio.Semaphore(max(1, n_threads // 4))
        self._streams = streams.Lanes(max(1, n_threads // 4))
        self._entrance = files.Entrance(self._room, partial(self._ask_django, body=b""), self._put_away)
        self._has_begun = False

    async def __call__(self, scope: dict[str, Any], receive: bodies.Receive, send: streams.Send) -> None:
        if scope["type"] != "http":
            return
        self._begin()
        begun = perf_counter()
        environ = heads.environ(scope)
        environ[STREAM] = streams.Stream(send, asyncio.get_running_loop())
        try:
            answer = await self._answer(environ, receive)
        except (bodies.Gone, streams.Cut):
            return
        except DripstoneError as error:
            answer = _refusal(environ, error)
            metrics.count_request(environ["PATH_INFO"], answer.status, perf_counter() - begun)
        if answer.is_sent:
            return
        if evenly.is_sign_up(environ):
            await evenly.wait(perf_counter() - begun)
        headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.content})

    def _begin(self) -> None:
        """With the first request: only then does the server listen for sure."""
        if not self._has_begun:
            self._has_begun = True
            sockets.close_what_nobody_reads()

    async def _answer(self, environ: heads.Environ, receive: bodies.Receive) -> Answer:
        length = _length(environ)
        if files.is_one(environ):
            return await self._take_file(environ, receive, length)
        if length == 0:
            return await self._ask_django(environ, b"")
        if not await self._may_send_body(environ, length):
            return _last(await self._ask_django(environ, b""))
        with self._room.share() as share:
            body = await bodies.take(receive, sizes.limit(environ["PATH_INFO"]), length, share)
            if len(body) <= LARGE and not evenly.is_sign_up(environ):
                return await self._ask_django(environ, body)
            async with self._door if evenly.is_sign_up(environ) else self._lanes:
                return await self._ask_django(environ, body)

    async def _take_file(self, environ: heads.Environ, receive: bodies.Receive, length: int | None) -> Answer:
        if not await self._is_known(environ):
            return _last(await self._ask_django(environ, b""))
        answer, is_read = await self._entrance.take(environ, receive, length)
        return answer if is_read else _last(answer)

    async def _put_away(self, work: Callable[[], None]) -> None:
        async with self._lanes:
            await self._threads.run(work)

    async def _may_send_body(self, environ: heads.Environ, length: int | None) -> bool:
        path = environ["PATH_INFO"]
        is_form = sizes.limit(path) == sizes.FORM or (length is not None and length <= sizes.FORM)
        return (is_form and not errors.API_PATHS.match(path)) or await self._is_known(environ)

    async def _is_known(self, environ: heads.Environ) -> bool:
        """By a key or token, or signed in. What is found out of a key is left for Django, which does not ask again."""
        if errors.API_PATHS.match(environ["PATH_INFO"]):
            return auth.was_live(environ) or await self._threads.run(partial(_asked, auth.look_up, environ))
        return await self._threads.run(partial(_asked, uploads.is_signed_in, environ))

    async def _ask_django(self, environ: heads.Environ, body: bytes) -> Answer:
        environ["wsgi.input"] = BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))
        is_file = environ["PATH_INFO"].startswith(settings.STATIC_URL)
        threads = self._shelf if is_file else self._threads
        return await threads.run(partial(_answer, self._application, environ, self._streams))


def _length(environ: heads.Environ) -> int | None:
    """Of the body, in bytes; None when it comes in chunks. The server has refused whatever is no number."""
    if environ.pop("HTTP_TRANSFER_ENCODING", ""):
        return None
    return int(environ.get("CONTENT_LENGTH") or 0)


def _asked(question: Callable[[heads.Environ], bool], environ: heads.Environ) -> bool:
    try:
        return question(environ)
    except DatabaseError as error:
        raise Unavailable from error


def _answer(application: Callable[..., Any], environ: heads.Environ, lanes: streams.Lanes) -> Answer:
    """Calls a WSGI application, to its last byte. Of a stream, that is when the client has it: all in this thread, on
    whose connection to the database it reads."""
    begun: list[tuple[str, list[tuple[str, str]]]] = []
    stream: streams.Stream = environ.pop(STREAM)
    parts = application(environ, lambda status, headers, exc_info=None: begun.append((status, headers)))
    try:
        status, headers = int(begun[-1][0][:3]), begun[-1][1]
        if not _is_stream(parts, headers) or environ["REQUEST_METHOD"] == "HEAD":
            return Answer(status, headers, b"".join(parts))
        with lanes.one():
            stream.all_of(status, headers, parts)
        return Answer(status, headers, b"", is_sent=True)
    finally:
        if hasattr(parts, "close"):
            parts.close()


def _is_stream(parts: Any, headers: list[tuple[str, str]]) -> bool:
    """Django makes it while it is read, and nobody knows how long it will be. Files of pages say their length."""
    return getattr(parts, "streaming", False) and not any(name.lower() == "content-length" for name, _ in headers)


def _refusal(environ: heads.Environ, error: DripstoneError) -> Answer:
    response = errors.refusal(error) if errors.API_PATHS.match(environ["PATH_INFO"]) else _sentence(error)
    response[request_ids.HEADER] = request_ids.of(environ)
    return _last(Answer(response.status_code, list(response.items()), response.content))


def _last(answer: Answer) -> Answer:
    """The connection's: what comes next on it is a body that nobody reads."""
    return answer._replace(headers=[*answer.headers, ("Connection", "close")])


def _sentence(error: DripstoneError) -> HttpResponse:
    status = errors.STATUS[type(error)]
    response = HttpResponse(str(error), status=status, content_type="text/plain; charset=utf-8")
    response["Cache-Control"] = "no-store"
    return response
