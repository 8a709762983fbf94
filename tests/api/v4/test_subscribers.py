from typing import Any

import pytest

from dripstone.events import causes
from dripstone.events.models import Event
from dripstone.subscribers import fields, forms
from dripstone.subscribers.models import Subscriber, Tagging
from tests import factories
from tests.api.caller import Caller

INVALID = (422, {"errors": ["Email address is invalid"]})


def test_it_creates_a_subscriber(alice: Caller) -> None:
    body = {"first_name": "Bea", "email_address": " Bea@Example.org ", "state": "inactive"}
    status, answer = alice.post("/v4/subscribers", body)
    assert status == 201
    assert answer == {
        "subscriber": {
            "id": answer["subscriber"]["id"],
            "first_name": "Bea",
            "email_address": "bea@example.org",
            "state": "inactive",
            "created_at": "2026-11-23T09:00:00Z",
            "fields": {},
        }
    }


def test_an_upsert_changes_the_name_and_never_the_state(alice: Caller) -> None:
    alice.post("/v4/subscribers", {"email_address": "bea@example.org", "state": "cancelled"})
    status, answer = alice.post("/v4/subscribers", {"email_address": "BEA@example.org", "first_name": "Bea"})
    assert (status, answer["subscriber"]["state"], answer["subscriber"]["first_name"]) == (200, "cancelled", "Bea")
    alice.post("/v4/subscribers", {"email_address": "bea@example.org", "state": "active"})
    person = Subscriber.objects.get()
    assert (person.state, person.first_name) == ("cancelled", "Bea")
    assert list(Event.objects.values_list("type", flat=True)) == ["subscriber.created"]


@pytest.mark.parametrize(
    "address", ["", " ", None, "bea", "bea@", "a b@example.org", "bea@localhost", "x" * 300 + "@a.io"]
)
def test_it_refuses_what_is_no_address(alice: Caller, address: Any) -> None:
    assert alice.post("/v4/subscribers", {"email_address": address}) == INVALID
    person = factories.make_subscriber(alice.account)
    assert alice.put(f"/v4/subscribers/{person.pk}", {"email_address": address}) == INVALID


def test_it_lists_every_problem(alice: Caller) -> None:
    body = {"first_name": 3, "state": "happy", "fields": {"company": 4}}
    assert alice.post("/v4/subscribers", body) == (
        422,
        {
            "errors": [
                "Email address is invalid",
                "First name must be a string",
                "state must be one of: active, cancelled, bounced, complained, inactive",
                "fields.company must be a string",
            ]
        },
    )


def test_it_writes_known_fields_and_warns_of_unknown_ones(alice: Caller) -> None:
    alice.post("/v4/custom_fields", {"label": "Last name"})
    body = {"email_address": "bea@example.org", "fields": {"last_name": "Lamarr", "shoe": "41"}}
    status, answer = alice.post("/v4/subscribers", body)
    assert (status, answer["subscriber"]["fields"]) == (201, {"last_name": "Lamarr"})
    assert answer["warnings"] == ["Unknown custom field ignored: shoe"]
    path = f"/v4/subscribers/{answer['subscriber']['id']}"
    assert alice.put(path, {"fields": {"last_name": None}})[1]["subscriber"]["fields"] == {"last_name": None}


def test_more_than_ten_fields_answer_202_and_are_written(alice: Caller, now: Any) -> None:
    for number in range(11):
        fields.create(alice.account.pk, {"label": f"Field {number}"}, now, cause=causes.API)
    values = {f"field_{number}": "x" for number in range(11)}
    status, answer = alice.post("/v4/subscribers", {"email_address": "bea@example.org", "fields": values})
    assert (status, answer["subscriber"]["fields"]) == (202, dict.fromkeys(values))
    path = f"/v4/subscribers/{answer['subscriber']['id']}"
    assert alice.get(path)[1]["subscriber"]["fields"] == values
    assert alice.put(path, {"fields": values})[0] == 202
    too_many = {"email_address": "bea@example.org", "fields": {f"f{number}": "" for number in range(141)}}
    assert alice.post("/v4/subscribers", too_many) == (
        422,
        {"errors": ["fields can't have more than 140 entries"]},
    )


def test_it_gets_a_subscriber(alice: Caller) -> None:
    person = factories.make_subscriber(alice.account)
    status, answer = alice.get(f"/v4/subscribers/{person.pk}")
    assert status == 200
    assert answer["subscriber"]["canceled_at"] is None
    assert answer["subscriber"]["location"]["city"] is None


def test_an_update_is_partial(alice: Caller) -> None:
    person = factories.make_subscriber(alice.account, first_name="Rita")
    path = f"/v4/subscribers/{person.pk}"
    assert alice.put(path, {"email_address": "new@example.org"})[1]["subscriber"]["first_name"] == "Rita"
    assert alice.put(path, {"first_name": None})[1]["subscriber"]["email_address"] == "new@example.org"
    person.refresh_from_db()
    assert (person.first_name, person.email_address) == (None, "new@example.org")


def test_an_update_refuses_a_taken_address(alice: Caller, mallory: Caller) -> None:
    person, other = factories.make_subscriber(alice.account), factories.make_subscriber(alice.account)
    foreign = factories.make_subscriber(mallory.account)
    path = f"/v4/subscribers/{person.pk}"
    taken = (422, {"errors": ["Email address has already been taken"]})
    assert alice.put(path, {"email_address": other.email_address.upper()}) == taken
    assert alice.put(path, {"email_address": foreign.email_address})[0] == 200


