"""What every sender promises, whatever the way out: one suite for all of them."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest

from dripstone.accounts.models import Account
from dripstone.senders import flight
from dripstone.senders.base import Lines, Outgoing, Sender
from dripstone.senders.flight import FlightLog
from dripstone.senders.inbox import InboxSender, messages
from dripstone.senders.memory import MemorySender
from dripstone.senders.ways import WAYS
from tests.senders.helpers import BODY, handed_over, outgoing, smtp_sender
from tests.senders.scripted import scripted

pytestmark = pytest.mark.django_db(transaction=True)


@dataclass
class Route:
    """A sender and a look at what arrived: (recipient, content) in any order."""

    sender: Sender
    arrived: Callable[[], list[tuple[str, bytes]]]
    account_id: int
    directory: Path

    def outgoing(self, n: int, **fields: object) -> Outgoing:
        return outgoing(n, account_id=self.account_id, **fields)


Arrived = Callable[[], list[tuple[str, bytes]]]


@contextmanager
def to_memory(log: FlightLog, account_id: int) -> Iterator[tuple[Sender, Arrived]]:
    memory = MemorySender(flight=log)
    yield memory, lambda: [(m.rcpt_to, m.data) for m in memory.messages]


@contextmanager
def to_inbox(log: FlightLog, account_id: int) -> Iterator[tuple[Sender, Arrived]]:
    yield InboxSender(log), lambda: [(m.to, bytes(m.raw)) for m in messages(account_id)]


@contextmanager
def to_smtp(log: FlightLog, account_id: int) -> Iterator[tuple[Sender, Arrived]]:
    with scripted() as server, smtp_sender(server.url, connections=5, flight=log) as sender:
        yield sender, lambda: [(a.rcpt_to, a.data) for a in server.accepted]


# A route for every way out. A scheme that only differs in how its connection is opened goes by another's.
ROUTES = {"memory": to_memory, "inbox": to_inbox, "smtp": to_smtp}
ALIKE = {"smtps": "smtp"}  # tests/senders/test_smtp_tls.py


def test_every_way_has_its_route() -> None:
    assert set(WAYS) == {*ROUTES, *ALIKE}


@pytest.fixture(params=ROUTES)
def route(request: pytest.FixtureRequest, tmp_path: Path, now: datetime) -> Iterator[Route]:
    log = FlightLog(tmp_path, "w")
    account = Account.objects.create(name="Alice", primary_email_address="alice@ck.lol", created_at=now)
    with ROUTES[request.param](log, account.pk) as (sender, arrived):
        yield Route(sender, arrived, account.pk, tmp_path)
    log.close()


def test_every_message_gets_one_answer_and_arrives_once(route: Route) -> None:
    batch = [route.outgoing(n) for n in range(200)]
    answers = list(handed_over(route.sender, batch))
    assert sorted(a.delivery_id for a in answers) == list(range(200))
    assert {a.kind for a in answers} == {"sent"}
    assert sorted(route.arrived()) == sorted((m.rcpt_to, BODY) for m in batch)


@pytest.mark.parametrize(
    "data",
    [
        b".\r\n..\r\n.leading\r\n\r\n.\r\n",
        b"Subject: long\r\n\r\n" + b"x" * 998 + b"\r\n",
        b"Subject: eight bit\r\n\r\n" + "Grüße, 你好\r\n".encode() * 400,
        b"Subject: big\r\n\r\n" + b"0123456789" * 100_000 + b"\r\n",
    ],
    ids=["dots", "long line", "eight bit", "a megabyte"],
)
def test_content_arrives_byte_for_byte(route: Route, data: bytes) -> None:
    list(handed_over(route.sender, [route.outgoing(1, data=data)]))
    assert route.arrived() == [("person1@mail.example", data)]


@pytest.mark.parametrize("dot", ["", "."])
def test_what_is_known_to_be_clean_arrives_byte_for_byte(route: Route, dot: str) -> None:
    data = f"Subject: Grüße\r\n\r\n{dot}In between. Lines\r\n\r\n".encode() * 50
    known = Lines(end_in_crlf=True, may_have_dots=bool(dot))
    list(handed_over(route.sender, [route.outgoing(n, data=data, lines=known) for n in range(3)]))
    assert sorted(route.arrived()) == [(f"person{n}@mail.example", data) for n in range(3)]


def test_nothing_leaves_before_the_first_answer_is_asked_for(route: Route) -> None:
    answers = handed_over(route.sender, [route.outgoing(1)])
    assert route.arrived() == []
    assert len(list(answers)) == 1


def test_an_empty_batch_is_no_work(route: Route) -> None:
    assert list(handed_over(route.sender, [])) == []


def test_it_serves_batch_after_batch(route: Route) -> None:
    for n in range(5):
        assert [a.kind for a in handed_over(route.sender, [route.outgoing(n)])] == ["sent"]
    assert len(route.arrived()) == 5


def test_every_flight_is_on_record(route: Route) -> None:
    list(handed_over(route.sender, [route.outgoing(n, attempt=2) for n in range(20)]))
    assert flight.read(route.directory).flights == {(n, 2): "sent" for n in range(20)}


def test_no_body_starts_after_the_lease(route: Route) -> None:
    batch = [route.outgoing(1, not_after=time.monotonic() - 1), route.outgoing(2, not_after=time.monotonic() + 60)]
    answers = sorted(handed_over(route.sender, batch))
    assert [(a.kind, a.reason) for a in answers][:1] == [("temporary", "lease_over")]
    assert answers[1].kind == "sent"
    assert [to for to, _ in route.arrived()] == ["person2@mail.example"]


def test_closing_twice_is_fine(route: Route) -> None:
    list(handed_over(route.sender, [route.outgoing(1)]))
    route.sender.close()
    route.sender.close()
