"""Where a subscriber is, by the API."""

from typing import Any

import pytest

from dripstone.subscribers.models import Location, Subscriber
from tests.api.caller import Caller
from tests.conftest import VirtualClock
from tests.factories import a_location, make_subscriber

NOWHERE = {"city": None, "state": None, "country": None, "latitude": None, "longitude": None, "timezone": None}


@pytest.fixture
def person(alice: Caller) -> Subscriber:
    return make_subscriber(alice.account)


def shown(alice: Caller, person: Subscriber) -> Any:
    [one] = alice.get("/v4/subscribers", include="location")[1]["subscribers"]
    assert alice.get(f"/v4/subscribers/{person.pk}")[1]["subscriber"]["location"] == one["location"]
    return one["location"]


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_location_is_pinned_and_shown(alice: Caller, person: Subscriber, method: str) -> None:
    assert shown(alice, person) == NOWHERE
    status, answer = alice.send(method, f"/v4/subscribers/{person.pk}/location", a_location())
    assert (status, answer) == (200, {"subscriber": {"id": person.pk, **a_location()}})
    assert shown(alice, person) == {
        "city": "Boise",
        "state": "Idaho",
        "country": "US",
        "latitude": 43.62,
        "longitude": -116.2,
        "timezone": "America/Denver",
    }


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_another_one_replaces_it_whole(alice: Caller, person: Subscriber, method: str) -> None:
    path = f"/v4/subscribers/{person.pk}/location"
    alice.post(path, a_location())
    berlin = {"city": "Berlin", "state_province": "Berlin", "country_code": "de", "latitude": 52, "longitude": 13.4}
    assert alice.send(method, path, a_location(**berlin, timezone="Europe/Berlin"))[0] == 200
    assert Location.objects.get().in_words == "Berlin, Berlin, DE"


def test_a_member_that_is_missing_is_named_and_nothing_is_stored(alice: Caller, person: Subscriber) -> None:
    path = f"/v4/subscribers/{person.pk}/location"
    alice.post(path, a_location())
    status, answer = alice.send("PATCH", path, {"location": {**a_location()["location"], "country_code": None}})
    assert (status, answer) == (422, {"errors": ["Country code can't be blank"]})
    assert alice.send("PATCH", path, {"location": {}}) == (
        422,
        {
            "errors": [
                "City can't be blank",
                "State province can't be blank",
                "Country code can't be blank",
                "Latitude can't be blank",
                "Longitude can't be blank",
                "Timezone can't be blank",
            ]
        },
    )
    assert shown(alice, person)["city"] == "Boise"


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"latitude": 90.1}, "Latitude must be a number between -90 and 90"),
        ({"longitude": "-116"}, "Longitude must be a number between -180 and 180"),
        ({"latitude": True}, "Latitude must be a number between -90 and 90"),
        ({"country_code": "UK"}, "Country code must be a country’s two letters (ISO 3166-1), such as US or DE"),
        ({"timezone": "Denver"}, "Timezone must be an IANA time zone, such as America/New_York"),
        ({"city": 3}, "City must be a string"),
        ({"city": "x" * 256}, "City is too long (maximum is 255 characters)"),
    ],
)
def test_what_is_wrong_is_said(alice: Caller, person: Subscriber, values: dict[str, Any], sentence: str) -> None:
    status, answer = alice.post(f"/v4/subscribers/{person.pk}/location", a_location(**values))
    assert (status, answer) == (422, {"errors": [sentence]})
    assert Location.objects.count() == 0


def test_a_body_without_a_location_says_what_belongs_into_it(alice: Caller, person: Subscriber) -> None:
    for body in (None, {}, {"location": None}, {"location": "Boise"}):
        status, answer = alice.post(f"/v4/subscribers/{person.pk}/location", body)
        assert status == 422
        assert answer["errors"][0].startswith("Location must be an object with city, state_province")


def test_a_pin_is_removed_and_may_be_removed_again(alice: Caller, person: Subscriber) -> None:
    path = f"/v4/subscribers/{person.pk}/location"
    alice.post(path, a_location())
    for _ in range(2):
        assert alice.delete(path) == (204, None)
        assert shown(alice, person) == NOWHERE


def test_a_person_has_changed_with_their_location(alice: Caller, person: Subscriber, clock: VirtualClock) -> None:
    path, before = f"/v4/subscribers/{person.pk}/location", person.updated_at
    alice.delete(path)
    clock.advance(hours=1)
    assert alice.get("/v4/subscribers", updated_after=before.isoformat())[1]["subscribers"] == []
    alice.post(path, a_location())
    assert len(alice.get("/v4/subscribers", updated_after=before.isoformat())[1]["subscribers"]) == 1
