"""Requests that are begun and not finished hold nobody up, and end by themselves."""

import select
import socket
import time
from collections.abc import Iterator
from contextlib import suppress

import psutil
import pytest

from dripstone.front.sockets import UNREAD_SECONDS
from tests.crash.doomed import until
from tests.front.served import HOST, Answer, Web, held, raw

N = 60  # of each kind; the server has four threads

FORM = "Content-Type: application/x-www-form-urlencoded"
CHUNKED = "Transfer-Encoding: chunked"


def silent(web: Web) -> bytes:
    return b""


def half_a_head(web: Web) -> bytes:
    return b"GET /v4/tags HTTP/1.1\r\nHost: x\r\n"


def a_chunk_of_a_call(web: Web) -> bytes:
    return web.head("POST", "/v4/tags", CHUNKED) + b"5\r\nabcde\r\n"


def a_chunk_of_a_strangers_call(web: Web) -> bytes:
    return web.head("POST", "/v4/tags", CHUNKED, key="nobody's") + b"5\r\nabcde\r\n"


def half_a_call(web: Web) -> bytes:
    return web.head("POST", "/v4/tags", "Content-Length: 1000") + b'{"name":'


def half_a_form(web: Web) -> bytes:
    return web.head("POST", "/sign-in", FORM, "Content-Length: 1000") + b"email="


def a_chunk_for_a_link(web: Web) -> bytes:
    return web.head("POST", "/u/abc", FORM, CHUNKED) + b"5\r\nabcde\r\n"


def half_a_file(web: Web) -> bytes:
    head = web.head("POST", "/sign-in", "Content-Type: multipart/form-data; boundary=x", "Content-Length: 60000")
    return head + b'--x\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n' + b"x" * 1000


def half_a_call_that_reads(web: Web) -> bytes:
    return web.head("GET", "/v4/account", "Content-Length: 1000") + b"x"


KINDS = [silent, half_a_head, a_chunk_of_a_call, a_chunk_of_a_strangers_call, half_a_call, half_a_form,
         a_chunk_for_a_link, half_a_file, half_a_call_that_reads]  # fmt: skip


def unfinished(web: Web) -> Iterator[socket.socket]:
    return (web.connect(kind(web)) for kind in KINDS for _ in range(N))


TOLD = [(half_a_call, b"408"), (half_a_form, b"408"), (a_chunk_of_a_strangers_call, b"401")]


def test_hundreds_of_them_hold_nobody_up_and_are_closed_in_time(web: Web) -> None:
    """One story, because each of the limits is ten seconds."""
    web.slowest(5)
    trickle = web.connect(web.head("POST", "/v4/tags", "Content-Length: 1000"))
    with held(unfinished(web)) as connections, held(web.connect(kind(web)) for kind, _ in TOLD) as told, trickle:
        begun = time.monotonic()
        assert web.slowest(30) < 1.0
        assert answer_to_a_trickle(trickle).split()[1] == b"408"
        for connection in connections:
            raw(connection)
        assert [raw(connection).split()[1] for connection in told] == [status for _, status in TOLD]
        assert time.monotonic() - begun < 20
    assert web.slowest(5) < 1.0


def answer_to_a_trickle(connection: socket.socket) -> bytes:
    """A byte each second, until there is an answer."""
    connection.settimeout(1)
    while True:
        connection.send(b"x")
        try:
            return connection.recv(65_536)
        except TimeoutError:
            continue


def test_strangers_are_refused_before_their_body_is_read(web: Web) -> None:
    with web.connect(web.head("POST", "/v4/tags", "Content-Length: 900000", key="nobody's")) as connection:
        answer = connection.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 401")
    assert b"The access token is invalid" in answer


def test_a_body_in_single_bytes_is_refused(web: Web) -> None:
    pieces = b"1\r\n \r\n" * 5_000
    with web.connect(web.head("POST", "/sign-in", CHUNKED) + pieces) as connection:
        assert connection.recv(65_536).split()[1] == b"400"


def test_a_client_that_hangs_up_in_the_middle_changes_nothing(web: Web) -> None:
    body = b'{"name": "cut off"}'
    for headers, sent in (
        (("Content-Length: 1000",), body),
        ((CHUNKED,), b"%x\r\n%b\r\n" % (len(body), body)),
    ):
        with web.connect(web.head("POST", "/v4/tags", *headers) + sent) as connection:
            connection.shutdown(socket.SHUT_WR)
            raw(connection)
    assert "cut off" not in {tag["name"] for tag in web.ask("GET", "/v4/tags").json["tags"]}


