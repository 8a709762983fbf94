"""The breaker of a server: when it opens, whom it lets through, when it closes."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dripstone.senders import breaker, reasons
from dripstone.senders.base import Answer, withheld
from dripstone.senders.breaker import Evidence
from dripstone.senders.models import Breaker
from tests.factories import MONDAY_9

SERVER = "smtp://mail.example.com:587"
NOW = MONDAY_9
DOWN = Answer(1, "temporary", "", reason="connection_refused", about="connection")
BUSY = Answer(1, "temporary", "421 4.3.2 Busy", about="server")
GREYLISTED = Answer(1, "temporary", "451 4.7.1 Later")
TAKEN = Answer(1, "sent", "250 Ok")
CLOSED = withheld(1, reasons.SENDER_CLOSED, given_back=True)


def hear(*answers: Answer, is_probe: bool = False, after: timedelta = timedelta(0)) -> Breaker | None:
    evidence = Evidence()
    for answer in answers:
        evidence.add(answer)
    breaker.learn(SERVER, evidence, NOW + after, is_probe=is_probe)
    return Breaker.objects.filter(server=SERVER).first()


@pytest.mark.django_db
def test_it_opens_after_three_fruitless_hand_overs_in_a_row() -> None:
    hear(DOWN)
    row = hear(BUSY)
    assert row is not None
    assert row.retry_at is None
    row = hear(DOWN)
    assert row is not None
    assert row.retry_at == NOW + breaker.waits(1, SERVER)
    assert row.reason == "connection_refused"


@pytest.mark.django_db
def test_one_answer_about_a_message_begins_the_count_anew() -> None:
    hear(DOWN)
    hear(DOWN)
    row = hear(DOWN, GREYLISTED)
    assert row is not None
    assert row.n_failures == 0


@pytest.mark.django_db
def test_a_server_that_never_failed_has_no_row() -> None:
    assert hear(TAKEN) is None
    assert hear(GREYLISTED) is None
    assert hear(CLOSED) is None


@pytest.mark.django_db
def test_what_was_on_its_way_when_it_opened_does_not_lengthen_the_wait() -> None:
    for _ in range(3):
        first = hear(DOWN)
    for _ in range(20):
        last = hear(DOWN, after=timedelta(seconds=3))
    assert first is not None
    assert last is not None
    assert last.retry_at == first.retry_at


@pytest.mark.django_db
def test_one_probe_goes_when_the_time_has_come() -> None:
    for _ in range(3):
        row = hear(DOWN)
    assert row is not None
    assert row.retry_at is not None
    assert not breaker.take_probe(SERVER, row.retry_at - timedelta(seconds=1))
    assert breaker.take_probe(SERVER, row.retry_at)
    assert not breaker.take_probe(SERVER, row.retry_at)
    # Its prober was killed: another may go after a while.
    assert breaker.take_probe(SERVER, row.retry_at + breaker.PROBE_TIME)


@pytest.mark.django_db
def test_fruitless_probes_wait_ever_longer_and_one_that_works_closes_it() -> None:
    for _ in range(3):
        row = hear(DOWN)
    waits = []
    for _ in range(8):
        assert row is not None
        assert row.retry_at is not None
        begin = row.retry_at
        assert breaker.take_probe(SERVER, begin)
        row = hear(DOWN, is_probe=True, after=begin - NOW)
        assert row is not None
        assert row.retry_at is not None
        waits.append(row.retry_at - begin)
    assert waits[:4] == sorted(waits[:4])
    assert waits[-1] > breaker.LONGEST_WAIT * 3 / 4
    row = hear(TAKEN, is_probe=True)
    assert row is not None
    assert (row.retry_at, row.n_failures, row.n_openings, row.opened_at) == (None, 0, 0, None)


@pytest.mark.django_db
def test_a_probe_that_told_nothing_leaves_the_way_free_for_the_next() -> None:
    for _ in range(3):
        row = hear(DOWN)
    assert row is not None
    assert row.retry_at is not None
    begin = row.retry_at
    assert breaker.take_probe(SERVER, begin)
    hear(CLOSED, is_probe=True, after=begin - NOW)
    assert breaker.take_probe(SERVER, begin)


@given(st.integers(1, 10**6), st.text(min_size=1))
def test_waits_are_the_same_for_everybody_who_asks_and_bounded(n: int, server: str) -> None:
    assert breaker.waits(n, server) == breaker.waits(n, server)
    assert breaker.FIRST_WAIT * 3 / 4 <= breaker.waits(n, server) <= breaker.LONGEST_WAIT
