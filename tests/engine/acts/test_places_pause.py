"""A pause of one person: through edits, refusals, pauses of the whole sequence, and everything that ends it."""

from datetime import timedelta

import pytest

from dripstone.accounts.models import Account
from dripstone.engine import plan, transitions
from dripstone.engine.acts import edits
from tests.driving import Engine
from tests.engine.acts.owner import DAY, WELCOME, answer, do, edit_email, email, place_in, start_sending, subjects
from tests.factories import make_email, make_sequence

pytestmark = pytest.mark.django_db


def test_a_paused_person_gets_nothing_and_goes_on_at_the_date_they_had(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, {"subject": "second", "delay_value": 3})
    place, other = place_in(sequence, engine), place_in(sequence, engine)
    start = engine.clock.now()
    engine.run_until(start + DAY)
    row = do("pause", place, engine)
    assert (row.status, row.due_at, row.paused_at) == ("active", None, start + DAY)
    engine.run_until(start + 2 * DAY)
    assert do("resume", place, engine).due_at == start + 3 * DAY
    engine.run_until(start + 3 * DAY)
    assert subjects(engine, place) == subjects(engine, other) == ["welcome", "second"]


def test_after_a_persons_pause_hours_go_right_away_and_days_at_the_next_slot(alice: Account, engine: Engine) -> None:
    hours = make_sequence(alice, WELCOME, {"subject": "hours", "delay_value": 5, "delay_unit": "hours"})
    days = make_sequence(alice, WELCOME, {"subject": "days"})
    places = [place_in(hours, engine), place_in(days, engine)]
    start = engine.clock.now()
    engine.run()
    for place in places:
        do("pause", place, engine)
    engine.run_until(start + timedelta(days=4, hours=3))
    assert [subjects(engine, place) for place in places] == [["welcome"], ["welcome"]]
    for place in places:
        do("resume", place, engine)
    engine.run_until(start + 7 * DAY)
    assert engine.sent(places[0].subscriber)[-1] == ("hours", start + timedelta(days=4, hours=3))
    assert engine.sent(places[1].subscriber)[-1] == ("days", start + 5 * DAY)


def test_what_is_planned_stops_with_the_pause_and_goes_after_it(alice: Account, engine: Engine) -> None:
    place = place_in(make_sequence(alice, WELCOME), engine)
    plan.everything_due(engine.clock.now())
    do("pause", place, engine)
    start = engine.clock.now()
    engine.run_until(start + DAY)
    assert subjects(engine, place) == []
    do("resume", place, engine)
    engine.run()
    assert engine.sent(place.subscriber) == [("welcome", start + DAY)]


def test_what_is_on_the_wire_goes_and_the_next_email_waits_for_the_end_of_the_pause(
    alice: Account, engine: Engine
) -> None:
    place = place_in(make_sequence(alice, WELCOME, {"subject": "second"}), engine)
    start = engine.clock.now()
    claimed = start_sending(engine)
    do("pause", place, engine)
    answer(claimed, "sent", engine)
    place.refresh_from_db()
    assert (place.due_at, place.held_due_at) == (None, start + DAY)
    engine.run_until(start + 3 * DAY)
    assert subjects(engine, place) == ["welcome"]
    do("resume", place, engine)
    engine.run()
    assert engine.sent(place.subscriber)[-1] == ("second", start + 3 * DAY)


def test_a_refusal_during_the_pause_is_tried_again_only_after_it(alice: Account, engine: Engine) -> None:
    place = place_in(make_sequence(alice, WELCOME), engine)
    start = engine.clock.now()
    claimed = start_sending(engine)
    do("pause", place, engine)
    answer(claimed, "planned", engine)
    engine.run_until(start + DAY)
    assert subjects(engine, place) == []
    do("resume", place, engine)
    engine.run()
    assert subjects(engine, place) == ["welcome"]


def test_a_pause_outlives_a_pause_of_the_whole_sequence(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, {"subject": "second"})
    planned, waiting = place_in(sequence, engine), place_in(sequence, engine)
    plan.everything_due(engine.clock.now())
    do("pause", planned, engine)
    engine.run()
    do("pause", waiting, engine)
    for active in (False, True):
        edits.update_sequence(alice, sequence.pk, {"active": active}, engine.clock.now())
        engine.run_until(engine.clock.now() + 2 * DAY)
    assert (subjects(engine, planned), subjects(engine, waiting)) == ([], ["welcome"])
    for place in (planned, waiting):
        do("resume", place, engine)
    engine.run_until(engine.clock.now() + 3 * DAY)
    assert subjects(engine, planned) == subjects(engine, waiting) == ["welcome", "second"]


