"""Notes: written once, with what was before and after, why, and by whom."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from dripstone.accounts.models import Account
from dripstone.engine import notes, plan, reasons
from dripstone.engine.acts import edits, places
from dripstone.engine.models import Enrollment, Note
from dripstone.errors import Invalid
from dripstone.explain import edit_words
from dripstone.sequences.models import Sequence
from tests.driving import Engine
from tests.factories import make_email, make_enrollment, make_sequence, make_subscriber

pytestmark = pytest.mark.django_db

WELCOME = {"subject": "welcome", "delay_value": 0}
DAY = timedelta(days=1)


def place_in(sequence: Sequence, engine: Engine) -> Enrollment:
    account = Account.objects.get(pk=sequence.account_id)
    return make_enrollment(sequence, make_subscriber(account), engine.clock.now())


Told = tuple[str, str | None, datetime | None, datetime | None]


def told(place: Enrollment) -> list[Told]:
    """(kind, subject, date before, date after)"""
    rows = Note.objects.filter(enrollment=place).select_related("email").order_by("pk")
    return [(row.kind, row.email.subject if row.email else None, row.due_before, row.due_after) for row in rows]


def said(note: Note) -> str:
    """The edits that a note names, in words."""
    return edit_words.reason_of(note, edit_words.log_of(note.enrollment.sequence_id, [note.reason]))


def test_the_ordinary_way_leaves_no_notes(alice: Account, engine: Engine) -> None:
    place = place_in(make_sequence(alice, WELCOME, {"subject": "second"}), engine)
    engine.run_until(engine.clock.now() + 2 * DAY)
    assert (len(engine.sent(place.subscriber)), told(place)) == (2, [])


def test_each_verb_leaves_one_note(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, {"subject": "a"}, {"subject": "b"}, {"subject": "c", "delay_value": 3})
    place = place_in(sequence, engine)
    now = engine.clock.now()
    places.pause(place.pk, "Alice", "on holiday", now)
    places.resume(place.pk, "Alice", "", now)
    places.skip(place.pk, "Alice", "", now)
    places.send_now(place.pk, "Alice", "", now)
    engine.run()
    places.move_to(place.pk, sequence.emails.get(subject="b").pk, "Alice", "", now)
    places.restart(place.pk, "Alice", "", now)
    places.remove(place.pk, "Alice", "", now)
    assert told(place) == [
        ("paused", "a", now + DAY, None),
        ("resumed", "a", None, now + DAY),
        ("skipped", "a", now + DAY, now + DAY),
        ("sent_now", "b", now + DAY, now),
        ("moved_to", "b", now + 3 * DAY, now + DAY),
        ("restarted", "a", now + DAY, now + DAY),
        ("removed", "a", now + DAY, None),
    ]
    first = Note.objects.earliest("pk")
    assert (first.actor, first.reason, first.at) == ("Alice", "on holiday", now)


def test_a_verb_that_is_refused_leaves_none(alice: Account, engine: Engine) -> None:
    place = place_in(make_sequence(alice, WELCOME), engine)
    with pytest.raises(Invalid):
        places.resume(place.pk, "Alice", "", engine.clock.now())
    assert told(place) == []


def test_sending_now_what_waits_for_another_try_names_both_instants(alice: Account, engine: Engine) -> None:
    place = place_in(make_sequence(alice, WELCOME), engine)
    now = engine.clock.now()
    plan.everything_due(now)
    place.deliveries.update(ready_at=now + timedelta(minutes=4))
    places.send_now(place.pk, "Alice", "", now)
    assert told(place) == [("sent_now", "welcome", now + timedelta(minutes=4), now)]


def test_an_edit_tells_each_person_it_moved_what_it_did(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, {"subject": "later", "delay_value": 6, "position": 5})
    moved = place_in(sequence, engine)
    start = engine.clock.now()
    engine.run_until(start + 2 * DAY)
    inserted = make_email(sequence, position=1, subject="inserted", published=False)
    edits.update_email(alice, sequence.pk, inserted.pk, {"published": True}, engine.clock.now(), "Alice's key")
    engine.run()
    assert told(moved) == [("moved", "inserted", start + 6 * DAY, start + 2 * DAY)]
    note = Note.objects.get()
    assert (said(note), note.actor) == ("“inserted” published", "Alice's key")


def test_edits_followed_together_are_told_together(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, {"subject": "second", "delay_value": 6})
    place = place_in(sequence, engine)
    start = engine.clock.now()
    engine.run()
    second = sequence.emails.get(subject="second")
    edits.update_email(alice, sequence.pk, second.pk, {"delay_value": 8}, start, "Alice")
    edits.reschedule(alice, sequence.pk, start, "Alice")
    edits.update_email(alice, sequence.pk, second.pk, {"published": False}, start, "Bob")
    engine.run()
    note = Note.objects.get()
    assert told(place) == [("moved", "second", start + 6 * DAY, None)]
    assert (said(note), note.actor) == ("waiting people rescheduled; “second” unpublished", "Alice, Bob")


def test_an_edit_that_moves_nobody_tells_nobody(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, {"subject": "second"})
    place = place_in(sequence, engine)
    engine.run()
    make_email(sequence, position=9, subject="last", published=False)
    edits.update_email(
        alice, sequence.pk, sequence.emails.get(subject="last").pk, {"published": True}, engine.clock.now()
    )
    engine.run()
    assert told(place) == []


def test_an_edit_tells_a_paused_person_the_date_kept_for_them(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, {"subject": "second", "delay_value": 3})
    place = place_in(sequence, engine)
    start = engine.clock.now()
    engine.run()
    places.pause(place.pk, "Alice", "", start)
    second = sequence.emails.get(subject="second")
    edits.update_email(alice, sequence.pk, second.pk, {"delay_value": 5}, start)
    edits.reschedule(alice, sequence.pk, start)
    engine.run()
    assert told(place)[1:] == [("moved", "second", start + 3 * DAY, start + 5 * DAY)]


def test_lateness_is_told_once(alice: Account, engine: Engine) -> None:
    place = place_in(make_sequence(alice, {"subject": "days"}), engine)
    due = engine.clock.now() + DAY
    engine.clock.set(due + timedelta(hours=7))  # nobody worked until now
    engine.run()
    engine.run()
    assert told(place) == [("late", "days", due, due + DAY)]
    note = Note.objects.get()
    assert (note.actor, note.kind) == (notes.ENGINE, notes.LATE)


def test_the_notes_of_many_are_one_statement(alice: Account, engine: Engine, django_assert_num_queries: Any) -> None:
    sequence = make_sequence(alice, WELCOME)
    places = [place_in(sequence, engine) for _ in range(20)]
    now = engine.clock.now()
    with django_assert_num_queries(1):
        notes.of_lateness([(place.pk, None, now, now + DAY) for place in places], reasons.TOO_LATE, now)
    assert Note.objects.count() == 20
