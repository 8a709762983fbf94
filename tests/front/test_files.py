"""Files of any size, through the real server: into the database as they come, in little memory and no thread."""

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import closing
from http.cookiejar import CookieJar
from typing import Any

import psutil
import pytest

from dripstone.front import files
from dripstone.front.pieces import PIECE
from tests.crash.doomed import until
from tests.front.served import HOST, Web, account_key, held, raw
from tests.front.test_served import signed_in

MB = 1_000_000
LINE = b"%09d@example.org,Ana,Caves\r\n"
BOUNDARY = "----of-a-form"


def people(n_lines: int, first: int = 0) -> bytes:
    return b"".join(LINE % number for number in range(first, first + n_lines))


HEADER = b"email,name,tag\r\n"


@pytest.fixture(scope="module")
def cookies(web: Web, fresh_database: str) -> CookieJar:
    return signed_in(web, fresh_database)


def begun(web: Web) -> int:
    answer = web.ask("POST", "/ext/v1/imports", {"file_name": "people.csv"})
    assert answer.status == 201
    import_id: int = answer.json["import"]["id"]
    return import_id


def looked_at(web: Web, import_id: int) -> Any:
    return web.ask("GET", f"/ext/v1/imports/{import_id}").json["import"]


def memory(web: Web) -> int:
    return sum(one.memory_info().rss for one in psutil.Process(web.process.pid).children(recursive=True))


def sent(web: Web, import_id: int, pieces: Iterator[bytes]) -> tuple[int, Any]:
    """As a file of unknown length."""
    connection = http.client.HTTPConnection(HOST, web.port, timeout=60)
    with closing(connection):
        headers = {"X-Kit-Api-Key": web.key, "Content-Type": "text/csv"}
        connection.request("PUT", f"/ext/v1/imports/{import_id}/file", pieces, headers, encode_chunked=True)
        with connection.getresponse() as answer:
            return answer.status, json.loads(answer.read())


def test_a_large_file_comes_through_and_memory_stays(web: Web) -> None:
    """With the second one: what the allocators of a process keep ready, they have taken by then."""
    block, n_blocks, seen = people(60_000), 36, []

    def coming() -> Iterator[bytes]:
        for _ in range(n_blocks):
            seen.append(memory(web))
            yield block

    for _ in range(2):
        status, answer = sent(web, begun(web), coming())
        assert (status, answer["import"]["state"]) == (200, "uploaded")
        assert answer["import"]["n_bytes"] == n_blocks * len(block)
    assert n_blocks * len(block) > 55 * MB
    assert max(seen[n_blocks:]) - max(seen[:n_blocks]) < 20 * MB


def test_who_sends_slowly_holds_up_nobody(web: Web) -> None:
    """The server has four threads; as many files as may come at a time come, and none of them goes on."""
    ids = [begun(web) for _ in range(files.MOST)]
    heads = [web.head("PUT", f"/ext/v1/imports/{one}/file", "Content-Length: 5000000") + HEADER for one in ids]
    with held(web.connect(head) for head in heads):
        until(lambda: sent(web, begun(web), iter([HEADER]))[0] == 503)
        assert web.slowest(10) < 1.0
    until(lambda: sent(web, ids[0], iter([HEADER]))[0] == 200)


def test_strangers_are_refused_before_their_file_is_read(web: Web) -> None:
    head = web.head("PUT", f"/ext/v1/imports/{begun(web)}/file", "Content-Length: 5000000", key="nobody's")
    with web.connect(head) as connection:
        assert raw(connection).startswith(b"HTTP/1.1 401")
    with web.connect(form(web, "", "/imports/file")) as connection:
        assert raw(connection).startswith(b"HTTP/1.1 403")


def test_it_says_which_imports_are_not_there(web: Web, fresh_database: str) -> None:
    theirs = account_key(fresh_database, "another")
    head = web.head("PUT", f"/ext/v1/imports/{begun(web)}/file", "Content-Length: 10", key=theirs)
    with web.connect(head + b"email\nx@y.") as connection:
        assert raw(connection).startswith(b"HTTP/1.1 404")


