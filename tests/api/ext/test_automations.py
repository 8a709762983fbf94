"""Automations by API: made, drafted, published, switched, deleted; who is inside, and the log."""

from datetime import timedelta
from typing import Any

import pytest

from dripstone import clock as clocks
from dripstone.automations import run
from dripstone.automations.models import Automation, Step, Walk
from dripstone.events import causes
from dripstone.subscribers import tags
from dripstone.subscribers.models import Tag
from tests.api.caller import Caller
from tests.factories import MONDAY_9, make_sequence, make_subscriber, make_tag

AUTOMATIONS = "/ext/v1/automations"
Json = dict[str, Any]


@pytest.fixture
def course(alice: Caller) -> Tag:
    return make_tag(alice.account, name="Course")


def wait(key: str, to: str | None = None, days: int = 3) -> Json:
    return {"id": key, "kind": "wait", "for": {"days": days}, "next": to}


def about(course: Tag, **more: Any) -> Json:
    entry = {"id": "in", "trigger": "tag_added", "tag_id": course.pk}
    nodes = [wait("a", "b"), {"id": "b", "kind": "tag", "tag_id": course.pk, "next": None}]
    return {"name": "Page", "entries": [entry], "start": "a", "nodes": nodes, **more}


def make(alice: Caller, body: Json) -> Any:
    status, answer = alice.post(AUTOMATIONS, body)
    assert status == 201, answer
    return answer["automation"]


def stand(automation_id: int, alice: Caller, node: str = "a", **values: Any) -> Walk:
    """Somebody inside, whose wait there has begun."""
    stamps = {"entered_at": MONDAY_9, "arrived_at": MONDAY_9, "ends_at": MONDAY_9 + timedelta(days=3)}
    person = make_subscriber(alice.account)
    row = {"account_id": alice.account.pk, "automation_id": automation_id, "subscriber_id": person.pk, "node": node}
    return Walk.objects.create(**{**row, **stamps, "is_begun": True, **values})


# --- Automations --------------------------------------------------------------------------------------------------


def test_one_is_made_read_changed_copied_and_deleted(alice: Caller, course: Tag) -> None:
    made = make(alice, about(course))
    url = f"{AUTOMATIONS}/{made['id']}"
    assert {name: made[name] for name in ("entries", "start", "nodes")} == {
        name: about(course)[name] for name in ("entries", "start", "nodes")
    }
    assert (made["status"], made["reenter"], made["people"], made["has_draft"]) == ("inactive", "always", 0, False)
    assert made["sentence"] == "When somebody gets the tag “Course”"
    assert made["steps"] == [
        {"id": "a", "sentence": "Wait 3 days", "people": 0, "deleted": False},
        {"id": "b", "sentence": "Add the tag “Course”", "people": 0, "deleted": False},
    ]
    assert alice.get(url) == (200, {"automation": made})
    changed = alice.put(url, {"name": "Other", "reenter": "never"})[1]["automation"]
    assert (changed["name"], changed["reenter"], changed["nodes"]) == ("Other", "never", made["nodes"])
    assert alice.put(url, {"start": "b"})[1]["automation"]["start"] == "b"
    status, answer = alice.post(f"{url}/duplicate")
    copy = answer["automation"]
    assert (status, copy["name"], copy["start"], copy["reenter"]) == (201, "Other (copy)", "b", "never")
    listed = [one["id"] for one in alice.get(AUTOMATIONS)[1]["automations"]]
    assert listed == [copy["id"], made["id"]]
    assert alice.delete(url) == (204, None)
    assert alice.get(url)[0] == 404


def test_lists_are_narrowed_by_status_and_leave_the_steps_out(alice: Caller, course: Tag) -> None:
    made, other = make(alice, about(course)), make(alice, {"name": "Other"})
    assert alice.post(f"{AUTOMATIONS}/{made['id']}/activate")[0] == 200
    [active] = alice.get(AUTOMATIONS, status="active")[1]["automations"]
    assert (active["id"], active["status"], "steps" in active) == (made["id"], "active", False)
    assert [one["id"] for one in alice.get(AUTOMATIONS, status="inactive")[1]["automations"]] == [other["id"]]
    assert alice.get(AUTOMATIONS, status="walking")[0] == 422


