"""Workers at the same instant on one meter, one breaker, one number of connections: real commits, a connection each."""

import itertools
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from dripstone.accounts.models import Account
from dripstone.accounts.verbs import update_account
from dripstone.engine import claim, enroll, life, plan
from dripstone.engine.claim import Batch
from dripstone.engine.models import Delivery
from dripstone.senders import breaker, pace, shares
from dripstone.senders.base import Answer
from dripstone.senders.breaker import Evidence
from dripstone.senders.limits import SECOND, Limit, Wish
from dripstone.senders.memory import MemorySender
from dripstone.senders.models import Breaker, Share
from tests.factories import MONDAY_9, make_account, make_sequence, make_subscriber
from tests.racing import together

pytestmark = pytest.mark.django_db(transaction=True)

NOW = MONDAY_9
N = 6  # workers
ROUNDS = 5  # a race is not won the same way each time


@pytest.fixture
def sender() -> MemorySender:
    return MemorySender()


def planned(n_people: int) -> Account:
    account = make_account()
    sequence = make_sequence(account, {"delay_value": 0}, {})
    enroll.add(sequence, [make_subscriber(account).pk for _ in range(n_people)], "bulk", NOW)
    plan.everything_due(NOW)
    return account


def claim_together(sender: MemorySender, now: datetime) -> list[Batch]:
    numbers = itertools.count()
    return together(lambda: claim.batch(f"worker-{next(numbers)}/1", sender, now), N)


def rounds(begin: datetime, step: timedelta = SECOND) -> Iterator[datetime]:
    return (begin + number * step for number in range(ROUNDS))


# --- One meter --------------------------------------------------------------------------------------------------


def test_the_workers_claim_what_a_servers_second_lets_go_and_no_more(
    limit: Callable[[str], None], sender: MemorySender
) -> None:
    limit("per_second=50")
    planned(200)
    for now in rounds(NOW):
        assert sum(len(batch.rows) for batch in claim_together(sender, now)) == 15  # what may be saved up
    assert Delivery.objects.filter(status="sending", attempt=1).count() == ROUNDS * 15


def test_the_workers_claim_what_a_servers_day_lets_go_and_no_more(
    limit: Callable[[str], None], sender: MemorySender
) -> None:
    limit("per_second=50&per_day=40")
    planned(200)
    counts = [sum(len(batch.rows) for batch in claim_together(sender, now)) for now in rounds(NOW)]
    assert counts == [15, 15, 10, 0, 0]


@pytest.mark.parametrize(("account_limit", "counts"), [(Limit(20), [6] * ROUNDS), (Limit(20, 15), [6, 6, 3, 0, 0])])
def test_an_accounts_limit_holds_for_all_workers_together(account_limit: Limit, counts: list[int]) -> None:
    ids = itertools.count(1)

    def ask(now: datetime) -> int:
        """Ten messages that have waited before: they need not queue behind each other."""
        wishes = [Wish(next(ids), ("account 1",), True) for _ in range(10)]
        return len(wishes) - len(pace.put_off(wishes, {"account 1": account_limit}, now))

    went = [sum(together(lambda: ask(now), N)) for now in rounds(NOW)]  # noqa: B023 - it has ended before the next
    assert went == counts


def test_everybody_put_off_by_all_workers_has_a_place_of_their_own() -> None:
    ids = itertools.count(1)

    def ask() -> dict[int, datetime]:
        wishes = [Wish(next(ids), ("account 1",), False) for _ in range(20)]
        return pace.put_off(wishes, {"account 1": Limit(10)}, NOW)

    places = sorted(place for put_off in together(ask, N) for place in put_off.values())
    assert len(places) == N * 20 - 3
    assert {late - early for early, late in itertools.pairwise(places)} == {SECOND / 10}


def test_whole_batches_of_all_workers_keep_every_limit_at_once(limit: Callable[[str], None], settings: Any) -> None:
    limit("per_second=50&per_day=60")
    settings.DRIPSTONE_DOMAIN_LIMITS = {"*": (1000, 45)}
    account = planned(200)
    update_account(account, {"per_second": 40, "per_day": 50})
    senders = [MemorySender() for _ in range(N)]
    for now in rounds(NOW):
        numbers = itertools.count()

        def work(now: datetime = now, numbers: Iterator[int] = numbers) -> None:
            number = next(numbers)
            life.send_batch(f"worker-{number}", senders[number], lambda: now)

        assert together(work, N) == [None] * N
        sent_now = Delivery.objects.filter(status="sent", sent_at=now).count()
        assert sent_now <= 12  # 0.3 seconds' worth of the account's 40
    accepted = [message.delivery_id for sender in senders for message in sender.messages]
    assert len(accepted) == len(set(accepted)) == Delivery.objects.filter(status="sent").count() == 45


# --- One breaker ------------------------------------------------------------------------------------------------


def down(server: str, retry_at: datetime) -> None:
    Breaker.objects.update_or_create(
        server=server, defaults={"retry_at": retry_at, "opened_at": NOW, "n_failures": 3, "n_openings": 1}
    )


def test_one_worker_probes_a_server_that_was_down_and_the_others_wait(
    limit: Callable[[str], None], sender: MemorySender
) -> None:
    limit("connections=10")
    planned(200)
    for number, now in enumerate(rounds(NOW, 10 * breaker.PROBE_TIME)):
        down(claim.server().server, now)
        batches = claim_together(sender, now)
        assert sorted(len(batch.rows) for batch in batches) == [0] * (N - 1) + [breaker.PROBE]
        assert [batch.is_probe for batch in batches if batch.rows] == [True]
        assert Delivery.objects.filter(status="sending").count() == (number + 1) * breaker.PROBE
        assert Breaker.objects.get().retry_at == now + breaker.PROBE_TIME


def test_failures_of_all_workers_are_all_counted_and_open_it_once() -> None:
    evidence = Evidence()
    evidence.add(Answer(1, "temporary", reason="connection_refused", about="connection"))
    assert together(lambda: breaker.learn("smtp://h", evidence, NOW, is_probe=False), N) == [None] * N
    row = Breaker.objects.get()
    assert (row.n_failures, row.n_openings) == (N, 1)
    assert row.retry_at == NOW + breaker.waits(1, "smtp://h")


# --- One number of connections ----------------------------------------------------------------------------------


def test_connections_of_all_workers_never_exceed_the_number_and_end_in_equal_parts() -> None:
    for now in rounds(NOW):
        numbers = itertools.count()
        counts = together(lambda: shares.renew("smtp://h", f"worker-{next(numbers)}", 20, 10, now), N)  # noqa: B023
        assert sum(Share.objects.values_list("n_connections", flat=True)) <= 20
        assert all(isinstance(n, int) for n in counts)
    assert counts == [3] * N


def test_a_dead_workers_connections_are_given_out_once() -> None:
    assert shares.renew("smtp://h", "dead", 4, 4, NOW) == 4
    numbers = itertools.count()
    counts = together(lambda: shares.renew("smtp://h", f"worker-{next(numbers)}", 4, 4, NOW + shares.KEPT), N)
    assert sum(counts) == sum(Share.objects.values_list("n_connections", flat=True)) == 4
    assert not Share.objects.filter(worker="dead").exists()
