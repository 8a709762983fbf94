"""Counting, reading, folding; what is found to differ, and that mending it keeps what was deleted."""

from datetime import datetime, timedelta
from importlib import import_module
from typing import Any

import pytest
from django.db import connection

from dripstone.engine import life, plan, reasons, transitions
from dripstone.engine.models import Delivery, Enrollment, Entry
from dripstone.events import causes
from dripstone.ops import prune
from dripstone.senders.memory import MemorySender
from dripstone.subscribers import tags
from dripstone.subscribers.models import Subscriber
from dripstone.tallies import verbs as tallies
from dripstone.tallies.models import Kind, Response, Tally
from tests import factories
from tests.racing import together

NOW = factories.MONDAY_9


def test_a_count_is_the_sum_of_what_was_added(db: None) -> None:
    for n in (3, 4, -2):
        tallies.add({(Kind.PLACES, 1, "active"): n, (Kind.PLACES, 2, "active"): 0})
    assert tallies.of(Kind.PLACES, [1, 2]) == {(1, "active"): 5}


def test_a_fold_leaves_one_row_per_count_and_changes_none(db: None) -> None:
    for n in (3, 4, -2):
        tallies.add({(Kind.PLACES, 1, "active"): n, (Kind.PLACES, 2, "active"): n - 1})
    tallies.add({(Kind.PLACES, 3, "active"): 1})
    tallies.add({(Kind.PLACES, 3, "active"): -1})
    before = tallies.of(Kind.PLACES, [1, 2, 3])
    assert tallies.fold() == 8
    assert tallies.of(Kind.PLACES, [1, 2, 3]) == before
    assert sorted(Tally.objects.values_list("subject_id", "n")) == [(1, 5), (2, 2)]
    assert tallies.fold() == 0


def test_what_the_hand_of_sql_did_is_found_and_mended(db: None) -> None:
    account = factories.make_account()
    person = factories.make_subscriber(account)
    place = factories.make_enrollment(factories.make_sequence(account, {}), person)
    Enrollment.objects.filter(pk=place.pk).update(next_email=None, due_at=None)
    [found] = tallies.differences()
    assert (found.kind, found.kept, found.counted) == (Kind.WAITING, 1, 0)
    assert tallies.differences(repair=True) == [found]
    assert tallies.differences() == []


def test_a_repair_keeps_what_was_pruned(db: None, settings: Any) -> None:
    settings.DRIPSTONE_KEEP_DELIVERIES_DAYS = 1
    email = _sent_in_an_earlier_run()
    prune.everything(NOW + timedelta(days=9))
    assert not Delivery.objects.exists()
    tallies.add({(Kind.DELIVERIES, email, "sent"): 7})  # somebody's mistake
    [found] = tallies.differences(repair=True)
    assert (found.kept, found.counted) == (8, 1)
    assert tallies.of(Kind.DELIVERIES, [email]) == {(email, "sent"): 1}


def test_a_deleted_person_leaves_every_count_but_that_of_what_was_sent(db: None) -> None:
    account = factories.make_account()
    person = factories.make_subscriber(account)
    tag = factories.make_tag(account, person)
    sequence = factories.make_sequence(account, {"delay_value": 0})
    factories.make_enrollment(sequence, person)
    _send()
    email = sequence.emails.get().pk
    Subscriber.objects.filter(pk=person.pk).delete()
    assert tallies.of(Kind.PEOPLE, [account.pk]).total() == 0
    assert tallies.of(Kind.TAGGED, [tag.pk]).total() == 0
    assert tallies.of(Kind.PLACES, [sequence.pk]).total() == 0
    assert tallies.of(Kind.DELIVERIES, [email]) == {(email, "sent"): 1}
    assert tallies.differences() == []


def test_what_came_back_is_counted_for_its_email(db: None) -> None:
    account = factories.make_account()
    sequence = factories.make_sequence(account, {"delay_value": 0})
    for verb in (transitions.cancel, transitions.bounce, transitions.complain):
        person = factories.make_subscriber(account)
        factories.make_enrollment(sequence, person)
        _send()
        verb(person.pk, NOW, delivery_id=Delivery.objects.get(subscriber=person).pk)
    email = sequence.emails.get().pk
    assert tallies.of(Kind.RESPONSES, [email]) == {(email, what): 1 for what in Response.values}