def test_every_problem_is_told_by_its_member_and_names_the_node(alice: Caller, course: Tag) -> None:
    wrong = {"nodes": [{"id": "a", "kind": "tag", "tag_id": 2**40, "next": "a"}], "start": "z", "reenter": "twice"}
    status, answer = alice.post(AUTOMATIONS, wrong)
    assert status == 422
    assert set(answer["errors"]) == {
        "name can't be blank",
        "reenter must be one of: always, never",
        f"The node a: tag_id: tag {2**40} does not exist",
        "The node a: next: the way leads in a circle: a → a",
        "start: there is no node z",
    }
    url = f"{AUTOMATIONS}/{make(alice, about(course))['id']}"
    status, answer = alice.put(url, {"name": "", "start": "z"})
    assert (status, set(answer["errors"])) == (422, {"name can't be blank", "start: there is no node z"})
    assert alice.get(url)[1]["automation"]["name"] == "Page"


# --- With people inside -------------------------------------------------------------------------------------------


def test_another_graph_is_refused_with_its_impact_while_somebody_is_inside(alice: Caller, course: Tag) -> None:
    made = make(alice, about(course))
    url = f"{AUTOMATIONS}/{made['id']}"
    here = stand(made["id"], alice)
    without_a = {"name": "Other", "start": "b", "nodes": made["nodes"][1:]}
    status, answer = alice.put(url, without_a)
    assert status == 409
    assert answer["errors"] == ["It touches people: look at what it would do to them, and send the token of that along"]
    impact = answer["impact"]
    assert (impact["act"], impact["inside"]) == ("publish", 1)
    [node] = [one for one in impact["nodes"] if one["people"]]
    assert (node["id"], node["what"], node["leads_to"]) == ("a", "deleted", {"next": "b"})
    assert "1 person" in impact["summary"]
    assert alice.post(f"{url}/impact", without_a)[1]["impact"] == impact
    assert alice.get(url)[1]["automation"] == {**made, "people": 1, "steps": alice.get(url)[1]["automation"]["steps"]}
    stand(made["id"], alice)
    status, answer = alice.put(url, without_a, if_match=impact["token"])
    assert (status, answer["impact"]["inside"]) == (409, 2)
    status, answer = alice.put(url, without_a, if_match=f'"{answer["impact"]["token"]}"')
    assert (status, answer["automation"]["name"]) == (200, "Other")
    steps = {one["id"]: (one["people"], one["deleted"]) for one in answer["automation"]["steps"]}
    assert steps == {"a": (2, True), "b": (0, False)}
    assert [one["id"] for one in answer["automation"]["nodes"]] == ["b"]
    here.refresh_from_db()
    assert (here.node, here.ends_at) == ("a", MONDAY_9 + timedelta(days=3))


def test_a_name_is_changed_without_a_token(alice: Caller, course: Tag) -> None:
    made = make(alice, about(course))
    stand(made["id"], alice)
    same = {name: made[name] for name in ("entries", "start", "nodes")}
    status, answer = alice.put(f"{AUTOMATIONS}/{made['id']}", {"name": "Other", **same})
    assert (status, answer["automation"]["name"]) == (200, "Other")


