"""Skip the wait for everybody at one step: all who wait for one email get it now."""

from datetime import timedelta

import pytest

from dripstone.accounts.models import Account
from dripstone.engine import follow
from dripstone.engine.acts import edits
from dripstone.engine.models import Delivery, Note
from dripstone.errors import Invalid
from dripstone.sequences.models import Sequence
from dripstone.subscribers.models import Tagging
from tests.driving import Engine
from tests.engine.acts.owner import DAY, WELCOME, do, edit_email, email, place_in, refuse_for_now, subjects
from tests.factories import make_sequence, make_tag

pytestmark = pytest.mark.django_db

SECOND, THIRD = {"subject": "second", "delay_value": 5}, {"subject": "third"}


def skip_wait(sequence: Sequence, subject: str, engine: Engine) -> None:
    edits.skip_wait(sequence.account, sequence.pk, email(sequence, subject).pk, engine.clock.now(), "Alice")


def test_all_who_wait_for_it_get_it_now_and_go_on_from_there(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, SECOND, THIRD)
    there, start = [place_in(sequence, engine) for _ in range(2)], engine.clock.now()
    engine.run_until(start + timedelta(hours=7))
    skip_wait(sequence, "second", engine)
    engine.run_until(start + 2 * DAY)
    for place in there:
        assert engine.sent(place.subscriber)[1:] == [
            ("second", start + timedelta(hours=7)),
            ("third", start + DAY),
        ]
    note = Note.objects.filter(enrollment=there[0]).get()
    assert (note.kind, note.due_before, note.due_after, note.actor) == (
        *("moved", start + 5 * DAY, start + timedelta(hours=7), "Alice"),
    )


def test_people_at_other_steps_and_those_who_come_later_wait(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, {"subject": "first"}, SECOND, {**THIRD, "delay_value": 9})
    at_third, start = place_in(sequence, engine), engine.clock.now()
    engine.run_until(start + 6 * DAY)
    at_first = place_in(sequence, engine)
    engine.run()
    skip_wait(sequence, "second", engine)
    late = place_in(sequence, engine)
    engine.run_until(start + 8 * DAY)
    assert subjects(engine, at_third) == ["first", "second"]
    assert subjects(engine, at_first) == subjects(engine, late) == ["first"]


def test_whoever_comes_to_wait_for_it_before_the_engine_does_it_waits(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, SECOND)
    early = place_in(sequence, engine)
    skip_wait(sequence, "second", engine)
    engine.clock.advance(seconds=1)
    late = place_in(sequence, engine)
    engine.run()
    assert (subjects(engine, early), subjects(engine, late)) == (["second"], [])


def test_paused_people_stay_paused_and_the_excluded_are_skipped(alice: Account, engine: Engine) -> None:
    tag = make_tag(alice)
    sequence = make_sequence(
        alice, WELCOME, SECOND, exclude_subscriber_sources=[{"type": "tag", "ids": [tag.pk]}], hold=True
    )
    paused, excluded = place_in(sequence, engine), place_in(sequence, engine)
    start = engine.clock.now()
    engine.run()
    do("pause", paused, engine)
    Tagging.objects.create(tag=tag, subscriber=excluded.subscriber, tagged_at=start)
    skip_wait(sequence, "second", engine)
    engine.run()
    paused.refresh_from_db()
    assert (paused.paused_at, paused.held_due_at) == (start, start + 5 * DAY)
    assert engine.history(excluded.subscriber)[-1] == ("second", "skipped", start)


def test_a_retry_goes_now_too(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME)
    place_in(sequence, engine)
    engine.mail.answer = refuse_for_now
    engine.run()
    now = engine.clock.advance(seconds=5)
    ready_at = Delivery.objects.get().ready_at
    assert ready_at is not None and ready_at > now
    skip_wait(sequence, "welcome", engine)
    follow.everybody(sequence.pk, now)
    assert Delivery.objects.get().ready_at == now


def test_it_is_refused_where_nobody_could_get_it(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, SECOND, {**THIRD, "published": False})
    with pytest.raises(Invalid, match="This email is not published: publish it first"):
        skip_wait(sequence, "third", engine)
    edits.hold_email(alice, sequence.pk, email(sequence, "second").pk, engine.clock.now())
    with pytest.raises(Invalid, match="This email is on hold: release it first"):
        skip_wait(sequence, "second", engine)
    edits.update_sequence(alice, sequence.pk, {"active": False}, engine.clock.now())
    with pytest.raises(Invalid, match="Sequence is inactive"):
        skip_wait(sequence, "welcome", engine)


def test_put_on_hold_before_the_engine_does_it_they_wait_there(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, SECOND)
    place, start = place_in(sequence, engine), engine.clock.now()
    engine.run()
    skip_wait(sequence, "second", engine)
    edits.hold_email(alice, sequence.pk, email(sequence, "second").pk, start)
    engine.run()
    place.refresh_from_db()
    assert (place.due_at, place.held_due_at) == (None, start + 5 * DAY)


def test_doing_it_again_changes_nothing(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, SECOND)
    place_in(sequence, engine)
    engine.run()
    skip_wait(sequence, "second", engine)
    assert follow.everybody(sequence.pk, engine.clock.now()) == 1
    Sequence.objects.update(edits_done=0)
    assert follow.everybody(sequence.pk, engine.clock.advance(hours=1)) == 0


def test_an_edited_delay_does_not_bring_the_wait_back(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, SECOND)
    place, start = place_in(sequence, engine), engine.clock.now()
    engine.run()
    edit_email(sequence, "second", engine, delay_value=9)
    skip_wait(sequence, "second", engine)
    edits.reschedule(alice, sequence.pk, start)
    engine.run()
    assert engine.sent(place.subscriber)[-1] == ("second", start)