def test_what_broke_off_is_continued_in_pieces(web: Web) -> None:
    import_id, whole = begun(web), HEADER + people(100_000)
    head = web.head("PUT", f"/ext/v1/imports/{import_id}/file", f"Content-Length: {len(whole)}")
    with web.connect(head + whole[:2_600_000]) as connection:
        connection.shutdown(socket.SHUT_WR)
        raw(connection)
    found = looked_at(web, import_id)
    assert found["state"] == "uploading"
    n_pieces, n_bytes = found["n_pieces"], found["n_bytes"]
    assert (n_pieces * PIECE, n_bytes) == (2_500_000, 2_500_000)
    kind = {"Content-Type": "application/octet-stream"}
    for place in range(n_bytes, len(whole), 1_000_000):
        answer = web.ask(
            "PUT", f"/ext/v1/imports/{import_id}/pieces/{n_pieces}", whole[place : place + 1_000_000], kind
        )
        assert answer.status == 200
        n_pieces += 1
    answer = web.ask("POST", f"/ext/v1/imports/{import_id}/finish")
    assert (answer.status, answer.json["import"]["n_bytes"]) == (200, len(whole))


def test_what_broke_off_is_sent_again_from_its_beginning(web: Web) -> None:
    import_id = begun(web)
    head = web.head("PUT", f"/ext/v1/imports/{import_id}/file", "Content-Length: 9000000")
    with web.connect(head + people(80_000)) as connection:
        connection.shutdown(socket.SHUT_WR)
        raw(connection)
    assert looked_at(web, import_id)["n_bytes"] > 2_000_000
    status, answer = sent(web, import_id, iter([HEADER, people(3)]))
    assert (status, answer["import"]["n_bytes"]) == (200, len(HEADER + people(3)))


# --- From a page without JavaScript --------------------------------------------------------------------------------


def form(web: Web, cookie: str, path: str, *, token: str = "", content: bytes = HEADER, name: str = "p.csv") -> bytes:
    part = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="'
    body = f'{part}csrfmiddlewaretoken"\r\n\r\n{token}\r\n{part}file"; filename="{name}"\r\n\r\n'.encode()
    body += content + f"\r\n--{BOUNDARY}--\r\n".encode()
    kind = f"Content-Type: multipart/form-data; boundary={BOUNDARY}"
    head = web.head("POST", path, kind, f"Cookie: {cookie}", f"Content-Length: {len(body)}", "Connection: close")
    return head + body


def posted(web: Web, cookies: CookieJar, **more: Any) -> bytes:
    cookie = "; ".join(f"{one.name}={one.value}" for one in cookies)
    token = next(one.value or "" for one in cookies if one.name == "dripstone_csrf")
    with web.connect(form(web, cookie, "/imports/file", **{"token": token, **more})) as connection:
        return raw(connection)


def test_a_form_brings_its_file(web: Web, cookies: CookieJar) -> None:
    content = HEADER + people(100_000)
    answer = posted(web, cookies, content=content, name="Leute & mehr.csv")
    assert answer.startswith(b"HTTP/1.1 302")
    import_id = int(answer.lower().partition(b"location: /imports/")[2].split()[0])
    found = looked_at(web, import_id)
    assert (found["state"], found["file_name"], found["n_bytes"]) == ("uploaded", "Leute & mehr.csv", len(content))


def test_a_form_without_its_token_brings_nothing(web: Web, cookies: CookieJar) -> None:
    before = web.ask("GET", "/ext/v1/imports").json["imports"]
    assert posted(web, cookies, token="x" * 32).startswith(b"HTTP/1.1 403")
    assert web.ask("GET", "/ext/v1/imports").json["imports"] == before


def test_a_form_without_a_file_is_told_so(web: Web, cookies: CookieJar) -> None:
    answer = posted(web, cookies, name="")
    assert answer.startswith(b"HTTP/1.1 422") and b"Choose a file first" in answer
