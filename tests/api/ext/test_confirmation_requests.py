"""Asking somebody to confirm over HTTP, and what is seen of it."""

from typing import Any

import pytest

from dripstone.engine import identity, life, process
from dripstone.engine.models import Delivery
from dripstone.subscribers.models import Subscriber
from tests import factories
from tests.api.caller import Caller


@pytest.fixture
def bob(alice: Caller) -> Subscriber:
    return factories.make_subscriber(alice.account, email_address="bob@example.org", state="inactive")


def ask(caller: Caller, person: Subscriber) -> Any:
    return caller.post(f"/ext/v1/subscribers/{person.pk}/confirmation_request")


def test_it_answers_with_a_delivery_of_no_sequence(alice: Caller, bob: Subscriber) -> None:
    status, answer = ask(alice, bob)
    row = Delivery.objects.get()
    assert (status, answer) == (
        201,
        {
            "delivery": {
                "id": row.pk,
                "sequence_id": None,
                "email_id": None,
                "subscriber_id": bob.pk,
                "broadcast_id": None,
                "run": None,
                "status": "planned",
                "reason": None,
                "reason_text": None,
                "reply": None,
                "attempts": 0,
                "planned_at": "2026-11-23T09:00:00Z",
                "sent_at": None,
                "message_id": identity.message_id(row.pk),
            }
        },
    )
    assert alice.get(f"/ext/v1/deliveries/{row.pk}") == (200, answer)


def test_the_mail_lands_in_the_inbox(alice: Caller, bob: Subscriber) -> None:
    ask(alice, bob)
    life.until_idle()
    process.close()
    [message] = alice.get("/ext/v1/inbox")[1]["messages"]
    assert (message["to"], message["subject"]) == (
        "bob@example.org",
        "Please confirm your subscription to Alice",
    )
    assert identity.confirm_url(bob.sign_ups.get().pk) in message["text"]


def test_it_says_why_not(alice: Caller, bob: Subscriber) -> None:
    ask(alice, bob)
    again = {"errors": ["This person was asked to confirm less than 5 minutes ago"]}
    assert ask(alice, bob) == (422, again)
    active = factories.make_subscriber(alice.account)
    nothing = {"errors": ["There is nothing to confirm: the subscriber is active"]}
    assert ask(alice, active) == (422, nothing)


def test_a_persons_deliveries_are_those_of_their_places_and_notices(
    alice: Caller, mallory: Caller, bob: Subscriber
) -> None:
    ask(alice, bob)
    other = factories.make_subscriber(alice.account, state="inactive")
    ask(alice, other)
    sequence = factories.make_sequence(alice.account, {"delay_value": 0})
    place = factories.make_enrollment(sequence, factories.make_subscriber(alice.account))
    life.until_idle()
    process.close()
    for person, n_deliveries in ((bob.pk, 1), (place.subscriber_id, 1), (other.pk, 1)):
        found = alice.get("/ext/v1/deliveries", subscriber_id=person)[1]["deliveries"]
        assert [row["subscriber_id"] for row in found] == [person] * n_deliveries
        assert mallory.get("/ext/v1/deliveries", subscriber_id=person)[1]["deliveries"] == []
    assert len(alice.get("/ext/v1/deliveries")[1]["deliveries"]) == 3
    of_sequence = alice.get("/ext/v1/deliveries", sequence_id=sequence.pk)[1]["deliveries"]
    assert [row["sequence_id"] for row in of_sequence] == [sequence.pk]
    assert alice.get("/ext/v1/deliveries", sequence_id=sequence.pk, subscriber_id=bob.pk)[1]["deliveries"] == []


def test_one_that_nobody_answered_for_is_decided_about(alice: Caller, mallory: Caller, bob: Subscriber) -> None:
    ask(alice, bob)
    Delivery.objects.update(status="unknown", notice_ready_at=None, ended_at=factories.MONDAY_9)
    row = Delivery.objects.get()
    assert mallory.post(f"/ext/v1/deliveries/{row.pk}/send_again")[0] == 404
    assert alice.post(f"/ext/v1/deliveries/{row.pk}/send_again")[1]["delivery"]["status"] == "planned"
    Delivery.objects.update(status="unknown", notice_ready_at=None, ended_at=factories.MONDAY_9)
    assert alice.post(f"/ext/v1/deliveries/{row.pk}/treat_as_sent")[1]["delivery"]["status"] == "sent"


def test_a_broadcast_says_which_it_is(alice: Caller) -> None:
    row = factories.make_broadcast(factories.make_subscriber(alice.account))
    factories.make_broadcast(factories.make_subscriber(alice.account))
    [found] = alice.get("/ext/v1/deliveries", subscriber_id=row.subscriber_id)[1]["deliveries"]
    assert (found["broadcast_id"], found["subscriber_id"]) == (row.broadcast_id, row.subscriber_id)
    assert (found["sequence_id"], found["email_id"], found["run"]) == (None, None, None)
