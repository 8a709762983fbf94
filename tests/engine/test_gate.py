"""Breaker and pace as the engine meets them: what is claimed, what is left alone, what is put in a queue."""

import itertools
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from dripstone.accounts.models import Account
from dripstone.accounts.verbs import update_account
from dripstone.engine import claim, counters, enroll, hold_back, life, plan, render, send, virtual
from dripstone.engine.models import Delivery, Enrollment
from dripstone.senders import breaker
from dripstone.senders.base import Answer, Outgoing
from dripstone.senders.models import Breaker, Meter
from dripstone.sequences.models import Sequence
from tests.engine.driving import Engine
from tests.factories import make_account, make_sequence, make_subscriber

pytestmark = pytest.mark.django_db
SECOND = timedelta(seconds=1)


def course(account: Account, n_people: int, domain: str = "example.org", *, now: datetime) -> Sequence:
    sequence = make_sequence(account, {"subject": "welcome", "delay_value": 0}, {"subject": "second"})
    people = [make_subscriber(account, email_address=f"p{sequence.pk}-{n}@{domain}").pk for n in range(n_people)]
    enroll.add(sequence, people, "bulk", now)
    return sequence


def refuse_connections(message: Outgoing) -> Answer:
    return Answer(message.delivery_id, "temporary", reason="connection refused", about="connection")


def sent_per_second(engine: Engine) -> Counter[int]:
    begin = Delivery.objects.earliest("sent_at").sent_at
    assert begin is not None
    sent = Delivery.objects.filter(status="sent").values_list("sent_at", flat=True)
    return Counter(int((at - begin).total_seconds()) for at in sent if at is not None)


def written(monkeypatch: pytest.MonkeyPatch) -> Counter[int]:
    """How often each delivery is claimed."""
    claims: Counter[int] = Counter()
    take = claim.take

    def counted(*arguments: Any, **named: Any) -> Any:
        rows = take(*arguments, **named)
        claims.update(row.delivery_id for row in rows)
        return rows

    monkeypatch.setattr(claim, "take", counted)
    return claims


# --- The breaker ------------------------------------------------------------------------------------------------


def test_nobody_is_claimed_while_the_server_is_left_alone(alice: Account, engine: Engine) -> None:
    course(alice, 30, now=engine.clock.now())
    engine.mail.answer = refuse_connections
    engine.run()
    assert Breaker.objects.count() == 0 or Breaker.objects.get().retry_at is None
    engine.run_until(engine.clock.now() + timedelta(minutes=2))
    row = Breaker.objects.get()
    assert row.retry_at is not None
    assert claim.take("worker", engine.clock.now(), server=row.server) == []


def test_an_outage_costs_nobody_a_try_and_all_go_when_it_is_over(
    alice: Account, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breaker, "LONGEST_WAIT", timedelta(hours=8))
    course(alice, 40, now=engine.clock.now())
    accept, engine.mail.answer = engine.mail.answer, refuse_connections
    engine.run_until(engine.clock.now() + timedelta(days=2.5))
    assert set(Delivery.objects.values_list("status", flat=True)) == {"planned"}
    assert {row.tries for row in Delivery.objects.all()} == {0}
    n_probes = 2.5 * 24 / 6 + 12
    assert sum(Delivery.objects.values_list("attempt", flat=True)) <= n_probes * breaker.PROBE + 3 * 40
    engine.mail.answer = accept
    engine.run_until(engine.clock.now() + breaker.LONGEST_WAIT)
    assert Delivery.objects.filter(status="sent").count() == 40
    assert Breaker.objects.get().retry_at is None


def test_what_waited_three_days_for_a_server_that_is_gone_has_failed(alice: Account, engine: Engine) -> None:
    begin = engine.clock.now()
    course(alice, 40, now=begin)
    engine.mail.answer = refuse_connections
    engine.run_until(begin + timedelta(days=2.9))
    assert not Delivery.objects.exclude(status="planned").exists()
    course(alice, 5, now=engine.clock.now())
    counters.flush()
    counted = counters.read().get((counters.OUTCOME, "failed"), 0)
    engine.run_until(begin + timedelta(days=3.1))
    counters.flush()
    assert counters.read()[counters.OUTCOME, "failed"] == counted + 40
    failed = Delivery.objects.filter(status="failed")
    assert set(failed.values_list("reason", flat=True)) == {"gave up after 3 days: connection refused"}
    assert failed.count() == 40
    assert Delivery.objects.filter(status="planned", planned_at__gt=begin + timedelta(days=2.8)).count() == 5


