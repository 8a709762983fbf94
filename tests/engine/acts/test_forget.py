"""A person is deleted: what goes, what stays, and that nothing on its way is lost or sent twice."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from dripstone.accounts.models import Account
from dripstone.automations.models import Step, Walk
from dripstone.bulk import actions, operations, runner
from dripstone.engine import claim, notices, plan, record, render, transitions
from dripstone.engine.acts import forget, places, undecided
from dripstone.engine.attempts import Outcome
from dripstone.engine.models import Delivery, Enrollment, Entry, Note, Notice
from dripstone.errors import NotFound
from dripstone.events import causes, reading
from dripstone.events.models import Event
from dripstone.imports.models import Import, Rejected, Row, Touched
from dripstone.ops import prune
from dripstone.rules.models import Firing
from dripstone.senders import inbox
from dripstone.senders.base import Outgoing
from dripstone.senders.models import CapturedMessage
from dripstone.sequences.models import Sequence
from dripstone.subscribers import fields, forms, locations, remembered, subscribe, tags
from dripstone.subscribers.models import Remembered, Subscriber
from dripstone.tallies import verbs as tallies
from dripstone.tallies.models import Kind
from dripstone.tracking import responses
from dripstone.tracking.models import Response
from dripstone.triggers import owner_mail
from dripstone.triggers.models import DatedDue, DatedTrigger
from tests.driving import Engine
from tests.factories import (
    MONDAY_9,
    a_location,
    make_account,
    make_enrollment,
    make_purchase,
    make_sequence,
    make_subscriber,
    make_tag,
)
from tests.web.making import make_message

Forget = Callable[[Account, int], object]

NOW = MONDAY_9
OWNER = "alice@example.com"
ADDRESS, NAME, VALUE, REFERRER = "vera.very-own@example.org", "Veranda", "Acme Unlimited", "https://vera.example/page"


@pytest.fixture
def course(alice: Account) -> Sequence:
    return make_sequence(alice, {"delay_value": 0}, {"delay_value": 2})


@pytest.fixture
def vera(course: Sequence) -> Subscriber:
    """In the course, whose first email is due."""
    person = make_subscriber(course.account, email_address=ADDRESS, first_name=NAME)
    make_enrollment(course, person)
    return person


def somebody_with_everything(account: Account, course: Sequence) -> Subscriber:
    """A row in every table that can hold one about a person."""
    company, _ = fields.create(account.pk, {"label": "Company"}, NOW, cause=causes.OWNER)
    given = {"email_address": ADDRESS, "first_name": NAME, "fields": {company.key: VALUE}, "state": "inactive"}
    person = subscribe.upsert(account.pk, given, NOW, cause=causes.API).subscriber
    notices.confirmation(person.pk, NOW)
    transitions.confirm(person.pk, NOW, cause=causes.SUBSCRIBER)
    forms.add(forms.create(account.pk, {"name": "F"}, NOW), person, {"referrer": REFERRER}, NOW, cause=causes.API)
    tags.add(make_tag(account), person, NOW, cause=causes.API)
    make_purchase(account, email_address=ADDRESS)
    locations.pin(person.pk, a_location(), NOW)
    place = make_enrollment(course, person)
    places.pause(place.pk, OWNER, f"{NAME} is on holiday", NOW)
    places.resume(place.pk, OWNER, "", NOW)
    plan.everything_due(NOW)
    make_message(account, to=ADDRESS.upper())
    whom, act = {"ids": [person.pk]}, {"kind": "tag", "tag_id": make_tag(account).pk}
    actions.begin(account, whom, [act], OWNER, NOW, fire_rules=True)
    runner.finish(operations.ALL, account.pk, lambda: NOW)
    owner_mail.ask(account.pk, "rule 7 2", 1, f"{NAME} is here", person.pk, NOW)
    trigger = DatedTrigger.objects.create(
        account=account, owner="rule", owner_id=7, number=0, custom_field_id=company.pk, days=0, hour=9, yearly=False,
        time_zone="UTC", since=NOW,
    )  # fmt: skip
    DatedDue.objects.create(trigger=trigger, account_id=account.pk, subscriber_id=person.pk, at=NOW)
    Firing.objects.create(account_id=account.pk, rule_id=1, subscriber_id=person.pk, trigger={}, at=NOW, cause=[],
                          outcome="fired", is_from_outside=False)  # fmt: skip
    walk = {"account_id": account.pk, "automation_id": 1, "subscriber_id": person.pk, "run": 1}
    Walk.objects.create(**walk, entered_at=NOW, arrived_at=NOW)
    Step.objects.create(**walk, at=NOW, what="entered")
    be_imported(person)
    return person


def be_imported(person: Subscriber) -> None:
    """By one import, which has changed them and rejected another row about them; and by one that still waits."""
    import_ = Import.objects.create(account=person.account, file_name="a.csv", asked_by=OWNER, begun_at=NOW)
    ids, kept = {"of_import": import_, "number": 2}, {"first_name": NAME, "fields": {}}
    got: dict[str, Any] = {"tag_ids": [], "form_ids": [], "place_ids": []}
    Touched.objects.create(
        of_import=import_, subscriber_id=person.pk, is_new=False, at=NOW, before=kept, after=kept, **got
    )
    Row.objects.create(**ids, email_address=ADDRESS, first_name=NAME, values=[VALUE], tags=[])
    Rejected.objects.create(**ids, email_address=ADDRESS, cells=f'["{ADDRESS}", "{VALUE}"]', reason="Too long")


def claimed(sender: str = "worker") -> claim.Claimed:
    (row,) = claim.take(f"{sender}/1", NOW)
    return row


def end(row: claim.Claimed, status: Any, **values: Any) -> None:
    record.outcomes([Outcome(row.delivery_id, row.attempt, status, **values)], NOW)
    assert tallies.differences() == []


def rows_that_say(*texts: str) -> Iterator[str]:
    """Every table is searched, as text."""
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT t::text FROM "{table}" t')
            yield from (f"{table}: {row}" for (row,) in cursor.fetchall() if any(text in row for text in texts))


def tables_about_people() -> dict[str, str]:
    """Each table that points at a person, with the column: by a key, or by its name."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = 'public' AND column_name = 'subscriber_id'"
        )
        return dict(cursor.fetchall())