def test_resuming_a_person_does_not_resume_the_sequence(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME)
    place = place_in(sequence, engine)
    plan.everything_due(engine.clock.now())
    do("pause", place, engine)
    edits.update_sequence(alice, sequence.pk, {"active": False}, engine.clock.now())
    engine.run()
    do("resume", place, engine)
    engine.run_until(engine.clock.now() + DAY)
    assert subjects(engine, place) == []
    edits.update_sequence(alice, sequence.pk, {"active": True}, engine.clock.now())
    engine.run()
    assert subjects(engine, place) == ["welcome"]


def test_resuming_a_person_does_not_publish_their_email(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, {"subject": "hours", "delay_value": 1, "delay_unit": "hours"})
    place = place_in(sequence, engine)
    engine.clock.advance(hours=1)
    plan.everything_due(engine.clock.now())
    do("pause", place, engine)
    edit_email(sequence, "hours", engine, published=False)
    engine.run()
    do("resume", place, engine)
    engine.run_until(engine.clock.now() + DAY)
    assert subjects(engine, place) == []
    edit_email(sequence, "hours", engine, published=True)
    engine.run()
    assert subjects(engine, place) == ["hours"]


def test_edits_move_a_paused_person_who_keeps_pausing(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, {"subject": "later", "delay_value": 6, "position": 5})
    place = place_in(sequence, engine)
    start = engine.clock.now()
    engine.run_until(start + 2 * DAY)
    do("pause", place, engine)
    inserted = make_email(sequence, position=1, subject="inserted", published=False)
    edit_email(sequence, "inserted", engine, published=True)
    engine.run_until(start + 3 * DAY)
    place.refresh_from_db()
    assert (place.next_email_id, place.due_at, place.held_due_at) == (inserted.pk, None, start + 2 * DAY)
    do("resume", place, engine)
    engine.run_until(start + 10 * DAY)
    assert engine.sent(place.subscriber)[1:] == [("inserted", start + 3 * DAY), ("later", start + 9 * DAY)]


def test_unpublishing_and_publishing_during_a_pause_gives_the_date_back(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, {"subject": "second", "delay_value": 3})
    place = place_in(sequence, engine)
    start = engine.clock.now()
    engine.run()
    do("pause", place, engine)
    for published in (False, True):
        edit_email(sequence, "second", engine, published=published)
        engine.run()
    assert do("resume", place, engine).due_at == start + 3 * DAY


def test_a_deleted_email_is_skipped_for_a_paused_person_too(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, {"subject": "second"}, {"subject": "third"})
    planned, waiting = place_in(sequence, engine), place_in(sequence, engine)
    start = engine.clock.now()
    engine.run()
    do("pause", waiting, engine)
    engine.clock.set(start + DAY)
    plan.everything_due(engine.clock.now())
    do("pause", planned, engine)
    edits.delete_email(alice, sequence.pk, email(sequence, "second").pk, engine.clock.now())
    engine.run_until(start + 3 * DAY)
    for place in (planned, waiting):
        assert subjects(engine, place) == ["welcome"]
        do("resume", place, engine)
    engine.run_until(start + 9 * DAY)
    for place in (planned, waiting):
        assert subjects(engine, place) == ["welcome", "third"]


def test_switching_hold_off_completes_a_paused_person_at_the_end(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, hold=True)
    place = place_in(sequence, engine)
    engine.run()
    do("pause", place, engine)
    edits.update_sequence(alice, sequence.pk, {"hold": False}, engine.clock.now())
    engine.run()
    place.refresh_from_db()
    assert (place.status, place.paused_at) == ("completed", None)


@pytest.mark.parametrize("way", ["cancel", "remove", "restart"])
def test_leaving_or_restarting_ends_the_pause(alice: Account, engine: Engine, way: str) -> None:
    place = place_in(make_sequence(alice, WELCOME, {"subject": "second"}), engine)
    engine.run()
    do("pause", place, engine)
    if way == "cancel":
        transitions.cancel(place.subscriber_id, engine.clock.now())
    else:
        do(way, place, engine)
    place.refresh_from_db()
    assert (place.paused_at, place.held_due_at) == (None, None)
    assert place.status == ("active" if way == "restart" else "removed")
    engine.run()
    assert subjects(engine, place) == ["welcome"] + ["welcome"] * (way == "restart")
