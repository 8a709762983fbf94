"""Rules by API: made, changed, switched, copied, deleted; what is wrong with one, and its log."""

from typing import Any

import pytest

from dripstone.events import causes
from dripstone.subscribers import tags
from dripstone.subscribers.models import Tag
from tests.api.caller import Caller
from tests.factories import MONDAY_9, make_sequence, make_subscriber, make_tag
from tests.rules.making import work_off

RULES = "/ext/v1/rules"


@pytest.fixture
def course(alice: Caller) -> Tag:
    return make_tag(alice.account, name="Course")


@pytest.fixture
def reader(alice: Caller) -> Tag:
    return make_tag(alice.account, name="Reader")


def about(course: Tag, reader: Tag, **more: Any) -> dict[str, Any]:
    trigger = {"trigger": "tag_added", "tag_id": course.pk}
    return {"name": "Page", "triggers": [trigger], "actions": [{"kind": "tag", "tag_id": reader.pk}], **more}


def make(alice: Caller, body: dict[str, Any]) -> Any:
    status, answer = alice.post(RULES, body)
    assert status == 201, answer
    return answer["rule"]


def test_a_rule_is_made_read_changed_and_deleted(alice: Caller, course: Tag, reader: Tag) -> None:
    made = make(alice, about(course, reader))
    url = f"{RULES}/{made['id']}"
    assert (made["active"], made["condition"], made["fired"], made["last_fired_at"]) == (False, None, 0, None)
    assert made["sentence"] == "When somebody gets the tag “Course”: add the tag “Reader”."
    assert alice.get(url) == (200, {"rule": made})
    condition = {"not": {"type": "tags", "ids": [reader.pk]}}
    changed = alice.put(url, {"condition": condition, "active": True})[1]["rule"]
    assert (changed["name"], changed["condition"], changed["active"]) == ("Page", condition, True)
    assert changed["sentence"].startswith("When somebody gets the tag “Course”, and they do not have the tag “Reader”:")
    assert alice.put(url, {"condition": None})[1]["rule"]["condition"] is None
    assert alice.delete(url) == (204, None)
    assert alice.get(url)[0] == 404


def test_every_problem_is_told_by_its_member(alice: Caller, course: Tag, reader: Tag) -> None:
    triggers = [{"trigger": "tag_added", "tag_id": 2**40}, {"trigger": "nothing"}]
    status, answer = alice.post(RULES, {"triggers": triggers, "actions": [], "condition": {"type": "tags"}})
    assert status == 422
    assert {one.split(" ")[0].rstrip(":") for one in answer["errors"]} == {
        "name",
        "triggers[0].tag_id",
        "triggers[1].trigger",
        "actions",
        "condition.ids",
    }
    assert alice.post(RULES, {})[0] == 422
    made = make(alice, about(course, reader))
    assert alice.put(f"{RULES}/{made['id']}", {"triggers": None}) == (422, {"errors": ["triggers can't be blank"]})


def test_it_is_switched_and_copied(alice: Caller, course: Tag, reader: Tag) -> None:
    made = make(alice, about(course, reader, active=True))
    url = f"{RULES}/{made['id']}"
    assert alice.post(f"{url}/deactivate")[1]["rule"]["active"] is False
    assert alice.post(f"{url}/activate")[1]["rule"]["active"] is True
    status, answer = alice.post(f"{url}/duplicate")
    assert (status, answer["rule"]["active"], answer["rule"]["triggers"]) == (201, False, made["triggers"])
    assert answer["rule"]["name"] != made["name"]
    ids = [answer["rule"]["id"], made["id"]]
    assert [one["id"] for one in alice.get(RULES)[1]["rules"]] == ids
    assert [one["id"] for one in alice.get(RULES, active="true")[1]["rules"]] == [made["id"]]
    first = alice.get(RULES, per_page=1)[1]
    after = alice.get(RULES, per_page=1, after=first["pagination"]["end_cursor"])[1]
    assert [one["id"] for one in first["rules"] + after["rules"]] == ids


