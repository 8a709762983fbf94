"""What is claimed, and what is left alone: the breaker, and a server's own limits."""

import itertools
from collections.abc import Callable
from datetime import timedelta

import pytest

from dripstone.accounts.models import Account
from dripstone.engine import claim, counters, life, send, virtual
from dripstone.engine.models import Delivery
from dripstone.senders import breaker
from dripstone.senders.base import Answer, Outgoing
from dripstone.senders.models import Breaker, Meter
from tests.driving import Engine
from tests.engine.many import course, refuse_connections, sent_per_second, written
from tests.factories import make_account

pytestmark = pytest.mark.django_db
SECOND = timedelta(seconds=1)


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
    assert set(failed.values_list("reason", flat=True)) == {"gave_up:connection_refused"}
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
    engine.mail.answer = lambda message: Answer(message.delivery_id, "temporary", "421 4.3.2 Busy", about="server")
    engine.run_until(engine.clock.now() + timedelta(days=4))
    assert Delivery.objects.earliest("pk").reason.startswith("gave_up")


def test_one_recipient_who_is_always_refused_keeps_nobody_else_waiting(alice: Account, engine: Engine) -> None:
    course(alice, 1, domain="poison.example", now=engine.clock.now())
    usual = engine.mail.answer
    engine.mail.answer = lambda message: (
        Answer(message.delivery_id, "temporary", reason="cut_before_body", about="server")
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


def test_under_a_servers_limit_accounts_take_turns(
    alice: Account, engine: Engine, limit: Callable[[str], None]
) -> None:
    limit("per_second=10")
    others = [make_account() for _ in range(4)]
    begin = engine.clock.now()
    course(alice, 200, now=begin)
    engine.run_until(begin + 2 * SECOND)
    for account in others:
        course(account, 4, now=engine.clock.now())
    engine.run_until(begin + 5 * SECOND)
    sent = Delivery.objects.filter(status="sent")
    assert sent.exclude(account=alice).count() == 4 * 4
    assert 0 < sent.filter(account=alice).count() <= 40
