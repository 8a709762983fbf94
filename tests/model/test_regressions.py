"""What the model and the engine once disagreed about, as the shortest story that shows it."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from dripstone.accounts.models import Account
from dripstone.engine.acts import edits, places
from dripstone.engine.models import Enrollment
from dripstone.senders.base import Answer, Outgoing
from dripstone.sequences.models import Sequence, SequenceEmail
from tests.driving import Engine
from tests.factories import make_account, make_enrollment, make_sequence, make_subscriber

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


@pytest.fixture
def alice(db: None) -> Account:
    return make_account("Alice")


def enter(sequence: Sequence, engine: Engine) -> Enrollment:
    place = make_enrollment(sequence, make_subscriber(sequence.account), engine.clock.now())
    engine.run()
    return place


def email_at(sequence: Sequence, position: int) -> SequenceEmail:
    return sequence.emails.get(position=position, deleted_at=None)


def edit(engine: Engine, email: SequenceEmail, **given: Any) -> None:
    edits.update_email(email.account, email.sequence_id, email.pk, given, engine.clock.now())
    engine.run()


def delete(engine: Engine, email: SequenceEmail) -> None:
    edits.delete_email(email.account, email.sequence_id, email.pk, engine.clock.now())
    engine.run()


def refuse_for_now(message: Outgoing) -> Answer:
    return Answer(message.delivery_id, "temporary", "451 4.7.1 Greylisted")


def test_while_nothing_is_published_nobody_completes_not_even_after_an_email(alice: Account, engine: Engine) -> None:
    """R6: they wait, and get what is published next."""
    sequence = make_sequence(alice, {"subject": "only", "delay_value": 0}, hold=True)
    place = enter(sequence, engine)
    edit(engine, email_at(sequence, 0), published=False)
    edits.update_sequence(alice, sequence.pk, {"hold": False}, engine.clock.now())
    engine.run()
    place.refresh_from_db()
    assert (place.status, place.due_at) == ("active", None)
    edit(engine, email_at(sequence, 0), published=True)
    place.refresh_from_db()
    assert place.status == "completed"


def test_an_email_deleted_while_it_was_a_draft_is_skipped_by_its_own_anchor(alice: Account, engine: Engine) -> None:
    """R2: the closest email before it, not the latest that went: one may have been inserted behind."""
    sequence = make_sequence(
        alice,
        {"subject": "a", "delay_value": 0, "position": 0},
        {"subject": "b", "position": 10},
        {"subject": "c", "delay_value": 4, "position": 20},
    )
    start = engine.clock.now()
    place = enter(sequence, engine)
    engine.run_until(start + 2 * DAY)
    given = {"subject": "x", "delay_value": 1, "delay_unit": "hours", "position": 5, "published": True}
    edits.create_email(alice, sequence.pk, given, engine.clock.now())
    engine.run()
    edit(engine, email_at(sequence, 20), published=False)
    delete(engine, email_at(sequence, 20))
    place.refresh_from_db()
    assert place.due_at == start + 5 * DAY


def test_an_email_deleted_as_a_draft_counts_from_the_later_of_two_deleted_at_its_position(
    alice: Account, engine: Engine
) -> None:
    """R9, R2: they skip it when it would have gone."""
    sequence, place, start = on_the_way(alice, engine)
    delete(engine, email_at(sequence, 1))
    create(engine, sequence, subject="new", position=1)  # a day after b: goes at once
    delete(engine, email_at(sequence, 1))
    edit(engine, create(engine, sequence, subject="draft", position=1, delay_value=3), published=False)
    delete(engine, email_at(sequence, 1))
    engine.run_until(start + 20 * DAY)
    assert engine.history(place.subscriber)[2:] == [
        ("new", "sent", start + 4 * DAY),
        ("draft", "skipped", start + 7 * DAY),
        ("c", "sent", start + 10 * DAY),
        ("d", "sent", start + 13 * DAY),
    ]


def test_publishing_again_sends_what_was_being_retried_right_away(alice: Account, engine: Engine) -> None:
    """R4: the next slot is for what a pause made late."""
    sequence = make_sequence(alice, {"subject": "a"})
    place = enter(sequence, engine)
    accept, engine.mail.answer = engine.mail.answer, refuse_for_now
    engine.run_until(engine.clock.now() + DAY)
    edit(engine, email_at(sequence, 0), published=False)
    engine.run_until(engine.clock.now() + timedelta(hours=3))
    engine.mail.answer = accept
    edit(engine, email_at(sequence, 0), published=True)
    assert engine.sent(place.subscriber) == [("a", engine.clock.now())]


def test_an_edit_right_after_resuming_does_not_hurry_what_the_pause_made_late(alice: Account, engine: Engine) -> None:
    """R4: a day-email that was being retried goes at its next slot, whatever else is changed meanwhile."""
    sequence = make_sequence(alice, {"subject": "a"})
    place = enter(sequence, engine)
    accept, engine.mail.answer = engine.mail.answer, refuse_for_now
    slot = engine.clock.now() + DAY
    engine.run_until(slot)
    edits.update_sequence(alice, sequence.pk, {"active": False}, engine.clock.now())
    engine.run_until(slot + timedelta(hours=3))
    engine.mail.answer = accept
    edits.update_sequence(alice, sequence.pk, {"active": True}, engine.clock.now())
    engine.clock.advance(seconds=1)
    edit(engine, email_at(sequence, 0), preview_text="changed")
    assert engine.sent(place.subscriber) == []
    engine.run_until(slot + DAY)
    assert engine.sent(place.subscriber) == [("a", slot + DAY)]


def test_an_edit_does_not_let_go_what_was_planned_for_a_paused_person(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, {"subject": "a", "delay_value": 0}, {"subject": "b", "delay_value": 9})
    accept, engine.mail.answer = engine.mail.answer, refuse_for_now
    place = enter(sequence, engine)
    places.pause(place.pk, "owner", "on holiday", engine.clock.now())
    engine.mail.answer = accept
    edit(engine, email_at(sequence, 1), published=False)
    engine.run_until(engine.clock.now() + DAY)
    assert engine.sent(place.subscriber) == []
    places.resume(place.pk, "owner", "back", engine.clock.now())
    engine.run()
    assert engine.sent(place.subscriber) == [("a", engine.clock.now())]


def three_days_apart(alice: Account) -> Sequence:
    return make_sequence(
        alice,
        {"subject": "a", "delay_value": 0},
        {"subject": "b", "delay_value": 3},
        {"subject": "c", "delay_value": 3},
        {"subject": "d", "delay_value": 3},
    )


def on_the_way(alice: Account, engine: Engine) -> tuple[Sequence, Enrollment, datetime]:
    """Somebody who has had a and b, and waits for c for another two days; and when they entered."""
    sequence = three_days_apart(alice)
    start = engine.clock.now()
    place = enter(sequence, engine)
    engine.run_until(start + 4 * DAY)
    return sequence, place, start


def create(engine: Engine, sequence: Sequence, **given: Any) -> SequenceEmail:
    given = {"delay_value": 1, "delay_unit": "days", "published": True} | given
    made = edits.create_email(sequence.account, sequence.pk, given, engine.clock.now()).email
    assert made is not None
    engine.run()
    return made


@pytest.mark.parametrize("position", [None, 1])
def test_an_email_put_at_the_end_stands_after_deleted_ones_people_wait_for(
    alice: Account, engine: Engine, position: int | None
) -> None:
    """R9, R10: nobody is sent it sooner, and its delay counts from the moment the deleted one would have gone."""
    sequence, place, start = on_the_way(alice, engine)
    for at in (3, 2, 1):
        delete(engine, email_at(sequence, at))
    new = create(engine, sequence, subject="new", position=position)
    assert new.position == 1
    place.refresh_from_db()
    assert (place.next_email and place.next_email.subject, place.due_at) == ("c", start + 6 * DAY)
    engine.run_until(start + 20 * DAY)
    assert engine.history(place.subscriber)[2:] == [
        ("c", "skipped", start + 6 * DAY),
        ("new", "sent", start + 7 * DAY),
    ]


def test_an_email_moved_to_the_end_stands_after_deleted_ones_people_wait_for(alice: Account, engine: Engine) -> None:
    sequence = three_days_apart(alice)
    start = engine.clock.now()
    draft = create(engine, sequence, subject="new", position=1, published=False)
    place = enter(sequence, engine)
    engine.run_until(start + 4 * DAY)
    delete(engine, email_at(sequence, 4))
    delete(engine, email_at(sequence, 3))
    edit(engine, draft, position=3, published=True)
    engine.run_until(start + 20 * DAY)
    assert [subject for subject, _ in engine.sent(place.subscriber)] == ["a", "b", "new"]
    assert engine.sent(place.subscriber)[2][1] == start + 7 * DAY


def test_an_insertion_leaves_a_deleted_email_before_the_one_that_took_its_position(
    alice: Account, engine: Engine
) -> None:
    """Whoever waits for the deleted one is not passed by."""
    sequence, place, start = on_the_way(alice, engine)
    delete(engine, email_at(sequence, 3))
    delete(engine, email_at(sequence, 2))
    create(engine, sequence, subject="last", delay_value=2)
    create(engine, sequence, subject="before last", position=2)
    engine.run_until(start + 20 * DAY)
    assert engine.history(place.subscriber)[2:] == [
        ("c", "skipped", start + 6 * DAY),
        ("before last", "sent", start + 7 * DAY),
        ("last", "sent", start + 9 * DAY),
    ]


def test_moving_the_email_somebody_waits_for_past_one_they_had_gives_its_date_anew(
    alice: Account, engine: Engine
) -> None:
    """R2, R4: its delay counts from another email now, and a date that is past by that means right away."""
    sequence, place, start = on_the_way(alice, engine)
    edit(engine, email_at(sequence, 2), position=1)
    engine.run_until(start + 20 * DAY)
    assert engine.sent(place.subscriber) == [
        ("a", start),
        ("b", start + 3 * DAY),
        ("c", start + 4 * DAY),
        ("d", start + 6 * DAY),  # three days after b, which stands before it now
    ]


def test_an_email_moved_there_and_back_before_anybody_noticed_keeps_its_date(alice: Account, engine: Engine) -> None:
    """R11: it counts from the same email as before."""
    sequence, place, start = on_the_way(alice, engine)
    waited_for, now = email_at(sequence, 2), engine.clock.now()
    edits.update_email(alice, sequence.pk, waited_for.pk, {"delay_value": 1}, now)
    edits.update_email(alice, sequence.pk, waited_for.pk, {"position": 1}, now)
    edits.update_email(alice, sequence.pk, waited_for.pk, {"position": 3}, now)
    engine.run()
    place.refresh_from_db()
    assert (place.next_email, place.due_at) == (waited_for, start + 6 * DAY)


def test_an_email_moved_while_the_one_before_it_is_on_the_wire_is_no_burst(alice: Account, engine: Engine) -> None:
    """R4: its date was given after the move, by which it counts from an email long gone: the edit gives no other."""
    sequence = three_days_apart(alice)
    start = engine.clock.now()
    place = enter(sequence, engine)
    accept = engine.mail.answer

    def move_the_last_to_the_second_and_accept(message: Outgoing) -> Answer:
        edits.update_email(alice, sequence.pk, email_at(sequence, 3).pk, {"position": 1}, engine.clock.now())
        engine.clock.advance(seconds=1)
        engine.mail.answer = accept
        return accept(message)

    engine.run_until(start + 5 * DAY)
    engine.mail.answer = move_the_last_to_the_second_and_accept
    engine.run_until(start + 20 * DAY)
    (_, c_at), (_, d_at) = engine.sent(place.subscriber)[2:]
    assert (c_at, d_at) == (start + 6 * DAY + timedelta(seconds=1), start + 9 * DAY)


def test_an_email_moved_past_one_they_had_and_deleted_at_once_is_still_skipped_at_its_date(
    alice: Account, engine: Engine
) -> None:
    """R9: nothing comes sooner because of a deletion, also when the engine meets both edits together."""
    sequence, place, start = on_the_way(alice, engine)
    waited_for, now = email_at(sequence, 2), engine.clock.now()
    edits.update_email(alice, sequence.pk, waited_for.pk, {"position": 1}, now)
    edits.delete_email(alice, sequence.pk, waited_for.pk, now)
    engine.run_until(start + 20 * DAY)
    assert engine.history(place.subscriber)[2:] == [
        ("c", "skipped", start + 6 * DAY),
        ("d", "sent", start + 9 * DAY),
    ]