@pytest.mark.parametrize("kind", ["length", "chunks"])
def test_bodies_arrive_whole_however_they_are_cut(web: Web, kind: str) -> None:
    body = b'{"name": "whole ' + kind.encode() + b'"}'
    head = web.head(
        "POST", "/v4/tags", "Connection: close", CHUNKED if kind == "chunks" else f"Content-Length: {len(body)}"
    )
    with web.connect(head) as connection:
        for number in range(len(body)):
            piece = body[number : number + 1]
            connection.sendall(b"1\r\n%b\r\n" % piece if kind == "chunks" else piece)
        if kind == "chunks":
            connection.sendall(b"0\r\n\r\n")
        assert raw(connection).startswith(b"HTTP/1.1 201")


# --- Sizes ------------------------------------------------------------------------------------------------------


def sized(web: Web, path: str, n_bytes: int) -> Answer:
    return web.ask("POST", path, b'{"name":"' + b"x" * (n_bytes - 11) + b'"}')


@pytest.mark.parametrize(
    ("path", "limit", "shown"),
    [("/v4/tags", 1_000_000, "1 MB"), ("/ext/v1/segments", 1_000_000, "1 MB"), ("/v4/bulk/tags", 16_000_000, "16 MB")],
)
def test_a_call_has_a_largest_size(web: Web, path: str, limit: int, shown: str) -> None:
    assert sized(web, path, limit).status in (401, 404, 422)  # read; bulk operations want another key
    refused = sized(web, path, limit + 1)
    assert (refused.status, refused.json) == (
        413,
        {"errors": [f"The request body is too large (maximum is {shown})"]},
    )
    assert refused.headers["X-Request-Id"]


def test_a_form_has_a_smaller_one(web: Web) -> None:
    assert sized(web, "/sign-in", 64_001).status == 413
    assert sized(web, "/sign-in", 64_000).status == 403  # no CSRF token


@pytest.mark.parametrize("path", ["/v4/tags", "/sign-in"])
def test_chunks_are_counted_too(web: Web, path: str) -> None:
    chunk = b"%x\r\n%b\r\n" % (60_000, b"x" * 60_000)
    n_chunks = 18 if path.startswith("/v4") else 3
    with web.connect(web.head("POST", path, CHUNKED) + chunk * n_chunks + b"0\r\n\r\n") as connection:
        assert connection.recv(65_536).split()[1] == b"413"


def test_who_sends_much_too_much_is_cut_off(web: Web) -> None:
    with web.connect(web.head("POST", "/sign-in", CHUNKED)) as connection:
        with suppress(OSError):
            for _ in range(1_000):
                connection.sendall(b"%x\r\n%b\r\n" % (60_000, b"x" * 60_000))
        with pytest.raises(OSError, match=r"reset|Broken"):
            connection.sendall(b"x" * 10_000_000)


def test_large_bodies_of_all_together_have_a_limit_and_small_ones_always_find_room(web: Web) -> None:
    half = web.head("POST", "/v4/bulk/tags", "Content-Length: 16000000") + b"x" * 15_900_000
    with held(web.connect(half) for _ in range(4)) as connections:
        (one, *_), _, _ = select.select(connections, [], [], 20)
        refused = one.recv(65_536)
        assert refused.startswith(b"HTTP/1.1 503") and b"retry-after: 2" in refused.lower()
        assert web.slowest(5) < 1.0


def test_a_connection_whose_answers_nobody_reads_is_closed(web: Web) -> None:
    """Half a minute after the last byte was taken, whatever fits into the buffers of both sides."""
    web.slowest(1)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect((HOST, web.port))
        connection.sendall(web.head("GET", "/ext/v1/openapi.json") * 100)
        connection.recv(1)
        begun = time.monotonic()
        until(lambda: connection.getsockname()[1] not in ports_of_clients(web), 3 * UNREAD_SECONDS)
        assert time.monotonic() - begun > UNREAD_SECONDS / 2
    assert web.slowest(5) < 1.0


def ports_of_clients(web: Web) -> set[int]:
    """Of those who are connected to its processes."""
    connections = [
        one for process in psutil.Process(web.process.pid).children() for one in process.net_connections("tcp")
    ]
    return {one.raddr.port for one in connections if one.laddr.port == web.port and one.raddr}
