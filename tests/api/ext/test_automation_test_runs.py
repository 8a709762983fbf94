"""A test run by API: who walks through how, and what is refused."""

from typing import Any

import pytest

from dripstone.automations.models import Step
from dripstone.events import causes
from dripstone.purchases.models import Product
from dripstone.subscribers import fields
from dripstone.subscribers.models import Subscriber, Tag
from tests.api.caller import Caller
from tests.automations.drawing import asking, automation, event, tagging, wait
from tests.conftest import VirtualClock
from tests.factories import MONDAY_9, make_purchase, make_tag
from tests.rules.making import tag_added

pytestmark = pytest.mark.django_db

Json = dict[str, Any]


@pytest.fixture
def tag(alice: Caller, clock: VirtualClock) -> Tag:
    return make_tag(alice.account, name="VIP")


def tried(alice: Caller, automation_id: int, **body: Any) -> Json:
    status, answer = alice.post(f"/ext/v1/automations/{automation_id}/test_run", body)
    assert status == 200, answer
    run: Json = answer["test_run"]
    return run


def test_every_step_is_told_with_its_time_and_nothing_is_kept(alice: Caller, tag: Tag) -> None:
    one = automation(alice.account, wait("w", "t"), tagging("t", tag), when=tag_added(tag))
    assert tried(alice, one.pk, first_name="Bo") == {
        "lines": [
            {
                "at": "2026-11-23T09:00:00Z",
                "kind": "did",
                "sentence": "Bo gets the tag “VIP”",
                "why": None,
                "way": [],
                "automation_id": None,
            },
            *_steps(alice, one.pk),
        ],
        "inside": False,
        "node": None,
        "end": "That is all: nothing waits any more.",
    }
    assert not Subscriber.objects.exists()
    assert not Step.objects.exists()


def _steps(alice: Caller, automation_id: int) -> list[Json]:
    found: list[Json] = [line for line in tried(alice, automation_id)["lines"] if line["kind"] == "step"]
    ways = [[passed["node"] for passed in line["way"]] for line in found]
    assert [line["at"] for line in found] == ["2026-11-23T09:00:00Z", "2026-11-26T09:00:00Z"]
    assert ways == [["w"], ["w", "t", "t"]]
    return found


def test_it_happens_after_the_time_that_was_said(alice: Caller, tag: Tag) -> None:
    one = automation(alice.account, event("e", tag_added(tag), "w"), wait("w"))
    happens = [{"after": {"days": 2}, "node": "e"}, {"after": {"days": 3}, "what": "unsubscribes"}]
    run = tried(alice, one.pk, at="2026-12-24", happens=happens)
    done = [(line["at"], line["sentence"]) for line in run["lines"] if line["kind"] == "did"]
    assert done == [
        ("2026-12-26T05:00:00Z", "Ann gets the tag “VIP”"),
        ("2026-12-27T05:00:00Z", "Ann unsubscribes"),
    ], "days begin in the account's zone"
    assert (run["inside"], run["node"]) == (False, None)


def test_they_go_as_was_said_or_by_what_is_so_of_them(alice: Caller, tag: Tag) -> None:
    has = {"type": "tags", "ids": [tag.pk]}
    one = automation(alice.account, asking("asked", has, "e", None), event("e", {**tag_added(tag), "already": False}))
    assert not tried(alice, one.pk)["inside"]
    assert tried(alice, one.pk, ways={"asked": "yes"})["node"] == "e"
    assert tried(alice, one.pk, tag_ids=[tag.pk])["node"] == "e"


def test_the_draft_is_tried_unless_the_published_graph_is_asked_for(alice: Caller, tag: Tag) -> None:
    one = automation(alice.account, event("old", tag_added(tag)))
    drawn = {"start": "new", "nodes": [event("new", tag_added(tag))]}
    assert alice.put(f"/ext/v1/automations/{one.pk}/draft", drawn)[0] == 200
    assert tried(alice, one.pk)["node"] == "new"
    assert tried(alice, one.pk, graph="published")["node"] == "old"


def test_what_is_so_of_them_is_taken_by_id_and_fields_by_key(alice: Caller, tag: Tag) -> None:
    field = fields.create(alice.account.pk, {"label": "City"}, MONDAY_9, cause=causes.OWNER)[0]
    make_purchase(alice.account)
    product = Product.objects.get(account=alice.account)
    both = {
        "all": [
            {"type": "custom_field", "subscriber_custom_field_id": field.pk, "comparison": "is", "value": "Ulm"},
            {"type": "purchases", "products": [product.pk]},
        ]
    }
    one = automation(alice.account, asking("asked", both, "e", None), event("e", tag_added(tag)))
    assert tried(alice, one.pk, fields={field.key: "Ulm"}, product_ids=[product.pk])["node"] == "e"
    assert not tried(alice, one.pk, fields={field.key: "Bonn"}, product_ids=[product.pk])["inside"]


def test_every_problem_is_told_at_once(alice: Caller, tag: Tag) -> None:
    one = automation(alice.account, event("e", tag_added(tag)), when=tag_added(tag))
    body = {
        "tag_ids": [7 * 10**9],
        "fields": {"nothing": "x"},
        "at": "soon",
        "entry": "elsewhere",
        "happens": [{"after": {"days": 1}}, {"node": "nowhere"}, {"node": "e", "after": {"days": 0}}],
        "ways": {"e": "next"},
    }
    status, answer = alice.post(f"/ext/v1/automations/{one.pk}/test_run", body)
    assert status == 422
    assert [sentence.split(":")[0].split(" ")[0] for sentence in answer["errors"]] == [
        "tag_ids",
        "fields.nothing",
        "at",
        "entry",
        "happens[0].node",
        "happens[1].node",
        "happens[2].after.days",
        "ways.e",
    ]
