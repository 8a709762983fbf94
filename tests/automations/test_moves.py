"""Rules and bulk actions move people into automations and out of them, in the order of what else happens to them."""

from typing import Any

import pytest

from dripstone.accounts.models import Account
from dripstone.automations import run
from dripstone.automations.models import Automation, Step, Walk
from dripstone.bulk import action_words, actions
from dripstone.bulk import run as bulk
from dripstone.bulk.models import BulkAction
from dripstone.events import causes
from dripstone.explain import rule_checks
from dripstone.rules.models import Rule
from dripstone.subscribers import tags
from dripstone.subscribers.models import Subscriber, Tag
from tests import factories
from tests.automations.making import NOW, automation, switch, wait
from tests.factories import make_subscriber, make_tag
from tests.rules.making import rule

EVERYBODY: dict[str, Any] = {"filter": {"all": []}}

pytestmark = pytest.mark.django_db


@pytest.fixture
def account() -> Account:
    return factories.make_account()


@pytest.fixture
def trigger(account: Account) -> Tag:
    return make_tag(account, name="Go")


@pytest.fixture
def course(account: Account) -> Automation:
    return automation(account, wait("pause"), name="Course")


def move(to: Automation, way: str = "in") -> dict[str, Any]:
    return {"kind": "move", "automation_id": to.pk, "way": way}


def moving(account: Account, trigger: Tag, *acts: dict[str, Any]) -> Rule:
    return rule(account, *acts, when={"trigger": "tag_added", "tag_id": trigger.pk}, now=NOW)


def inside(one: Automation) -> set[int]:
    return set(Walk.objects.filter(automation=one, left_at=None).values_list("subscriber_id", flat=True))


def give(tag: Tag, *people: Subscriber) -> None:
    for person in people:
        tags.add(tag, person, NOW, cause=causes.API)
    run.until_idle(lambda: NOW)


def in_bulk(account: Account, *acts: dict[str, Any], whom: Any = EVERYBODY, fire_rules: bool = True) -> BulkAction:
    row = actions.begin(account, whom, list(acts), "owner", NOW, fire_rules=fire_rules)
    bulk.until_idle(lambda: NOW)
    run.until_idle(lambda: NOW)
    row.refresh_from_db()
    return row


def test_a_rule_moves_them_in_and_the_log_says_by_what(account: Account, trigger: Tag, course: Automation) -> None:
    person = make_subscriber(account)
    one = moving(account, trigger, move(course))
    give(trigger, person)
    assert inside(course) == {person.pk}
    step = Step.objects.get(automation_id=course.pk, what=Step.What.ENTERED)
    assert step.cause == ["api", f"rule {one.pk}"]


def test_a_rule_moves_them_out(account: Account, trigger: Tag, course: Automation) -> None:
    person, other = make_subscriber(account), make_subscriber(account)
    in_bulk(account, move(course))
    assert inside(course) == {person.pk, other.pk}
    moving(account, trigger, move(course, "out"))
    give(trigger, person)
    assert inside(course) == {other.pk}
    assert Walk.objects.get(automation=course, subscriber_id=person.pk).left_because == "by_move"


def test_out_of_one_and_into_another_is_done_in_that_order(account: Account, trigger: Tag, course: Automation) -> None:
    person, after = make_subscriber(account), automation(account, wait("pause"), name="After it")
    in_bulk(account, move(course))
    moving(account, trigger, move(course, "out"), move(after))
    give(trigger, person)
    assert (inside(course), inside(after)) == (set(), {person.pk})


@pytest.mark.parametrize("fire_rules", [True, False])
def test_in_bulk_they_are_moved_whether_rules_fire_or_not(
    account: Account, course: Automation, fire_rules: bool
) -> None:
    person = make_subscriber(account)
    row = in_bulk(account, move(course), fire_rules=fire_rules)
    assert inside(course) == {person.pk}
    assert row.report == [{"changed": 1, "passed": {}}]


@pytest.mark.parametrize(
    ("status", "reenter", "way"),
    [
        ("active", "always", "in"),
        ("active", "never", "in"),
        ("paused", "always", "in"),
        ("inactive", "always", "in"),
        ("active", "always", "out"),
    ],
)
def test_what_was_counted_is_what_becomes_of_them(account: Account, status: str, reenter: str, way: str) -> None:
    """Of people in every state, outside, inside and back again."""
    course = automation(account, wait("pause"), name="Course", reenter=reenter)
    was, is_in = make_subscriber(account), make_subscriber(account)
    in_bulk(account, move(course))
    in_bulk(account, move(course, "out"), whom={"ids": [was.pk]})
    for state in ("active", "inactive", "cancelled", "bounced", "complained"):
        make_subscriber(account, state=state, canceled_at=NOW if state == "cancelled" else None)
    if status != "active":
        switch(course, status)
    before = inside(course)
    counted = actions.count(account, EVERYBODY, [move(course, way)], NOW)
    in_bulk(account, move(course, way))
    assert counted.n_people == 7
    assert counted.effects[0].n_changed == len(inside(course) ^ before)
    assert is_in.pk in before


def test_a_count_says_it_in_words(account: Account, course: Automation) -> None:
    make_subscriber(account)
    make_subscriber(account, state="bounced")
    for way, said in (
        ("in", ["1 person enters the automation “Course”", "1 person does not enter: its log says why"]),
        ("out", ["2 people are so already, and stay"]),
    ):
        acts = [move(course, way)]
        counted = actions.count(account, EVERYBODY, acts, NOW)
        names = action_words.names_in(acts, account.pk)
        assert [str(one) for one in action_words.effects(counted, "UTC", names, NOW)] == said


def test_an_automation_that_does_not_run_is_said_beside_the_rule(
    account: Account, trigger: Tag, course: Automation
) -> None:
    one = moving(account, trigger, move(course))

    def codes() -> list[str]:
        found = [each.code for each in rule_checks.of([one], account, NOW)[one.pk]]
        return [code for code in found if code.startswith(("automation", "action"))]

    assert codes() == []
    switch(course, "paused")
    assert codes() == ["automation_paused"]
    switch(course, "inactive")
    assert codes() == ["automation_inactive"]
    Automation.objects.filter(pk=course.pk).delete()
    assert codes() == ["action_gone"]