def alone(account: Account, person_id: int) -> object:
    return forget.forget(account, person_id, OWNER, NOW)


def among_others(account: Account, person_id: int) -> object:
    others = [make_subscriber(account).pk for _ in range(2)]
    gone = forget.forget_all(account, [*others, person_id], NOW, cause=causes.OWNER)
    assert gone == {*others, person_id}
    Event.objects.filter(subscriber_id__in=others).delete()
    return gone


by_either_door = pytest.mark.parametrize("by", [alone, among_others])

# --- What goes ---------------------------------------------------------------------------------------------------


@by_either_door
def test_no_row_of_any_table_says_a_word_about_them(alice: Account, course: Sequence, by: Forget) -> None:
    person = somebody_with_everything(alice, course)
    texts = (ADDRESS, ADDRESS.upper(), NAME, VALUE, REFERRER)
    assert len(list(rows_that_say(*texts))) > 5
    by(alice, person.pk)
    assert list(rows_that_say(*texts)) == []


@by_either_door
def test_every_table_that_points_at_people_is_emptied_of_them(alice: Account, course: Sequence, by: Forget) -> None:
    """Add a line to acts/forget.py for a new one, and a row to `somebody_with_everything`."""
    person = somebody_with_everything(alice, course)
    responses.stamp("opened_at", Delivery.objects.filter(enrollment__isnull=False).get().pk, NOW,
                    account_id=alice.pk, subscriber_id=person.pk, email_id=None)  # fmt: skip
    assert {table for table in tables_about_people() if _n_of(table, person)} == set(tables_about_people())
    by(alice, person.pk)
    assert {table for table in tables_about_people() if _n_of(table, person)} == {"events_event"}
    assert Event.objects.get(subscriber_id=person.pk).type == "subscriber.deleted"


def _n_of(table: str, person: Subscriber) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f'SELECT count(*) FROM "{table}" WHERE subscriber_id = %s', [person.pk])
        n: int = cursor.fetchone()[0]
    return n


@by_either_door
def test_places_and_what_hangs_on_them_go(alice: Account, course: Sequence, by: Forget) -> None:
    person = somebody_with_everything(alice, course)
    other = make_enrollment(course, make_subscriber(alice))
    by(alice, person.pk)
    assert list(Enrollment.objects.all()) == [other]
    assert Note.objects.count() == 0
    assert Entry.objects.count() == 1
    assert Notice.objects.count() == 0


