"""R22: an email on hold. Nobody gets it, all wait at it; released, it goes as after a pause; deleted, it is skipped."""

from datetime import timedelta
from typing import Any

import pytest

from dripstone.accounts.models import Account
from dripstone.engine import claim, enroll, follow, plan, transitions
from dripstone.engine.acts import edits, places, undecided
from dripstone.engine.models import Delivery, Enrollment, Note
from dripstone.errors import Invalid
from dripstone.senders.memory import accept
from dripstone.sequences.models import Sequence
from dripstone.subscribers.models import State
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
from tests.factories import make_sequence

pytestmark = pytest.mark.django_db

SECOND, THIRD = {"subject": "second"}, {"subject": "third"}


def hold(sequence: Sequence, subject: str, engine: Engine) -> None:
    edits.hold_email(sequence.account, sequence.pk, email(sequence, subject).pk, engine.clock.now(), "Alice")


def release(sequence: Sequence, subject: str, engine: Engine) -> None:
    edits.release_email(sequence.account, sequence.pk, email(sequence, subject).pk, engine.clock.now(), "Alice")


def delete(sequence: Sequence, subject: str, engine: Engine) -> None:
    edits.delete_email(sequence.account, sequence.pk, email(sequence, subject).pk, engine.clock.now())


def stands(place: Enrollment) -> tuple[Any, ...]:
    """The subject they wait for, its date, and the date that is kept for them."""
    place.refresh_from_db()
    return place.next_email and place.next_email.subject, place.due_at, place.held_due_at


def test_those_who_wait_and_those_who_arrive_wait_at_it_without_a_date(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, SECOND, THIRD)
    early, start = place_in(sequence, engine), engine.clock.now()
    engine.run()
    hold(sequence, "second", engine)
    engine.run()
    late = place_in(sequence, engine)
    engine.run_until(start + 9 * DAY)
    for place in (early, late):
        assert stands(place) == ("second", None, start + DAY)
        assert subjects(engine, place) == ["welcome"]


def test_released_in_time_they_keep_their_date(alice: Account, engine: Engine) -> None:
    """Also the one they had from an older delay (R11)."""
    sequence = make_sequence(alice, WELCOME, SECOND)
    place, start = place_in(sequence, engine), engine.clock.now()
    engine.run()
    edit_email(sequence, "second", engine, delay_value=3)
    hold(sequence, "second", engine)
    engine.run_until(start + timedelta(hours=20))
    release(sequence, "second", engine)
    engine.run_until(start + 9 * DAY)
    assert engine.sent(place.subscriber)[-1] == ("second", start + DAY)


@pytest.mark.parametrize(
    ("delay", "goes_after"),
    [
        ({"delay_value": 5, "delay_unit": "hours"}, timedelta(days=2, hours=3)),
        ({"delay_value": 1, "delay_unit": "days"}, timedelta(days=3)),
    ],
)
def test_released_late_hours_go_right_away_and_days_at_the_next_slot(
    alice: Account, engine: Engine, delay: dict[str, Any], goes_after: timedelta
) -> None:
    sequence = make_sequence(alice, WELCOME, {**SECOND, **delay}, {**THIRD, "delay_value": 2})
    place, start = place_in(sequence, engine), engine.clock.now()
    hold(sequence, "second", engine)
    engine.run_until(start + timedelta(days=2, hours=3))
    release(sequence, "second", engine)
    engine.run_until(start + 9 * DAY)
    assert engine.sent(place.subscriber)[1] == ("second", start + goes_after)
    assert engine.sent(place.subscriber)[2][0] == "third"


def test_an_immediate_first_email_on_hold_keeps_new_people_until_it_is_released(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, SECOND)
    hold(sequence, "welcome", engine)
    place = place_in(sequence, engine)
    engine.run_until(engine.clock.now() + timedelta(hours=30))
    assert subjects(engine, place) == []
    release(sequence, "welcome", engine)
    engine.run()
    assert subjects(engine, place) == ["welcome"]


def test_somebody_who_confirms_or_starts_again_waits_at_it_too(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME)
    hold(sequence, "welcome", engine)
    engine.run()
    unconfirmed = place_in(sequence, engine, state=State.INACTIVE)
    transitions.confirm(unconfirmed.subscriber_id, engine.clock.now())
    restarted = place_in(sequence, engine)
    do("restart", restarted, engine)
    engine.run()
    for place in (unconfirmed, restarted):
        assert stands(place) == ("welcome", None, engine.clock.now())


def test_deleted_on_hold_it_is_skipped_when_it_would_have_gone(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, SECOND, THIRD)
    place, start = place_in(sequence, engine), engine.clock.now()
    engine.run()
    hold(sequence, "second", engine)
    engine.run()
    delete(sequence, "second", engine)
    engine.run_until(start + 9 * DAY)
    assert engine.history(place.subscriber)[1:] == [
        ("second", "skipped", start + DAY),
        ("third", "sent", start + 2 * DAY),
    ]


