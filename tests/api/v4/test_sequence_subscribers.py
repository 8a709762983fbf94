"""People in a sequence over HTTP: adding, listing, taking out."""

from typing import Any

import pytest

from dripstone.engine import transitions
from dripstone.engine.models import Delivery, Enrollment
from dripstone.sequences.models import Sequence
from dripstone.subscribers.models import CustomField, Subscriber
from tests import factories
from tests.api.caller import Caller
from tests.factories import MONDAY_9

NOT_FOUND = (404, {"errors": ["Not Found"]})


@pytest.fixture
def sequence(alice: Caller) -> Sequence:
    return factories.make_sequence(alice.account, {"delay_value": 0}, {})


@pytest.fixture
def path(sequence: Sequence) -> str:
    return f"/v4/sequences/{sequence.pk}/subscribers"


@pytest.fixture
def rita(alice: Caller) -> Subscriber:
    return factories.make_subscriber(alice.account, email_address="rita@example.org")


def test_it_adds_by_address_and_by_id(alice: Caller, path: str, rita: Subscriber, clock: Any) -> None:
    field = CustomField.objects.create(account=alice.account, label="Town", key="town", name="x", created_at=MONDAY_9)
    rita.fields = {str(field.pk): "Bath"}
    rita.save()
    clock.advance(minutes=5)
    added = {
        "subscriber": {
            "id": rita.pk,
            "first_name": "Rita",
            "email_address": "rita@example.org",
            "state": "active",
            "created_at": "2026-11-23T09:00:00Z",
            "added_at": "2026-11-23T09:05:00Z",
            "fields": {"town": "Bath"},
        }
    }
    assert alice.post(path, {"email_address": "Rita@Example.org"}) == (201, added)
    clock.advance(minutes=5)
    assert alice.post(path, {"email_address": "rita@example.org"}) == (200, added)
    assert alice.post(f"{path}/{rita.pk}", {}) == (200, added)
    assert alice.post(f"{path}/{rita.pk}") == (200, added)
    place = Enrollment.objects.get()
    assert (place.status, place.source, place.next_email and place.next_email.position) == ("active", "api", 0)

    other = factories.make_subscriber(alice.account)
    assert alice.post(f"{path}/{other.pk}", {})[0] == 201


def test_it_says_what_is_missing(alice: Caller, path: str) -> None:
    sentence = "Either subscriber id or email address is required to add subscriber to sequence"
    for body in (None, {}, {"email_address": None}, {"email_address": " "}):
        assert alice.post(path, body) == (422, {"errors": [sentence]})
    assert alice.post(path, {"email_address": 3}) == (422, {"errors": ["email_address must be a string"]})


def test_unknown_people_are_not_found(alice: Caller, path: str) -> None:
    assert alice.post(path, {"email_address": "nobody@example.org"}) == NOT_FOUND
    assert alice.post(path, {"email_address": "no address"}) == NOT_FOUND
    assert alice.post(f"{path}/99999999") == NOT_FOUND
    assert alice.post(f"{path}/{10**30}") == NOT_FOUND


def test_nobody_is_added_to_an_inactive_sequence(
    alice: Caller, path: str, sequence: Sequence, rita: Subscriber
) -> None:
    alice.put(f"/v4/sequences/{sequence.pk}", {"active": False})
    refused = (422, {"errors": ["Sequence is inactive"]})
    assert alice.post(path, {"email_address": rita.email_address}) == refused
    assert alice.post(f"{path}/{rita.pk}", {}) == refused
    assert not Enrollment.objects.exists()


def test_it_lists_people_newest_first(alice: Caller, path: str, clock: Any) -> None:
    people = [factories.make_subscriber(alice.account) for _ in range(3)]
    for person in people:
        alice.post(f"{path}/{person.pk}")
        clock.advance(hours=1)
    ids = [person.pk for person in people][::-1]
    status, answer = alice.get(path, per_page=2, include_total_count="true")
    assert (status, [row["id"] for row in answer["subscribers"]]) == (200, ids[:2])
    assert answer["subscribers"][0] == {
        "id": ids[0],
        "first_name": "Rita",
        "email_address": people[2].email_address,
        "state": "active",
        "created_at": "2026-11-23T09:00:00Z",
        "added_at": "2026-11-23T11:00:00Z",
        "fields": {},
    }
    assert answer["pagination"]["total_count"] == 3
    rest = alice.get(path, per_page=2, after=answer["pagination"]["end_cursor"])[1]
    assert [row["id"] for row in rest["subscribers"]] == ids[2:]


