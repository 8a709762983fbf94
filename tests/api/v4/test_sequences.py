"""Sequences over HTTP: exact answers, and nobody else's."""

from typing import Any

import pytest

from dripstone.engine import transitions
from dripstone.engine.models import Delivery, Enrollment
from dripstone.sequences.models import Sequence
from dripstone.words import WEEKDAYS
from tests import factories
from tests.api.caller import Caller
from tests.factories import MONDAY_9

NOT_FOUND = (404, {"errors": ["Not Found"]})
NO_STATS = {
    "unsubscribers": 0,
    "recipients": 0,
    "opens": 0,
    "clicks": 0,
    "email_unsubscribes": 0,
    "bounces": 0,
    "complaints": 0,
    "open_rate": None,
    "click_rate": None,
    "click_to_open_rate": None,
    "unsubscribe_rate": None,
    "bounce_rate": None,
    "complaint_rate": None,
}


def create(caller: Caller, **values: Any) -> dict[str, Any]:
    status, answer = caller.post("/v4/sequences", {"name": "Course", **values})
    assert status == 201, answer
    shape: dict[str, Any] = answer["sequence"]
    return shape


def test_it_creates_a_sequence_from_a_name(alice: Caller) -> None:
    assert alice.post("/v4/sequences", {"name": "Full Series"}) == (
        201,
        {
            "sequence": {
                "id": Sequence.objects.get().pk,
                "name": "Full Series",
                "hold": False,
                "repeat": False,
                "created_at": "2026-11-23T09:00:00Z",
                "updated_at": "2026-11-23T09:00:00Z",
                "email_address": alice.account.primary_email_address,
                "email_template_id": None,
                "send_days": list(WEEKDAYS),
                "send_hour": 11,
                "time_zone": "America/New_York",
                "active": True,
                "exclude_subscriber_sources": [],
                "email_count": 0,
                "subscriber_count": 0,
            }
        },
    )


def test_what_was_created_can_be_read(alice: Caller) -> None:
    tag, other = factories.make_tag(alice.account), create(alice)
    made = create(
        alice,
        send_days=["friday", "monday"],
        send_hour=9,
        time_zone="America/Los_Angeles",
        active=False,
        repeat=True,
        hold=True,
        exclude_subscriber_sources=[{"type": "tag", "ids": [tag.pk]}, {"type": "sequence", "ids": [other["id"]]}],
    )
    assert made["send_days"] == ["monday", "friday"]
    assert made["exclude_subscriber_sources"] == [
        {"type": "sequence", "ids": [other["id"]]},
        {"type": "tag", "ids": [tag.pk]},
    ]
    assert alice.get(f"/v4/sequences/{made['id']}") == (200, {"sequence": made})


def test_what_was_read_can_be_written_back(alice: Caller, clock: Any) -> None:
    made = create(alice, send_days=["sunday"])
    clock.advance(hours=1)
    assert alice.put(f"/v4/sequences/{made['id']}", made) == (200, {"sequence": made})


@pytest.mark.parametrize("body", [None, {}, {"name": None}, {"name": " "}])
def test_a_name_is_needed(alice: Caller, body: Any) -> None:
    assert alice.post("/v4/sequences", body) == (422, {"errors": ["name can't be blank"]})


def test_it_tells_all_problems(alice: Caller) -> None:
    assert alice.post("/v4/sequences", {"send_hour": 24, "hold": "no", "time_zone": "Mars"}) == (
        422,
        {
            "errors": [
                "name can't be blank",
                "send_hour must be an integer between 0 and 23",
                "time_zone must be an IANA time zone, such as America/New_York",
                "hold must be true or false",
            ]
        },
    )
    assert alice.post("/v4/sequences", [1]) == (422, {"errors": ["The request body must be a JSON object"]})
    assert not Sequence.objects.exists()


def test_an_update_is_partial(alice: Caller, clock: Any) -> None:
    made = create(alice, send_hour=5)
    clock.advance(minutes=1)
    path = f"/v4/sequences/{made['id']}"
    assert alice.put(path, {"name": "New Name", "active": False}) == (
        200,
        {"sequence": made | {"name": "New Name", "active": False, "updated_at": "2026-11-23T09:01:00Z"}},
    )
    assert alice.put(path, {}) == alice.get(path)
    assert alice.put(path, {"name": ""}) == (422, {"errors": ["name can't be blank"]})


def test_a_deleted_sequence_is_gone_everywhere(alice: Caller) -> None:
    made, person = create(alice), factories.make_subscriber(alice.account)
    path = f"/v4/sequences/{made['id']}"
    email = alice.post(f"{path}/emails", {"subject": "Hi", "delay_value": 1, "delay_unit": "days"})[1]["email"]
    assert alice.delete(path) == (204, None)
    for method, rest, body in calls(email["id"], person.pk, person.email_address):
        assert getattr(alice, method)(path + rest, *body) == NOT_FOUND
    assert alice.get("/v4/sequences")[1]["sequences"] == []