@by_either_door
def test_a_message_to_several_people_goes_with_its_copies(alice: Account, vera: Subscriber, by: Forget) -> None:
    first = CapturedMessage(account=alice, subject="s", from_address="a@b.example", sent_at=NOW, raw=b"To: both")
    inbox.keep(first, ["other@example.org", ADDRESS])
    kept = make_message(alice, to="other@example.org")
    by(alice, vera.pk)
    assert list(CapturedMessage.objects.values_list("pk", flat=True)) == [kept.pk]


def test_only_that_they_were_deleted_is_told_and_who_did_it(alice: Account, vera: Subscriber) -> None:
    with reading.following("test", start="first"):
        pass
    forget.forget(alice, vera.pk, OWNER, NOW)
    with reading.following("test") as told:
        assert [(one.type, one.subscriber_id, one.cause, one.data) for one in told] == [
            ("subscriber.deleted", vera.pk, ["owner"], {})
        ]


def test_it_says_beforehand_what_it_will_do_and_changes_nothing(alice: Account, course: Sequence) -> None:
    person = somebody_with_everything(alice, course)
    told = forget.foreseen(alice, person.pk, NOW)
    assert Subscriber.objects.filter(pk=person.pk).exists()
    assert tallies.differences() == []
    done = forget.forget(alice, person.pk, OWNER, NOW)
    assert done == told
    assert (done.n_planned, done.n_on_the_wire, done.ended.total()) == (2, 0, 0)
    assert {name: n for name, n in done.rows.items() if name != "events"} == {
        "messages": 1, "responses": 0, "deliveries": 2, "notices": 1, "notes": 2, "places": 1, "tags": 2, "forms": 1,
        "sign_ups": 1, "person": 1, "location": 1, "purchases": 1, "lines": 1,
        "changes": 1, "dates": 1, "told": 1, "firings": 1, "steps": 1, "walks": 1,
        "imported": 1, "imports_row": 1, "imports_rejected": 1,
    }  # fmt: skip


def test_somebody_of_another_account_is_not_found(vera: Subscriber) -> None:
    with pytest.raises(NotFound):
        forget.forget(make_account("Mallory"), vera.pk, OWNER, NOW)
    assert Subscriber.objects.filter(pk=vera.pk).exists()


def test_a_second_time_they_are_not_found(alice: Account, vera: Subscriber) -> None:
    forget.forget(alice, vera.pk, OWNER, NOW)
    with pytest.raises(NotFound):
        forget.forget(alice, vera.pk, OWNER, NOW)


# --- What stays --------------------------------------------------------------------------------------------------


@by_either_door
def test_what_they_were_sent_stays_counted(
    alice: Account, course: Sequence, vera: Subscriber, engine: Engine, by: Forget
) -> None:
    engine.run()
    sent = Delivery.objects.get(status="sent")
    transitions.cancel(vera.pk, NOW, delivery_id=sent.pk, cause=causes.SUBSCRIBER)
    before = [tallies.of(kind, [sent.email_id or 0]) for kind in (Kind.DELIVERIES, Kind.SENT_IN_WEEK, Kind.RESPONSES)]
    assert all(before)
    by(alice, vera.pk)
    assert Delivery.objects.count() == Response.objects.count() == 0
    after = [tallies.of(kind, [sent.email_id or 0]) for kind in (Kind.DELIVERIES, Kind.SENT_IN_WEEK, Kind.RESPONSES)]
    assert after == before
    assert tallies.differences() == []


@by_either_door
def test_they_leave_the_counts_of_people(alice: Account, course: Sequence, by: Forget) -> None:
    person = somebody_with_everything(alice, course)
    by(alice, person.pk)
    for kind in (Kind.PEOPLE, Kind.TAGGED, Kind.ON_FORM, Kind.PLACES, Kind.WAITING, Kind.LISTED):
        subjects = [alice.pk, course.pk, *course.emails.values_list("pk", flat=True)]
        assert not any(tallies.of(kind, subjects).values()), kind
    assert tallies.differences() == []


@pytest.mark.parametrize("end_them", [transitions.cancel, transitions.bounce, transitions.complain])
def test_who_must_not_be_mailed_comes_back_as_they_went(alice: Account, vera: Subscriber, end_them: Any) -> None:
    end_them(vera.pk, NOW)
    vera.refresh_from_db()
    assert forget.forget(alice, vera.pk, OWNER, NOW + timedelta(days=1)).remembered_as == vera.state
    written = subscribe.upsert(alice.pk, {"email_address": ADDRESS.title()}, NOW, cause=("import 1",))
    assert written.is_new
    assert written.subscriber.state == vera.state
    assert Subscriber.objects.get(email_address=ADDRESS).state == vera.state
    assert Subscriber.objects.get(email_address=ADDRESS).canceled_at == vera.canceled_at
    (told,) = Event.objects.filter(subscriber_id=written.subscriber.pk)
    assert (told.type, told.data) == ("subscriber.created", {"remembered_as": vera.state})
    assert Remembered.objects.count() == 0