def test_deleted_after_that_it_is_skipped_at_once(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, SECOND, THIRD)
    place, start = place_in(sequence, engine), engine.clock.now()
    hold(sequence, "second", engine)
    engine.run_until(start + timedelta(days=4, hours=2))
    delete(sequence, "second", engine)
    engine.run_until(start + 9 * DAY)
    assert engine.history(place.subscriber)[1:] == [
        ("second", "skipped", start + timedelta(days=4, hours=2)),
        ("third", "sent", start + 5 * DAY),
    ]
    gone = email(sequence, "second")
    assert (gone.is_held, gone.released_at) == (False, start + timedelta(days=4, hours=2))


def test_unpublished_on_hold_it_lets_later_people_pass(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, SECOND, THIRD)
    before, start = place_in(sequence, engine), engine.clock.now()
    engine.run()
    hold(sequence, "second", engine)
    edit_email(sequence, "second", engine, published=False)
    after = place_in(sequence, engine)
    engine.run_until(start + 3 * DAY)
    assert stands(before) == ("second", None, None)  # R8
    assert subjects(engine, after) == ["welcome", "third"]


def test_a_draft_published_on_hold_is_waited_at(alice: Account, engine: Engine) -> None:
    """R7: also by people who had gone past it."""
    sequence = make_sequence(alice, WELCOME, {**SECOND, "published": False}, {**THIRD, "delay_value": 5})
    place, start = place_in(sequence, engine), engine.clock.now()
    engine.run_until(start + 2 * DAY)
    hold(sequence, "second", engine)
    engine.run()
    assert stands(place) == ("third", start + 5 * DAY, None)
    edit_email(sequence, "second", engine, published=True)
    engine.run_until(start + 3 * DAY)
    assert stands(place) == ("second", None, start + 2 * DAY)
    release(sequence, "second", engine)
    engine.run_until(start + 9 * DAY)
    assert engine.sent(place.subscriber)[1:] == [("second", start + 3 * DAY), ("third", start + 8 * DAY)]


def test_an_email_inserted_before_it_goes_and_they_come_back_to_it(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, SECOND)
    place, start = place_in(sequence, engine), engine.clock.now()
    hold(sequence, "second", engine)
    engine.run_until(start + 2 * DAY)
    given = {"subject": "new", "delay_value": 1, "delay_unit": "hours", "published": True, "position": 1}
    edits.create_email(alice, sequence.pk, given, engine.clock.now())
    engine.run()
    assert subjects(engine, place) == ["welcome", "new"]
    assert stands(place) == ("second", None, start + 3 * DAY)


def test_moved_on_hold_it_is_still_waited_at(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, SECOND, THIRD)
    place, start = place_in(sequence, engine), engine.clock.now()
    engine.run()
    hold(sequence, "third", engine)
    edit_email(sequence, "third", engine, position=1)
    engine.run_until(start + 9 * DAY)
    assert subjects(engine, place) == ["welcome"]
    assert stands(place) == ("third", None, start + DAY)


def test_a_pause_of_the_sequence_meanwhile_changes_nothing_for_them(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, SECOND)
    place, start = place_in(sequence, engine), engine.clock.now()
    engine.run()
    hold(sequence, "second", engine)
    edits.update_sequence(alice, sequence.pk, {"active": False}, start)
    engine.run_until(start + timedelta(days=2, hours=1))
    edits.update_sequence(alice, sequence.pk, {"active": True}, engine.clock.now())
    engine.run()
    assert stands(place) == ("second", None, start + DAY)
    assert Note.objects.filter(enrollment=place).count() == 1
    release(sequence, "second", engine)
    engine.run()
    assert stands(place) == ("second", start + 3 * DAY, None)


@pytest.mark.parametrize("released_first", [True, False])
def test_a_person_paused_at_it_goes_on_when_both_have_ended(
    alice: Account, engine: Engine, released_first: bool
) -> None:
    sequence = make_sequence(alice, WELCOME, {**SECOND, "delay_unit": "hours"})
    place, start = place_in(sequence, engine), engine.clock.now()
    engine.run()
    hold(sequence, "second", engine)
    engine.run()
    do("pause", place, engine)
    assert stands(place) == ("second", None, start + timedelta(hours=1))
    engine.run_until(start + DAY)
    if released_first:
        release(sequence, "second", engine)
        engine.run()
    else:
        do("resume", place, engine)
    engine.run()
    assert stands(place) == ("second", None, start + timedelta(hours=1))
    if released_first:
        do("resume", place, engine)
    else:
        release(sequence, "second", engine)
    engine.run()
    assert engine.sent(place.subscriber)[-1] == ("second", start + DAY)


def test_nobody_is_sent_it_by_hand_but_one_can_skip_it(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, SECOND, THIRD)
    place, start = place_in(sequence, engine), engine.clock.now()
    engine.run()
    hold(sequence, "second", engine)
    engine.run()
    assert refusal("send_now", place, engine) == "Their next email is on hold: release it first"
    do("skip", place, engine)
    assert stands(place) == ("third", start + DAY, None)
    do("move_to", place, engine, email(sequence, "second").pk)
    assert stands(place) == ("second", None, start + DAY)


