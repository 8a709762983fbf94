from dripstone.events.models import Event
from tests import factories
from tests.api.caller import Caller


def test_it_creates_a_tag_once_in_any_case(alice: Caller) -> None:
    status, made = alice.post("/v4/tags", {"name": " Completed "})
    assert status == 201
    assert made == {"tag": {"id": made["tag"]["id"], "name": "Completed", "created_at": "2026-11-23T09:00:00Z"}}
    assert alice.post("/v4/tags", {"name": "COMPLETED"}) == (200, made)


def test_it_refuses_a_blank_name(alice: Caller) -> None:
    refused = (422, {"errors": ["Name can't be blank"]})
    assert alice.post("/v4/tags", {"name": " "}) == refused
    assert alice.post("/v4/tags", {"name": None}) == refused
    assert alice.post("/v4/tags", {}) == refused
    assert alice.post("/v4/tags") == refused
    assert alice.post("/v4/tags", {"name": 3}) == (422, {"errors": ["Name must be a string"]})
    assert alice.post("/v4/tags", [1]) == (422, {"errors": ["The request body must be a JSON object"]})
    assert alice.post("/v4/tags", {"name": "x" * 256}) == (
        422,
        {"errors": ["Name is too long (maximum is 255 characters)"]},
    )


def test_it_renames_a_tag(alice: Caller) -> None:
    tag, other = factories.make_tag(alice.account), factories.make_tag(alice.account, name="Taken")
    status, answer = alice.put(f"/v4/tags/{tag.pk}", {"name": "signed up"})
    assert (status, answer["tag"]["name"]) == (200, "signed up")
    taken = (422, {"errors": ["Name has already been taken"]})
    assert alice.put(f"/v4/tags/{tag.pk}", {"name": other.name.upper()}) == taken
    assert alice.put(f"/v4/tags/{other.pk}", {"name": "TAKEN"})[0] == 200
    assert alice.put(f"/v4/tags/{tag.pk}", {"name": ""}) == (422, {"errors": ["Name can't be blank"]})


def test_it_lists_tags_newest_first_with_counts(alice: Caller) -> None:
    active = factories.make_subscriber(alice.account)
    gone = factories.make_subscriber(alice.account, state="bounced")
    first, second = factories.make_tag(alice.account, active, gone), factories.make_tag(alice.account)
    status, answer = alice.get("/v4/tags", include="subscriber_count", include_total_count="true")
    assert status == 200
    assert [(tag["id"], tag["subscriber_count"]) for tag in answer["tags"]] == [(second.pk, 0), (first.pk, 1)]
    assert answer["pagination"]["total_count"] == 2
    assert "subscriber_count" not in alice.get("/v4/tags")[1]["tags"][0]


def test_it_tags_and_untags_by_id_and_by_address(alice: Caller) -> None:
    person, tag = factories.make_subscriber(alice.account), factories.make_tag(alice.account)
    by_id, by_address = f"/v4/tags/{tag.pk}/subscribers/{person.pk}", f"/v4/tags/{tag.pk}/subscribers"
    status, answer = alice.post(by_id)
    assert (status, answer["subscriber"]["tagged_at"]) == (201, "2026-11-23T09:00:00Z")
    assert alice.post(by_id, {})[0] == 200
    assert alice.post(by_address, {"email_address": person.email_address.upper()}) == (200, answer)
    assert alice.delete(by_id) == (204, None)
    assert alice.delete(by_id) == (204, None)
    assert alice.post(by_address, {"email_address": person.email_address})[0] == 201
    assert alice.delete(f"{by_address}?email_address={person.email_address}") == (204, None)
    assert alice.post(by_id)[0] == 201
    assert alice.delete(by_address, {"email_address": person.email_address}) == (204, None)
    kinds = list(Event.objects.order_by("id").values_list("type", flat=True))
    assert kinds == ["subscriber.tag_added", "subscriber.tag_removed"] * 3


def test_it_says_which_address_is_missing(alice: Caller) -> None:
    tag = factories.make_tag(alice.account)
    path = f"/v4/tags/{tag.pk}/subscribers"
    required = "Either subscriber id or email address is required to"
    assert alice.post(path, {}) == (422, {"errors": [f"{required} tag subscriber"]})
    assert alice.post(path, {"email_address": ""}) == (422, {"errors": [f"{required} tag subscriber"]})
    assert alice.delete(path) == (422, {"errors": [f"{required} remove tag from subscriber"]})
    assert alice.post(path, {"email_address": "nobody@example.org"}) == (404, {"errors": ["Not Found"]})


def test_it_lists_a_tags_subscribers(alice: Caller) -> None:
    people = [factories.make_subscriber(alice.account) for _ in range(3)]
    bounced = factories.make_subscriber(alice.account, state="bounced")
    tag = factories.make_tag(alice.account, *people, bounced)
    path = f"/v4/tags/{tag.pk}/subscribers"
    status, answer = alice.get(path)
    assert status == 200
    assert [row["id"] for row in answer["subscribers"]] == [person.pk for person in reversed(people)]
    assert answer["subscribers"][0]["fields"] == {}
    assert "fields" not in alice.get(path, slim="true")[1]["subscribers"][0]
    assert [row["id"] for row in alice.get(path, status="bounced")[1]["subscribers"]] == [bounced.pk]
    assert len(alice.get(path, status="all")[1]["subscribers"]) == 4
    assert alice.get(path, tagged_after="2026-11-23T09:00:00Z")[1]["subscribers"] == []
    assert len(alice.get(path, tagged_after="2026-11-23", tagged_before="2026-11-24")[1]["subscribers"]) == 3