def test_a_draft_is_kept_beside_and_published_with_the_token_of_its_impact(alice: Caller, course: Tag) -> None:
    made = make(alice, about(course))
    url = f"{AUTOMATIONS}/{made['id']}"
    draft = alice.get(f"{url}/draft")[1]["draft"]
    assert (draft["nodes"], draft["revision"], draft["changed_at"]) == (made["nodes"], 0, None)
    assert alice.post(f"{url}/publish")[0] == alice.post(f"{url}/impact")[0] == 422
    nodes = [wait("a", "b", days=5), made["nodes"][1]]
    saved = alice.put(f"{url}/draft", {"nodes": nodes, "revision": 0})[1]["draft"]
    assert (saved["nodes"], saved["start"], saved["revision"]) == (nodes, "a", 1)
    assert saved["changed_by"].startswith("API key test")
    assert alice.put(f"{url}/draft", {"start": "b", "revision": 0})[0] == 409
    assert alice.put(f"{url}/draft", {"start": "b"})[1]["draft"]["nodes"] == nodes
    assert alice.get(url)[1]["automation"]["has_draft"] is True
    assert alice.get(url)[1]["automation"]["nodes"] == made["nodes"]
    stand(made["id"], alice)
    status, answer = alice.post(f"{url}/publish", {"choices": {"nodes": {"a": {"dates": "keep"}}}})
    assert status == 409
    chosen = {"choices": {"nodes": {"a": {"dates": "keep"}}}}
    assert alice.post(f"{url}/publish", {"choices": {"nodes": {"a": {"dates": "soon"}}}})[0] == 422
    status, answer = alice.post(f"{url}/publish", chosen, if_match=answer["impact"]["token"])
    assert (status, answer["automation"]["nodes"], answer["automation"]["start"]) == (200, nodes, "b")
    assert answer["automation"]["has_draft"] is False


def test_a_draft_is_dropped(alice: Caller, course: Tag) -> None:
    made = make(alice, about(course))
    url = f"{AUTOMATIONS}/{made['id']}"
    alice.put(f"{url}/draft", {"start": None})
    assert alice.delete(f"{url}/draft") == (204, None)
    assert alice.get(f"{url}/draft")[1]["draft"]["start"] == "a"


def test_it_is_switched_on_with_the_token_of_the_impact(alice: Caller, course: Tag) -> None:
    made = make(alice, about(course))
    url = f"{AUTOMATIONS}/{made['id']}"
    assert alice.post(f"{url}/activate")[1]["automation"]["status"] == "active"
    assert alice.post(f"{url}/pause")[1]["automation"]["status"] == "paused"
    assert alice.post(f"{url}/deactivate")[1]["automation"]["status"] == "inactive"
    stand(made["id"], alice)
    status, answer = alice.post(f"{url}/activate", {"overdue": "walk"})
    assert (status, answer["impact"]["act"]) == (409, "activate")
    told = alice.post(f"{url}/impact", {"change": "activate"})[1]["impact"]
    assert told["token"] == answer["impact"]["token"]
    late = {"overdue": "leave", "older_than": {"days": 2}}
    status, answer = alice.post(f"{url}/activate", late, if_match=told["token"])
    assert (status, answer["automation"]["status"]) == (200, "active")
    assert alice.post(f"{url}/activate", {"overdue": "run"})[0] == 422
    assert alice.post(f"{url}/activate", {"older_than": {"years": 2}})[0] == 422


def test_it_is_deleted_with_the_token_of_what_was_chosen(alice: Caller, course: Tag) -> None:
    made = make(alice, about(course))
    url = f"{AUTOMATIONS}/{made['id']}"
    stand(made["id"], alice)
    status, answer = alice.delete(url)
    assert (status, answer["impact"]["act"], answer["impact"]["inside"]) == (409, "delete", 1)
    told = alice.post(f"{url}/impact", {"change": "delete", "sequences": "end"})[1]["impact"]
    assert alice.delete(url, if_match=told["token"])[0] == 409
    assert alice.delete(f"{url}?sequences=end", if_match=told["token"]) == (204, None)
    assert not Automation.objects.filter(pk=made["id"]).exists()


