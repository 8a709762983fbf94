"""A file of everybody, through the real server: made while it is read, by one thread, in little memory."""

import http.client
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.cookiejar import CookieJar
from urllib.parse import urlencode

import psutil
import psycopg
import pytest

from tests.crash.doomed import until
from tests.front.served import HOST, Web
from tests.front.test_served import signed_in

N_PEOPLE = 30_000
MB = 1_000_000

_PEOPLE = """
INSERT INTO subscribers_subscriber (account_id, email_address, first_name, state, fields, created_at, updated_at)
SELECT a.id, 'streamed' || i || '@example.org', repeat('Ana ', 62), 'active', '{}', now(), now()
FROM accounts_account a, generate_series(1, %s) i WHERE a.name = 'served'
"""
_N_PEOPLE = """
SELECT count(*) FROM subscribers_subscriber s JOIN accounts_account a ON a.id = s.account_id WHERE a.name = 'served'
"""


@pytest.fixture(scope="module")
def cookies(web: Web, fresh_database: str) -> Iterator[CookieJar]:
    """Of somebody with very many people, who are gone afterwards."""
    with psycopg.connect(fresh_database, autocommit=True) as connection:
        connection.execute(_PEOPLE, [N_PEOPLE])
        yield signed_in(web, fresh_database)
        connection.execute("DELETE FROM subscribers_subscriber WHERE email_address LIKE 'streamed%'")


@contextmanager
def asked(web: Web, cookies: CookieJar) -> Iterator[http.client.HTTPResponse]:
    """The answer, of which only the head was read."""
    token = next(one.value or "" for one in cookies if one.name == "dripstone_csrf")
    cookie = "; ".join(f"{one.name}={one.value}" for one in cookies)
    connection = http.client.HTTPConnection(HOST, web.port, timeout=60)
    headers = {"Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded", "X-CSRFToken": token}
    with closing(connection):
        connection.request("POST", "/people/export", urlencode({"use": "program"}), headers)
        with connection.getresponse() as answer:
            yield answer


def memory(web: Web) -> int:
    """Bytes of its processes that serve."""
    return sum(one.memory_info().rss for one in psutil.Process(web.process.pid).children(recursive=True))


def test_everybody_is_in_it_and_memory_stays(web: Web, cookies: CookieJar, fresh_database: str) -> None:
    with psycopg.connect(fresh_database) as connection:  # other tests add people of their own
        [n_people] = connection.execute(_N_PEOPLE).fetchone() or [0]
    with asked(web, cookies) as warm:
        warm.read()
    before, most, begun = memory(web), 0, time.perf_counter()
    with asked(web, cookies) as answer:
        assert time.perf_counter() - begun < 3
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
        size, n_lines = 0, 0
        while piece := answer.read(500_000):
            size, n_lines, most = size + len(piece), n_lines + piece.count(b"\n"), max(most, memory(web))
    assert n_lines == n_people + 1
    assert n_people >= N_PEOPLE
    assert size > 8 * MB
    assert most - before < 6 * MB


def test_who_reads_slowly_holds_up_nobody_else(web: Web, cookies: CookieJar) -> None:
    """One of the four threads makes a file at a time; a second file waits for its turn."""
    with asked(web, cookies) as answer:
        answer.read(1_000)
        before = memory(web)
        assert web.slowest(5) < 1.0
        with asked(web, cookies) as refused:
            assert refused.status == 503
            assert b"try again in a moment" in refused.read()
        time.sleep(1)
        assert memory(web) - before < 4 * MB
    finished(web, cookies)


def test_who_hangs_up_ends_it(web: Web, cookies: CookieJar) -> None:
    with asked(web, cookies) as answer:
        answer.read(1_000)
    finished(web, cookies)


def test_a_file_that_breaks_off_is_no_whole_one(web: Web, cookies: CookieJar, fresh_database: str) -> None:
    with asked(web, cookies) as answer:
        answer.read(1_000)
        with psycopg.connect(fresh_database, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND state <> 'idle' AND pid <> pg_backend_pid()"
            )
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            answer.read()
    finished(web, cookies)


def finished(web: Web, cookies: CookieJar) -> None:
    """The next file is made."""

    def is_made() -> bool:
        with asked(web, cookies) as answer:
            answer.read()
            return answer.status == 200

    until(is_made, 30)
