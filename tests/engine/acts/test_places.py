"""One person's place, in the hands of the owner: skip, send now, move, restart, remove."""

from datetime import timedelta

import pytest

from dripstone.accounts.models import Account
from dripstone.engine import plan, record, transitions
from dripstone.engine.acts import edits, places
from dripstone.engine.attempts import Outcome
from dripstone.engine.models import Delivery
from dripstone.errors import NotFound
from dripstone.events.models import Event
from dripstone.senders.memory import accept
from dripstone.sequences.models import Sequence
from tests.driving import Engine
from tests.engine.acts.owner import (
    DAY,
    WELCOME,
    answer,
    do,
    edit_email,
    email,
    place_in,
    refusal,
    refuse_for_now,
    start_sending,
    subjects,
)
from tests.factories import make_email, make_enrollment, make_sequence, make_tag

pytestmark = pytest.mark.django_db

BUSY = "An email is on its way to this person right now: try again in a moment"


# Skip


def test_skipping_starts_the_delay_of_the_email_after_it(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, {"subject": "second", "delay_value": 9}, {"subject": "third"})
    place = place_in(sequence, engine)
    start = engine.clock.now()
    engine.run_until(start + 2 * DAY)
    do("skip", place, engine)
    engine.run_until(start + 9 * DAY)
    assert engine.history(place.subscriber) == [
        ("welcome", "sent", start),
        ("second", "skipped", start + 2 * DAY),
        ("third", "sent", start + 3 * DAY),
    ]


def test_skipping_what_is_planned_takes_it_back(alice: Account, engine: Engine) -> None:
    place = place_in(make_sequence(alice, WELCOME, {"subject": "second"}), engine)
    plan.everything_due(engine.clock.now())
    do("skip", place, engine)
    engine.run_until(engine.clock.now() + DAY)
    assert subjects(engine, place) == ["second"]


def test_skipping_the_last_email_completes(alice: Account, engine: Engine) -> None:
    place = place_in(make_sequence(alice, {"subject": "only"}), engine)
    assert do("skip", place, engine).status == "completed"


def test_a_paused_person_whose_email_is_skipped_stays_paused(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, {"subject": "first"}, {"subject": "second"})
    place = place_in(sequence, engine)
    do("pause", place, engine)
    row = do("skip", place, engine)
    assert (row.next_email, row.due_at) == (email(sequence, "second"), None)
    assert row.paused_at is not None
    engine.run_until(engine.clock.now() + 5 * DAY)
    assert subjects(engine, place) == []


def test_skipping_ends_the_wait_for_an_unpublished_email(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, {"subject": "second"}, {"subject": "third"})
    place = place_in(sequence, engine)
    engine.run()
    edit_email(sequence, "second", engine, published=False)
    do("skip", place, engine)
    engine.run_until(engine.clock.now() + 2 * DAY)
    assert subjects(engine, place) == ["welcome", "third"]


@pytest.mark.parametrize("verb", ["skip", "send_now", "move_to"])
@pytest.mark.parametrize("outcome", ["sent", "planned", "failed"])
def test_what_is_on_the_wire_is_not_touched_and_nothing_is_lost(
    alice: Account, engine: Engine, verb: str, outcome: str
) -> None:
    sequence = make_sequence(alice, WELCOME, {"subject": "second"})
    place = place_in(sequence, engine)
    start = engine.clock.now()
    claimed = start_sending(engine)
    more = [email(sequence, "second").pk] if verb == "move_to" else []
    assert refusal(verb, place, engine, *more) == BUSY
    answer(claimed, outcome, engine)
    engine.run_until(start + DAY)
    assert subjects(engine, place)[-1:] == ["second"]


# Send now


def test_it_sends_now_and_goes_on_from_there(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, {"subject": "second", "delay_value": 9}, {"subject": "third"})
    place = place_in(sequence, engine)
    start = engine.clock.now()
    engine.run_until(start + timedelta(days=2, hours=4))
    do("send_now", place, engine)
    engine.run_until(start + 5 * DAY)
    assert engine.sent(place.subscriber)[1:] == [
        ("second", start + timedelta(days=2, hours=4)),
        ("third", start + 3 * DAY),
    ]