def test_one_that_failed_is_not_sent_again_while_it_is_on_hold(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, SECOND)
    place = place_in(sequence, engine)
    answer(start_sending(engine), "unknown", engine)
    hold(sequence, "welcome", engine)
    engine.run()
    with pytest.raises(Invalid, match="The email is on hold: release it first"):
        undecided.send_again(Delivery.objects.get(enrollment=place).pk, "owner", "", engine.clock.now())


def test_the_next_one_on_hold_does_not_keep_an_earlier_one_from_being_sent_again(
    alice: Account, engine: Engine
) -> None:
    sequence = make_sequence(alice, WELCOME, SECOND)
    place = place_in(sequence, engine)
    answer(start_sending(engine), "unknown", engine)
    hold(sequence, "second", engine)
    engine.run()
    undecided.send_again(Delivery.objects.get(enrollment=place).pk, "owner", "", engine.clock.now())
    assert stands(place) == ("welcome", None, None)
    engine.run()
    assert stands(place) == ("second", None, engine.clock.now() + DAY)


def test_what_is_planned_is_parked_and_goes_when_it_is_released(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, SECOND)
    place, start = place_in(sequence, engine), engine.clock.now()
    engine.mail.answer = refuse_for_now
    engine.run_until(start + DAY)
    hold(sequence, "second", engine)
    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.is_parked) == ("planned", True)
    engine.mail.answer = accept
    engine.run_until(start + timedelta(days=2, hours=2))
    assert Delivery.objects.get().is_parked
    release(sequence, "second", engine)
    engine.run()
    assert Delivery.objects.get().ready_at == start + 3 * DAY
    assert place.status == "active"


def test_what_is_on_the_wire_and_refused_is_parked(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME)
    place_in(sequence, engine)
    claimed = start_sending(engine)
    hold(sequence, "welcome", engine)
    answer(claimed, "planned", engine)
    assert Delivery.objects.get().is_parked
    engine.run()
    assert claim.take("worker-1", engine.clock.now() + DAY) == []


def test_new_dates_for_all_are_kept_for_them_too(alice: Account, engine: Engine) -> None:
    """R11: released, they go by today's delay."""
    sequence = make_sequence(alice, WELCOME, {**SECOND, "delay_value": 9})
    place, start = place_in(sequence, engine), engine.clock.now()
    engine.run()
    hold(sequence, "second", engine)
    edit_email(sequence, "second", engine, delay_value=2)
    edits.reschedule(alice, sequence.pk, start)
    engine.run()
    assert stands(place) == ("second", None, start + 2 * DAY)


def test_completed_people_are_not_touched(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME)
    place = place_in(sequence, engine)
    engine.run()
    hold(sequence, "welcome", engine)
    engine.run()
    assert stands(place) == (None, None, None)
    assert place.status == "completed"


def test_a_removed_person_added_again_waits_where_they_were(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, SECOND)
    place = place_in(sequence, engine)
    engine.run()
    hold(sequence, "second", engine)
    engine.run()
    do("remove", place, engine)
    assert stands(place) == (None, None, None)
    enroll.add(sequence, [place.subscriber_id], "api", engine.clock.now())
    assert stands(place) == ("second", None, engine.clock.now() + DAY)


def test_a_worker_that_knows_no_hold_leaves_dates_that_the_tick_sets_aside(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, SECOND)
    place, start = place_in(sequence, engine), engine.clock.now()
    hold(sequence, "second", engine)
    engine.run()
    Enrollment.objects.update(due_at=start + DAY, held_due_at=None)
    assert plan.everything_due(start + DAY) == 1
    assert stands(place) == ("second", None, start + DAY)
    assert Delivery.objects.filter(email=email(sequence, "second")).count() == 0


def test_following_it_a_second_time_changes_nothing(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, SECOND)
    place_in(sequence, engine)
    engine.run()
    for act in (hold, release):
        act(sequence, "second", engine)
        assert follow.everybody(sequence.pk, engine.clock.now()) == 1
        Sequence.objects.update(edits_done=0)
        assert follow.everybody(sequence.pk, engine.clock.now()) == 0


def test_people_are_told_when_it_was_held_and_released(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, SECOND)
    place, start = place_in(sequence, engine), engine.clock.now()
    engine.run()
    hold(sequence, "second", engine)
    engine.run()
    release(sequence, "second", engine)
    engine.run()
    notes = Note.objects.filter(enrollment=place).order_by("pk").values_list("kind", "due_before", "due_after", "actor")
    assert list(notes) == [("moved", start + DAY, None, "Alice"), ("moved", None, start + DAY, "Alice")]


def test_all_that_a_person_can_be_told_to_do_keeps_them_at_it(alice: Account, engine: Engine) -> None:
    """Paused, resumed, paused again: the date is never lost."""
    sequence = make_sequence(alice, WELCOME, SECOND)
    place, start = place_in(sequence, engine), engine.clock.now()
    engine.run()
    hold(sequence, "second", engine)
    for verb in ("pause", "resume", "pause", "resume"):
        getattr(places, verb)(place.pk, "owner", "", start)
        assert stands(place) == ("second", None, start + DAY)
