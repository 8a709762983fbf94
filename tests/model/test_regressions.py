"""What the model and the engine once disagreed about, as the shortest story that shows it."""

from datetime import timedelta
from typing import Any

import pytest

from dripstone.accounts.models import Account
from dripstone.engine import edits, person
from dripstone.engine.models import Enrollment
from dripstone.senders.base import Answer, Outgoing
from dripstone.sequences.models import Sequence, SequenceEmail
from tests.engine.driving import Engine
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


def test_an_edit_does_not_let_go_what_was_planned_for_a_paused_person(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, {"subject": "a", "delay_value": 0}, {"subject": "b", "delay_value": 9})
    accept, engine.mail.answer = engine.mail.answer, refuse_for_now
    place = enter(sequence, engine)
    person.pause(place.pk, "owner", "on holiday", engine.clock.now())
    engine.mail.answer = accept
    edit(engine, email_at(sequence, 1), published=False)
    engine.run_until(engine.clock.now() + DAY)
    assert engine.sent(place.subscriber) == []
    person.resume(place.pk, "owner", "back", engine.clock.now())
    engine.run()
    assert engine.sent(place.subscriber) == [("a", engine.clock.now())]


@pytest.mark.parametrize("n_deleted", [1, 2])
def test_what_is_added_at_the_end_counts_from_the_skipping_of_the_deleted(
    alice: Account, engine: Engine, n_deleted: int
) -> None:
    """R9: nobody is sent anything sooner because of a deletion; the moment they skip it is the anchor of the next."""
    emails = [{"subject": f"e{n}", "delay_value": min(n, 1)} for n in range(1 + n_deleted)]
    sequence = make_sequence(alice, *emails)
    begin = engine.clock.now()
    place = enter(sequence, engine)
    engine.run_until(begin + (n_deleted - 1) * DAY)
    for position in range(n_deleted, 0, -1):
        delete(engine, email_at(sequence, position))
    given = {"subject": "added", "content": "<p>Hello</p>", "delay_value": 3, "delay_unit": "days", "published": True}
    added = edits.create_email(alice, sequence.pk, given, engine.clock.now()).email
    assert added is not None and added.position == 1
    engine.run()
    place.refresh_from_db()
    assert place.next_email_id != added.pk and place.due_at is not None
    skipped_at = place.due_at
    engine.run_until(skipped_at)
    place.refresh_from_db()
    assert place.next_email_id == added.pk
    assert place.due_at == skipped_at + 3 * DAY
