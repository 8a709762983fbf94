"""What is claimed and must wait all the same: limits of domains and accounts, and batches that were held up."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from dripstone.accounts.models import Account
from dripstone.accounts.verbs import update_account
from dripstone.engine import claim, hold_back, plan, render
from dripstone.engine.models import Delivery, Enrollment
from dripstone.senders.base import Answer, Outgoing
from dripstone.senders.models import Meter
from tests.driving import Engine
from tests.engine.many import course, written
from tests.factories import make_account

pytestmark = pytest.mark.django_db
SECOND = timedelta(seconds=1)


def test_a_domains_limit_holds_back_that_domain_alone_and_writes_each_row_once(
    alice: Account, engine: Engine, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.DRIPSTONE_DOMAIN_LIMITS = {"gmail.com": (2, None)}
    course(alice, 60, domain="Gmail.com", now=engine.clock.now())
    course(alice, 60, now=engine.clock.now())
    claims = written(monkeypatch)
    engine.run()
    assert Counter(message.rcpt_to.lower().endswith("gmail.com") for message in engine.mail.messages) == {
        False: 60,
        True: 1,
    }
    engine.run_until(engine.clock.now() + timedelta(seconds=31))
    assert Delivery.objects.filter(status="sent").count() == 120
    assert max(claims.values()) == 2
    assert {row.tries for row in Delivery.objects.all()} == {1}


def test_the_star_limits_every_other_domain_by_itself(alice: Account, engine: Engine, settings: Any) -> None:
    settings.DRIPSTONE_DOMAIN_LIMITS = {"gmail.com": (100, None), "*": (1, None)}
    for domain in ("gmail.com", "one.example", "two.example"):
        course(alice, 5, domain=domain, now=engine.clock.now())
    engine.run()
    sent = Counter(message.rcpt_to.partition("@")[2] for message in engine.mail.messages)
    assert sent == {"gmail.com": 5, "one.example": 1, "two.example": 1}


def test_an_accounts_limit_holds_back_that_account_alone(alice: Account, engine: Engine) -> None:
    bob = make_account("Bob")
    update_account(alice, {"per_second": 1, "per_day": 5})
    course(alice, 20, now=engine.clock.now())
    course(bob, 20, now=engine.clock.now())
    begin = engine.clock.now()
    engine.run_until(begin + timedelta(minutes=1))
    sent = Counter(Delivery.objects.filter(status="sent").values_list("account_id", flat=True))
    assert sent == {alice.pk: 5, bob.pk: 20}
    update_account(alice, {"per_second": 0, "per_day": 0})
    engine.run_until(begin + timedelta(days=4))
    assert Delivery.objects.filter(status="sent", email__subject="welcome").count() == 40


def test_a_batch_that_was_held_up_asks_again(alice: Account, engine: Engine, limit: Callable[[str], None]) -> None:
    """Another worker has had the room meanwhile; together they keep the limit at the hand-over."""
    limit("per_second=100")
    claimed_at = engine.clock.now()
    course(alice, 200, now=claimed_at)
    plan.everything_due(claimed_at)
    slow = claim.batch("slow/1", engine.mail, claimed_at)
    assert len(slow.rows) == 30
    later = claimed_at + SECOND
    quick = claim.batch("quick/1", engine.mail, later)
    assert len(quick.rows) == 30
    going, put_off = hold_back.sort(slow, render.messages(slow.rows, later), later)
    assert (len(going), len(put_off)) == (0, 30)
    assert {outcome.untried for outcome in put_off} == {True}
    assert {outcome.retry_in for outcome in put_off} == {SECOND / 100}
    going, _ = hold_back.sort(quick, render.messages(quick.rows, later), later)
    assert len(going) == 30


def test_a_batch_that_was_held_up_goes_when_nobody_else_came(
    alice: Account, engine: Engine, limit: Callable[[str], None]
) -> None:
    limit("per_second=100&per_day=30")
    claimed_at = engine.clock.now()
    course(alice, 30, now=claimed_at)
    plan.everything_due(claimed_at)
    batch = claim.batch("slow/1", engine.mail, claimed_at)
    later = claimed_at + SECOND
    going, put_off = hold_back.sort(batch, render.messages(batch.rows, later), later)
    assert (len(going), put_off) == (30, [])
    assert Meter.objects.get().hours == {str(int(later.timestamp()) // 3600): 30}


def test_tokens_of_the_server_for_what_a_domain_holds_back_are_given_back(
    alice: Account, engine: Engine, settings: Any, limit: Callable[[str], None]
) -> None:
    limit("per_day=100")
    settings.DRIPSTONE_DOMAIN_LIMITS = {"gmail.com": (1, None)}
    course(alice, 90, domain="gmail.com", now=engine.clock.now())
    course(alice, 90, now=engine.clock.now())
    engine.run()
    assert Counter(message.rcpt_to.partition("@")[2] for message in engine.mail.messages) == {
        "example.org": 90,
        "gmail.com": 1,
    }


def test_waiting_for_a_turn_pushes_neither_backoff_nor_giving_up(alice: Account, engine: Engine, settings: Any) -> None:
    """Four days in the queue, then greylisted once: it is tried again after a minute, and goes."""
    update_account(alice, {"per_day": 1})
    course(alice, 6, now=engine.clock.now())
    begin = engine.clock.now()
    seen: set[int] = set()

    def greylist(message: Outgoing) -> Answer:
        if message.delivery_id in seen:
            return Answer(message.delivery_id, "sent", "250 Ok")
        seen.add(message.delivery_id)
        return Answer(message.delivery_id, "temporary", "451 4.7.1 Greylisted")

    engine.mail.answer = greylist
    engine.run_until(begin + timedelta(days=30))
    assert not Delivery.objects.filter(status="failed").exists()
    assert Delivery.objects.filter(status="sent", email__subject="welcome").count() == 6


def test_what_is_put_off_and_then_stopped_stays_stopped(alice: Account, engine: Engine, settings: Any) -> None:
    from dripstone.engine import transitions

    settings.DRIPSTONE_DOMAIN_LIMITS = {"example.org": (1, None)}
    course(alice, 3, now=engine.clock.now())
    engine.run()
    transitions.remove(list(Enrollment.objects.values_list("pk", flat=True)), "asked", engine.clock.now())
    engine.run_until(engine.clock.now() + timedelta(minutes=5))
    assert Counter(Delivery.objects.values_list("status", flat=True)) == {"sent": 1, "skipped": 2}