def test_it_unsubscribes(alice: Caller) -> None:
    person = factories.make_subscriber(alice.account)
    assert alice.post(f"/v4/subscribers/{person.pk}/unsubscribe", {}) == (204, None)
    assert alice.post(f"/v4/subscribers/{person.pk}/unsubscribe") == (204, None)
    answer = alice.get(f"/v4/subscribers/{person.pk}")[1]["subscriber"]
    assert (answer["state"], answer["canceled_at"]) == ("cancelled", "2026-11-23T09:00:00Z")


def test_it_lists_active_people_newest_first(alice: Caller) -> None:
    first, second = factories.make_subscriber(alice.account), factories.make_subscriber(alice.account)
    gone = factories.make_subscriber(alice.account, state="bounced")
    assert _ids(alice) == [second.pk, first.pk]
    assert _ids(alice, status="bounced") == [gone.pk]
    assert _ids(alice, status="all", sort_order="asc") == [first.pk, second.pk, gone.pk]
    assert _ids(alice, email_address=f"{first.email_address.upper()}, {gone.email_address}") == [first.pk]
    assert "fields" not in alice.get("/v4/subscribers", slim="true")[1]["subscribers"][0]


def test_it_filters_and_sorts_by_dates(alice: Caller, clock: Any) -> None:
    first = factories.make_subscriber(alice.account)
    clock.advance(days=1)
    second = alice.post("/v4/subscribers", {"email_address": "bea@example.org"})[1]["subscriber"]["id"]
    assert _ids(alice, created_after="2026-11-24") == [second]
    assert _ids(alice, created_before="2026-11-24T09:00:00Z") == [first.pk]
    assert _ids(alice, updated_after="2026-11-23T12:00:00+02:00") == [second]
    clock.advance(days=1)
    alice.put(f"/v4/subscribers/{first.pk}", {"first_name": "New"})
    assert _ids(alice, sort_field="updated_at") == [first.pk, second]
    assert _ids(alice, sort_field="created_at", sort_order="asc") == [first.pk, second]
    assert _ids(alice, sort_field="engagement__sent") == [second, first.pk]
    assert _ids(alice, sort_field="engagement__open_rate") == [second, first.pk]


def test_it_adds_what_include_asks_for(alice: Caller, now: Any) -> None:
    person = factories.make_subscriber(alice.account)
    tag = factories.make_tag(alice.account, person)
    form = forms.create(alice.account.pk, {"name": "Sign up"}, now)
    forms.add(form, person, {"referrer": "https://a.example/?utm_source=x&utm_medium=y"}, now, cause=causes.API)
    answer = alice.get("/v4/subscribers", include="attribution,tags,location")[1]["subscribers"][0]
    assert answer["tags"] == [{"id": tag.pk, "name": tag.name}]
    assert answer["attribution"]["utm_source"] == "x"
    assert answer["attribution"]["source_name"] == "Sign up"
    assert answer["location"]["country"] is None


def test_cancelled_at_needs_cancelled_people(alice: Caller) -> None:
    sort = (422, {"errors": ["The status param must be `cancelled` if sort_field is `cancelled_at`"]})
    assert alice.get("/v4/subscribers", sort_field="cancelled_at") == sort
    assert alice.get("/v4/subscribers", include="canceled_at")[0] == 422
    person = factories.make_subscriber(alice.account)
    alice.post(f"/v4/subscribers/{person.pk}/unsubscribe")
    query = {"status": "cancelled", "sort_field": "cancelled_at", "include": "canceled_at"}
    found = alice.get("/v4/subscribers", **query)[1]["subscribers"]
    assert [row["canceled_at"] for row in found] == ["2026-11-23T09:00:00Z"]


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"status": "happy"}, "status must be one of: active, inactive, bounced, complained, cancelled, all"),
        ({"created_after": "yesterday"}, "created_after must be a date (yyyy-mm-dd) or an ISO 8601 timestamp"),
        ({"created_after": "2026-13-40"}, "created_after must be a date (yyyy-mm-dd) or an ISO 8601 timestamp"),
        ({"slim": "yes"}, "slim must be true or false"),
        ({"include": "shoes"}, "include must be one or more of: attribution, tags, location, canceled_at"),
        ({"sort_order": "up"}, "sort_order must be one of: asc, desc"),
        ({"email_address": "a\0b"}, "email_address must not contain NUL characters"),
        (
            {"sort_field": "engagement__opens", "email_address": "a@b.co"},
            "The email_address param cannot be used if sort_field is an engagement field",
        ),
    ],
)
def test_it_refuses_filters_it_cannot_read(alice: Caller, query: dict[str, str], sentence: str) -> None:
    assert alice.get("/v4/subscribers", **query) == (422, {"errors": [sentence]})


def test_it_lists_a_subscribers_tags(alice: Caller) -> None:
    person = factories.make_subscriber(alice.account)
    tags = [factories.make_tag(alice.account, person) for _ in range(2)]
    status, answer = alice.get(f"/v4/subscribers/{person.pk}/tags")
    assert status == 200
    assert [tag["id"] for tag in answer["tags"]] == [tags[1].pk, tags[0].pk]
    assert answer["tags"][0]["tagged_at"] == "2026-11-23T09:00:00Z"
    assert Tagging.objects.count() == 2


def _ids(caller: Caller, **query: str) -> list[int]:
    status, answer = caller.get("/v4/subscribers", **query)
    assert status == 200, answer
    return [row["id"] for row in answer["subscribers"]]
