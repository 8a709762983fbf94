"""PostgreSQL goes and comes back: everybody is told soon, and is answered again soon."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from dripstone import signing
from tests.crash.doomed import until
from tests.crash.proxy import Proxy
from tests.front.served import Answer, Web, account_key, free_port, serving


@pytest.fixture(scope="module")
def door() -> int:
    """Where the server looks for its database."""
    return free_port()


@pytest.fixture(scope="module")
def web(fresh_database: str, door: int) -> Iterator[Web]:
    parts = urlsplit(fresh_database)
    user = f"{parts.username}:{parts.password}" if parts.password else parts.username
    through_the_door = f"postgresql://{user}@127.0.0.1:{door}{parts.path}?sslmode=disable&gssencmode=disable"
    key = account_key(fresh_database, "away")
    with closing(Proxy(port=door)) as proxy, serving(through_the_door, key) as web:
        assert web.ask("GET", "/v4/account").status == 200
        proxy.close()
        yield web


def test_everybody_is_told_soon_and_served_again_when_it_is_back(web: Web, door: int) -> None:
    """One story: it starts with the database away."""
    paths = ["/v4/account", "/ext/v1/clock", f"/c/{signing.make('confirm', 1)}", "/metrics", "/v4/account?slim=true"]
    asked = {path: asked_for(web, path) for path in paths}
    for path, (answer, seconds) in asked.items():
        assert answer.status == 503, path
        assert answer.headers["Retry-After"] == "2"
        assert seconds < 4, path
    sentence = "The database does not answer right now; try again in a few seconds"
    assert asked["/v4/account"][0].json == {"errors": [sentence]}
    assert b"Not right now" in asked["/metrics"][0].content
    assert asked_for(web, "/healthz")[0].status == 503

    # Twenty at once wait for four threads, each of which would wait for two seconds.
    with ThreadPoolExecutor(20) as clients:
        answers = list(clients.map(lambda _: asked_for(web, "/v4/account"), range(20)))
    assert {answer.status for answer, _ in answers} == {503}
    assert max(seconds for _, seconds in answers) < 4

    # A key that this process has not seen yet is looked up before the body is read.
    answer = web.ask("POST", "/v4/tags", {"name": "x"}, {"X-Kit-Api-Key": "another"})
    assert (answer.status, answer.headers["Retry-After"]) == (503, "2")

    with closing(Proxy(port=door)):
        begun = time.monotonic()
        until(lambda: web.ask("GET", "/v4/account").status == 200)
        assert time.monotonic() - begun < 10
        assert web.ask("GET", "/metrics").status == 200


def asked_for(web: Web, path: str) -> tuple[Answer, float]:
    begun = time.monotonic()
    answer = web.ask("GET", path)
    return answer, time.monotonic() - begun