def test_what_was_recorded_of_a_batch_that_broke_off_is_counted(
    alice: Account, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(send, "CHUNK", 100)
    course(alice, 300, now=engine.clock.now())
    counters.flush()
    counted = counters.read().get((counters.OUTCOME, "sent"), 0)
    accept, n_asked = engine.mail.answer, itertools.count()

    def break_at_the_end(message: Outgoing) -> Answer:
        if next(n_asked) == 299:
            raise RuntimeError("broken")
        return accept(message)

    engine.mail.answer = break_at_the_end
    with pytest.raises(RuntimeError):
        engine.run()
    counters.flush()
    n_sent = Delivery.objects.filter(status="sent").count()
    assert counters.read()[counters.OUTCOME, "sent"] == counted + n_sent
    assert 0 < n_sent < 300


def test_what_waits_is_not_touched_while_it_is_open(
    alice: Account, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    course(alice, 300, now=engine.clock.now())
    claims = written(monkeypatch)
    engine.mail.answer = refuse_connections
    engine.run_until(engine.clock.now() + timedelta(hours=2))
    assert claims.total() <= 3 * 300 + (2 * 60 / 11.25 + 6) * breaker.PROBE


def test_a_busy_servers_refusals_count_as_tries(alice: Account, engine: Engine) -> None:
    course(alice, 1, now=engine.clock.now())
    engine.mail.answer = lambda message: Answer(
        message.delivery_id, "temporary", "421 4.3.2 Busy", reason="smtp 421 4.3.2", about="server"
    )
    engine.run_until(engine.clock.now() + timedelta(days=4))
    assert Delivery.objects.earliest("pk").reason.startswith("gave up after 3 days")


def test_one_recipient_who_is_always_refused_keeps_nobody_else_waiting(alice: Account, engine: Engine) -> None:
    course(alice, 1, domain="poison.example", now=engine.clock.now())
    usual = engine.mail.answer
    engine.mail.answer = lambda message: (
        Answer(message.delivery_id, "temporary", reason="cut before body", about="server")
        if message.rcpt_to.endswith("poison.example")
        else usual(message)
    )
    engine.run_until(engine.clock.now() + timedelta(hours=12))
    course(alice, 1, now=engine.clock.now())
    begin = engine.clock.now()
    engine.run_until(begin + breaker.LONGEST_WAIT)
    assert Delivery.objects.filter(status="sent", ended_at__gte=begin).count() == 1


def test_the_probe_is_not_spent_when_nothing_is_ready(alice: Account, engine: Engine) -> None:
    now = engine.clock.now()
    Breaker.objects.create(server=claim.server().server, n_failures=3, n_openings=1, retry_at=now, opened_at=now)
    assert life.send_batch("worker", engine.mail) == {}
    assert Breaker.objects.get().retry_at == now


def test_moving_the_clock_ends_with_the_server_still_down(alice: Account, engine: Engine) -> None:
    course(alice, 5, now=engine.clock.now())
    engine.mail.answer = refuse_connections
    target = engine.clock.now() + timedelta(hours=2)
    virtual.advance_to(target, alice.pk)
    assert engine.clock.now() == target


def test_no_send_jobs_are_queued_for_a_closed_gate(alice: Account, engine: Engine) -> None:
    now = engine.clock.now()
    row = Breaker.objects.create(server=claim.server().server, retry_at=now + timedelta(minutes=5))
    assert claim.jobs_worth_waking(now, 40) == 0
    row.retry_at = now
    row.save()
    assert claim.jobs_worth_waking(now, 40) == 40
    row.delete()
    assert claim.jobs_worth_waking(now, 40) == 40


# --- Pace -------------------------------------------------------------------------------------------------------


def test_without_limits_no_meter_is_written(alice: Account, engine: Engine) -> None:
    course(alice, 20, now=engine.clock.now())
    engine.run()
    assert not Meter.objects.exists()


def test_a_servers_limit_is_kept_and_nothing_is_claimed_twice(
    alice: Account, engine: Engine, limit: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    limit("per_second=10")
    course(alice, 120, now=engine.clock.now())
    claims = written(monkeypatch)
    engine.run_until(engine.clock.now() + timedelta(seconds=30))
    per_second = sent_per_second(engine)
    assert per_second.total() == 120
    assert max(per_second.values()) <= 13
    assert max(per_second) in (11, 12)
    assert set(claims.values()) == {1}


def test_a_servers_day_is_kept(alice: Account, engine: Engine, limit: Callable[[str], None]) -> None:
    limit("per_day=50")
    course(alice, 120, now=engine.clock.now())
    begin = engine.clock.now()
    engine.run()
    assert Delivery.objects.filter(status="sent").count() == 50
    engine.run_until(begin + timedelta(hours=24))
    assert Delivery.objects.filter(status="sent").count() == 50
    engine.run_until(begin + timedelta(hours=26))
    assert Delivery.objects.filter(status="sent").count() == 100


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
    update_account(alice, per_second=1, per_day=5)
    course(alice, 20, now=engine.clock.now())
    course(bob, 20, now=engine.clock.now())
    begin = engine.clock.now()
    engine.run_until(begin + timedelta(minutes=1))
    sent = Counter(Delivery.objects.filter(status="sent").values_list("account_id", flat=True))
    assert sent == {alice.pk: 5, bob.pk: 20}
    update_account(alice, per_second=0, per_day=0)
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
    update_account(alice, per_day=1)
    course(alice, 6, now=engine.clock.now())
    begin = engine.clock.now()
    seen: set[int] = set()

    def greylist(message: Outgoing) -> Answer:
        if message.delivery_id in seen:
            return Answer(message.delivery_id, "sent", "250 Ok", reason="smtp 250")
        seen.add(message.delivery_id)
        return Answer(message.delivery_id, "temporary", "451 4.7.1 Greylisted", reason="smtp 451 4.7.1")

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
