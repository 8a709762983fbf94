"""A send job: batch after batch for five seconds, by a clock and a sleep of the test's own."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from procrastinate.contrib.django.models import ProcrastinateJob

from dripstone.accounts.models import Account
from dripstone.engine import claim, enroll, life, plan, process, pulse, wake
from dripstone.engine.models import Delivery
from dripstone.engine.record import Tally
from dripstone.senders.base import Answer, Outgoing
from dripstone.senders.memory import accept
from tests.driving import Engine
from tests.factories import MONDAY_9, make_sequence, make_subscriber

SECOND = timedelta(seconds=1)
spans = st.timedeltas(timedelta(days=-2), timedelta(days=2))


@given(spans, spans)
def test_a_pause_is_never_backwards_and_never_longer_than_a_tick(ready: timedelta, began: timedelta) -> None:
    now = MONDAY_9
    pause = claim.pause(now + ready, now + began, now)
    assert timedelta(0) <= pause <= wake.TICK
    if pause < wake.TICK:
        assert now + pause >= now + ready
        assert now + pause >= now + began + claim.WORTHWHILE


@given(st.timedeltas(timedelta(0), timedelta(seconds=5)), st.timedeltas(timedelta(0), timedelta(seconds=5)))
def test_time_spent_on_a_batch_is_no_pause_on_top(ready: timedelta, spent: timedelta) -> None:
    began, now = MONDAY_9, MONDAY_9 + spent
    assert now + claim.pause(began + ready, began, now) == max(began + ready, began + claim.WORTHWHILE, now)


class Hand:
    """Time moves when somebody sleeps, and not otherwise."""

    def __init__(self) -> None:
        self.instant = MONDAY_9
        self.slept: list[float] = []
        self.meanwhile: Callable[[], object] = lambda: None

    def now(self) -> datetime:
        return self.instant

    def monotonic(self) -> float:
        return self.instant.timestamp()

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.instant += timedelta(seconds=seconds)
        self.meanwhile()


@pytest.fixture
def hand(engine: Engine, settings: Any) -> Hand:
    settings.DRIPSTONE_VIRTUAL_CLOCK = False
    return Hand()


def planned(account: Account, n_people: int) -> None:
    sequence = make_sequence(account, {"delay_value": 0}, {})
    enroll.add(sequence, [make_subscriber(account).pk for _ in range(n_people)], "bulk", MONDAY_9)
    plan.everything_due(MONDAY_9)
    ProcrastinateJob.objects.all()._raw_delete("default")


def keep_sending(engine: Engine, hand: Hand) -> Tally:
    return life.keep_sending("worker", engine.mail, hand.now, hand.sleep, hand.monotonic)


def n_jobs() -> int:
    return ProcrastinateJob.objects.filter(task_name="dripstone.engine.tasks.send").count()


def statuses() -> Counter[str]:
    return Counter(Delivery.objects.values_list("status", flat=True))


@pytest.mark.django_db
def test_without_limits_it_is_batch_after_batch(alice: Account, engine: Engine, hand: Hand) -> None:
    planned(alice, wake.CLAIM_BATCH + 5)
    assert keep_sending(engine, hand).total() == wake.CLAIM_BATCH + 5
    assert hand.slept == []
    assert n_jobs() == 0


@pytest.mark.django_db
def test_without_limits_its_time_ends_too(
    alice: Account, engine: Engine, hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever else waits for a thread comes next."""

    def slowly(message: Outgoing) -> Answer:
        hand.instant += SECOND
        return accept(message)

    monkeypatch.setattr(wake, "CLAIM_BATCH", 4)
    engine.mail.answer = slowly
    planned(alice, 20)
    assert keep_sending(engine, hand).total() == 8
    assert n_jobs() == 1


