"""What decides about an email once it is due: exclusions, drafts, hold, pauses, edits (R4, R6 to R9, R14, R16)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dripstone.accounts.models import Account
from dripstone.engine import audience, follow, life, plan, reasons
from dripstone.engine.models import Delivery, Enrollment
from dripstone.events.models import Event
from dripstone.foresight import forecast
from dripstone.sequences.models import Sequence, SequenceEmail
from dripstone.subscribers.models import Form, FormSubscription, Segment, Tagging
from tests.driving import Engine
from tests.factories import make_email, make_enrollment, make_sequence, make_subscriber, make_tag

pytestmark = pytest.mark.django_db

WELCOME = {"subject": "welcome", "delay_value": 0}


def edit(sequence: Sequence, email: SequenceEmail | None = None, **values: Any) -> None:
    """What an edit that can move people does to the rows, whoever makes it."""
    target: Sequence | SequenceEmail = email or sequence
    for name, value in values.items():
        setattr(target, name, value)
    target.save()
    sequence.refresh_from_db()
    sequence.edits += 1
    sequence.save()
    follow.after_edit(sequence)


def subjects(engine: Engine, place: Enrollment) -> list[str]:
    return [subject for subject, _ in engine.sent(place.subscriber)]


def place_of(sequence: Sequence, engine: Engine) -> Enrollment:
    account = Account.objects.get(pk=sequence.account_id)
    return make_enrollment(sequence, make_subscriber(account), engine.clock.now())


# R14: exclusions


def test_an_excluded_person_is_skipped_and_moves_on_as_if_sent(alice: Account, engine: Engine) -> None:
    person = make_subscriber(alice)
    tag = make_tag(alice, person)
    sequence = make_sequence(
        alice,
        WELCOME,
        {"subject": "second"},
        {"subject": "third"},
        exclude_subscriber_sources=[{"type": "tag", "ids": [tag.pk]}],
    )
    start = engine.clock.now()
    make_enrollment(sequence, person, start)
    engine.run_until(start + timedelta(days=1))
    Tagging.objects.all().delete()
    engine.run_until(start + timedelta(days=3))
    assert engine.history(person) == [
        ("welcome", "skipped", start),
        ("second", "skipped", start + timedelta(days=1)),
        ("third", "sent", start + timedelta(days=2)),
    ]
    assert Delivery.objects.earliest("pk").reason == f"excluded:tag:{tag.pk}"


@pytest.mark.parametrize("kind", ["form", "sequence", "segment"])
def test_every_kind_of_source_excludes(alice: Account, engine: Engine, kind: str) -> None:
    inside, outside = make_subscriber(alice), make_subscriber(alice)
    now = engine.clock.now()
    if kind == "form":
        form = Form.objects.create(account=alice, name="f", uid="0123456789", created_at=now)
        FormSubscription.objects.create(form=form, subscriber=inside, added_at=now)
        source_id = form.pk
    elif kind == "sequence":
        source_id = make_enrollment(make_sequence(alice), inside, now).sequence_id
    else:
        tag = make_tag(alice, inside)
        condition = {"type": "tag", "operator": "in", "ids": [tag.pk]}
        segment = {"match": "all", "conditions": [condition]}
        source_id = Segment.objects.create(account=alice, name="s", filter=segment, created_at=now).pk
    sources = [{"type": kind, "ids": [source_id]}]
    sequence = make_sequence(alice, WELCOME, exclude_subscriber_sources=sources)
    for person in (inside, outside):
        make_enrollment(sequence, person, now)
    engine.run()
    assert (engine.sent(inside), len(engine.sent(outside))) == ([], 1)


# R6 and R16: the end


def test_it_completes_after_the_last_published_email(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, {"published": False})
    place = place_of(sequence, engine)
    engine.run()
    place.refresh_from_db()
    assert (place.status, place.completed_at) == ("completed", engine.clock.now())
    assert Event.objects.filter(type="subscriber.sequence_completed", subject_id=sequence.pk).count() == 1


def test_with_hold_it_stays_active_and_gets_what_is_published_later(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, hold=True)
    place = place_of(sequence, engine)
    engine.run_until(engine.clock.now() + timedelta(days=5))
    place.refresh_from_db()
    assert (place.status, place.due_at) == ("active", None)
    later = make_email(sequence, position=1, subject="later", published=False)
    edit(sequence, later, published=True)
    engine.run()
    assert engine.sent(place.subscriber)[-1] == ("later", engine.clock.now())


def ends_reached(sequence: Sequence) -> list[tuple[int | None, list[str]]]:
    rows = Event.objects.filter(type="subscriber.sequence_end_reached", subject_id=sequence.pk)
    return list(rows.order_by("pk").values_list("subscriber_id", "cause"))


def test_whoever_stays_at_the_end_is_told_once_each_time_they_get_there(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, hold=True)
    place = place_of(sequence, engine)
    engine.run()
    assert ends_reached(sequence) == [(place.subscriber_id, [])]
    engine.run_until(engine.clock.now() + timedelta(days=1))
    edit(sequence, name="Renamed")
    engine.run()
    assert len(ends_reached(sequence)) == 1
    later = make_email(sequence, position=1, published=False)
    edit(sequence, later, published=True)
    engine.run()
    assert ends_reached(sequence) == [(place.subscriber_id, [])] * 2


def test_nobody_is_at_the_end_of_what_completes_or_has_sent_them_nothing(alice: Account, engine: Engine) -> None:
    completing, empty = make_sequence(alice, WELCOME), make_sequence(alice, {**WELCOME, "published": False}, hold=True)
    places = [place_of(sequence, engine) for sequence in (completing, empty)]
    engine.run()
    for place in places:
        place.refresh_from_db()
    assert [place.status for place in places] == ["completed", "active"]
    assert ends_reached(completing) == ends_reached(empty) == []


def test_to_be_told_of_the_end_costs_no_statement_more_than_completing(alice: Account, engine: Engine) -> None:
    n_statements = {}
    for hold in (True, False, True, False):  # what is done for the first time alone is not counted
        place_of(make_sequence(alice, WELCOME, hold=hold), engine)
        with CaptureQueriesContext(connection) as captured:
            engine.run()
        n_statements[hold] = len(captured)
    assert n_statements[True] == n_statements[False]


def test_deleting_the_last_email_brings_those_who_wait_for_it_to_the_end(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, {"delay_value": 3}, hold=True)
    place = place_of(sequence, engine)
    engine.run()
    assert ends_reached(sequence) == []
    edit(sequence, sequence.emails.get(position=1), deleted_at=engine.clock.now())
    engine.run_until(engine.clock.now() + timedelta(days=3))
    assert ends_reached(sequence) == [(place.subscriber_id, [])]


def test_switching_hold_off_completes_those_who_wait_at_the_end(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, {"delay_value": 10}, hold=True)
    at_end = place_of(sequence, engine)
    engine.run_until(engine.clock.now() + timedelta(days=10))
    on_the_way = place_of(sequence, engine)
    engine.run()
    edit(sequence, hold=False)
    engine.run()
    assert Enrollment.objects.get(pk=at_end.pk).status == "completed"
    assert Enrollment.objects.get(pk=on_the_way.pk).status == "active"


def test_with_nothing_published_everybody_waits_and_then_starts(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, {**WELCOME, "published": False})
    place = place_of(sequence, engine)
    engine.run_until(engine.clock.now() + timedelta(days=3))
    place.refresh_from_db()
    assert (place.status, place.due_at) == ("active", None)
    edit(sequence, sequence.emails.get(), published=True)
    engine.run()
    assert engine.sent(place.subscriber) == [("welcome", engine.clock.now())]


# R7 to R9: edits while people wait


def test_an_email_inserted_before_peoples_place_goes_right_away_and_they_continue(
    alice: Account, engine: Engine
) -> None:
    sequence = make_sequence(alice, WELCOME, {"subject": "later", "delay_value": 6, "position": 5})
    start = engine.clock.now()
    place = place_of(sequence, engine)
    engine.run_until(start + timedelta(days=2, hours=1))
    draft = make_email(sequence, position=1, subject="inserted", published=False)
    edit(sequence, draft, published=True)
    engine.run_until(start + timedelta(days=10))
    assert engine.sent(place.subscriber) == [
        ("welcome", start),
        ("inserted", start + timedelta(days=2, hours=1)),
        ("later", start + timedelta(days=8, hours=0)),  # 6 days after the email before it, which is the inserted one
    ]


def test_two_emails_inserted_behind_never_go_as_a_burst(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(
        alice,
        WELCOME,
        {"subject": "b", "position": 10},
        {"subject": "c", "delay_value": 30, "position": 20},
    )
    start = engine.clock.now()
    place = place_of(sequence, engine)
    engine.run_until(start + timedelta(days=9))
    make_email(sequence, position=5, subject="x")
    make_email(sequence, position=15, subject="y", delay_value=2)
    edit(sequence)
    engine.run_until(start + timedelta(days=14))
    assert engine.sent(place.subscriber)[2:] == [
        ("x", start + timedelta(days=9)),
        ("y", start + timedelta(days=11)),
    ]


def test_unpublishing_keeps_people_waiting_until_it_is_published_again(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, {"subject": "second"}, {"subject": "third"})
    start = engine.clock.now()
    waiting = place_of(sequence, engine)
    engine.run()
    second = sequence.emails.get(position=1)
    edit(sequence, second, published=False)
    engine.run_until(start + timedelta(days=4))
    assert subjects(engine, waiting) == ["welcome"]
    newcomer = place_of(sequence, engine)
    engine.run_until(start + timedelta(days=6))
    assert subjects(engine, newcomer) == ["welcome", "third"]
    edit(sequence, second, published=True)
    engine.run()
    assert engine.sent(waiting.subscriber)[-1] == ("second", start + timedelta(days=6))


def test_a_deleted_email_is_skipped_at_the_moment_it_would_have_gone(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, {"subject": "second", "delay_value": 3}, {"subject": "third"})
    start = engine.clock.now()
    place = place_of(sequence, engine)
    engine.run_until(start + timedelta(days=1))
    edit(sequence, sequence.emails.get(position=1), deleted_at=engine.clock.now())
    engine.run_until(start + timedelta(days=9))
    assert engine.history(place.subscriber) == [
        ("welcome", "sent", start),
        ("second", "skipped", start + timedelta(days=3)),
        ("third", "sent", start + timedelta(days=4)),
    ]


def test_a_changed_delay_does_not_move_a_date_already_given(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, {"subject": "second", "delay_value": 3})
    start = engine.clock.now()
    place = place_of(sequence, engine)
    engine.run()
    edit(sequence, sequence.emails.get(position=1), delay_value=8)
    engine.run_until(start + timedelta(days=9))
    assert engine.sent(place.subscriber)[-1] == ("second", start + timedelta(days=3))


def test_deleting_the_sequence_stops_it_and_keeps_its_history(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, {"subject": "second"})
    place = place_of(sequence, engine)
    engine.run()
    edit(sequence, deleted_at=engine.clock.now())
    engine.run_until(engine.clock.now() + timedelta(days=3))
    place.refresh_from_db()
    assert (place.status, place.removed_reason) == ("removed", "sequence_deleted")
    assert subjects(engine, place) == ["welcome"]


# R4: late


def test_after_a_pause_hours_go_right_away_and_days_at_the_next_slot(alice: Account, engine: Engine) -> None:
    hours = make_sequence(alice, WELCOME, {"subject": "hours", "delay_value": 5, "delay_unit": "hours"})
    days = make_sequence(alice, WELCOME, {"subject": "days"})
    start = engine.clock.now()
    places = [place_of(hours, engine), place_of(days, engine)]
    engine.run()
    for sequence in (hours, days):
        edit(sequence, active=False)
    resumed_at = start + timedelta(days=4, hours=3)
    engine.run_until(resumed_at)
    for sequence in (hours, days):
        edit(sequence, active=True, resumed_at=resumed_at)
    engine.run_until(start + timedelta(days=7))
    assert engine.sent(places[0].subscriber)[-1] == ("hours", resumed_at)
    assert engine.sent(places[1].subscriber)[-1] == ("days", start + timedelta(days=5))


@pytest.mark.parametrize(("hours_late", "sent_after"), [(6, timedelta(hours=6)), (7, timedelta(days=1))])
def test_when_the_engine_was_down_days_go_at_once_only_within_six_hours(
    alice: Account, engine: Engine, hours_late: int, sent_after: timedelta
) -> None:
    sequence = make_sequence(alice, {"subject": "days"})
    place = place_of(sequence, engine)
    due = engine.clock.now() + timedelta(days=1)
    engine.clock.set(due + timedelta(hours=hours_late))  # nobody worked until now
    engine.run()
    engine.run_until(due + timedelta(days=2))
    assert engine.sent(place.subscriber) == [("days", due + sent_after)]


def test_when_the_engine_was_down_hours_go_right_away(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, {"subject": "hours", "delay_value": 2, "delay_unit": "hours"})
    place = place_of(sequence, engine)
    engine.clock.set(datetime(2026, 12, 24, 3, 15, tzinfo=UTC))
    engine.run()
    assert engine.sent(place.subscriber) == [("hours", engine.clock.now())]


@pytest.mark.parametrize("change", ["pause", "delete the sequence", "unpublish", "delete the email"])
def test_what_is_planned_stops_at_once(alice: Account, engine: Engine, change: str) -> None:
    """Between plan and send, before any worker has followed the edit."""
    sequence = make_sequence(alice, WELCOME)
    place_of(sequence, engine)
    plan.everything_due(engine.clock.now())
    match change:
        case "pause":
            edit(sequence, active=False)
        case "delete the sequence":
            edit(sequence, deleted_at=engine.clock.now())
        case "unpublish":
            edit(sequence, sequence.emails.get(), published=False)
        case _:
            edit(sequence, sequence.emails.get(), deleted_at=engine.clock.now())
    assert life.send_batch("worker-1", engine.mail) == {}
    engine.run_until(engine.clock.now() + timedelta(days=4))
    assert engine.mail.messages == []


def test_what_was_planned_when_a_sequence_was_paused_goes_after_it_resumes(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, {"subject": "days"})
    start = engine.clock.now()
    place = place_of(sequence, engine)
    engine.clock.set(start + timedelta(days=1))
    plan.everything_due(engine.clock.now())
    edit(sequence, active=False)
    resumed_at = start + timedelta(days=2, hours=5)
    engine.run_until(resumed_at)
    edit(sequence, active=True, resumed_at=resumed_at)
    engine.run_until(start + timedelta(days=5))
    assert engine.sent(place.subscriber) == [("days", start + timedelta(days=3))]


@pytest.mark.parametrize("kind", ["tag", "form", "sequence", "segment", "inside a segment"])
def test_what_was_deleted_excludes_everybody(alice: Account, engine: Engine, kind: str) -> None:
    now, person = engine.clock.now(), make_subscriber(alice)
    tag = make_tag(alice)
    form = Form.objects.create(account=alice, name="f", uid="0123456789", created_at=now)
    condition = {"type": "tags", "ids": [tag.pk]}
    segment = Segment.objects.create(account=alice, name="Friends", filter=condition, created_at=now)
    gone = {"tag": tag, "form": form, "sequence": make_sequence(alice), "segment": segment, "inside a segment": tag}
    named = kind.removeprefix("inside a ")
    source = {**gone, "segment": segment}[named].pk
    sources = [{"type": "tag", "ids": [make_tag(alice).pk]}, {"type": named, "ids": [source]}]
    sequence = make_sequence(alice, WELCOME, exclude_subscriber_sources=sources)
    if kind == "sequence":
        Sequence.objects.filter(pk=source).update(deleted_at=now)
    else:
        gone[kind].delete()
    make_enrollment(sequence, person, now)
    assert forecast.of_sequence(sequence, now, now + timedelta(days=1)) == {}
    engine.run()
    assert engine.sent(person) == []
    reason = Delivery.objects.get().reason
    assert reason == f"exclusion_gone:{named}:{source}"
    words = reasons.because(reason, audience.names_of([reason], alice.pk))
    called = {
        "sequence": "sequence “Course”, which was deleted",
        "inside a segment": "segment “Friends”, in which something is gone",
    }
    what = called.get(kind, f"{named} number {source}, which was deleted")
    assert words == f"the sequence excludes the {what}, and so everybody"
    Sequence.objects.filter(pk=sequence.pk).update(exclude_subscriber_sources=sources[:1])
    other = make_subscriber(alice)
    make_enrollment(Sequence.objects.get(pk=sequence.pk), other, now)
    engine.run()
    assert len(engine.sent(other)) == 1