def test_it_does_not_wait_for_the_next_try(alice: Account, engine: Engine) -> None:
    place = place_in(make_sequence(alice, WELCOME), engine)
    engine.mail.answer = refuse_for_now
    engine.run()
    assert Delivery.objects.get().ready_at > engine.clock.now()  # type: ignore[operator]
    engine.mail.answer = accept
    do("send_now", place, engine)
    engine.run()
    assert engine.sent(place.subscriber) == [("welcome", engine.clock.now())]


def test_asking_twice_sends_once(alice: Account, engine: Engine) -> None:
    place = place_in(make_sequence(alice, {"subject": "first"}, {"subject": "second"}), engine)
    do("send_now", place, engine)
    do("send_now", place, engine)
    engine.run()
    assert subjects(engine, place) == ["first"]


def test_an_excluded_person_is_not_sent_to(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, {"subject": "first"})
    place = place_in(sequence, engine)
    tag = make_tag(alice, place.subscriber, name="Customer")
    Sequence.objects.update(exclude_subscriber_sources=[{"type": "tag", "ids": [tag.pk]}])
    sentence = "Nothing would be sent, because they have the tag “Customer”, which this sequence excludes"
    assert refusal("send_now", place, engine) == sentence


def test_it_says_why_it_can_not_send_now(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, {"subject": "first"}, {"subject": "second"})
    place = place_in(sequence, engine)
    do("pause", place, engine)
    assert refusal("send_now", place, engine) == "This person is paused: resume them first"
    do("resume", place, engine)
    edit_email(sequence, "first", engine, published=False)
    assert refusal("send_now", place, engine) == "Their next email is not published: publish it first"
    edits.delete_email(alice, sequence.pk, email(sequence, "first").pk, engine.clock.now())
    sentence = "Their next email has been deleted: skip it, or move them to another"
    assert refusal("send_now", place, engine) == sentence
    edits.update_sequence(alice, sequence.pk, {"active": False}, engine.clock.now())
    assert refusal("send_now", place, engine) == "Sequence is inactive"


# Move


