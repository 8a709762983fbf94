"""R21: the filter of an email, looked at at every due moment. Who does not meet it skips it, as by an exclusion."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dripstone.accounts.models import Account
from dripstone.engine import plan
from dripstone.engine.acts import edits, places, undecided
from dripstone.engine.models import Delivery, Enrollment
from dripstone.errors import Invalid, NotFound
from dripstone.senders.base import Answer
from dripstone.senders.memory import accept
from dripstone.sequences.models import Sequence, SequenceEdit, SequenceEmail
from dripstone.subscribers.models import Tag, Tagging
from tests.driving import Engine
from tests.engine.acts.owner import DAY, WELCOME, do, email, place_in, refusal, refuse_for_now
from tests.factories import make_account, make_enrollment, make_sequence, make_subscriber, make_tag

pytestmark = pytest.mark.django_db

SECOND, THIRD = {"subject": "second"}, {"subject": "third"}


def having(*tags: Tag) -> dict[str, Any]:
    return {"type": "tags", "ids": [tag.pk for tag in tags]}


def only_to(sequence: Sequence, subject: str, condition: dict[str, Any] | None, engine: Engine) -> None:
    given, now = {"filter": condition}, engine.clock.now()
    edits.filter_email(sequence.account, sequence.pk, email(sequence, subject).pk, given, now, "Alice")


def tag_them(place: Enrollment, tag: Tag) -> None:
    Tagging.objects.create(tag=tag, subscriber=place.subscriber, tagged_at=tag.created_at)


def ends(engine: Engine, place: Enrollment) -> list[tuple[str, str]]:
    return [(subject, status) for subject, status, _ in engine.history(place.subscriber)]


def test_who_does_not_meet_it_skips_it_and_moves_on_as_if_it_had_been_sent(alice: Account, engine: Engine) -> None:
    sequence, customer = make_sequence(alice, WELCOME, SECOND, THIRD), make_tag(alice)
    meets, misses, start = place_in(sequence, engine), place_in(sequence, engine), engine.clock.now()
    tag_them(meets, customer)
    only_to(sequence, "second", having(customer), engine)
    engine.run_until(start + 2 * DAY)
    assert ends(engine, meets) == [("welcome", "sent"), ("second", "sent"), ("third", "sent")]
    assert engine.history(misses.subscriber) == [
        ("welcome", "sent", start),
        ("second", "skipped", start + DAY),
        ("third", "sent", start + 2 * DAY),
    ]
    assert Delivery.objects.get(status="skipped").reason == "filtered"


def test_it_is_looked_at_when_the_email_is_due_not_before(alice: Account, engine: Engine) -> None:
    sequence, customer = make_sequence(alice, WELCOME, SECOND), make_tag(alice)
    becomes, ceases = place_in(sequence, engine), place_in(sequence, engine)
    tag_them(ceases, customer)
    only_to(sequence, "second", having(customer), engine)
    engine.run_until(engine.clock.now() + DAY - timedelta(minutes=1))
    Tagging.objects.all().delete()
    tag_them(becomes, customer)
    engine.run_until(engine.clock.now() + DAY)
    assert (ends(engine, becomes)[1], ends(engine, ceases)[1]) == (("second", "sent"), ("second", "skipped"))


def test_what_was_skipped_does_not_come_when_they_meet_it_later(alice: Account, engine: Engine) -> None:
    sequence, customer = make_sequence(alice, WELCOME, SECOND, hold=True), make_tag(alice)
    place = place_in(sequence, engine)
    only_to(sequence, "second", having(customer), engine)
    engine.run_until(engine.clock.now() + DAY)
    tag_them(place, customer)
    only_to(sequence, "second", None, engine)
    engine.run_until(engine.clock.now() + 5 * DAY)
    assert ends(engine, place) == [("welcome", "sent"), ("second", "skipped")]


def test_it_holds_after_a_restart(alice: Account, engine: Engine) -> None:
    sequence, customer = make_sequence(alice, WELCOME, SECOND), make_tag(alice)
    place = place_in(sequence, engine)
    only_to(sequence, "second", having(customer), engine)
    engine.run_until(engine.clock.now() + DAY)
    do("restart", place, engine)
    engine.run_until(engine.clock.now() + DAY)
    assert ends(engine, place) == [("welcome", "sent"), ("second", "skipped")] * 2


def test_setting_it_moves_nobody(alice: Account, engine: Engine) -> None:
    sequence, customer = make_sequence(alice, WELCOME, SECOND), make_tag(alice)
    place_in(sequence, engine)
    engine.run()
    before = Enrollment.objects.values().get()
    version = email(sequence, "second").version
    only_to(sequence, "second", having(customer), engine)
    engine.run()
    sequence.refresh_from_db()
    assert Enrollment.objects.values().get() == before
    assert (sequence.edits, email(sequence, "second").version) == (0, version)
    log = SequenceEdit.objects.get()
    assert (log.kind, log.number, log.actor) == ("email_filtered", None, "Alice")
    assert log.changes == {"filter": [None, having(customer)]}


def test_setting_it_to_what_it_is_leaves_no_trace(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, SECOND)
    for condition in (None, having(make_tag(alice)), email(sequence, "second").filter):
        only_to(sequence, "second", condition, engine)
        only_to(sequence, "second", condition, engine)
    assert SequenceEdit.objects.count() == 2


def test_each_email_asks_its_own_question_of_its_own_people(alice: Account, engine: Engine) -> None:
    """In one batch: two sequences, three emails, one person in both."""
    red, blue, person = make_tag(alice), make_tag(alice), make_subscriber(alice)
    first = make_sequence(alice, WELCOME | {"filter": having(red)})
    second = make_sequence(alice, WELCOME | {"filter": {"not": having(red)}}, {**SECOND, "filter": having(blue)})
    for sequence in (first, second):
        make_enrollment(sequence, person, engine.clock.now())
    tag_them(Enrollment.objects.earliest("pk"), red)
    plan.everything_due(engine.clock.now())
    rows = Delivery.objects.values_list("sequence_id", "status")
    assert set(rows) == {(first.pk, "planned"), (second.pk, "skipped")}


def test_an_exclusion_is_named_before_the_filter(alice: Account, engine: Engine) -> None:
    tag = make_tag(alice)
    excluding = [{"type": "tag", "ids": [tag.pk]}]
    sequence = make_sequence(alice, WELCOME | {"filter": {"not": having(tag)}}, exclude_subscriber_sources=excluding)
    tag_them(place_in(sequence, engine), tag)
    engine.run()
    assert Delivery.objects.get().reason == f"excluded:tag:{tag.pk}"


def test_a_filter_that_names_what_is_gone_is_met_by_nobody(alice: Account, engine: Engine) -> None:
    """Under `not` too: that the tag “customer” is deleted must mail no customer."""
    customer = make_tag(alice)
    sequence = make_sequence(alice, WELCOME | {"filter": {"not": having(customer)}})
    place = place_in(sequence, engine)
    customer.delete()
    engine.run()
    assert ends(engine, place) == [("welcome", "skipped")]


def test_emails_without_a_filter_cost_no_statement(alice: Account, engine: Engine) -> None:
    def statements(condition: dict[str, Any] | None) -> list[str]:
        place_in(make_sequence(alice, WELCOME | {"filter": condition}), engine)
        with CaptureQueriesContext(connection) as captured:
            plan.everything_due(engine.clock.now())
        return [one["sql"] for one in captured.captured_queries]

    plain, asked = statements(None), statements(having(make_tag(alice)))
    assert not any("subscribers_" in sql for sql in plain)
    assert sum("subscribers_tagging" in sql for sql in asked) == 1


# Mail that is planned already, as by R14


def test_planned_mail_goes_though_they_cease_to_meet_it(alice: Account, engine: Engine) -> None:
    sequence, customer = make_sequence(alice, WELCOME), make_tag(alice)
    place = place_in(sequence, engine)
    tag_them(place, customer)
    only_to(sequence, "welcome", having(customer), engine)
    engine.mail.answer = refuse_for_now
    engine.run()
    Tagging.objects.all().delete()
    engine.mail.answer = accept
    engine.run_until(engine.clock.now() + timedelta(hours=1))
    assert ends(engine, place) == [("welcome", "sent")]


def test_planned_mail_that_a_hold_parked_goes_after_it_whatever_the_filter(alice: Account, engine: Engine) -> None:
    sequence, customer = make_sequence(alice, {**WELCOME, "delay_unit": "hours", "delay_value": 1}), make_tag(alice)
    place = place_in(sequence, engine)
    engine.mail.answer = refuse_for_now
    engine.run_until(engine.clock.now() + timedelta(hours=1))
    welcome = email(sequence, "welcome")
    edits.hold_email(alice, sequence.pk, welcome.pk, engine.clock.now())
    only_to(sequence, "welcome", having(customer), engine)
    engine.mail.answer = accept
    engine.run_until(engine.clock.now() + DAY)
    assert ends(engine, place) == []
    edits.release_email(alice, sequence.pk, welcome.pk, engine.clock.now())
    engine.run()
    assert ends(engine, place) == [("welcome", "sent")]


def test_a_wait_that_is_skipped_looks_at_it(alice: Account, engine: Engine) -> None:
    sequence, customer = make_sequence(alice, SECOND), make_tag(alice)
    place = place_in(sequence, engine)
    only_to(sequence, "second", having(customer), engine)
    edits.skip_wait(alice, sequence.pk, email(sequence, "second").pk, engine.clock.now())
    engine.run()
    assert ends(engine, place) == [("second", "skipped")]


# What an owner does to one person


def test_an_email_that_is_not_for_them_is_not_sent_now(alice: Account, engine: Engine) -> None:
    sequence, customer = make_sequence(alice, SECOND), make_tag(alice, name="Customer")
    place = place_in(sequence, engine)
    only_to(sequence, "second", having(customer), engine)
    assert refusal("send_now", place, engine).startswith("Nothing would be sent, because it goes only to people who ")
    tag_them(place, customer)
    do("send_now", place, engine)
    engine.run()
    assert ends(engine, place) == [("second", "sent")]


def test_an_unknown_email_that_is_not_for_them_any_more_is_not_sent_again(alice: Account, engine: Engine) -> None:
    sequence, customer = make_sequence(alice, WELCOME), make_tag(alice)
    place_in(sequence, engine)
    engine.mail.answer = lambda message: Answer(message.delivery_id, "unknown")
    engine.run()
    only_to(sequence, "welcome", having(customer), engine)
    with pytest.raises(Invalid, match="because it goes only to people who "):
        undecided.send_again(Delivery.objects.get().pk, "Alice", "", engine.clock.now())


def test_who_is_moved_to_it_skips_it_when_it_is_due(alice: Account, engine: Engine) -> None:
    sequence, customer = make_sequence(alice, WELCOME, SECOND, THIRD), make_tag(alice)
    place = place_in(sequence, engine)
    only_to(sequence, "third", having(customer), engine)
    places.move_to(place.pk, email(sequence, "third").pk, "Alice", "", engine.clock.now())
    engine.run_until(engine.clock.now() + DAY)
    assert ends(engine, place)[-1] == ("third", "skipped")


# The verb


def test_what_no_condition_can_say_is_refused_and_changes_nothing(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, SECOND)
    theirs = make_tag(make_account("Mallory"))
    for given in ({}, {"filter": "everybody"}, {"filter": {"all": 3}}, {"filter": having(theirs)}):
        with pytest.raises(Invalid) as refused:
            edits.filter_email(alice, sequence.pk, email(sequence, "second").pk, given, engine.clock.now())
        assert all(sentence.startswith("filter") for sentence in refused.value.messages)
    assert SequenceEmail.objects.get().filter is None


def test_what_was_read_may_be_written_back_though_a_tag_is_gone(alice: Account, engine: Engine) -> None:
    sequence, gone = make_sequence(alice, SECOND), make_tag(alice)
    only_to(sequence, "second", having(gone), engine)
    kept = email(sequence, "second").filter
    gone.delete()
    only_to(sequence, "second", {"any": [kept, having(make_tag(alice))]}, engine)
    only_to(sequence, "second", None, engine)
    with pytest.raises(Invalid):
        only_to(sequence, "second", kept, engine)


def test_of_another_account_there_is_no_email(alice: Account, engine: Engine) -> None:
    sequence, mallory = make_sequence(alice, SECOND), make_account("Mallory")
    with pytest.raises(NotFound):
        edits.filter_email(mallory, sequence.pk, email(sequence, "second").pk, {"filter": None}, engine.clock.now())


def test_copies_have_it_too(alice: Account, engine: Engine) -> None:
    condition = having(make_tag(alice))
    sequence = make_sequence(alice, SECOND | {"filter": condition})
    copy = edits.duplicate_email(alice, sequence.pk, email(sequence, "second").pk, engine.clock.now()).email
    other = edits.duplicate_sequence(alice, sequence.pk, engine.clock.now()).sequence
    assert copy is not None
    assert copy.filter == condition
    assert {one.filter == condition for one in other.emails.all()} == {True}