def test_people_who_match_already_are_counted_and_put_in(alice: Caller, course: Tag) -> None:
    has_it = make_subscriber(alice.account)
    tags.add(course, has_it, MONDAY_9, cause=causes.API)
    make_subscriber(alice.account)
    made = make(alice, about(course, reenter="never"))
    url = f"{AUTOMATIONS}/{made['id']}"
    alice.post(f"{url}/activate")
    stand(made["id"], alice, subscriber_id=has_it.pk, left_at=MONDAY_9, left_because="by_hand", ends_at=None)
    status, answer = alice.post(f"{url}/apply/impact")
    assert (status, answer["count"]["people"], answer["count"]["effects"][0]["changes"]) == (200, 1, 0)
    counted = alice.post(f"{url}/apply/impact", {"again": True})[1]["count"]
    assert (counted["people"], counted["effects"][0]["changes"]) == (1, 1)
    status, answer = alice.post(f"{url}/apply", {"again": True}, if_match=counted["token"])
    move = {"kind": "move", "automation_id": made["id"], "way": "in", "again": True}
    assert (status, answer["bulk_action"]["actions"]) == (202, [move])
    assert alice.post(f"{url}/apply", {"again": "yes"})[0] == 422
    traceless = make(alice, {"name": "B", "entries": [{"trigger": "tag_removed", "tag_id": course.pk}]})
    assert alice.post(f"{AUTOMATIONS}/{traceless['id']}/apply/impact")[0] == 422


def test_its_checks_name_the_node(alice: Caller, course: Tag) -> None:
    sequence = make_sequence(alice.account, name="Empty")
    node = {"id": "a", "kind": "sequence", "sequence_id": sequence.pk}
    made = make(alice, about(course, nodes=[node]))
    status, answer = alice.get(f"{AUTOMATIONS}/{made['id']}/checks")
    assert (status, answer["checks"]["automation_id"]) == (200, made["id"])
    assert "a" in {one["node"] for one in answer["checks"]["findings"]}


# --- From the call to the log -------------------------------------------------------------------------------------


def test_somebody_who_gets_the_tag_enters_walks_and_is_in_the_log(alice: Caller, clock: Any, course: Tag) -> None:
    customer = make_tag(alice.account, name="Customer")
    nodes = [
        {"id": "paid", "kind": "condition", "if": {"type": "tags", "ids": [customer.pk]}, "yes": None, "no": "pause"},
        {"id": "pause", "kind": "wait", "for": {"days": 3}, "next": "thanks"},
        {"id": "thanks", "kind": "tag", "tag_id": customer.pk, "next": None},
    ]
    made = make(alice, about(course, start="paid", nodes=nodes))
    url = f"{AUTOMATIONS}/{made['id']}"
    assert alice.post(f"{url}/activate")[0] == 200
    person = make_subscriber(alice.account, email_address="bob@example.org")
    assert alice.post(f"/v4/tags/{course.pk}/subscribers/{person.pk}", {})[0] == 201
    run.until_idle(clocks.now)
    [walk] = alice.get(f"{url}/people")[1]["walks"]
    assert (walk["email_address"], walk["entry"], walk["node"], walk["run"]) == ("bob@example.org", "in", "pause", 1)
    automation = alice.get(url)[1]["automation"]
    assert (automation["people"], automation["entered"], automation["left"]) == (1, 1, 0)
    assert {one["id"]: one["people"] for one in automation["steps"]} == {"paid": 0, "pause": 1, "thanks": 0}
    clock.advance(days=3)
    run.until_idle(clocks.now)
    assert person.taggings.filter(tag=customer).exists()
    left, *_, entered = alice.get(f"{url}/log")[1]["log"]
    assert (entered["what"], left["what"], left["reason"]) == ("entered", "left", "end")
    assert entered["sentence"] == "Entered: got the tag “Course”, by API"
    assert [(one["node"], one["outcome_text"]) for one in entered["way"]] == [
        ("paid", "by “no”"),
        ("pause", "waits here"),
    ]
    [walk] = alice.get(f"{url}/people", status="completed")[1]["walks"]
    assert (walk["completed"], walk["reason"]) == (True, "end")


# --- People -------------------------------------------------------------------------------------------------------


