"""Actions on many people, over HTTP."""

from typing import Any

import pytest
from django.test import Client

from dripstone.bulk import operations, runner
from dripstone.subscribers.models import Subscriber, Tag
from tests.api.caller import Caller
from tests.factories import make_sequence, make_subscriber, make_tag

EVERYBODY: dict[str, Any] = {"filter": {"all": []}}
DELETE = {"actions": [{"kind": "delete"}], **EVERYBODY}


@pytest.fixture
def tag(alice: Caller) -> Tag:
    for _ in range(3):
        make_subscriber(alice.account)
    return make_tag(alice.account, name="Course")


def tagging(tag: Tag) -> dict[str, Any]:
    return {"actions": [{"kind": "tag", "tag_id": tag.pk}], **EVERYBODY}


def begin(caller: Caller, body: Any, token: str) -> int:
    """The status."""
    headers = {"X-Kit-Api-Key": caller.key, "If-Match": token}
    path = "/ext/v1/bulk_actions"
    return Client().post(path, body, content_type="application/json", headers=headers).status_code


def work(alice: Caller, now: Any) -> None:
    runner.finish(operations.ALL, alice.account.pk, lambda: now)


def shown(alice: Caller, action_id: int) -> Any:
    status, answer = alice.get(f"/ext/v1/bulk_actions/{action_id}")
    assert status == 200
    return answer["bulk_action"]


def test_its_whole_life(alice: Caller, tag: Tag, now: Any) -> None:
    status, answer = alice.post("/ext/v1/bulk_actions", tagging(tag) | {"fire_rules": False})
    assert status == 202
    begun = answer["bulk_action"]
    assert (begun["state"], begun["people"], begun["to_look_at"], begun["fire_rules"]) == ("running", 0, 3, False)
    assert (begun["whom"], begun["sentence"]) == ("everybody", "add the tag “Course”")
    assert begun["asked_by"].startswith("API key test (…")
    work(alice, now)
    done = shown(alice, begun["id"])
    assert (done["state"], done["people"], done["report"][0]["changed"]) == ("done", 3, 3)
    assert done["undo"]["until"] == "2026-11-24T09:00:00Z"
    status, answer = alice.post(f"/ext/v1/bulk_actions/{begun['id']}/undo", {})
    assert (status, answer["bulk_action"]["state"]) == (202, "undoing")
    work(alice, now)
    undone = shown(alice, begun["id"])
    assert (undone["state"], undone["undo"]["undone"], undone["undo"]["left"]) == ("undone", 3, 0)
    assert not tag.taggings.exists()
    status, answer = alice.post(f"/ext/v1/bulk_actions/{begun['id']}/undo", {})
    assert (status, answer["errors"]) == (422, ["It was undone already"])


def test_counted_first(alice: Caller, tag: Tag, now: Any) -> None:
    sequence = make_sequence(alice.account, {"delay_value": 0, "subject": "Hello"}, name="Welcome")
    make_subscriber(alice.account, state="bounced")
    body = {"actions": [{"kind": "enter_sequence", "sequence_id": sequence.pk}], **EVERYBODY}
    status, answer = alice.post("/ext/v1/bulk_actions/count", body)
    count = answer["count"]
    assert (status, count["people"], count["unmailable"], count["effects"][0]["changes"]) == (200, 4, 1, 3)
    assert count["effects"][0]["entering"]["first_subject"] == "Hello"
    assert count["summary"] == [
        "3 people enter the sequence “Welcome”",
        "3 people get “Hello” within minutes",
        "1 person stays out: they may not be mailed",
    ]


def test_what_deletes_needs_the_token_of_a_count_that_still_holds(alice: Caller, tag: Tag, now: Any) -> None:
    assert alice.post("/ext/v1/bulk_actions", DELETE)[0] == 422
    token = alice.post("/ext/v1/bulk_actions/count", DELETE)[1]["count"]["token"]
    other = DELETE | {"filter": {"not": {"type": "tags", "ids": [tag.pk]}}}
    assert begin(alice, other, token) == 412
    newcomer = make_subscriber(alice.account)
    assert begin(alice, DELETE, f'"{token}"') == 202
    work(alice, now)
    assert list(Subscriber.objects.filter(account=alice.account)) == [newcomer]


def test_cancelled(alice: Caller, tag: Tag, now: Any) -> None:
    action_id = alice.post("/ext/v1/bulk_actions", tagging(tag))[1]["bulk_action"]["id"]
    status, answer = alice.post(f"/ext/v1/bulk_actions/{action_id}/cancel", {})
    assert (status, answer["bulk_action"]["state"]) == (200, "cancelled")
    work(alice, now)
    assert not tag.taggings.exists()
    assert alice.post(f"/ext/v1/bulk_actions/{action_id}/cancel", {})[0] == 422


def test_listed_by_state(alice: Caller, mallory: Caller, tag: Tag, now: Any) -> None:
    first = alice.post("/ext/v1/bulk_actions", tagging(tag))[1]["bulk_action"]["id"]
    work(alice, now)
    second = alice.post("/ext/v1/bulk_actions", tagging(tag))[1]["bulk_action"]["id"]
    listed = {
        state: [one["id"] for one in alice.get("/ext/v1/bulk_actions", state=state)[1]["bulk_actions"]]
        for state in ("all", "running", "done")
    }
    assert listed == {"all": [second, first], "running": [second], "done": [first]}
    assert mallory.get("/ext/v1/bulk_actions")[1]["bulk_actions"] == []


def test_another_accounts_people_and_things_are_unknown(alice: Caller, mallory: Caller, tag: Tag, now: Any) -> None:
    assert mallory.post("/ext/v1/bulk_actions", tagging(tag))[0] == 422
    ids = [person.pk for person in alice.account.subscribers.all()]
    body: dict[str, Any] = {"ids": ids, "actions": [{"kind": "unsubscribe"}]}
    assert mallory.post("/ext/v1/bulk_actions/count", body)[0] == 422
    mine = make_subscriber(mallory.account)
    body["ids"] = [*ids, mine.pk]
    count = mallory.post("/ext/v1/bulk_actions/count", body)[1]["count"]
    assert (count["people"], count["unknown_ids"]) == (1, 3)
    assert begin(mallory, body, count["token"]) == 202
    work(mallory, now)
    assert set(alice.account.subscribers.values_list("state", flat=True)) == {"active"}
    assert set(mallory.account.subscribers.values_list("state", flat=True)) == {"cancelled"}
