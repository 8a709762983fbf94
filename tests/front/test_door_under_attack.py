"""A form under attack, on the server as it runs: nobody learns who is on the list, nobody is mailed twice, no more rows
than the limits let in, and the rest of the server answers."""

import http.client
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import psycopg
import pytest

from dripstone.front.evenly import EVERY
from tests.front.served import HOST, Answer, Web, account_key, serving

N_ATTACKERS = 12
FORM = "application/x-www-form-urlencoded"
HOSTILE = [
    b"\x00", b"email_address=%00", b"email_address=" + b"x" * 60_000, b"email_address=%ff%fe", b"email_address[]=a",
    b"email_address=ann@example.org&first_name=" + b"x" * 5_000, b"email_address=ann%0d%0aBcc:x@example.org",
    b"email_address=%22%3Cscript%3E%22@example.org&first_name=%7B%7B7*7%7D%7D", b"&" * 900, b"=" * 5_000,
    b"email_address=ann@example.org&fields[x]=1&fields[]=2&fields[[a]]=3", b"email_address=a@" + b"b." * 120 + b"org",
]  # fmt: skip


@dataclass
class Door:
    web: Web
    path: str
    form_id: int

    def post(self, body: bytes, network: str = "192.0.2.1", kind: str = FORM) -> Answer:
        """As a proxy before the server hands it on; where the answer leads is not followed."""
        with closing(http.client.HTTPConnection(HOST, self.web.port, timeout=30)) as connection:
            connection.request("POST", self.path, body, {"Content-Type": kind, "X-Forwarded-For": network})
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())

    def sign_up(self, address: str, network: str = "192.0.2.1") -> Answer:
        return self.post(f"email_address={address}&first_name=Ann".encode(), network)

    def whole(self, **changes: Any) -> None:
        assert self.web.ask("PUT", f"/ext/v1/forms/{self.form_id}", changes).status == 200


@pytest.fixture(scope="module")
def guarded(fresh_database: str) -> Iterator[Web]:
    """Limits are on, but for calls of the API, which are far from theirs."""
    with serving(fresh_database, account_key(fresh_database, "x"), DRIPSTONE_RATE_LIMITS="100000,100000") as web:
        yield web


@pytest.fixture
def door(fresh_database: str, guarded: Web) -> Door:
    """A form of a new account."""
    key = account_key(fresh_database, f"attacked-{random.randrange(10**9)}")
    web = replace(guarded, key=key)
    form = web.ask("POST", "/ext/v1/forms", {"name": "Footer"}).json["form"]
    return Door(web, f"/f/{form['uid']}", form["id"])


@pytest.fixture
def count(fresh_database: str, door: Door) -> Callable[[str], int]:
    """Rows of the form's account: `count("engine_notice")`."""

    def counted(table: str) -> int:
        account = "(SELECT account_id FROM subscribers_form WHERE id = %s)"
        with psycopg.connect(fresh_database) as connection:
            found = connection.execute(f"SELECT count(*) FROM {table} WHERE account_id = {account}", [door.form_id])
            n: int = found.fetchone()[0]  # type: ignore[index]
        return n

    return counted


@contextmanager
def attacked(attack: Callable[[int], Answer], n_posts: int) -> Iterator[Counter[int]]:
    """By so many posts from a dozen clients at once; ends when they have all been answered."""
    statuses: Counter[int] = Counter()
    with ThreadPoolExecutor(N_ATTACKERS) as pool:
        posts = [pool.submit(attack, number) for number in range(n_posts)]
        yield statuses
        statuses.update(post.result().status for post in posts)


def test_one_address_is_mailed_once_however_often_it_is_posted(door: Door, count: Callable[[str], int]) -> None:
    with attacked(lambda n: door.sign_up("ann@example.org", f"198.51.100.{n % 250}"), 120) as statuses:
        assert door.web.slowest(10) < 2
    assert statuses == {303: 120}
    assert (count("engine_notice"), count("subscribers_subscriber")) == (1, 1)


def test_many_addresses_fill_no_more_than_the_forms_hour(door: Door, count: Callable[[str], int]) -> None:
    door.whole(hourly_limit=50)
    with attacked(lambda n: door.sign_up(f"a{n}@example.org", f"203.0.113.{n % 250}"), 120) as statuses:
        assert door.web.slowest(10) < 2
    assert statuses.keys() <= {303, 429}
    assert 50 <= statuses[303] <= 50 + N_ATTACKERS, "requests in flight at the same instant do not see each other"
    assert count("subscribers_subscriber") == count("engine_notice") == statuses[303]


def test_a_network_of_many_addresses_is_one(door: Door, count: Callable[[str], int]) -> None:
    with attacked(lambda n: door.sign_up(f"a{n}@example.org", f"2001:db8:0:9::{n:x}"), 130) as statuses:
        pass
    assert statuses[429] >= 130 - 100 - N_ATTACKERS
    assert count("subscribers_subscriber") == statuses[303]


def test_whatever_is_posted_is_answered(door: Door) -> None:
    statuses = {door.post(body).status for body in HOSTILE} | {door.post(body * 2).status for body in HOSTILE}
    assert statuses <= {303, 400, 413, 422}
    assert door.post(b"x" * 70_000).status == 413


def test_a_stopwatch_does_not_tell_who_is_on_the_list(door: Door) -> None:
    """Answers leave at even times: who is new, who is on the list, who complained and a robot wait for the same one."""
    for state in ("active", "cancelled", "complained"):
        door.web.ask("POST", "/v4/subscribers", {"email_address": f"{state}@example.org", "state": state})
    bodies = {
        state: f"email_address={state}@example.org".encode()
        for state in ("nobody", "active", "cancelled", "complained")
    }
    bodies["robot"] = b"email_address=robot@example.org&leave_empty=x"
    for body in bodies.values():
        assert min(late(door, body) for _ in range(4)) < EVERY / 4, "that is the way there and back"


def late(door: Door, body: bytes) -> float:
    """Seconds by which the answer came after one of the instants at which answers leave."""
    begun = time.perf_counter()
    answer = door.post(body)
    took = time.perf_counter() - begun
    assert (answer.status, answer.content) == (303, b"")
    return took % EVERY


def test_a_script_is_as_well_behaved(door: Door) -> None:
    answer = door.post(json.dumps({"email_address": "ann@example.org"}).encode(), kind="application/json")
    assert (answer.status, answer.json["status"]) == (200, "success")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_everybody_else_is_answered_while_the_door_is_full(door: Door) -> None:
    stop = threading.Event()

    def knock(number: int) -> None:
        while not stop.is_set():
            number += N_ATTACKERS
            door.sign_up(f"b{number}@example.org", f"198.51.{number % 200}.{number // 200 % 200}")

    knocking = [threading.Thread(target=knock, args=(number,)) for number in range(N_ATTACKERS)]
    for one in knocking:
        one.start()
    try:
        assert door.web.slowest(30) < 2
    finally:
        stop.set()
        for one in knocking:
            one.join()
