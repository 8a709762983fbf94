"""R11: a new delay moves nobody who has a date. Rescheduling the waiting does, when it is asked for."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from dripstone.accounts.models import Account
from dripstone.engine import follow, plan
from dripstone.engine.acts import edits, places
from dripstone.engine.models import Enrollment, Note
from dripstone.foresight import impact
from dripstone.sequences import verbs as domain
from dripstone.sequences.models import Sequence
from tests.driving import Engine
from tests.engine.acts.owner import DAY, WELCOME, edit_email, email, place_in
from tests.factories import make_email, make_sequence

pytestmark = pytest.mark.django_db


def delete(sequence: Sequence, subject: str, engine: Engine) -> None:
    edits.delete_email(sequence.account, sequence.pk, email(sequence, subject).pk, engine.clock.now())


def reschedule(sequence: Sequence, engine: Engine) -> None:
    edits.reschedule(sequence.account, sequence.pk, engine.clock.now(), "Alice")


def active(sequence: Sequence, engine: Engine, is_active: bool) -> None:
    edits.update_sequence(sequence.account, sequence.pk, {"active": is_active}, engine.clock.now())


def dates(place: Enrollment) -> list[tuple[Any, Any]]:
    return list(Note.objects.filter(enrollment=place).order_by("pk").values_list("due_before", "due_after"))


@pytest.mark.parametrize("delay", [2, 5])
def test_those_who_wait_get_the_date_of_todays_delay(alice: Account, engine: Engine, delay: int) -> None:
    sequence = make_sequence(alice, WELCOME, {"subject": "second", "delay_value": 3})
    place = place_in(sequence, engine)
    start = engine.clock.now()
    engine.run_until(start + DAY)
    edit_email(sequence, "second", engine, delay_value=delay)
    reschedule(sequence, engine)
    engine.run_until(start + 9 * DAY)
    assert engine.sent(place.subscriber)[-1] == ("second", start + delay * DAY)


def test_a_new_hour_holds_for_those_who_wait(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, {"subject": "second"})
    place = place_in(sequence, engine)
    start = engine.clock.now()
    engine.run()
    edits.update_sequence(alice, sequence.pk, {"send_hour": 15}, start)
    reschedule(sequence, engine)
    engine.run_until(start + 3 * DAY)
    assert engine.sent(place.subscriber)[-1] == ("second", start + timedelta(days=1, hours=6))


def test_a_date_that_would_lie_in_the_past_means_right_away(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, {"subject": "second", "delay_value": 9})
    place = place_in(sequence, engine)
    start = engine.clock.now()
    engine.run_until(start + timedelta(days=4, hours=2))
    edit_email(sequence, "second", engine, delay_value=1)
    reschedule(sequence, engine)
    engine.run()
    assert engine.sent(place.subscriber)[-1] == ("second", start + timedelta(days=4, hours=2))


def test_what_is_in_flight_stays(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, {"subject": "first"})
    place = place_in(sequence, engine)
    engine.clock.advance(days=1)
    plan.everything_due(engine.clock.now())
    edit_email(sequence, "first", engine, delay_value=9)
    reschedule(sequence, engine)
    engine.run()
    assert engine.sent(place.subscriber) == [("first", engine.clock.now())]
    assert dates(place) == []


def test_those_without_a_date_stay_without(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, {"subject": "second"}, hold=True)
    waits_for_draft, at_end = place_in(sequence, engine), place_in(sequence, engine)
    engine.run()
    places.skip(at_end.pk, "owner", "", engine.clock.now())
    edit_email(sequence, "second", engine, published=False)
    engine.run()
    reschedule(sequence, engine)
    engine.run()
    for place in (waits_for_draft, at_end):
        place.refresh_from_db()
        assert (place.status, place.due_at) == ("active", None)


def test_in_a_paused_sequence_the_new_date_is_kept_for_later(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, {"subject": "second", "delay_value": 2})
    place = place_in(sequence, engine)
    start = engine.clock.now()
    engine.run()
    active(sequence, engine, False)
    engine.run_until(start + DAY)
    edit_email(sequence, "second", engine, delay_value=5)
    reschedule(sequence, engine)
    engine.run_until(start + 3 * DAY)
    active(sequence, engine, True)
    engine.run_until(start + 9 * DAY)
    assert engine.sent(place.subscriber)[-1] == ("second", start + 5 * DAY)


@pytest.mark.parametrize("before", [True, False])
def test_rescheduling_around_a_resume_makes_no_backlog(alice: Account, engine: Engine, before: bool) -> None:
    """Days that passed while the sequence was paused go at the next slot (R4), whichever act came first."""
    sequence = make_sequence(alice, WELCOME, {"subject": "second"})
    place = place_in(sequence, engine)
    start = engine.clock.now()
    engine.run()
    active(sequence, engine, False)
    engine.run_until(start + timedelta(days=4, hours=3))
    if before:
        reschedule(sequence, engine)
    active(sequence, engine, True)
    if not before:
        reschedule(sequence, engine)
    engine.run_until(start + 9 * DAY)
    assert engine.sent(place.subscriber)[-1] == ("second", start + 5 * DAY)


def test_a_paused_persons_kept_date_is_given_anew(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, {"subject": "second", "delay_value": 3})
    place = place_in(sequence, engine)
    start = engine.clock.now()
    engine.run()
    places.pause(place.pk, "owner", "", start)
    edit_email(sequence, "second", engine, delay_value=6)
    reschedule(sequence, engine)
    engine.run()
    place.refresh_from_db()
    assert (place.due_at, place.held_due_at) == (None, start + 6 * DAY)
    assert places.resume(place.pk, "owner", "", start).due_at == start + 6 * DAY


def test_nobody_gets_two_emails_at_once_by_it(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(
        alice, WELCOME, {"subject": "b", "position": 10}, {"subject": "c", "delay_value": 30, "position": 20}
    )
    place = place_in(sequence, engine)
    start = engine.clock.now()
    engine.run_until(start + 9 * DAY)
    for position, subject in ((5, "x"), (15, "y")):
        make_email(sequence, position=position, subject=subject, delay_value=2, published=False)
        edit_email(sequence, subject, engine, published=True)
    engine.run()
    assert engine.sent(place.subscriber)[-1] == ("x", start + 9 * DAY)
    reschedule(sequence, engine)
    engine.run_until(start + 20 * DAY)
    assert engine.sent(place.subscriber)[-1] == ("y", start + 11 * DAY)


def test_a_kill_in_the_middle_is_finished_with_the_same_dates_and_one_note_each(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, {"subject": "second", "delay_value": 9})
    places = [place_in(sequence, engine) for _ in range(3)]
    start = engine.clock.now()
    engine.run_until(start + 5 * DAY)
    edit_email(sequence, "second", engine, delay_value=1)
    reschedule(sequence, engine)
    killed_at = engine.clock.now()
    follow.person(sequence.pk, places[0].pk, killed_at)  # as far as the first worker came
    engine.clock.advance(minutes=10)
    follow.everybody(sequence.pk, engine.clock.now())
    for place in places:
        assert dates(place) == [(start + 9 * DAY, killed_at)]
    engine.run()
    assert [len(engine.sent(place.subscriber)) for place in places] == [2, 2, 2]


def test_going_through_it_twice_changes_nothing(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, {"subject": "second", "delay_value": 9})
    place_in(sequence, engine)
    engine.run_until(engine.clock.now() + 5 * DAY)
    edit_email(sequence, "second", engine, delay_value=1)
    reschedule(sequence, engine)
    assert follow.everybody(sequence.pk, engine.clock.now()) == 1
    Sequence.objects.update(edits_done=0)  # killed before it could be written down
    engine.clock.advance(minutes=10)
    assert follow.everybody(sequence.pk, engine.clock.now()) == 0


def test_of_two_deleted_emails_at_one_position_the_date_counts_from_the_later_end(
    alice: Account, engine: Engine
) -> None:
    """R2: what somebody has had lately must not be followed sooner because it was deleted."""
    three_days = {"delay_value": 3}
    sequence = make_sequence(alice, WELCOME, {"subject": "old"} | three_days, {"subject": "last"} | three_days)
    place = place_in(sequence, engine)
    start, position = engine.clock.now(), sequence.emails.get(subject="old").position
    engine.run_until(start + 4 * DAY)
    delete(sequence, "old", engine)
    new = {"subject": "new", "delay_value": 1, "delay_unit": "days", "published": True, "position": position}
    edits.create_email(alice, sequence.pk, new, engine.clock.now())
    engine.run_until(start + 5 * DAY)
    delete(sequence, "new", engine)
    assert set(sequence.emails.exclude(deleted_at=None).values_list("position", flat=True)) == {position}
    proposal = partial(domain.reschedule, alice, sequence.pk, engine.clock.now())
    assert impact.of(alice, sequence.pk, proposal, engine.clock.now()).moved == 0
    reschedule(sequence, engine)
    engine.run_until(start + 20 * DAY)
    assert engine.sent(place.subscriber)[-2:] == [("new", start + 4 * DAY), ("last", start + 7 * DAY)]
