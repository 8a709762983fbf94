"""The owner decides about an email that nobody answered for."""

from datetime import timedelta

import pytest

from dripstone.accounts.models import Account
from dripstone.engine import notes, transitions
from dripstone.engine.acts import edits, places, undecided
from dripstone.engine.models import Delivery, Enrollment, Note
from dripstone.errors import Invalid
from dripstone.explain import journey, journey_words
from dripstone.senders.base import Answer, Outgoing
from dripstone.sequences.models import Sequence
from tests.driving import Engine
from tests.factories import make_account, make_enrollment, make_sequence, make_subscriber, make_tag, place_of

pytestmark = pytest.mark.django_db

WELCOME = {"subject": "Welcome", "delay_value": 0}
HOUR = timedelta(hours=1)


@pytest.fixture
def lost(alice: Account, engine: Engine) -> Delivery:
    """Bob's first email left, and no answer came; he waits for the second."""
    sequence = make_sequence(alice, WELCOME, {"subject": "Second", "delay_value": 5, "delay_unit": "hours"})
    return lose(make_enrollment(sequence, make_subscriber(alice), engine.clock.now()), engine)


def lose(place: Enrollment, engine: Engine, kind: str = "unknown") -> Delivery:
    accept = engine.mail.answer
    engine.mail.answer = lambda message: Answer(message.delivery_id, kind, reason="cut after the body")  # type: ignore[arg-type]
    engine.run()
    engine.mail.answer = accept
    return Delivery.objects.get(enrollment=place)


def refusal(row: Delivery, engine: Engine) -> str:
    with pytest.raises(Invalid) as refused:
        undecided.send_again(row.pk, "Alice", "", engine.clock.now())
    return str(refused.value)


def test_sent_again_it_goes_right_away_and_the_next_one_counts_from_then(lost: Delivery, engine: Engine) -> None:
    place = place_of(lost)
    engine.clock.advance(hours=2)
    again_at = engine.clock.now()
    undecided.send_again(lost.pk, "Alice", "he asked", again_at)
    engine.run()
    lost.refresh_from_db()
    assert (lost.status, lost.sent_at, lost.attempt) == ("sent", again_at, 2)
    place.refresh_from_db()
    assert (place.in_flight, place.due_at) == (False, again_at + 5 * HOUR)
    engine.run_until(again_at + 5 * HOUR)
    assert [subject for subject, _ in engine.sent(place.subscriber)] == ["Welcome", "Second"]


def test_every_copy_carries_the_same_message_id(lost: Delivery, engine: Engine) -> None:
    seen: list[bytes] = []

    def read(message: Outgoing) -> Answer:
        seen.append(next(line for line in message.data.split(b"\r\n") if line.startswith(b"Message-ID")))
        return Answer(message.delivery_id, "unknown", reason="cut again")

    engine.mail.answer = read
    for _ in range(2):
        undecided.send_again(lost.pk, "Alice", "", engine.clock.now())
        engine.run()
    assert len(seen) == 2
    assert len(set(seen)) == 1


def test_a_copy_refused_for_now_is_tried_again_in_order(lost: Delivery, engine: Engine) -> None:
    accept = engine.mail.answer
    engine.mail.answer = lambda message: Answer(message.delivery_id, "temporary", reason="later")
    undecided.send_again(lost.pk, "Alice", "", engine.clock.now() + 4 * HOUR)
    engine.run_until(engine.clock.now() + 6 * HOUR)
    assert Delivery.objects.count() == 1, "the second email waits for it (R5)"
    engine.mail.answer = accept
    engine.run_until(engine.clock.now() + 24 * HOUR)
    assert [subject for subject, _ in engine.sent(place_of(lost).subscriber)] == ["Welcome", "Second"]


def test_treated_as_sent_it_was_sent_when_it_left(lost: Delivery, engine: Engine) -> None:
    due = Enrollment.objects.get().due_at
    handed_over_at = lost.ended_at
    engine.clock.advance(hours=2)
    undecided.treat_as_sent(lost.pk, "Alice", "", engine.clock.now())
    lost.refresh_from_db()
    assert (lost.status, lost.sent_at) == ("sent", handed_over_at)
    assert Enrollment.objects.get().due_at == due
    with pytest.raises(Invalid, match="It is known what became of this email: it is sent"):
        undecided.treat_as_sent(lost.pk, "Alice", "", engine.clock.now())