def test_it_is_remembered_as_often_as_they_are_deleted(alice: Account, vera: Subscriber) -> None:
    transitions.complain(vera.pk, NOW)
    forget.forget(alice, vera.pk, OWNER, NOW)
    for _ in range(2):
        again = subscribe.upsert(alice.pk, {"email_address": ADDRESS}, NOW, cause=causes.API).subscriber
        assert again.state == "complained"
        forget.forget(alice, again.pk, OWNER, NOW)
    assert remembered.state_of(alice.pk, ADDRESS) == "complained"


@pytest.mark.parametrize(
    ("went_as", "given", "comes_as"),
    [
        ("cancelled", None, "cancelled"),
        ("cancelled", "active", "cancelled"),
        ("cancelled", "inactive", "cancelled"),
        ("cancelled", "complained", "complained"),
        ("bounced", "cancelled", "bounced"),
        ("complained", "cancelled", "complained"),
    ],
)
def test_what_is_remembered_outweighs_what_is_given_and_a_complaint_all(
    alice: Account, went_as: str, given: str | None, comes_as: str
) -> None:
    remembered.remember(alice.pk, ADDRESS, went_as, NOW)
    person = subscribe.upsert(alice.pk, {"email_address": ADDRESS, "state": given}, NOW, cause=causes.API).subscriber
    assert person.state == comes_as
    assert tallies.differences() == []


@pytest.mark.parametrize("state", ["active", "inactive"])
def test_of_others_nothing_is_remembered(alice: Account, state: str) -> None:
    person = make_subscriber(alice, email_address=ADDRESS, state=state)
    assert forget.forget(alice, person.pk, OWNER, NOW).remembered_as is None
    assert Remembered.objects.count() == 0
    assert subscribe.upsert(alice.pk, {"email_address": ADDRESS}, NOW, cause=causes.API).subscriber.state == "active"


def test_another_account_knows_nothing_of_it(alice: Account, vera: Subscriber) -> None:
    transitions.cancel(vera.pk, NOW)
    forget.forget(alice, vera.pk, OWNER, NOW)
    other = make_account("Mallory")
    assert subscribe.upsert(other.pk, {"email_address": ADDRESS}, NOW, cause=causes.API).subscriber.state == "active"


def test_nobody_gets_such_an_address_by_a_change(alice: Account, vera: Subscriber) -> None:
    transitions.bounce(vera.pk, NOW)
    forget.forget(alice, vera.pk, OWNER, NOW)
    other = make_subscriber(alice)
    with pytest.raises(Exception, match="must not be mailed: it does not take mail any more"):
        subscribe.update(other.pk, {"email_address": ADDRESS}, NOW, cause=causes.API)
    other.refresh_from_db()
    assert other.email_address != ADDRESS


def test_with_another_secret_key_nothing_is_recognised_and_that_is_known(alice: Account, settings: Any) -> None:
    remembered.remember(alice.pk, ADDRESS, "cancelled", NOW)
    assert remembered.n_unreadable() == 0
    settings.SECRET_KEY = "another one, by mistake"
    assert remembered.n_unreadable() == 1
    assert remembered.state_of(alice.pk, ADDRESS) is None


# --- On its way --------------------------------------------------------------------------------------------------


def test_planned_mail_never_leaves(alice: Account, vera: Subscriber, engine: Engine) -> None:
    plan.everything_due(NOW)
    assert forget.forget(alice, vera.pk, OWNER, NOW).n_planned == 1
    engine.run_until(NOW + timedelta(days=30))
    assert engine.mail.messages == []
    assert tallies.differences() == []


def test_what_is_on_the_wire_is_recorded_and_goes_then(alice: Account, course: Sequence, vera: Subscriber) -> None:
    plan.everything_due(NOW)
    row = claimed()
    assert forget.forget(alice, vera.pk, OWNER, NOW).n_on_the_wire == 1
    assert Delivery.objects.get().status == "sending"
    end(row, "sent")
    assert Delivery.objects.count() == 0
    first = course.emails.get(position=0)
    assert tallies.of(Kind.DELIVERIES, [first.pk]) == {(first.pk, "sent"): 1}