def test_its_log_says_what_it_did_and_why_it_did_not(alice: Caller, course: Tag, reader: Tag) -> None:
    account = alice.account
    never = {"type": "subscriber_state", "states": ["bounced"]}
    made = make(alice, about(course, reader, active=True))
    other = make(alice, about(course, reader, active=True, name="Other", condition=never))
    person = make_subscriber(account, email_address="bob@example.org")
    tags.add(course, person, MONDAY_9, cause=causes.API)
    work_off()
    [fired] = alice.get(f"{RULES}/{made['id']}/log")[1]["log"]
    assert (fired["outcome"], fired["reason"], fired["reason_text"]) == ("fired", None, None)
    assert (fired["email_address"], fired["sentence"]) == ("bob@example.org", "somebody gets the tag “Course”")
    assert (fired["cause"], fired["cause_text"]) == (["api"], "by API")
    assert fired["done"] == [{"changed": True, "reason": None}]
    [not_fired] = alice.get(f"{RULES}/{other['id']}/log", outcome="not_fired")[1]["log"]
    assert not_fired["reason"] == "condition"
    assert not_fired["reason_text"] == "It did not fire, because they did not meet its condition."
    assert alice.get(f"{RULES}/{other['id']}/log", outcome="fired")[1]["log"] == []
    of_person = alice.get(f"/ext/v1/subscribers/{person.pk}/rules_log")[1]["log"]
    assert [one["rule_id"] for one in of_person] == [other["id"], made["id"]]
    assert alice.get(f"{RULES}/{made['id']}")[1]["rule"]["fired"] == 1
    alice.delete(f"{RULES}/{other['id']}")
    assert len(alice.get(f"/ext/v1/subscribers/{person.pk}/rules_log")[1]["log"]) == 1


def test_its_checks_say_what_is_wrong(alice: Caller, course: Tag, reader: Tag) -> None:
    sequence = make_sequence(alice.account, {}, name="Welcome", active=False)
    enter = {"kind": "enter_sequence", "sequence_id": sequence.pk}
    made = make(alice, about(course, reader, actions=[enter]))
    status, answer = alice.get(f"{RULES}/{made['id']}/checks")
    assert (status, answer["checks"]["rule_id"]) == (200, made["id"])
    [paused] = [one for one in answer["checks"]["findings"] if one["code"] == "sequence_paused"]
    assert paused["sentence"] == "“Welcome” is paused: people whom this rule adds wait until it runs again."
    assert alice.send(paused["mend"]["method"], paused["mend"]["path"], paused["mend"]["body"])[0] == 200
    found = alice.get(f"{RULES}/{made['id']}/checks")[1]["checks"]["findings"]
    assert "sequence_paused" not in {one["code"] for one in found}


def test_it_is_applied_to_people_already_there_after_it_was_counted(alice: Caller, course: Tag, reader: Tag) -> None:
    has_it, has_both = make_subscriber(alice.account), make_subscriber(alice.account)
    tags.add(course, has_it, MONDAY_9, cause=causes.API)
    for one in (course, reader):
        tags.add(one, has_both, MONDAY_9, cause=causes.API)
    url = f"{RULES}/{make(alice, about(course, reader))['id']}"
    status, answer = alice.post(f"{url}/impact")
    assert (status, answer["count"]["people"], answer["count"]["effects"][0]["changes"]) == (200, 2, 1)
    status, answer = alice.post(f"{url}/apply", {"fire_rules": False})
    begun = answer["bulk_action"]
    assert (status, begun["state"], begun["fire_rules"]) == (202, "running", False)
    assert begun["cause"] == [f"bulk {begun['id']}", f"rule {url.rpartition('/')[2]}"]
    assert begun["whom"] == "people who have the tag “Course”"
    traceless = {"trigger": "tag_removed", "tag_id": course.pk}
    other = f"{RULES}/{make(alice, about(course, reader, triggers=[traceless]))['id']}"
    assert alice.post(f"{other}/impact")[0] == alice.post(f"{other}/apply")[0] == 422
    leaving = f"{RULES}/{make(alice, about(course, reader, actions=[{'kind': 'unsubscribe'}]))['id']}"
    assert "must be counted first" in alice.post(f"{leaving}/apply")[1]["errors"][0]