def test_somebody_who_completed_completes_again(alice: Account, engine: Engine) -> None:
    place = make_enrollment(make_sequence(alice, WELCOME), make_subscriber(alice), engine.clock.now())
    row = lose(place, engine)
    place.refresh_from_db()
    assert place.status == "completed"
    undecided.send_again(row.pk, "Alice", "", engine.clock.now())
    engine.run()
    place.refresh_from_db()
    assert (place.status, place.in_flight) == ("completed", False)
    assert len(engine.sent(place.subscriber)) == 1


def test_a_failed_email_can_be_sent_again_but_not_declared_as_sent(alice: Account, engine: Engine) -> None:
    place = make_enrollment(make_sequence(alice, WELCOME), make_subscriber(alice), engine.clock.now())
    row = lose(place, engine, "permanent")
    with pytest.raises(Invalid, match="it is failed"):
        undecided.treat_as_sent(row.pk, "Alice", "", engine.clock.now())
    undecided.send_again(row.pk, "Alice", "", engine.clock.now())
    engine.run()
    assert len(engine.sent(place.subscriber)) == 1


def test_a_copy_has_three_days_of_its_own_though_a_pause_once_held_the_first(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME)
    place = make_enrollment(sequence, make_subscriber(alice), engine.clock.now())
    engine.mail.answer = lambda message: Answer(message.delivery_id, "temporary", reason="later")
    engine.run()
    for is_active in (False, True):
        edits.update_sequence(alice, sequence.pk, {"active": is_active}, engine.clock.now())
        engine.run_until(engine.clock.now() + HOUR)
    engine.run_until(engine.clock.now() + timedelta(days=5))
    row = Delivery.objects.get(enrollment=place)
    assert row.status == "failed"
    undecided.send_again(row.pk, "Alice", "", engine.clock.now())
    engine.run()
    row.refresh_from_db()
    assert row.status == "planned", "refused once"


def test_it_waits_while_another_email_is_on_its_way(lost: Delivery, engine: Engine) -> None:
    engine.mail.answer = lambda message: Answer(message.delivery_id, "temporary", reason="later")
    engine.run_until(engine.clock.now() + 5 * HOUR)
    assert refusal(lost, engine) == "Another email is on its way to this person: try again when it has been sent"


def test_it_says_why_it_may_not_go(lost: Delivery, engine: Engine) -> None:
    now, place = engine.clock.now(), place_of(lost)
    sequence = Sequence.objects.get()
    places.pause(place.pk, "Alice", "", now)
    assert refusal(lost, engine) == "This person is paused: resume them first"
    places.resume(place.pk, "Alice", "", now)
    tag = make_tag(sequence.account, place.subscriber)
    Sequence.objects.update(exclude_subscriber_sources=[{"type": "tag", "ids": [tag.pk]}])
    assert "which this sequence excludes" in refusal(lost, engine)
    Sequence.objects.update(exclude_subscriber_sources=[], active=False)
    assert refusal(lost, engine) == "Sequence is inactive"
    Sequence.objects.update(active=True)
    sequence.emails.update(published=False)
    assert "not published any more" in refusal(lost, engine)
    sequence.emails.update(published=True)
    places.restart(place.pk, "Alice", "", now)
    assert "an earlier run" in refusal(lost, engine)
    transitions.remove([place.pk], "", now)
    assert "removed from the sequence" in refusal(lost, engine)
    transitions.cancel(place.subscriber_id, now)
    assert "the subscriber is cancelled" in refusal(lost, engine)
    Delivery.objects.update(status="sent", sent_at=lost.ended_at)
    assert refusal(lost, engine).endswith("this one is sent")


def test_who_decided_and_why_is_noted_and_told(lost: Delivery, engine: Engine) -> None:
    undecided.send_again(lost.pk, "Alice", "he asked", engine.clock.now())
    note = Note.objects.get()
    assert (note.kind, note.actor, note.reason) == (notes.SENT_AGAIN, "Alice", "he asked")
    row = Enrollment.objects.select_related("sequence", "subscriber").get()
    told = journey_words.note(note, journey.of(row, engine.clock.now()).facts)
    assert "“Welcome” was told to be sent again: he asked (by Alice)." in told


def test_the_undecided_are_those_of_the_account(lost: Delivery) -> None:
    assert list(undecided.undecided(lost.account_id)) == [lost]
    assert list(undecided.undecided(make_account("Mallory").pk)) == []