@pytest.mark.django_db
def test_with_the_virtual_clock_it_is_one_batch(
    alice: Account, engine: Engine, hand: Hand, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever moves the clock waits until nobody else is at work."""
    settings.DRIPSTONE_VIRTUAL_CLOCK = True
    monkeypatch.setattr(wake, "CLAIM_BATCH", 4)
    planned(alice, 6)
    assert keep_sending(engine, hand).total() == 4


@pytest.mark.django_db
def test_after_a_long_silence_between_two_batches_it_asks(alice: Account, engine: Engine, hand: Hand) -> None:
    """A laptop's lid: the machine slept for two days in the middle of a job, and its seconds were not counted."""
    pulse.beat(MONDAY_9)

    def sleep_for_two_days(message: Outgoing) -> Answer:
        if len(engine.mail.messages) == 3:
            hand.instant += timedelta(days=2)
        return accept(message)

    engine.mail.answer = sleep_for_two_days
    planned(alice, wake.CLAIM_BATCH + 5)
    ticking = hand.monotonic()
    tally = life.keep_sending("worker", engine.mail, hand.now, hand.sleep, lambda: ticking)
    assert tally.total() == wake.CLAIM_BATCH
    assert pulse.read().halted_at is not None


@pytest.mark.django_db
def test_it_goes_on_at_the_rate_until_nothing_is_left(
    alice: Account, engine: Engine, hand: Hand, limit: Callable[[str], None]
) -> None:
    limit("per_second=100")
    planned(alice, 230)
    tally = keep_sending(engine, hand)
    assert tally.total() == Delivery.objects.filter(status="sent").count() == 230
    assert 2 * SECOND <= hand.instant - MONDAY_9 <= 2.2 * SECOND  # the first 30 were saved up
    assert len(hand.slept) == 10
    assert n_jobs() == 0


@pytest.mark.django_db
def test_when_its_time_is_over_it_leaves_another_job_to_follow(
    alice: Account, engine: Engine, hand: Hand, limit: Callable[[str], None]
) -> None:
    limit("per_second=10")
    planned(alice, 100)
    tally = keep_sending(engine, hand)
    assert 50 <= tally.total() <= 53
    assert wake.TICK < hand.instant - MONDAY_9 <= wake.TICK + claim.WORTHWHILE
    assert n_jobs() == 1


@pytest.mark.django_db
def test_it_does_not_wait_for_what_the_next_tick_will_find(
    alice: Account, engine: Engine, hand: Hand, limit: Callable[[str], None]
) -> None:
    limit("per_day=40")
    planned(alice, 60)
    assert keep_sending(engine, hand).total() == 40
    assert hand.slept == []
    assert n_jobs() == 0


@pytest.mark.django_db
def test_one_job_per_process_goes_on_and_the_others_end(
    alice: Account, engine: Engine, hand: Hand, limit: Callable[[str], None]
) -> None:
    limit("per_second=100")
    planned(alice, 100)
    others: list[Tally] = []
    hand.meanwhile = lambda: others.append(keep_sending(engine, hand))
    tally = keep_sending(engine, hand)
    n_slept = len(hand.slept)
    assert len(others) == n_slept  # none of them slept
    assert tally.total() + sum(other.total() for other in others) == 100


@pytest.mark.django_db
def test_a_worker_told_to_stop_begins_no_other_batch(
    alice: Account, engine: Engine, hand: Hand, limit: Callable[[str], None]
) -> None:
    limit("per_second=100")
    planned(alice, 100)
    hand.meanwhile = process.retire
    assert keep_sending(engine, hand).total() == 30
    assert len(hand.slept) == 1
    assert statuses() == {"sent": 30, "planned": 70}


@pytest.mark.django_db
def test_another_goes_on_after_one_that_broke_off(
    alice: Account, engine: Engine, hand: Hand, limit: Callable[[str], None]
) -> None:
    limit("per_second=100")
    planned(alice, 100)

    def fail(message: Outgoing) -> None:
        raise RuntimeError("broken")

    def break_the_sender() -> None:
        engine.mail.answer = fail  # type: ignore[assignment]

    hand.meanwhile = break_the_sender
    with pytest.raises(RuntimeError):
        keep_sending(engine, hand)
    engine.mail.answer, hand.meanwhile = accept, lambda: None
    assert statuses() == {"sent": 30, "sending": 20, "planned": 50}
    assert keep_sending(engine, hand).total() == 50
    assert statuses() == {"sent": 80, "sending": 20}  # the rescue decides about what was broken off
