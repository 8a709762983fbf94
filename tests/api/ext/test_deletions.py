"""Everything about one person over HTTP: as a file, and its deletion."""

import pytest

from dripstone.engine import notices, plan, transitions
from dripstone.engine.models import Delivery
from dripstone.events import causes
from dripstone.subscribers import fields, forms, locations, subscribe, tags
from dripstone.subscribers.models import Subscriber
from tests import factories
from tests.api.caller import Caller
from tests.automations.making import add, automation, wait
from tests.factories import MONDAY_9 as NOW
from tests.web.making import make_message

REFERRER = "https://blog.example/post?utm_source=blog&utm_campaign=spring"


@pytest.fixture
def bob(alice: Caller) -> Subscriber:
    """In a sequence, whose first email is planned; in an automation; tagged, from a form, asked to confirm once."""
    account = alice.account
    fields.create(account.pk, {"label": "Company"}, NOW, cause=causes.API)
    fields.create(account.pk, {"label": "Never given"}, NOW, cause=causes.API)
    given = {
        "email_address": "bob@example.org",
        "first_name": "Bob",
        "fields": {"company": "Acme"},
        "state": "inactive",
    }
    person = subscribe.upsert(account.pk, given, NOW, cause=causes.API).subscriber
    notices.confirmation(person.pk, NOW)
    transitions.confirm(person.pk, NOW, cause=causes.SUBSCRIBER)
    tags.add(factories.make_tag(account, name="VIP"), person, NOW, cause=causes.API)
    form = forms.create(account.pk, {"name": "Sign up"}, NOW)
    forms.add(form, person, {"referrer": REFERRER}, NOW, cause=causes.API)
    factories.make_purchase(account, email_address="bob@example.org", shipping=3.5)
    locations.pin(person.pk, factories.a_location(), NOW)
    factories.make_enrollment(factories.make_sequence(account, {"delay_value": 0, "subject": "Hello"}), person)
    plan.everything_due(NOW)
    add(automation(account, wait("w"), now=NOW), person, now=NOW)
    make_message(account, to="bob@example.org")
    make_message(account, to="somebody.else@example.org")
    return person


def test_the_file_has_all_that_is_kept(alice: Caller, bob: Subscriber) -> None:
    sent = Delivery.objects.get(enrollment__isnull=False)
    transitions.cancel(bob.pk, NOW, delivery_id=sent.pk, cause=causes.SUBSCRIBER)
    status, answer = alice.get(f"/ext/v1/subscribers/{bob.pk}/file")
    assert status == 200
    file = answer["file"]
    assert file["subscriber"] == {
        "id": bob.pk,
        "email_address": "bob@example.org",
        "first_name": "Bob",
        "state": "cancelled",
        "created_at": "2026-11-23T09:00:00Z",
        "updated_at": "2026-11-23T09:00:00Z",
        "canceled_at": "2026-11-23T09:00:00Z",
    }
    assert file["fields"] == [{"label": "Company", "key": "company", "value": "Acme"}]
    assert [one["name"] for one in file["tags"]] == ["VIP"]
    (entry,) = file["forms"]
    assert (entry["name"], entry["referrer"]) == ("Sign up", REFERRER)
    assert entry["referrer_utm_parameters"]["campaign"] == "spring"
    (place,) = file["enrollments"]
    assert (place["sequence_name"], place["source"], place["status"], place["run"]) == ("Course", "api", "removed", 1)
    told = {one["subject"]: (one["status"], one["came_back"]) for one in file["deliveries"]}
    assert told["Hello"] == ("skipped", {"unsubscribed_at": "2026-11-23T09:00:00Z"})
    assert [one["kind"] for one in file["notices"]] == ["confirmation"]
    assert {one["type"] for one in file["events"]} >= {"subscriber.created", "subscriber.unsubscribed"}
    assert [one["to"] for one in file["captured_messages"]] == ["bob@example.org"]
    [bought] = file["purchases"]
    assert (bought["total"], bought["shipping"], bought["products"][0]["name"]) == (54.5, 3.5, "Course")
    assert {"location": file["location"]} == factories.a_location()
    assert [(one["status"], one["email_address"]) for one in file["sign_ups"]] == [("confirmed", "bob@example.org")]
    [walk] = file["automations"]
    assert (walk["automation_name"], walk["run"], walk["node"], walk["left_at"]) == ("Course", 1, "w", None)
    assert [(step["what"], step["node"]) for step in walk["log"]] == [("entered", "w")]


def test_what_a_deletion_will_do_is_told_before(alice: Caller, bob: Subscriber) -> None:
    status, answer = alice.get(f"/ext/v1/subscribers/{bob.pk}/deletion")
    assert status == 200
    (waiting,) = answer["deletion"].pop("waiting")
    assert waiting["due_at"] is None  # it is planned
    n_events = answer["deletion"].pop("n_events")
    assert n_events > 4
    assert answer["deletion"] == {
        "n_planned": 2,
        "n_on_the_wire": 0,
        "n_deliveries": 0,
        "n_places": 1,
        "n_tags": 1,
        "n_forms": 1,
        "n_sign_ups": 1,
        "n_purchases": 1,
        "n_notes": 0,
        "n_walks": 1,
        "n_notices": 1,
        "n_captured_messages": 1,
        "remembered_as": None,
    }
    assert alice.get(f"/v4/subscribers/{bob.pk}")[0] == 200


def test_a_deleted_person_is_not_found_and_the_address_is_somebody_new(alice: Caller, bob: Subscriber) -> None:
    assert alice.delete(f"/ext/v1/subscribers/{bob.pk}")[0] == 204
    for path in (f"/v4/subscribers/{bob.pk}", f"/ext/v1/subscribers/{bob.pk}/file"):
        assert alice.get(path)[0] == 404
    assert alice.delete(f"/ext/v1/subscribers/{bob.pk}")[0] == 404
    status, answer = alice.post("/v4/subscribers", {"email_address": "bob@example.org"})
    assert (status, answer["subscriber"]["state"], answer["subscriber"]["fields"]["company"]) == (201, "active", None)


def test_who_had_unsubscribed_is_cancelled_when_added_again(alice: Caller, bob: Subscriber) -> None:
    """In Kit's shape, as anybody new."""
    alice.post(f"/v4/subscribers/{bob.pk}/unsubscribe")
    assert alice.get(f"/ext/v1/subscribers/{bob.pk}/deletion")[1]["deletion"]["remembered_as"] == "cancelled"
    alice.delete(f"/ext/v1/subscribers/{bob.pk}")
    status, answer = alice.post("/v4/subscribers", {"email_address": "BOB@example.org"})
    assert (status, answer["subscriber"]["state"]) == (201, "cancelled")


def test_nobody_takes_over_an_address_that_must_not_be_mailed(alice: Caller, bob: Subscriber) -> None:
    other = factories.make_subscriber(alice.account)
    alice.post(f"/v4/subscribers/{bob.pk}/unsubscribe")
    alice.delete(f"/ext/v1/subscribers/{bob.pk}")
    status, answer = alice.put(f"/v4/subscribers/{other.pk}", {"email_address": "bob@example.org"})
    assert status == 422
    assert answer["errors"] == [
        "Email address belongs to somebody who was deleted, and must not be mailed: they unsubscribed"
    ]
