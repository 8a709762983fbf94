"""The log of automations in words."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dripstone.accounts.models import Account
from dripstone.automations import reasons
from dripstone.automations.models import Automation, Node, Step
from dripstone.events import causes
from dripstone.events.models import Event
from dripstone.explain import walk_words
from dripstone.explain.walk_words import Line
from dripstone.subscribers import tags
from dripstone.subscribers.models import Subscriber, Tag
from tests.automations.drawing import asking, automation, logged, tagging, wait
from tests.factories import MONDAY_9 as NOW
from tests.factories import make_subscriber, make_tag
from tests.rules.making import has, tag_added

pytestmark = pytest.mark.django_db


@pytest.fixture
def a(alice: Account) -> Tag:
    return make_tag(alice, name="A")


@pytest.fixture
def noor(alice: Account) -> Subscriber:
    return make_subscriber(alice, email_address="noor@example.com")


@pytest.fixture
def one(alice: Account, a: Tag) -> Automation:
    nodes = [tagging("t", a, "w"), wait("w", "ask"), asking("ask", has(a), yes=None, no="t2"), tagging("t2", a)]
    return automation(alice, *nodes, when=tag_added(a))


def line(row: Step) -> Line:
    [told] = walk_words.of([row], walk_words.names_of([row], row.account_id))
    return told


def test_who_entered_by_what_and_where_they_stand(one: Automation, a: Tag, noor: Subscriber) -> None:
    tags.add(a, noor, NOW, cause=causes.API)
    event = Event.objects.get(type="subscriber.tag_added")
    path = [{"node": "t", "what": "passed", "reason": "already_so"}, {"node": "w", "what": "waits", "reason": ""}]
    told = line(logged(one, noor, "entered", run=1, node="w", event_id=event.pk, cause=event.cause, path=path))
    assert told.sentence == "Entered: got the tag “A”, by API"
    assert told.where == "Wait 3 days" and told.person == noor and told.automation == one
    assert [(step.said, step.outcome) for step in told.way] == [
        ("Add the tag “A”", "passed, because it was so already"),
        ("Wait 3 days", "waits here"),
    ]
    by_hand = line(logged(one, noor, "entered", run=2, node="w", cause=["owner"]))
    assert by_hand.sentence == "Entered again (run 2), by hand"


def test_why_somebody_did_not_enter_went_on_or_left(one: Automation, noor: Subscriber) -> None:
    refused = logged(one, noor, "not_entered", reason="never_again", cause=["api", f"automation {one.pk}"])
    assert line(refused).sentence == (
        "Did not enter, because they have been through it before, and nobody enters a second time, "
        "by the automation “After the course”, by API"
    )
    path = [
        {"node": "w", "what": "over", "reason": "wait_over"},
        {"node": "ask", "what": "went", "reason": "", "exit": "no"},
        {"node": "t2", "what": "acted", "reason": ""},
        {"node": "t2", "what": "leaves", "reason": "end"},
    ]
    left = line(logged(one, noor, "left", run=1, reason="end", path=path))
    assert left.sentence == "Left, because nothing comes next" and left.where == ""
    assert [step.outcome for step in left.way] == [
        "over, because the wait was over",
        "by “no”",
        "done",
        "leaves, because nothing comes next",
    ]
    went_on = logged(one, noor, "walked", run=1, node="w", reason="condition_met")
    assert line(went_on).said == "Went on, because the condition was met"
    at_once = line(logged(one, noor, "entered", run=1, reason="end", cause=["owner"], path=path[2:]))
    assert at_once.said == "Entered, and left, because nothing comes next" and at_once.where == ""


def test_who_was_pulled_or_moved(one: Automation, noor: Subscriber) -> None:
    path = [
        {"node": "w", "what": "left_behind", "reason": "happened"},
        {"node": "t2", "what": "over", "reason": "happened"},
    ]
    pulled = line(logged(one, noor, "pulled", run=1, node="t2", reason="happened", path=path))
    assert pulled.said == "Pulled forward to “Add the tag “A””"
    assert [step.outcome for step in pulled.way] == ["left behind", "over, because what they waited for happened"]
    assert line(logged(one, noor, "moved", run=1, node="w", reason="by_hand", cause=["owner"])).sentence == (
        "Moved to “Wait 3 days”, by hand"
    )
    assert "was deleted" in line(logged(one, noor, "moved", run=1, node="w", reason="by_edit")).said


def test_what_is_gone_has_its_id_alone(one: Automation, noor: Subscriber) -> None:
    path = [{"node": "old", "what": "went", "reason": "", "exit": "yes"}, {"node": "ask", "what": "went", "exit": "7"}]
    row = logged(one, noor, "walked", run=1, node="old", reason="wait_over", path=path)
    told = line(row)
    assert told.where == "the step “old”, which is gone"
    assert [step.outcome for step in told.way] == ["by “yes”", "by “7”"]
    Node.objects.filter(automation=one).delete()
    Automation.objects.filter(pk=one.pk).delete()
    assert line(row).automation is None and line(row).said == "Went on, because the wait was over"


def test_every_reason_has_its_words() -> None:
    said: dict[str, Any] = {
        **walk_words.WHY_NOT, **walk_words.WHY_ON, **walk_words.WHY_LEFT, **walk_words.WHY_PASSED,
        reasons.BY_EDIT: "in the sentence itself",
    }  # fmt: skip
    assert set(reasons.ALL) <= said.keys()
    assert set(reasons.NOT_ENTERED) == walk_words.WHY_NOT.keys()
    assert set(reasons.LEFT) == walk_words.WHY_LEFT.keys()


def test_it_asks_no_more_of_many_rows_than_of_one(alice: Account, one: Automation, noor: Subscriber) -> None:
    def n_queries() -> int:
        rows = list(Step.objects.order_by("pk"))
        with CaptureQueriesContext(connection) as queries:
            walk_words.of(rows, walk_words.names_of(rows, alice.pk))
        return len(queries)

    logged(one, noor, "entered", run=1, node="w", cause=["api"])
    few = n_queries()
    for number in range(10):
        logged(
            one,
            make_subscriber(alice),
            "entered",
            run=1,
            node="w",
            cause=["api"],
            path=[{"node": "t", "what": "acted"}],
        )
        assert number >= 0
    assert n_queries() == few