def calls(email_id: int, subscriber_id: int, address: str) -> list[tuple[str, str, list[Any]]]:
    """Every call below /v4/sequences/{id}."""
    email = {"subject": "Hi", "delay_value": 1, "delay_unit": "days"}
    return [
        ("get", "", []),
        ("put", "", [{"name": "Mine"}]),
        ("get", "/emails", []),
        ("post", "/emails", [email]),
        ("get", f"/emails/{email_id}", []),
        ("put", f"/emails/{email_id}", [{"subject": "Mine"}]),
        ("delete", f"/emails/{email_id}", []),
        ("get", "/subscribers", []),
        ("post", "/subscribers", [{"email_address": address}]),
        ("post", f"/subscribers/{subscriber_id}", [{}]),
        ("delete", f"/subscribers/{subscriber_id}", []),
        ("delete", "", []),
    ]


@pytest.mark.parametrize("id", ["0", "9999999999999999999999", "abc", "-1", "1.5"])
def test_ids_nobody_has_are_not_found(alice: Caller, id: str) -> None:
    for method, rest, body in calls(1, 1, "rita@example.org"):
        assert getattr(alice, method)(f"/v4/sequences/{id}{rest}", *body) == NOT_FOUND


def test_it_lists_sequences_newest_first_in_pages(alice: Caller) -> None:
    ids = [create(alice)["id"] for _ in range(5)][::-1]
    status, first = alice.get("/v4/sequences", per_page=2, include_total_count="true")
    assert (status, [row["id"] for row in first["sequences"]]) == (200, ids[:2])
    assert first["pagination"]["total_count"] == 5
    second = alice.get("/v4/sequences", per_page=2, after=first["pagination"]["end_cursor"])[1]
    assert [row["id"] for row in second["sequences"]] == ids[2:4]
    back = alice.get("/v4/sequences", per_page=2, before=second["pagination"]["start_cursor"])[1]
    assert [row["id"] for row in back["sequences"]] == ids[:2]
    assert set(first["sequences"][0]) == set(alice.get(f"/v4/sequences/{ids[0]}")[1]["sequence"])


def test_it_counts_live_emails_and_people_under_way(alice: Caller) -> None:
    sequence = factories.make_sequence(alice.account, {}, {"published": False}, {"deleted_at": MONDAY_9})
    people = [factories.make_subscriber(alice.account) for _ in range(3)]
    places = [factories.make_enrollment(sequence, person) for person in people]
    transitions.remove([places[0].pk], "removed_by_owner", MONDAY_9)
    answer = alice.get(f"/v4/sequences/{sequence.pk}")[1]
    assert (answer["sequence"]["email_count"], answer["sequence"]["subscriber_count"]) == (2, 2)


def test_stats_come_when_asked_for(alice: Caller) -> None:
    made = create(alice)
    path = f"/v4/sequences/{made['id']}"
    assert alice.get(path, include="stats") == (200, {"sequence": made | {"stats": NO_STATS}})
    assert alice.get("/v4/sequences", include="stats")[1]["sequences"] == [made | {"stats": NO_STATS}]
    refused = (422, {"errors": ["include must be one or more of: stats"]})
    assert alice.get(path, include="stats,everything") == refused
    assert alice.get("/v4/sequences", include="content") == refused


def sent(place: Enrollment, email_id: int, **values: Any) -> Delivery:
    stamps = {"status": "sent", "planned_at": MONDAY_9, "sent_at": MONDAY_9, "ended_at": MONDAY_9}
    return Delivery.objects.create(
        account_id=place.account_id,
        sequence_id=place.sequence_id,
        subscriber_id=place.subscriber_id,
        enrollment=place,
        run=place.run,
        email_id=email_id,
        **(stamps | values),
    )


def test_stats_count_what_was_sent_and_what_came_back(alice: Caller) -> None:
    sequence = factories.make_sequence(alice.account, {}, {})
    first, second = sequence.emails.order_by("position")
    people = [factories.make_subscriber(alice.account) for _ in range(4)]
    places = [factories.make_enrollment(sequence, person) for person in people]
    deliveries = [sent(place, first.pk) for place in places]
    sent(places[0], second.pk)
    sent(places[1], second.pk, status="skipped", sent_at=None)
    transitions.cancel(people[0].pk, MONDAY_9, delivery_id=deliveries[0].pk)
    transitions.bounce(people[1].pk, MONDAY_9, delivery_id=deliveries[1].pk)
    transitions.complain(people[2].pk, MONDAY_9, delivery_id=deliveries[2].pk)
    transitions.cancel(people[3].pk, MONDAY_9)

    stats = alice.get(f"/v4/sequences/{sequence.pk}", include="stats")[1]["sequence"]["stats"]
    assert stats == NO_STATS | {
        "unsubscribers": 4,
        "recipients": 5,
        "email_unsubscribes": 1,
        "bounces": 1,
        "complaints": 1,
        "open_rate": 0.0,
        "click_rate": 0.0,
        "unsubscribe_rate": 0.2,
        "bounce_rate": 0.2,
        "complaint_rate": 0.2,
    }
    emails = alice.get(f"/v4/sequences/{sequence.pk}/emails", include="stats")[1]["emails"]
    assert [email["stats"]["recipients"] for email in emails] == [4, 1]
    assert [email["stats"]["unsubscribe_rate"] for email in emails] == [0.25, 0.0]
    assert emails[1]["stats"]["open_rate"] == 0.0
    one = alice.get(f"/v4/sequences/{sequence.pk}/emails/{first.pk}", include="stats")[1]["email"]
    assert one["stats"] == emails[0]["stats"]