def test_who_is_inside_is_listed_by_node(alice: Caller, course: Tag) -> None:
    made = make(alice, about(course))
    url = f"{AUTOMATIONS}/{made['id']}/people"
    waits, new = stand(made["id"], alice), stand(made["id"], alice, "", ends_at=None)
    gone: Json = {"left_at": MONDAY_9, "left_because": "end", "is_completed": True, "ends_at": None}
    done = stand(made["id"], alice, **gone)
    assert [one["id"] for one in alice.get(url)[1]["walks"]] == [new.pk, waits.pk]
    [one] = alice.get(url, node="a")[1]["walks"]
    assert (one["node"], one["sentence"], one["until"]) == ("a", "Wait 3 days", "2026-11-26T09:00:00Z")
    [one] = alice.get(url, at_entry="true")[1]["walks"]
    assert (one["id"], one["node"], one["sentence"], one["until"]) == (new.pk, None, None, None)
    [one] = alice.get(url, status="completed")[1]["walks"]
    assert (one["id"], one["node"], one["reason"], one["completed"]) == (done.pk, None, "end", True)
    assert alice.get(url, status="left")[1]["walks"] == []
    assert len(alice.get(url, status="all")[1]["walks"]) == 3
    [one] = alice.get(f"{url}/{waits.subscriber_id}")[1]["walks"]
    assert one["id"] == waits.pk
    assert alice.get(f"{url}/{make_subscriber(alice.account).pk}") == (200, {"walks": []})


def test_a_person_is_put_in_moved_and_taken_out(alice: Caller, course: Tag) -> None:
    made = make(alice, about(course, nodes=[wait("a", "b"), wait("b", "c"), wait("c")]))
    alice.post(f"{AUTOMATIONS}/{made['id']}/activate")
    url = f"{AUTOMATIONS}/{made['id']}/people/{make_subscriber(alice.account).pk}"
    status, answer = alice.post(url)
    assert (status, answer["entered"], answer["reason"], answer["walk"]["run"]) == (201, True, None, 1)
    status, answer = alice.post(url, {"again": True})
    assert (status, answer["entered"], answer["reason"]) == (200, False, "inside_already")
    assert answer["reason_text"]
    status, answer = alice.put(url, {"node": "c"})
    assert (status, answer["walk"]["node"], answer["walk"]["run"]) == (200, "c", 1)
    assert alice.put(url, {"node": "a"})[1]["walk"]["run"] == 2
    assert alice.put(url, {"node": "z"})[0] == alice.put(url, {})[0] == 422
    assert alice.delete(url) == (204, None)
    assert alice.delete(url)[0] == alice.put(url, {"node": "a"})[0] == 422
    assert [one["reason"] for one in alice.get(url)[1]["walks"]] == ["by_hand", "new_run"]


def test_its_log_says_what_happened_to_whom(alice: Caller, course: Tag) -> None:
    made, other = make(alice, about(course)), make(alice, {"name": "Other"})
    person = make_subscriber(alice.account, email_address="bob@example.org")
    about_bob = {"account_id": alice.account.pk, "subscriber_id": person.pk, "at": MONDAY_9, "cause": ["api"]}
    path = [{"node": "a", "what": "waits", "reason": ""}]
    entered = {"automation_id": made["id"], "what": "entered", "run": 1, "node": "a", "path": path}
    first = Step.objects.create(**about_bob, **entered)
    refused = {"automation_id": other["id"], "what": "not_entered", "reason": "never_again"}
    second = Step.objects.create(**about_bob, **refused)
    [line] = alice.get(f"{AUTOMATIONS}/{made['id']}/log")[1]["log"]
    assert (line["id"], line["what"], line["run"], line["node"]) == (first.pk, "entered", 1, "a")
    assert (line["email_address"], line["sentence"], line["cause"]) == ("bob@example.org", "Entered, by API", ["api"])
    assert line["way"] == [{"node": "a", "sentence": "Wait 3 days", "outcome": "waits", "outcome_text": "waits here"}]
    of_person = f"/ext/v1/subscribers/{person.pk}/automations_log"
    assert [one["id"] for one in alice.get(of_person)[1]["log"]] == [second.pk, first.pk]
    [line] = alice.get(of_person, what="not_entered")[1]["log"]
    assert (line["reason"], line["run"], line["node"]) == ("never_again", None, None)
    assert line["sentence"].startswith("Did not enter, because")
    alice.delete(f"{AUTOMATIONS}/{other['id']}")
    assert [one["id"] for one in alice.get(of_person)[1]["log"]] == [first.pk]