def test_who_leaves_is_counted_by_the_email_before_and_the_reason(db: None) -> None:
    account = factories.make_account()
    sequence = factories.make_sequence(account, {"delay_value": 0}, {"delay_value": 1})
    first, last = sequence.emails.order_by("position").values_list("pk", flat=True)
    places = [factories.make_enrollment(sequence, factories.make_subscriber(account)) for _ in range(4)]
    early, cancels, removed, _ = places
    transitions.remove([early.pk], reasons.REMOVED_BY_OWNER, NOW)
    _send()
    transitions.cancel(cancels.subscriber_id, NOW)
    transitions.remove([removed.pk], reasons.REMOVED_BY_OWNER, NOW)
    _send(NOW + timedelta(days=1))
    assert tallies.of(Kind.LEFT, [sequence.pk]) == {
        (sequence.pk, "0:removed_by_owner"): 1,
        (sequence.pk, f"{first}:removed_by_owner"): 1,
        (sequence.pk, f"{first}:subscriber_cancelled"): 1,
        (sequence.pk, f"{last}:completed"): 1,
    }
    assert tallies.of(Kind.LEFT_IN_WEEK, [sequence.pk]) == {
        (sequence.pk, "2026-11-23:removed_by_owner"): 2,
        (sequence.pk, "2026-11-23:subscriber_cancelled"): 1,
        (sequence.pk, "2026-11-23:completed"): 1,
    }
    assert tallies.differences() == []
    Subscriber.objects.filter(pk__in=[place.subscriber_id for place in places]).delete()
    assert tallies.of(Kind.LEFT, [sequence.pk]) == {}


def test_whoever_comes_back_has_not_left(db: None) -> None:
    account = factories.make_account()
    sequence = factories.make_sequence(account, {"delay_value": 0}, repeat=True)
    person = factories.make_subscriber(account)
    factories.make_enrollment(sequence, person)
    _send()
    assert tallies.of(Kind.LEFT, [sequence.pk]).total() == 1
    factories.make_enrollment(sequence, person, NOW, "bulk")
    assert tallies.of(Kind.LEFT, [sequence.pk]) == tallies.of(Kind.LEFT_IN_WEEK, [sequence.pk]) == {}


def test_what_was_skipped_is_counted_by_its_reason_also_when_it_was_pruned(db: None, settings: Any) -> None:
    settings.DRIPSTONE_KEEP_DELIVERIES_DAYS = 1
    account = factories.make_account()
    person = factories.make_subscriber(account)
    tag = factories.make_tag(account, person)
    sources = [{"type": "tag", "ids": [tag.pk]}]
    sequence = factories.make_sequence(account, {"delay_value": 0}, repeat=True, exclude_subscriber_sources=sources)
    factories.make_enrollment(sequence, person)
    _send()
    email = sequence.emails.get().pk
    expected = {(email, f"excluded:tag:{tag.pk}"): 1}
    assert tallies.of(Kind.SKIPPED, [email]) == expected
    factories.make_enrollment(sequence, person, NOW + timedelta(days=1), "bulk")
    prune.everything(NOW + timedelta(days=9))
    assert not Delivery.objects.exists()
    assert tallies.of(Kind.SKIPPED, [email]) == expected
    assert tallies.differences(repair=True) == []


def test_an_email_withheld_at_the_last_moment_is_counted_by_its_reason(db: None) -> None:
    account = factories.make_account()
    sequence = factories.make_sequence(account, {"delay_value": 0})
    person = factories.make_subscriber(account)
    factories.make_enrollment(sequence, person)
    plan.everything_due(NOW)
    Subscriber.objects.filter(pk=person.pk).update(state="inactive")  # as by a worker that was a moment faster
    _send()
    email = sequence.emails.get().pk
    assert tallies.of(Kind.SKIPPED, [email]) == {(email, "subscriber_inactive"): 1}


@pytest.mark.django_db(transaction=True)
def test_who_left_before_is_counted_by_the_migration(monkeypatch: pytest.MonkeyPatch) -> None:
    migration = import_module("dripstone.engine.migrations.0034_who_left_before")
    monkeypatch.setattr(migration, "BATCH", 2)
    account = factories.make_account()
    sequence = factories.make_sequence(account, {"delay_value": 0}, {"delay_value": 1})
    places = [factories.make_enrollment(sequence, factories.make_subscriber(account)) for _ in range(5)]
    transitions.remove([places[0].pk], reasons.REMOVED_BY_OWNER, NOW)
    _send()
    transitions.remove([places[1].pk], reasons.REMOVED_BY_OWNER, NOW)
    _send(NOW + timedelta(days=1))
    before = [tallies.of(kind, [sequence.pk]) for kind in (Kind.LEFT, Kind.LEFT_IN_WEEK)]
    Tally.objects.filter(kind__in=[Kind.LEFT, Kind.LEFT_IN_WEEK, Kind.SKIPPED]).delete()
    Enrollment.objects.update(left_after=None)
    for _ in range(2):
        with connection.schema_editor(atomic=False) as editor:
            migration.note(None, editor)
            for kind, rows in migration._ROWS.items():
                editor.execute(migration._COUNT.format(kind=kind, rows=rows))
        assert [tallies.of(kind, [sequence.pk]) for kind in (Kind.LEFT, Kind.LEFT_IN_WEEK)] == before
    assert tallies.differences() == []


