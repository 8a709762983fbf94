"""A limit holds for a credential, however many web processes it comes to, and however many requests at once."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from tests.front.served import Web, account_key, serving

PER_KEY = 120  # of Kit


@pytest.fixture(scope="module")
def several(fresh_database: str) -> Iterator[Web]:
    key = account_key(fresh_database, "limited")
    with serving(fresh_database, key, DRIPSTONE_RATE_LIMITS="kit", DRIPSTONE_WEB_PROCESSES="3") as web:
        yield web


def test_kits_limit_is_exact_across_processes(several: Web) -> None:
    assert len(psutil.Process(several.process.pid).children()) >= 3
    with ThreadPoolExecutor(24) as clients:
        answers = list(clients.map(lambda _: several.ask("GET", "/v4/tags?per_page=1"), range(PER_KEY + 40)))
    assert Counter(answer.status for answer in answers) == {200: PER_KEY, 429: 40}
    for answer in answers:
        assert answer.headers["X-Request-Id"]
        if answer.status == 429:
            assert answer.content == b"Retry later"
            assert 1 <= int(answer.headers["Retry-After"]) <= 60
