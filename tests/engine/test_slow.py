"""Emails that are slow to render: last of their batch, a few at a time, and in nobody's way."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest

from dripstone.accounts.models import Account
from dripstone.engine import claim, hold_back, plan, record, render
from dripstone.engine.attempts import AT_ONCE
from dripstone.engine.claim import Claimed
from dripstone.engine.models import Delivery
from dripstone.engine.slow import LONGEST, SLOW, Turns
from dripstone.explain import health
from tests.driving import Engine
from tests.engine.many import course
from tests.factories import make_account, make_enrollment, make_sequence, make_subscriber

TOO_HEAVY = "{% for i in (1..9000) %}{% for j in (1..9000) %}{{ j }}{% endfor %}{% endfor %}"


def row(number: int, email_id: int | None) -> Claimed:
    return Claimed(number, 1, 1, 1, 1, email_id, None if email_id else number, 0)


class Work:
    """CPU time that passes only while a row is rendered."""

    def __init__(self, seconds: Callable[[Claimed], float]) -> None:
        self.seconds, self.spent = seconds, 0.0
        self.done: list[int] = []

    def cpu(self) -> float:
        return self.spent

    def through(self, batch: list[Claimed]) -> Turns:
        turns = Turns(batch, self.cpu)
        for one in turns:
            self.done.append(one.delivery_id)
            self.spent += self.seconds(one)
        return turns


def test_an_ordinary_batch_goes_in_its_order() -> None:
    batch = [row(number, number % 3) for number in range(500)]
    work = Work(lambda _: 0.0005)
    assert work.through(batch).back() == []
    assert work.done == list(range(500))


def test_a_slow_email_goes_last_and_what_is_left_comes_again_spread_out() -> None:
    batch = [row(number, 1 if number < 100 else 2) for number in range(150)] + [row(150, None)]
    work = Work(lambda one: 0.15 if one.email_id == 1 else 0.0005)
    back = work.through(batch).back()
    others = [0, *range(100, 151)]
    assert work.done[:52] == others
    assert work.done[52:] == [1, 2, 3, 4, 5, 6]  # to the end of the second
    assert [one.delivery_id for one in back] == list(range(7, 100))
    waits = [one.retry_in.total_seconds() for one in back if one.retry_in]
    assert waits[:3] == pytest.approx([0.3, 0.6, 0.9])
    assert all(one.status == "planned" and one.untried for one in back)


def test_others_go_back_at_once_where_many_emails_are_slow() -> None:
    batch = [row(number, number) for number in range(30)]
    work = Work(lambda _: LONGEST / 4)
    back = work.through(batch).back()
    assert work.done == [0, 1, 2, 3]
    assert {one.retry_in for one in back} == {AT_ONCE}


def test_something_is_rendered_however_slow() -> None:
    work = Work(lambda _: 100 * LONGEST)
    assert len(work.through([row(0, 1), row(1, 1)]).back()) == 1
    assert work.done == [0]


def test_a_first_message_that_took_long_makes_no_email_slow_for_good() -> None:
    """What all share is made with the first: parsed snippets, the stencil."""
    work = Work(lambda one: 2 * SLOW if one.delivery_id == 0 else 0.001)
    work.through([row(0, 1), row(1, 2), row(2, 1), row(3, 1)])
    assert work.done == [0, 1, 2, 3]


@pytest.mark.django_db
def test_what_goes_back_is_planned_again_and_no_attempt(alice: Account, engine: Engine) -> None:
    course(alice, 3, now=engine.clock.now())
    now = engine.clock.now()
    plan.everything_due(now)
    batch = claim.batch("worker/1", engine.mail, now)
    seconds = iter([0.0, 0.0, 0.6, 0.6, 1.2, 1.2])
    rendered = render.messages(batch.rows, now, cpu=lambda: next(seconds))
    assert len(rendered.messages) == 2
    going, staying = hold_back.sort(batch, rendered, now)
    assert len(going) == 2
    record.outcomes(staying, now)
    (back,) = Delivery.objects.filter(status="planned")
    assert (back.tries, back.untried, back.reason) == (0, 1, "")
    assert back.ready_at == now + timedelta(seconds=1.2)
    Delivery.objects.filter(status="sending").update(status="planned", ready_at=now, lease_until=None, worker="")
    engine.run_until(now + timedelta(seconds=5))
    assert Delivery.objects.filter(status="sent").count() == 3


@pytest.mark.django_db
def test_a_message_over_its_budget_fails_and_the_rest_goes_on(alice: Account, engine: Engine) -> None:
    bob = make_account("Bob")
    heavy = make_sequence(
        alice,
        {"subject": "Heavy", "delay_value": 0, "content": f"<p>{TOO_HEAVY}</p>"},
        {"subject": "Light"},
    )
    person = make_subscriber(alice)
    make_enrollment(heavy, person, engine.clock.now())
    course(bob, 5, now=engine.clock.now())
    engine.run()
    assert Counter(Delivery.objects.values_list("status", "reason")) == {
        ("failed", "liquid_over_budget"): 1,
        ("sent", ""): 5,
    }
    assert all("Heavy" not in message.data.decode() for message in engine.mail.messages)
    engine.run_until(engine.clock.now() + timedelta(days=2))
    assert engine.history(person)[-1][:2] == ("Light", "sent")


@pytest.mark.django_db
def test_only_those_whose_values_make_it_too_much_get_nothing(alice: Account, engine: Engine) -> None:
    loop = "{% for i in (1..subscriber.first_name) %}{% for j in (1..300) %}{{ j }}{% endfor %}{% endfor %}"
    sequence = make_sequence(alice, {"subject": "Loop", "delay_value": 0, "content": loop})
    for name in ("3", "9000", "some name"):
        make_enrollment(sequence, make_subscriber(alice, first_name=name), engine.clock.now())
    engine.run()
    assert Counter(Delivery.objects.values_list("subscriber__first_name", "status")) == {
        ("3", "sent"): 1,
        ("9000", "failed"): 1,
        ("some name", "sent"): 1,
    }


@pytest.mark.django_db
def test_the_health_of_the_sequence_names_the_email(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, {"subject": "Heavy", "delay_value": 0, "content": TOO_HEAVY})
    make_enrollment(sequence, make_subscriber(alice), engine.clock.now())
    engine.run()
    now = engine.clock.now()
    (report,) = health.of([sequence], now, now)
    (finding,) = [one for one in report.findings if one.code == "liquid_over_budget"]
    assert finding.email_id == sequence.emails.get().pk
    assert finding.sentence == (
        "“Heavy” did not go to 1 person lately, because its Liquid takes more work than one message may take."
    )
    assert not [one for one in report.findings if one.code == "mail_failing"]
