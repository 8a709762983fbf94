"""Files of any size, through the real server: into the database as they come, in little memory and no thread."""

import http.client
import json
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from http.cookiejar import CookieJar
from typing import Any

import psutil
import psycopg
import pytest

from tests.front.served import HOST, Web, held, raw
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
    warm = begun(web)
    assert sent(web, warm, iter([HEADER, people(50_000)]))[0] == 200
    import_id, before, most, n_bytes = begun(web), memory(web), 0, 0

    def coming() -> Iterator[bytes]:
        nonlocal most, n_bytes
        for number in range(26):
            piece = people(70_000, 70_000 * number)
            most, n_bytes = max(most, memory(web)), n_bytes + len(piece)
            yield piece

    status, answer = sent(web, import_id, coming())
    assert (status, answer["import"]["state"], answer["import"]["n_bytes"]) == (200, "uploaded", n_bytes)
    assert n_bytes > 50 * MB
    assert most - before < 12 * MB