def listed(caller: Caller, path: str, **query: Any) -> list[int]:
    status, answer = caller.get(path, **query)
    assert status == 200, answer
    return sorted(row["id"] for row in answer["subscribers"])


def test_it_filters_by_when_they_were_added_and_made(alice: Caller, path: str, clock: Any) -> None:
    first = factories.make_subscriber(alice.account)
    alice.post(f"{path}/{first.pk}")
    clock.advance(days=2)
    second = factories.make_subscriber(alice.account, created_at=clock.now())
    alice.post(f"{path}/{second.pk}")
    assert listed(alice, path, added_after="2026-11-24") == [second.pk]
    assert listed(alice, path, added_before="2026-11-24T00:00:00Z") == [first.pk]
    assert listed(alice, path, created_after="2026-11-24") == [second.pk]
    assert listed(alice, path, created_before="2026-11-24") == [first.pk]
    assert listed(alice, path, added_after="2026-11-20", added_before="2026-11-30") == [first.pk, second.pk]
    assert alice.get(path, added_after="yesterday") == (
        422,
        {"errors": ["added_after must be a date (yyyy-mm-dd) or an ISO 8601 timestamp"]},
    )


def test_it_filters_by_state(alice: Caller, path: str, sequence: Sequence) -> None:
    people = {state: factories.make_subscriber(alice.account, state=state) for state in ("active", "inactive")}
    for person in people.values():
        alice.post(f"{path}/{person.pk}")
    for state, end in (
        ("cancelled", transitions.cancel),
        ("bounced", transitions.bounce),
        ("complained", transitions.complain),
    ):
        people[state] = factories.make_subscriber(alice.account)
        alice.post(f"{path}/{people[state].pk}")
        end(people[state].pk, MONDAY_9)
    assert listed(alice, path) == [people["active"].pk]
    for state, person in people.items():
        assert listed(alice, path, status=state) == [person.pk]
    assert listed(alice, path, status="all") == sorted(person.pk for person in people.values())
    assert alice.get(path, status="completed") == (
        422,
        {"errors": ["status must be one of: active, inactive, bounced, complained, cancelled, all"]},
    )


def test_the_completed_are_listed_and_the_removed_are_not(alice: Caller, path: str) -> None:
    stays, leaves = factories.make_subscriber(alice.account), factories.make_subscriber(alice.account)
    for person in (stays, leaves):
        alice.post(f"{path}/{person.pk}")
    Enrollment.objects.filter(subscriber=stays).update(
        status="completed", completed_at=MONDAY_9, next_email=None, due_at=None
    )
    assert alice.delete(f"{path}/{leaves.pk}") == (204, None)
    assert listed(alice, path) == [stays.pk]
    assert listed(alice, path, status="all") == [stays.pk]


def test_somebody_taken_out_is_out(alice: Caller, path: str, rita: Subscriber) -> None:
    alice.post(f"{path}/{rita.pk}")
    assert alice.delete(f"{path}/{rita.pk}") == (204, None)
    place = Enrollment.objects.get()
    assert (place.status, place.removed_reason) == ("removed", "removed_by_owner")
    assert alice.delete(f"{path}/{rita.pk}") == NOT_FOUND
    assert not Delivery.objects.filter(status="planned").exists()
    assert alice.post(f"{path}/{rita.pk}")[0] == 201


def test_what_an_owner_writes_about_a_removal_is_no_reason(alice: Caller, path: str, rita: Subscriber) -> None:
    """Taken out with words that read like a state, and cancelled later: she had left before, so she is not listed."""
    alice.post(f"{path}/{rita.pk}")
    place = Enrollment.objects.get()
    reason = {"reason": "subscriber is moving"}
    assert alice.post(f"/ext/v1/enrollments/{place.pk}/remove", reason)[0] == 200
    transitions.cancel(rita.pk, MONDAY_9)
    assert listed(alice, path, status="cancelled") == []
    (note,) = alice.get(f"/ext/v1/enrollments/{place.pk}/notes")[1]["notes"]
    assert note["reason"] == "subscriber is moving"


def test_only_who_is_in_it_can_be_taken_out(alice: Caller, path: str, rita: Subscriber) -> None:
    assert alice.delete(f"{path}/{rita.pk}") == NOT_FOUND
    assert alice.delete(f"{path}/9999999") == NOT_FOUND