@pytest.mark.parametrize("status", ["failed", "unknown", "skipped"])
def test_however_it_ends(alice: Account, course: Sequence, vera: Subscriber, status: str) -> None:
    plan.everything_due(NOW)
    row = claimed()
    forget.forget(alice, vera.pk, OWNER, NOW)
    end(row, status)
    assert Delivery.objects.count() == 0
    assert tallies.of(Kind.DELIVERIES, [row.email_id or 0]) == {(row.email_id, status): 1}


@by_either_door
def test_refused_for_now_it_never_goes_again(alice: Account, vera: Subscriber, engine: Engine, by: Forget) -> None:
    plan.everything_due(NOW)
    row = claimed()
    by(alice, vera.pk)
    end(row, "planned", retry_in=timedelta(minutes=1))
    assert Delivery.objects.count() == 0
    assert tallies.of(Kind.DELIVERIES, [row.email_id or 0]) == {(row.email_id, "skipped"): 1}
    engine.run_until(NOW + timedelta(days=3))
    assert engine.mail.messages == []


@by_either_door
def test_a_bounce_that_comes_too_late_is_nobodys(alice: Account, vera: Subscriber, by: Forget) -> None:
    plan.everything_due(NOW)
    row = claimed()
    by(alice, vera.pk)
    end(row, "failed", hard_bounce=True)
    assert Delivery.objects.count() == 0


@by_either_door
def test_what_was_claimed_and_not_yet_written_does_not_leave(alice: Account, vera: Subscriber, by: Forget) -> None:
    """The others of the batch do."""
    other = make_subscriber(alice)
    make_enrollment(vera.enrollments.get().sequence, other)
    plan.everything_due(NOW)
    rows = claim.take("worker/1", NOW)
    by(alice, vera.pk)
    rendered = render.messages(rows, NOW)
    assert [message.rcpt_to for message in rendered.messages] == [other.email_address]
    assert [(one.status, one.reason) for one in rendered.withheld] == [("skipped", "subscriber_deleted")]


def test_an_email_deleted_under_way_goes_through_the_whole_engine(
    alice: Account, vera: Subscriber, engine: Engine
) -> None:
    """They are deleted while the server answers: the answer is recorded, and the worker goes on."""
    other = make_subscriber(alice)
    make_enrollment(vera.enrollments.get().sequence, other)
    accept = engine.mail.answer

    def delete_and_accept(message: Outgoing) -> Any:
        if message.rcpt_to == ADDRESS:
            forget.forget(alice, vera.pk, OWNER, NOW)
        return accept(message)

    engine.mail.answer = delete_and_accept
    engine.run()
    assert {message.rcpt_to for message in engine.mail.messages} == {ADDRESS, other.email_address}
    assert list(Delivery.objects.values_list("subscriber", flat=True)) == [other.pk]
    assert tallies.differences() == []


def test_a_notice_on_the_wire_is_recorded_and_goes_then(alice: Account) -> None:
    person = make_subscriber(alice, state="inactive")
    notices.confirmation(person.pk, NOW)
    row = claimed()
    forget.forget(alice, person.pk, OWNER, NOW)
    end(row, "failed", hard_bounce=True)
    assert Delivery.objects.count() == Notice.objects.count() == 0


def test_nobody_decides_about_a_mail_whose_reader_is_gone(alice: Account, vera: Subscriber) -> None:
    plan.everything_due(NOW)
    row = claimed()
    end(row, "unknown")
    forget.forget(alice, vera.pk, OWNER, NOW)
    for decide in (undecided.send_again, undecided.treat_as_sent):
        with pytest.raises(NotFound):
            decide(row.delivery_id, OWNER, "", NOW)


def test_what_an_older_worker_recorded_of_them_is_pruned(alice: Account, vera: Subscriber, settings: Any) -> None:
    settings.DRIPSTONE_KEEP_DELIVERIES_DAYS = 1
    plan.everything_due(NOW)
    row = claimed()
    forget.forget(alice, vera.pk, OWNER, NOW)
    ended = {"status": "sent", "lease_until": None, "sent_at": NOW, "ended_at": NOW}
    Delivery.objects.filter(pk=row.delivery_id).update(**ended)
    prune.everything(NOW + timedelta(days=3))
    assert Delivery.objects.count() == 0