@pytest.mark.django_db(transaction=True)
def test_whoever_gets_a_tag_while_they_leave_is_counted_as_gone() -> None:
    account = factories.make_account()
    people = [factories.make_subscriber(account) for _ in range(8)]
    tag = factories.make_tag(account)
    turns = iter(range(16))

    def tag_or_cancel() -> None:
        turn = next(turns)
        if turn % 2:
            tags.add(tag, people[turn // 2], NOW, cause=causes.NONE)
        else:
            transitions.cancel(people[turn // 2].pk, NOW)

    assert [result for result in together(tag_or_cancel, 16) if isinstance(result, Exception)] == []
    assert tallies.of(Kind.TAGGED, [tag.pk]) == {(tag.pk, "cancelled"): 8}
    assert tallies.differences() == []


@pytest.mark.django_db(transaction=True)
def test_people_who_are_taken_out_while_they_leave_are_listed_no_more() -> None:
    account = factories.make_account()
    sequence = factories.make_sequence(account, {"delay_value": 0})
    places = [factories.make_enrollment(sequence, factories.make_subscriber(account)) for _ in range(8)]
    _send()  # all have completed it
    turns = iter(range(16))

    def take_out_or_cancel() -> None:
        turn = next(turns)
        place = places[turn // 2]
        if turn % 2:
            transitions.remove([place.pk], reasons.REMOVED_BY_OWNER, NOW)
        else:
            transitions.cancel(place.subscriber_id, NOW)

    assert [result for result in together(take_out_or_cancel, 16) if isinstance(result, Exception)] == []
    assert tallies.of(Kind.LISTED, [sequence.pk]).total() == 0
    assert tallies.differences() == []


@pytest.mark.django_db(transaction=True)
def test_places_of_before_are_listed_by_the_migration(monkeypatch: pytest.MonkeyPatch) -> None:
    migration = import_module("dripstone.engine.migrations.0025_entries_listed")
    monkeypatch.setattr(migration, "BATCH", 2)
    account = factories.make_account()
    sequence = factories.make_sequence(account, {})
    people = [factories.make_subscriber(account) for _ in range(5)]
    places = [factories.make_enrollment(sequence, person) for person in people]
    transitions.cancel(people[0].pk, NOW)
    transitions.remove([places[1].pk], reasons.REMOVED_BY_OWNER, NOW)
    Entry.objects.update(listed_as="")
    for _ in range(2):
        with connection.schema_editor(atomic=False) as editor:
            migration.fill(None, editor)
        assert tallies.of(Kind.LISTED, [sequence.pk]) == {(sequence.pk, "active"): 3, (sequence.pk, "cancelled"): 1}
    assert tallies.differences() == []


@pytest.mark.django_db(transaction=True)
def test_counts_stay_true_while_others_send_fold_and_repair() -> None:
    account = factories.make_account()
    sequence = factories.make_sequence(account, {"delay_value": 0}, {"delay_value": 1})
    people = [factories.make_subscriber(account) for _ in range(60)]
    for person in people:
        factories.make_enrollment(sequence, person)
    turns = iter(range(8))

    def work() -> None:
        turn = next(turns)
        plan.everything_due(NOW)
        while life.send_batch(f"worker-{turn}", MemorySender(), lambda: NOW):
            tallies.fold()
        for person in people[turn::8]:
            transitions.cancel(person.pk, NOW)
            tallies.differences(repair=True)

    assert [result for result in together(work, 8) if isinstance(result, Exception)] == []
    assert tallies.differences() == []
    assert tallies.of(Kind.PLACES, [sequence.pk]) == {(sequence.pk, "removed"): 60}


def _sent_in_an_earlier_run() -> int:
    """One email to one person, who has started over since. Returns the email's id."""
    account = factories.make_account()
    sequence = factories.make_sequence(account, {"delay_value": 0}, repeat=True)
    person = factories.make_subscriber(account)
    factories.make_enrollment(sequence, person)
    _send()
    factories.make_enrollment(sequence, person, NOW + timedelta(days=1), "bulk")
    return sequence.emails.get().pk


def _send(now: datetime = NOW) -> None:
    plan.everything_due(now)
    while life.send_batch("worker", MemorySender(), lambda: now):
        pass
