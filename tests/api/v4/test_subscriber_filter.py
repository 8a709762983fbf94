"""`POST /v4/subscribers/filter`: what it answers. Whom it finds: tests/conditions/test_kit.py."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from dripstone.engine.models import Delivery
from dripstone.events import causes
from dripstone.subscribers import fields, forms, subscribe
from dripstone.subscribers.models import Subscriber
from dripstone.tracking import responses
from tests import factories
from tests.api.caller import Caller
from tests.conditions.test_kit import place
from tests.web.making import make_delivery

PATH = "/v4/subscribers/filter"


def found(caller: Caller, *conditions: Any, **members: Any) -> Any:
    status, answer = caller.post(PATH, {"all": list(conditions), **members})
    assert status == 200, answer
    return answer


def ids(caller: Caller, *conditions: Any, **members: Any) -> list[int]:
    return [int(one["id"]) for one in found(caller, *conditions, **members)["subscribers"]]


def test_it_answers_people_with_their_tags_newest_first(alice: Caller, now: datetime) -> None:
    old = factories.make_subscriber(alice.account, first_name=None, created_at=now - timedelta(days=1))
    new = factories.make_subscriber(alice.account)
    tag = factories.make_tag(alice.account, new, name="VIP")
    answer = found(alice)
    assert answer["subscribers"] == [
        {
            "id": str(new.pk),
            "first_name": "Rita",
            "email_address": new.email_address,
            "created_at": "2026-11-23T09:00:00Z",
            "tag_names": ["VIP"],
            "tag_ids": [str(tag.pk)],
        },
        {
            "id": str(old.pk),
            "first_name": None,
            "email_address": old.email_address,
            "created_at": "2026-11-22T09:00:00Z",
            "tag_names": [],
            "tag_ids": [],
        },
    ]
    assert "warnings" not in answer


def test_people_of_every_state_are_found_unless_it_names_some(alice: Caller, now: datetime) -> None:
    states = ("active", "inactive", "cancelled", "bounced", "complained")
    rows = {
        state: factories.make_subscriber(alice.account, state=state, canceled_at=now if state == "cancelled" else None)
        for state in states
    }
    assert len(ids(alice)) == 5
    assert ids(alice, {"type": "subscriber_state", "states": ["bounced", "bounced"]}) == [rows["bounced"].pk]


def test_another_accounts_people_and_things_are_not_there(alice: Caller, mallory: Caller) -> None:
    person = factories.make_subscriber(alice.account)
    tag = factories.make_tag(alice.account, person)
    assert ids(mallory) == []
    tagged = {"type": "tags", "any": [{"type": "ids", "matching": [tag.pk]}]}
    unknown = {"type": "tags", "any": [{"type": "ids", "matching": [2**62]}]}
    assert ids(alice, tagged) == [person.pk]
    answer = found(mallory, tagged, include_total_count=True)
    same = found(mallory, unknown, include_total_count=True)
    assert answer["subscribers"] == same["subscribers"] == []
    assert answer["pagination"] == same["pagination"]
    assert answer["warnings"][0].replace(str(tag.pk), "") == same["warnings"][0].replace(str(2**62), "")


def test_it_adds_what_include_asks_for(alice: Caller, now: datetime) -> None:
    account = alice.account
    person, other = factories.make_subscriber(account), factories.make_subscriber(account)
    fields.create(account.pk, {"label": "Company"}, now, cause=causes.API)
    subscribe.update(person.pk, {"fields": {"company": "Acme"}}, now, cause=causes.API)
    tag = factories.make_tag(account, person, name="VIP")
    form = forms.create(account.pk, {"name": "Sign up"}, now)
    forms.add(form, person, {"referrer": "https://a.example/?utm_source=x"}, now, cause=causes.API)
    alice.post(f"/v4/subscribers/{person.pk}/unsubscribe")
    names = ("attribution", "tags", "location", "canceled_at", "custom_fields")
    answer = found(alice, include=[{"type": name} for name in names], sort_field="id", sort_order="asc")
    one, two = answer["subscribers"]
    assert one["attribution"]["source_type"] == "form_subscription"
    assert one["attribution"]["utm_source"] == "x"
    assert one["tags"] == [{"id": tag.pk, "name": "VIP"}]
    assert one["location"]["country"] is None
    assert one["canceled_at"] == "2026-11-23T09:00:00Z"
    assert one["fields"] == {"company": "Acme"}
    assert int(two["id"]) == other.pk
    assert (two["canceled_at"], two["fields"], two["tags"]) == (None, {"company": None}, [])
    assert two["attribution"]["source_type"] is None


def test_stats_are_those_of_a_range_of_days(alice: Caller, now: datetime) -> None:
    person = factories.make_subscriber(alice.account)
    factories.make_subscriber(alice.account)
    place = factories.make_enrollment(factories.make_sequence(alice.account, {"delay_value": 1}), person)
    Delivery.objects.all().delete()
    sent = [now - timedelta(days=n) for n in (2, 40, 100)]
    rows = [make_delivery(place, run=run, sent_at=at, ended_at=at) for run, at in enumerate(sent, 1)]
    known: Any = {"account_id": alice.account.pk, "subscriber_id": person.pk, "email_id": rows[0].email_id}
    responses.stamp("opened_at", rows[1].pk, sent[1] + timedelta(hours=1), **known)

    def stats(**range: Any) -> Any:
        include = [{"type": "stats", **({"range": range} if range else {})}]
        answer = found(alice, include=include, sort_field="id", sort_order="asc")
        assert answer["subscribers"][1]["stats"]["sent"] == 0
        assert answer["subscribers"][1]["stats"]["last_sent"] is None
        return answer["subscribers"][0]["stats"]

    assert stats() == {
        "sent": 2,
        "opened": 1,
        "clicked": 0,
        "bounced": 0,
        "open_rate": 0.5,
        "click_rate": 0.0,
        "last_sent": "2026-11-21T09:00:00Z",
        "last_opened": "2026-10-14T10:00:00Z",
        "last_clicked": None,
        "sends_since_last_open": 1,
        "sends_since_last_click": 2,
    }
    assert stats(start="2026-08-01")["sent"] == 3
    assert stats(start="2026-11-21", end="2026-11-21")["sent"] == 1
    assert stats(end="2026-11-20")["sent"] == 1
    assert stats(start="2000-01-01", end="2026-08-30")["sent"] == 1
    too_old = {"all": [], "include": [{"type": "stats", "range": {"end": "2021-11-01"}}]}
    assert alice.post(PATH, too_old) == (
        400,
        {"errors": ["Stats are kept for 5 years: range.end can't be before 2021-11-23"]},
    )


def test_it_sorts_by_each_field(alice: Caller, now: datetime) -> None:
    account = alice.account
    late = factories.make_subscriber(account, first_name="Bea", email_address="c@example.org")
    early = factories.make_subscriber(
        account, first_name=None, email_address="a@example.org", created_at=now - timedelta(days=1)
    )
    same = factories.make_subscriber(account, first_name="Bea", email_address="b@example.org")
    place = factories.make_enrollment(factories.make_sequence(account, {"delay_value": 1}), early)
    make_delivery(place)
    expected = {
        None: [same, late, early],
        "created_at": [same, late, early],
        "id": [same, early, late],
        "first_name": [same, late, early],
        "email_address": [late, same, early],
        "engagement__sent": [early, same, late],
        "engagement__opens": [same, early, late],
        "engagement__click_rate": [same, early, late],
    }
    for field, people in expected.items():
        wanted = [person.pk for person in people]
        assert ids(alice, sort_field=field) == wanted
        assert ids(alice, sort_field=field, sort_order="asc") == wanted[::-1]
        walked = walk(alice, sort_field=field)
        assert walked == wanted


def test_it_sorts_by_distance_from_the_place_it_names(alice: Caller) -> None:
    rows = [factories.make_subscriber(alice.account) for _ in range(4)]
    for person, latitude in zip(rows[:3], (50.2, 50.0, 50.1), strict=True):
        place(person, latitude, 8.0)
    near = {"type": "location", "latitude": 50, "longitude": 8, "radius": 100}
    wanted = [rows[n].pk for n in (1, 2, 0)]
    assert walk(alice, near, sort_field="location__distance") == wanted
    assert ids(alice, near, sort_field="location__distance", sort_order="desc") == wanted[::-1]
    assert ids(alice, near, {"type": "opens"}, sort_field="location__distance") == []
    one = found(alice, near, include=[{"type": "location"}], sort_field="location__distance")["subscribers"][0]
    assert (one["location"]["latitude"], one["location"]["country"]) == (50.0, "US")
    answer = alice.post(PATH, {"all": [near], "sort_field": "location__distance", "after": "WyJhIiwxXQ=="})
    assert answer == (422, {"errors": ["after is not a cursor of this list"]})


def walk(caller: Caller, *conditions: Any, **members: Any) -> list[int]:
    """One by one to the end, and back again."""
    forward, answer = [], found(caller, *conditions, per_page=1, **members)
    while True:
        forward += [int(one["id"]) for one in answer["subscribers"]]
        if not answer["pagination"]["has_next_page"]:
            break
        after = answer["pagination"]["end_cursor"]
        answer = found(caller, *conditions, per_page=1, after=after, **members)
    backward = []
    while answer["pagination"]["has_previous_page"]:
        before = answer["pagination"]["start_cursor"]
        answer = found(caller, *conditions, per_page=1, before=before, **members)
        backward += [int(one["id"]) for one in answer["subscribers"]]
    assert forward[:-1] == backward[::-1]
    return forward


@pytest.mark.parametrize("field", ["id", "created_at", "first_name", "email_address", "engagement__sent"])
def test_who_comes_and_goes_meanwhile_hides_nobody(alice: Caller, field: str) -> None:
    rows = [factories.make_subscriber(alice.account, first_name=f"n{n}") for n in range(4)]
    first = found(alice, sort_field=field, per_page=2)
    assert [int(one["id"]) for one in first["subscribers"]] == [rows[3].pk, rows[2].pk]
    Subscriber.objects.filter(pk=rows[2].pk).delete()
    factories.make_subscriber(alice.account, first_name="z")
    second = found(alice, sort_field=field, per_page=2, after=first["pagination"]["end_cursor"])
    assert [int(one["id"]) for one in second["subscribers"]] == [rows[1].pk, rows[0].pk]
    assert second["pagination"]["has_previous_page"] is True


def test_pages_are_asked_for_in_the_body_or_in_the_query(alice: Caller) -> None:
    rows = [factories.make_subscriber(alice.account).pk for _ in range(3)][::-1]
    first = found(alice, per_page=2, include_total_count=True)
    assert first["pagination"]["total_count"] == 3
    assert first["pagination"]["per_page"] == 2
    cursor = first["pagination"]["end_cursor"]
    status, answer = alice.post(f"{PATH}?per_page=1&after={cursor}&include_total_count=true", {"all": []})
    assert status == 200
    assert [int(one["id"]) for one in answer["subscribers"]] == [rows[2]]
    assert answer["pagination"]["total_count"] == 3
    status, answer = alice.post(f"{PATH}?per_page=1", {"all": [], "per_page": 2, "after": None, "before": ""})
    assert len(answer["subscribers"]) == 2
    assert found(alice, per_page=10_000)["pagination"]["per_page"] == 1000


def test_the_total_is_of_whom_it_finds(alice: Caller) -> None:
    people = [factories.make_subscriber(alice.account) for _ in range(3)]
    tag = factories.make_tag(alice.account, *people[:2])
    tagged = {"type": "tags", "any": [{"type": "ids", "matching": [tag.pk]}]}

    def total(*conditions: Any) -> int:
        answer = found(alice, *conditions, per_page=1, include_total_count=True)
        n: int = answer["pagination"]["total_count"]
        return n

    assert (total(), total(tagged), total({"type": "opens"})) == (3, 2, 0)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (None, "all can't be blank"),
        ({"all": [], "include": "tags"}, "include must be an array"),
        ({"all": [], "include": ["tags"]}, "include[0] must be an object"),
        ({"all": [], "include": [{}]}, "include[0].type can't be blank"),
        (
            {"all": [], "include": [{"type": "shoes"}]},
            "include[0].type must be one of: attribution, tags, location, canceled_at, stats, custom_fields",
        ),
        (
            {"all": [], "include": [{"type": "stats", "range": {"start": "May"}}]},
            "include[0].range.start must be a date (yyyy-mm-dd)",
        ),
        (
            {"all": [], "include": [{"type": "stats", "range": {"start": "2026-05-02", "end": "2026-05-01"}}]},
            "include[0].range.start must not be after end",
        ),
        ({"all": [], "sort_order": "up"}, "sort_order must be one of: asc, desc"),
        (
            {"all": [], "sort_field": "location__distance"},
            "sort_field can only be location__distance with a condition of the type location",
        ),
        ({"all": [], "per_page": "10"}, "per_page must be an integer between 1 and 1000"),
        ({"all": [], "include_total_count": 1}, "include_total_count must be true or false"),
        ({"all": [], "after": "WzFd"}, "after is not a cursor of this list"),
        ({"all": [], "sort_field": "first_name", "after": "WzEsMV0="}, "after is not a cursor of this list"),
    ],
)
def test_it_refuses_what_it_cannot_read(alice: Caller, body: Any, sentence: str) -> None:
    assert alice.post(PATH, body) == (422, {"errors": [sentence]})
