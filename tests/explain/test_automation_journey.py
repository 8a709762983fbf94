"""A person's way through automations: what is foretold is what then happens, and where nothing is, it says why."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from dripstone import leap
from dripstone.accounts.models import Account
from dripstone.automations import people
from dripstone.automations.models import Automation
from dripstone.engine import enroll
from dripstone.events import causes
from dripstone.explain import automation_journey
from dripstone.explain.automation_journey import Way
from dripstone.subscribers import fields
from dripstone.subscribers.models import Subscriber
from tests.automations.drawing import (
    asking,
    automation,
    course,
    event,
    logged,
    shares,
    stands,
    tagging,
    until,
    wait,
)  # fmt: skip
from tests.driving import Engine
from tests.factories import MONDAY_9 as NOW
from tests.factories import make_account, make_sequence, make_subscriber, make_tag
from tests.rules.making import has, tag_added

pytestmark = pytest.mark.django_db

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def noor(alice: Account) -> Subscriber:
    return make_subscriber(alice, email_address="noor@example.com")


def way(person: Subscriber, now: datetime = NOW) -> Way:
    person = Subscriber.objects.get(pk=person.pk)
    [found] = automation_journey.of_person(Account.objects.get(pk=person.account_id), person, now)
    return found


def coming(found: Way) -> list[tuple[datetime, str, str]]:
    return [(one.at, one.node, one.what) for one in found.coming]


def enters(one: Automation, person: Subscriber) -> None:
    assert people.add(one, [person.pk], NOW, cause=causes.OWNER) == {person.pk: ""}


def test_what_is_decided_is_foretold_and_comes_true(alice: Account, noor: Subscriber, engine: Engine) -> None:
    first, second = make_tag(alice, name="First"), make_tag(alice, name="Second")
    sequence = make_sequence(alice, {"subject": "One", "delay_value": 0}, {"subject": "Two"}, name="Course")
    monday = {"weekdays": ["monday"], "hour": 8}
    one = automation(
        alice, wait("w", "t"), tagging("t", first, "go"), course("go", sequence, "slot"), until("slot", monday, "u"),
        tagging("u", second),
    )  # fmt: skip
    enters(one, noor)
    found = way(noor)
    assert found.is_inside and found.now == "Wait 3 days: until Thursday, 26 November 2026 at 09:00"
    assert coming(found) == [
        (NOW + 3 * DAY, "t", "Add the tag “First”"),
        (NOW + 3 * DAY, "go", "Put them into the sequence “Course”, and wait until they have completed it"),
        (NOW + 3 * DAY, "go", "The email “One” of “Course”"),
        (NOW + 4 * DAY, "go", "The email “Two” of “Course”"),
        (NOW + 4 * DAY, "slot", "Wait until the next Monday at 8:00: until Monday, 30 November 2026 at 08:00"),
        (NOW + 7 * DAY - HOUR, "u", "Add the tag “Second”"),
        (NOW + 7 * DAY - HOUR, "", "They leave: nothing comes next"),
    ]
    assert (found.depends, found.unless) == ("", ())
    leap.to(NOW + 3 * DAY + HOUR, alice.pk)
    inside = way(noor, engine.clock.now())
    assert [one.what for one in inside.coming] == [what for _, _, what in coming(found)[3:]]
    leap.to(NOW + 8 * DAY, alice.pk)
    assert [subject for subject, _ in engine.sent(noor)] == ["One", "Two"]
    [*_, last] = way(noor, engine.clock.now()).past
    assert (last.row.what, last.at) == ("left", NOW + 7 * DAY - HOUR)


def test_a_condition_ahead_is_what_the_rest_depends_on(alice: Account, noor: Subscriber) -> None:
    vip = make_tag(alice, name="VIP")
    one = automation(alice, wait("w", "ask"), asking("ask", has(vip), "t", "t"), tagging("t", vip))
    stands(one, noor, "w", ends_at=NOW + DAY)
    assert (way(noor).coming, way(noor).depends) == ((), "whether they have the tag “VIP” then; as things are, no")
    several = {"id": "s", "kind": "split", "branches": [{"if": has(vip), "next": "t"}], "otherwise": None}
    split, another = automation(alice, wait("w", "s"), several, tagging("t", vip)), make_subscriber(alice)
    stands(split, another, "w", ends_at=NOW + DAY)
    assert way(another).depends == "what is so then first: they have the tag “VIP”; as things are, otherwise"
    limited = automation(alice, asking("ask", has(vip), "t", "t", days=2), tagging("t", vip))
    other = make_subscriber(alice)
    stands(limited, other, "ask", ends_at=NOW + 2 * DAY)
    assert way(other).depends == "whether they have the tag “VIP” by Wednesday, 25 November 2026 at 09:00"
    assert way(other).now.endswith(": until Wednesday, 25 November 2026 at 09:00")


def test_events_ahead_are_what_could_come_before(alice: Account, noor: Subscriber) -> None:
    vip = make_tag(alice, name="VIP")
    nodes = [wait("w", "e"), event("e", tag_added(vip), "t", "t", days=2), tagging("t", vip)]
    one = automation(alice, *nodes)
    stands(one, noor, "w", ends_at=NOW + DAY)
    assert way(noor).depends == ("whether the person gets the tag “VIP” by Thursday, 26 November 2026 at 09:00")
    assert way(noor).unless == ("the person gets the tag “VIP”: then “Add the tag “VIP””",)
    vip.taggings.create(subscriber=noor, tagged_at=NOW)
    assert way(noor).depends.endswith("; as things are, that is so already, and they go on at once")


def test_a_split_by_share_and_dates_are_decided(alice: Account, noor: Subscriber) -> None:
    field, _ = fields.create(alice.pk, {"label": "Birthday"}, NOW, cause=causes.OWNER)
    Subscriber.objects.filter(pk=noor.pk).update(fields={str(field.pk): "2026-12-01"})
    tag = make_tag(alice, name="A")
    then = {"trigger": "date", "at": "2026-12-02T12:00:00+00:00"}
    birthday = until("b", {"custom_field_id": field.pk, "days": -1, "hour": 7}, "s") | {"otherwise": None}
    one = automation(
        alice, wait("w", "b"), birthday, shares("s", (0, None), (100, "d")), event("d", then, "t"), tagging("t", tag)
    )
    stands(one, noor, "w", ends_at=NOW + DAY)
    assert [(at, node) for at, node, _ in coming(way(noor))] == [
        (NOW + DAY, "b"),
        (datetime.fromisoformat("2026-11-30T07:00:00+00:00"), "d"),
        (datetime.fromisoformat("2026-12-02T12:00:00+00:00"), "t"),
        (datetime.fromisoformat("2026-12-02T12:00:00+00:00"), ""),
    ]
    Subscriber.objects.filter(pk=noor.pk).update(fields={})
    assert coming(way(noor)) == [(NOW + DAY, "", "They leave: nothing comes next")], "without a date, by the other way"


def test_who_does_not_go_on_is_said_to_wait(alice: Account, noor: Subscriber) -> None:
    one = automation(alice, tagging("t", make_tag(alice)))
    stands(one, noor)
    Automation.objects.filter(pk=one.pk).update(status="paused")
    assert (way(noor).now, way(noor).depends) == ("At the entry", "whether the automation runs again: it is paused")
    Subscriber.objects.filter(pk=noor.pk).update(state="inactive")
    assert way(noor).depends.startswith("whether they confirm their address")


@pytest.mark.parametrize(
    ("settings", "wait_for", "depends"),
    [
        ({"active": False}, "completed", "whether “Course” runs again"),
        ({"hold": True}, "completed", "whether “Course” goes on holding people at its end"),
        ({"hold": True}, "last_email", ""),
    ],
)
def test_a_sequence_that_does_not_end_is_what_the_rest_depends_on(
    alice: Account, noor: Subscriber, settings: dict[str, Any], wait_for: str, depends: str
) -> None:
    sequence = make_sequence(alice, {"subject": "One"}, name="Course", **settings)
    one = automation(alice, wait("w", "go"), course("go", sequence, "t", wait_for), tagging("t", make_tag(alice)))
    stands(one, noor, "w", ends_at=NOW + DAY)
    assert way(noor).depends == depends
    assert ([node for _, node, _ in coming(way(noor))][-1] == "") is (depends == "")


def test_a_sequence_that_they_know_is_met_by_r12(alice: Account, noor: Subscriber, engine: Engine) -> None:
    sequence = make_sequence(alice, {"subject": "One", "delay_value": 0}, {"subject": "Two"}, name="Course")
    one = automation(alice, wait("w", "go"), course("go", sequence, "t"), tagging("t", make_tag(alice, name="A")))
    enroll.add(sequence, [noor.pk], "api", NOW)
    engine.run()
    stands(one, noor, "w", ends_at=NOW + HOUR)
    assert [(at, node) for at, node, _ in coming(way(noor))] == [
        (NOW + HOUR, "go"), (NOW + DAY, "go"), (NOW + DAY, "t"), (NOW + DAY, ""),
    ], "they wait with what is under way"  # fmt: skip
    engine.run_until(NOW + 2 * DAY)
    assert [node for _, node, _ in coming(way(noor, NOW + 2 * DAY))] == ["t", ""], "completed before: passed at once"


def test_whoever_is_excluded_goes_through_without_mail(alice: Account, noor: Subscriber) -> None:
    vip = make_tag(alice, noor, name="VIP")
    excluded = [{"type": "tag", "ids": [vip.pk]}]
    sequence = make_sequence(alice, {"delay_value": 0}, {}, name="Course", exclude_subscriber_sources=excluded)
    one = automation(alice, wait("w", "go"), course("go", sequence))
    stands(one, noor, "w", ends_at=NOW + HOUR)
    assert [(at, node) for at, node, _ in coming(way(noor))] == [(NOW + HOUR, "go"), (NOW + DAY, "")]


def test_those_inside_come_first_and_nobody_sees_another_account(alice: Account, noor: Subscriber) -> None:
    ended, inside = automation(alice, wait("w"), name="Ended"), automation(alice, wait("w"), name="Inside")
    stands(ended, noor, "w", left_at=NOW, left_because="by_hand")
    logged(ended, noor, "left", run=1, reason="by_hand")
    stands(inside, noor, "w", ends_at=NOW + DAY)
    found = automation_journey.of_person(alice, noor, NOW)
    assert [(one.automation.name, one.is_inside) for one in found] == [("Inside", True), ("Ended", False)]
    assert found[1].past[0].said == "Left, because they were taken out by hand" and not found[1].coming
    assert automation_journey.of_person(make_account("Mallory"), noor, NOW) == []