def test_moving_forward_skips_what_lies_between(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(
        alice, WELCOME, {"subject": "second"}, {"subject": "third"}, {"subject": "fourth", "delay_value": 2}
    )
    place = place_in(sequence, engine)
    start = engine.clock.now()
    engine.run()
    row = do("move_to", place, engine, email(sequence, "fourth").pk)
    assert (row.run, row.next_email, row.due_at) == (1, email(sequence, "fourth"), start + 2 * DAY)
    engine.run_until(start + 9 * DAY)
    assert engine.sent(place.subscriber) == [("welcome", start), ("fourth", start + 2 * DAY)]
    assert [status for _, status, _ in engine.history(place.subscriber)] == ["sent", "skipped", "skipped", "sent"]


def test_moving_back_sends_again_from_there_in_a_new_run(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, {"subject": "second"}, {"subject": "third"}, {"subject": "fourth"})
    place = place_in(sequence, engine)
    start = engine.clock.now()
    engine.run_until(start + 2 * DAY)
    assert do("move_to", place, engine, email(sequence, "second").pk).run == 2
    engine.run_until(start + 9 * DAY)
    assert subjects(engine, place) == ["welcome", "second", "third", "second", "third", "fourth"]


def test_a_completed_person_moved_is_in_the_sequence_again(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, {"subject": "second"})
    place = place_in(sequence, engine)
    start = engine.clock.now()
    engine.run_until(start + DAY)
    row = do("move_to", place, engine, email(sequence, "second").pk)
    assert (row.status, row.run, row.completed_at) == ("active", 2, None)
    engine.run_until(start + 2 * DAY)
    assert subjects(engine, place) == ["welcome", "second", "second"]
    place.refresh_from_db()
    assert place.status == "completed"


def test_a_completed_person_gets_what_was_published_since_in_the_same_run(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME)
    place = place_in(sequence, engine)
    engine.run()
    later = make_email(sequence, position=1, subject="later")
    row = do("move_to", place, engine, later.pk)
    assert (row.status, row.run, row.due_at) == ("active", 1, engine.clock.now() + DAY)


def test_moving_a_paused_person_leaves_them_paused(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, {"subject": "first"}, {"subject": "second"})
    place = place_in(sequence, engine)
    start = engine.clock.now()
    do("pause", place, engine)
    row = do("move_to", place, engine, email(sequence, "second").pk)
    assert (row.due_at, row.held_due_at, row.paused_at) == (None, start + DAY, start)


def test_moving_takes_back_what_is_planned(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, {"subject": "second"})
    place = place_in(sequence, engine)
    plan.everything_due(engine.clock.now())
    do("move_to", place, engine, email(sequence, "second").pk)
    engine.run_until(engine.clock.now() + DAY)
    assert subjects(engine, place) == ["second"]


def test_it_moves_only_where_something_can_be_sent(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, {"subject": "draft", "published": False})
    other = make_sequence(alice, {"subject": "elsewhere"})
    place, unconfirmed = place_in(sequence, engine), place_in(sequence, engine, state="inactive")
    target = email(sequence, "draft").pk
    assert refusal("move_to", place, engine, target) == "That email is not published: publish it first"
    with pytest.raises(NotFound):
        do("move_to", place, engine, email(other, "elsewhere").pk)
    assert refusal("move_to", unconfirmed, engine, target) == "This person has not confirmed their address yet"
    engine.run()
    transitions.cancel(place.subscriber_id, engine.clock.now())
    welcome = email(sequence, "welcome").pk
    sentence = "This person can't be mailed: the subscriber is cancelled"
    assert refusal("move_to", place, engine, welcome) == sentence


# Restart and remove


@pytest.mark.parametrize("before", ["active", "completed", "removed"])
def test_a_restart_begins_a_new_run_from_anywhere(alice: Account, engine: Engine, before: str) -> None:
    sequence = make_sequence(alice, WELCOME, {"subject": "second"})
    place = place_in(sequence, engine)
    engine.run_until(engine.clock.now() + (DAY if before == "completed" else timedelta()))
    if before == "removed":
        do("remove", place, engine)
    row = do("restart", place, engine)
    assert (row.status, row.run, row.entered_at) == ("active", 2, engine.clock.now())
    engine.run()
    assert subjects(engine, place)[-1] == "welcome"
    assert Event.objects.filter(type="subscriber.added_to_sequence", subject_id=sequence.pk).count() == 2


def test_an_unconfirmed_person_restarted_waits_for_their_confirmation(alice: Account, engine: Engine) -> None:
    place = place_in(make_sequence(alice, WELCOME), engine, state="inactive")
    row = do("restart", place, engine)
    assert (row.status, row.run, row.due_at) == ("unconfirmed", 2, None)
    transitions.confirm(place.subscriber_id, engine.clock.now())
    engine.run()
    assert subjects(engine, place) == ["welcome"]


def test_nobody_is_restarted_against_their_will(alice: Account, engine: Engine) -> None:
    place = place_in(make_sequence(alice, WELCOME), engine)
    transitions.cancel(place.subscriber_id, engine.clock.now())
    assert refusal("restart", place, engine) == "This person can't be mailed: the subscriber is cancelled"


def test_a_restart_of_somebody_in_an_inactive_sequence_waits(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME)
    place = place_in(sequence, engine)
    engine.run()
    edits.update_sequence(alice, sequence.pk, {"active": False}, engine.clock.now())
    do("restart", place, engine)
    engine.run_until(engine.clock.now() + DAY)
    assert subjects(engine, place) == ["welcome"]


@pytest.mark.parametrize("verb", ["remove", "restart"])
def test_a_refusal_for_now_is_not_tried_again_once_they_left_the_run(alice: Account, engine: Engine, verb: str) -> None:
    sequence = make_sequence(alice, {"subject": "first"})
    place = place_in(sequence, engine)
    engine.clock.advance(days=1)
    claimed = start_sending(engine)
    do(verb, place, engine)
    answer(claimed, "planned", engine)
    first = Delivery.objects.earliest("pk")
    reason = {"remove": "removed_by_owner", "restart": "restarted"}[verb]
    assert (first.status, first.reason) == ("skipped", reason)
    engine.run_until(engine.clock.now() + 2 * DAY)
    assert subjects(engine, place) == ["first"] * (verb == "restart")


def test_the_answers_of_two_runs_in_one_batch_both_count(alice: Account, engine: Engine) -> None:
    place = place_in(make_sequence(alice, WELCOME, {"subject": "second"}), engine)
    old = start_sending(engine)
    do("restart", place, engine)
    new = start_sending(engine)
    record.outcomes(
        [Outcome(row.delivery_id, row.attempt, "sent") for row in (new, old)], engine.clock.now()
    )  # the old one's last
    place.refresh_from_db()
    assert (place.run, place.in_flight, place.due_at) == (2, False, engine.clock.now() + DAY)


def test_a_removed_person_is_told_so(alice: Account, engine: Engine) -> None:
    place = place_in(make_sequence(alice, WELCOME), engine)
    row = places.remove(place.pk, "owner", "asked by phone", engine.clock.now())
    assert (row.status, row.removed_reason) == ("removed", "removed_by_owner")
    assert refusal("remove", place, engine) == "This person has been removed already"
    sentence = "This person has been removed from the sequence: restart them, or add them again"
    for verb in ("pause", "skip", "send_now"):
        assert refusal(verb, place, engine) == sentence
    assert refusal("resume", place, engine) == "This person is not paused"
    engine.run()
    assert subjects(engine, place) == []


# Refusals by place


def test_at_the_end_there_is_nothing_to_skip_or_send(alice: Account, engine: Engine) -> None:
    place = place_in(make_sequence(alice, WELCOME, hold=True), engine)
    engine.run()
    assert refusal("skip", place, engine) == "Nothing comes next for this person, so there is nothing to skip"
    assert refusal("send_now", place, engine) == "Nothing comes next for this person, so there is nothing to send"


def test_a_deleted_sequence_is_left_alone(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME)
    place = place_in(sequence, engine)
    edits.delete_sequence(alice, sequence.pk, engine.clock.now())
    for verb in ("pause", "resume", "skip", "send_now", "restart", "remove"):
        assert refusal(verb, place, engine) == "This sequence has been deleted"


# Edits nobody has followed yet


def test_a_verb_sees_the_place_an_edit_has_just_given(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, {"subject": "later", "delay_value": 6, "position": 5})
    place = place_in(sequence, engine)
    start = engine.clock.now()
    engine.run_until(start + DAY)
    make_email(sequence, position=1, subject="inserted", published=False)
    edit_email(sequence, "inserted", engine, published=True)
    do("skip", place, engine)  # before any worker has followed the edit
    engine.run_until(start + 9 * DAY)
    assert engine.history(place.subscriber)[1:] == [
        ("inserted", "skipped", start + DAY),
        ("later", "sent", start + 7 * DAY),
    ]


def test_sending_now_wins_over_a_reschedule_on_its_way(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, {"subject": "second"})
    place = place_in(sequence, engine)
    engine.run()
    edit_email(sequence, "second", engine, delay_value=30)
    edits.reschedule(alice, sequence.pk, engine.clock.now())
    do("send_now", place, engine)
    engine.run()
    assert subjects(engine, place) == ["welcome", "second"]


def test_a_refusal_for_now_stays_put_in_a_sequence_paused_meanwhile(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME)
    place = place_in(sequence, engine)
    claimed = start_sending(engine)
    edits.update_sequence(alice, sequence.pk, {"active": False}, engine.clock.now())
    engine.clock.advance(seconds=1)
    answer(claimed, "planned", engine)
    engine.run_until(engine.clock.now() + DAY)
    assert subjects(engine, place) == []
    edits.update_sequence(alice, sequence.pk, {"active": True}, engine.clock.now())
    engine.run()
    assert subjects(engine, place) == ["welcome"]


def test_a_refusal_for_now_of_a_deleted_email_is_the_end_of_it(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, {"subject": "second"})
    place = place_in(sequence, engine)
    start = engine.clock.now()
    claimed = start_sending(engine)
    edits.delete_email(alice, sequence.pk, email(sequence, "welcome").pk, start)
    answer(claimed, "planned", engine)
    engine.run_until(start + DAY)
    assert engine.history(place.subscriber) == [("welcome", "skipped", start), ("second", "sent", start + DAY)]


def test_whoever_left_and_came_back_is_not_sent_what_was_refused_meanwhile(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, {"subject": "second"})
    place = place_in(sequence, engine)
    start = engine.clock.now()
    claimed = start_sending(engine)
    do("remove", place, engine)
    make_enrollment(sequence, place.subscriber, start)  # repeat is off: they go on with the second email
    assert refusal("send_now", place, engine) == BUSY
    answer(claimed, "planned", engine)
    assert Delivery.objects.get().reason == "added_again"
    engine.run_until(start + DAY)
    assert engine.sent(place.subscriber) == [("second", start + DAY)]
