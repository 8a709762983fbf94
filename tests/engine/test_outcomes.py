"""What becomes of a delivery once it is handed over: sent, tried again, given up, in doubt."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dripstone.accounts.models import Account, SendingAddress
from dripstone.engine import advance, attempts, claim, plan, process, record, send, transitions
from dripstone.engine.acts import edits, places
from dripstone.engine.attempts import Outcome
from dripstone.engine.models import Delivery, Enrollment
from dripstone.events import types
from dripstone.events.models import Event
from dripstone.senders.base import Answer, Outgoing
from dripstone.subscribers.models import Subscriber
from tests.driving import Engine
from tests.factories import make_enrollment, make_sequence, make_subscriber

COURSE: list[dict[str, Any]] = [{"subject": "welcome", "delay_value": 0}, {"subject": "second"}]


def answering(kind: Any, **values: Any) -> Callable[[Outgoing], Answer]:
    return lambda message: Answer(message.delivery_id, kind, **values)


def start(alice: Account, engine: Engine) -> Enrollment:
    return make_enrollment(make_sequence(alice, *COURSE), make_subscriber(alice), engine.clock.now())


@pytest.mark.django_db
def test_a_temporary_refusal_is_tried_again_and_the_order_kept(alice: Account, engine: Engine) -> None:
    place = start(alice, engine)
    accept, engine.mail.answer = engine.mail.answer, answering("temporary", reply="451 4.7.1 Greylisted")
    begin = engine.clock.now()
    engine.run_until(begin + timedelta(days=1, hours=12))
    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.reason, delivery.reply) == ("planned", "deferred", "451 4.7.1 Greylisted")
    assert delivery.attempt > 5
    engine.mail.answer = accept
    engine.run_until(begin + timedelta(days=5))
    assert [subject for subject, _ in engine.sent(place.subscriber)] == ["welcome", "second"]


@pytest.mark.django_db
def test_after_three_days_of_refusals_it_fails_and_the_sequence_goes_on(alice: Account, engine: Engine) -> None:
    place = start(alice, engine)
    begin = engine.clock.now()
    engine.mail.answer = lambda message: Answer(
        message.delivery_id, "temporary" if b"Subject: welcome" in message.data else "sent", reply="451 later"
    )
    engine.run_until(begin + timedelta(days=8))
    (_, welcome, gave_up_at), (_, second, _) = engine.history(place.subscriber)
    assert (welcome, second) == ("failed", "sent")
    assert timedelta(days=3) <= gave_up_at - begin <= timedelta(days=3, hours=5)
    first = Delivery.objects.earliest("pk")
    assert (first.reason, first.reply) == ("gave_up:deferred", "451 later")


@pytest.mark.parametrize("stop", ["person", "sequence", "draft"])
@pytest.mark.django_db
def test_time_spent_paused_does_not_count_as_refusals(alice: Account, engine: Engine, stop: str) -> None:
    place = start(alice, engine)
    engine.mail.answer = answering("temporary", reply="451 later")
    begin = engine.clock.now()
    engine.run_until(begin + timedelta(hours=1))
    stop_or_go(place, stop, goes=False, now=engine.clock.now())
    engine.run_until(begin + timedelta(days=5))
    stop_or_go(place, stop, goes=True, now=engine.clock.now())
    engine.run_until(begin + timedelta(days=7))
    assert Delivery.objects.get().status == "planned"
    engine.run_until(begin + timedelta(days=8, hours=5))
    assert Delivery.objects.earliest("pk").status == "failed"


def stop_or_go(place: Enrollment, stop: str, *, goes: bool, now: datetime) -> None:
    sequence = place.sequence
    if stop == "person":
        (places.resume if goes else places.pause)(place.pk, "owner", "", now)
    elif stop == "sequence":
        edits.update_sequence(sequence.account, sequence.pk, {"active": goes}, now)
    else:
        email = sequence.emails.earliest("position")
        edits.update_email(sequence.account, sequence.pk, email.pk, {"published": goes}, now)


@pytest.mark.django_db
def test_a_permanent_refusal_fails_and_a_hard_bounce_marks_the_person(alice: Account, engine: Engine) -> None:
    place = start(alice, engine)
    engine.mail.answer = answering("permanent", reply="550 5.1.1 No such user", hard_bounce=True)
    engine.run_until(engine.clock.now() + timedelta(days=3))
    assert [status for _, status, _ in engine.history(place.subscriber)] == ["failed"]
    assert Subscriber.objects.get().state == "bounced"
    place.refresh_from_db()
    assert place.status == "removed"


@pytest.mark.django_db
def test_a_permanent_refusal_of_the_message_is_no_bounce(alice: Account, engine: Engine) -> None:
    place = start(alice, engine)
    engine.mail.answer = answering("permanent", reply="554 5.7.1 Spam")
    engine.run_until(engine.clock.now() + timedelta(days=3))
    assert [status for _, status, _ in engine.history(place.subscriber)] == ["failed", "failed"]
    assert Subscriber.objects.get().state == "active"


@pytest.mark.django_db
def test_unknown_is_held_and_the_sequence_goes_on(alice: Account, engine: Engine) -> None:
    place = start(alice, engine)
    engine.mail.answer = answering("unknown", reason="cut_after_body")
    engine.run_until(engine.clock.now() + timedelta(days=3))
    assert [status for _, status, _ in engine.history(place.subscriber)] == ["unknown", "unknown"]


@pytest.mark.django_db
def test_unknown_is_sent_again_only_when_the_owner_chose_so(alice: Account, engine: Engine, settings: Any) -> None:
    settings.DRIPSTONE_UNKNOWN = "resend"
    place = start(alice, engine)
    accept, engine.mail.answer = engine.mail.answer, answering("unknown", reason="cut_after_body")
    engine.run()
    engine.mail.answer = accept
    engine.run_until(engine.clock.now() + timedelta(hours=1))
    assert [subject for subject, _ in engine.sent(place.subscriber)] == ["welcome"]
    assert Delivery.objects.earliest("pk").attempt == 2


@pytest.mark.django_db
def test_every_attempt_carries_the_same_message_id(alice: Account, engine: Engine) -> None:
    start(alice, engine)
    seen: list[bytes] = []

    def refuse(message: Outgoing) -> Answer:
        seen.append(next(line for line in message.data.split(b"\r\n") if line.startswith(b"Message-ID")))
        return Answer(message.delivery_id, "temporary")

    engine.mail.answer = refuse
    engine.run_until(engine.clock.now() + timedelta(hours=3))
    assert len(seen) > 3
    assert len(set(seen)) == 1


@pytest.mark.django_db
def test_a_late_write_of_a_worker_that_lost_its_lease_is_refused(alice: Account, engine: Engine) -> None:
    start(alice, engine)
    now = engine.clock.now()
    plan.everything_due(now)
    (mine,) = claim.take("worker-1", now)
    Delivery.objects.update(status="planned", ready_at=now, lease_until=None)  # the rescue gave it back
    (theirs,) = claim.take("worker-2", now)
    assert record.outcomes([Outcome(mine.delivery_id, mine.attempt, "failed", "late")], now) == {}
    assert record.outcomes([Outcome(theirs.delivery_id, theirs.attempt, "sent")], now) == {(alice.pk, "sent"): 1}
    assert Delivery.objects.get().status == "sent"


@pytest.mark.django_db
def test_what_is_recorded_after_a_removal_moves_nobody(alice: Account, engine: Engine) -> None:
    place = start(alice, engine)
    now = engine.clock.now()
    plan.everything_due(now)
    (claimed,) = claim.take("worker-1", now)
    transitions.remove([place.pk], "removed_by_owner", now)
    record.outcomes([Outcome(claimed.delivery_id, claimed.attempt, "sent")], now)
    place.refresh_from_db()
    assert (place.status, place.due_at) == ("removed", None)
    assert Delivery.objects.get().status == "sent"


@pytest.mark.django_db
def test_somebody_cancelled_between_plan_and_send_is_not_mailed(alice: Account, engine: Engine) -> None:
    place = start(alice, engine)
    plan.everything_due(engine.clock.now())
    Subscriber.objects.update(state="cancelled", canceled_at=engine.clock.now())  # past the verbs: a restored backup
    engine.run()
    assert [(status) for _, status, _ in engine.history(place.subscriber)] == ["skipped"]
    assert engine.mail.messages == []


@pytest.mark.django_db
def test_one_email_that_cannot_be_written_does_not_stop_the_others(alice: Account, engine: Engine) -> None:
    broken = make_sequence(alice, *COURSE[:1])
    broken.sending_address = SendingAddress.objects.create(
        account=alice, email_address="no address", created_at=engine.clock.now()
    )
    broken.save()
    place = make_enrollment(broken, make_subscriber(alice), engine.clock.now())
    other = start(alice, engine)
    engine.run()
    assert [status for _, status, _ in engine.history(place.subscriber)] == ["failed"]
    assert [status for _, status, _ in engine.history(other.subscriber)] == ["sent"]


@given(st.integers(1, 10**12), st.integers(1, 200))
def test_backoff_is_the_same_for_everybody_who_asks_and_bounded(delivery_id: int, attempt: int) -> None:
    wait = attempts.backoff(delivery_id, attempt)
    assert wait == attempts.backoff(delivery_id, attempt)
    assert attempts.FIRST_RETRY <= wait <= attempts.LONGEST_RETRY * 5 / 4


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(0, 3)), max_size=20))
def test_what_a_slow_server_answers_is_recorded_within_a_second(pauses: list[tuple[float, int]]) -> None:
    """Or with the next look, which a sender takes every half second, answers or none."""
    moment, number, came_at = 0.0, 0, dict[int, float]()

    def answers() -> Iterator[list[Outcome]]:
        nonlocal moment, number
        for pause, n_answers in pauses:
            looked_at, moment = moment, moment + pause
            waiting = [at for one, at in came_at.items() if one not in recorded]
            assert not waiting or looked_at - min(waiting) < send.LONGEST_CHUNK
            came_at.update(dict.fromkeys(range(number, number + n_answers), moment))
            yield [Outcome(one, 1, "sent") for one in range(number, number + n_answers)]
            number += n_answers

    recorded: list[int] = []
    for chunk in send.chunks(answers(), lambda: moment):
        assert chunk
        recorded += [outcome.delivery_id for outcome in chunk]
    assert recorded == list(range(number))


@given(st.lists(st.integers(0, 100), max_size=20))
def test_what_a_quick_server_answers_is_recorded_in_full_chunks(counts: list[int]) -> None:
    outcomes = [Outcome(number, 1, "sent") for number in range(sum(counts))]
    rest = iter(outcomes)
    chunks = list(send.chunks(([next(rest) for _ in range(n)] for n in counts), lambda: 0.0))
    assert [outcome for chunk in chunks for outcome in chunk] == outcomes
    assert all(send.CHUNK <= len(chunk) < send.CHUNK + 100 for chunk in chunks[:-1])
    assert all(chunks)


def test_every_state_of_a_delivery_has_its_moves() -> None:
    assert set(transitions.DELIVERY_MOVES) == set(Delivery.Status.values)


def test_a_process_keeps_one_sender(engine: Engine) -> None:
    assert process.current() is process.current()


@pytest.mark.django_db
def test_somebody_taken_out_just_before_nothing_was_left_has_not_completed(alice: Account, engine: Engine) -> None:
    """Whoever goes on with them may have waited for the unsubscription to end."""
    place = start(alice, engine)
    engine.run()
    edits.delete_email(alice, place.sequence_id, place.sequence.emails.get(subject="second").pk, engine.clock.now())
    transitions.cancel(place.subscriber_id, engine.clock.now())
    advance.advance([place.pk], engine.clock.now())
    kinds = Event.objects.filter(subscriber_id=place.subscriber_id).values_list("type", flat=True)
    assert types.REMOVED_FROM_SEQUENCE in kinds
    assert types.SEQUENCE_COMPLETED not in kinds
