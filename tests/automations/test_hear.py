"""What an event does to people in automations, and to those outside: pulls, entries, states, loops and order."""

from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dripstone.accounts.models import Account
from dripstone.automations import read
from dripstone.automations.models import Automation, Step, Walk
from dripstone.engine import transitions
from dripstone.engine.models import Enrollment
from dripstone.events import causes, types
from dripstone.events.models import Event, Number
from dripstone.events.record import event, record
from dripstone.rules.models import Rule
from dripstone.subscribers import fields, subscribe, tags
from dripstone.subscribers.models import CustomField, Subscriber, Tag
from tests.automations.making import (
    DAY,
    NOW,
    add,
    ask,
    automation,
    due,
    left,
    log,
    sequence,
    stands,
    switch,
    tag,
    tagged,
    wait,
    work_off,
)
from tests.factories import make_account, make_sequence, make_subscriber, make_tag
from tests.rules import making as rules

pytestmark = pytest.mark.django_db

AT_ONCE = {"subject": "welcome", "delay_value": 0}


@pytest.fixture
def person(alice: Account) -> Subscriber:
    return make_subscriber(alice)


@pytest.fixture
def named(alice: Account) -> Callable[[str], Tag]:
    return lambda name: make_tag(alice, name=name)


def on(tag: Tag) -> list[dict[str, Any]]:
    """Entries: getting the tag."""
    return [{"id": "a", "trigger": "tag_added", "tag_id": tag.pk}]


def an_hour(key: str, to: str | None = None) -> dict[str, Any]:
    return {**wait(key, to), "for": {"hours": 1}}


def give(tag: Tag, *people: Subscriber, cause: causes.Cause = causes.API, now: Any = NOW) -> None:
    for person in people:
        tags.add(tag, person, now, cause=cause)


def again(tag: Tag, person: Subscriber) -> None:
    tags.remove(tag, person, NOW, cause=causes.API)
    give(tag, person)


def why(one: Automation, person: Subscriber) -> list[str]:
    """They did not enter, or nothing: they did."""
    rows = Step.objects.filter(automation_id=one.pk, subscriber_id=person.pk, what__in=["entered", "not_entered"])
    return list(rows.order_by("pk").values_list("reason", flat=True))


# --- Entering -------------------------------------------------------------------------------------------------------


def test_an_entry_lets_them_in_and_the_log_knows_the_event(alice: Account, person: Subscriber, named: Any) -> None:
    a, b = named("a"), named("b")
    one = automation(alice, tag("t", b, "w"), wait("w"), entries=on(a))
    give(a, person)
    work_off()
    walk = Walk.objects.get()
    assert (walk.node, walk.run, walk.entry, walk.cause, walk.is_from_outside) == ("w", 1, "a", ["api"], True)
    step = Step.objects.get()
    assert (step.what, step.run, step.event_id) == ("entered", 1, Event.objects.get(subject_id=a.pk).pk)
    assert Event.objects.get(subject_id=b.pk).cause == ["api", f"automation {one.pk}"]
    one.refresh_from_db()
    assert (one.n_entered, one.n_left) == (1, 0)


def test_inside_is_once_at_a_time_and_each_entry_a_new_run(alice: Account, person: Subscriber, named: Any) -> None:
    a = named("a")
    one = automation(alice, wait("w"), entries=on(a))
    give(a, person)
    again(a, person)
    work_off()
    assert why(one, person) == ["", "inside_already"] and Walk.objects.count() == 1
    work_off(NOW + 3 * DAY)
    again(a, person)
    work_off(NOW + 3 * DAY)
    assert Walk.objects.get(left_at=None).run == 2


def test_never_again_counts_runs_that_got_past_the_entry(alice: Account, person: Subscriber, named: Any) -> None:
    a = named("a")
    one = automation(alice, wait("w"), entries=on(a), reenter="never", status="paused")
    give(a, person)
    work_off()
    assert stands(one, person) == ""
    transitions.cancel(person.pk, NOW, cause=causes.API)
    work_off()
    assert left(one, person) == "state_cancelled"
    transitions.come_back(person.pk, NOW, cause=causes.SUBSCRIBER)
    switch(Automation.objects.get(pk=one.pk), "active")
    for _ in range(2):
        again(a, person)
        work_off()
        work_off(NOW + 3 * DAY)
    assert why(one, person) == ["", "", "never_again"]


def test_a_paused_one_lets_people_wait_at_the_entry_and_an_inactive_one_hears_nothing(
    alice: Account, person: Subscriber, named: Any
) -> None:
    a = named("a")
    paused = automation(alice, wait("w"), entries=on(a), status="paused")
    inactive = automation(alice, wait("w"), entries=on(a), status="inactive", name="Off")
    give(a, person)
    work_off(NOW + DAY)
    assert stands(paused, person) == "" and why(inactive, person) == []
    switch(Automation.objects.get(pk=paused.pk), "active", NOW + DAY)
    work_off(NOW + DAY)
    assert stands(paused, person) == "w" and due(paused, person) == NOW + 4 * DAY
    assert log(paused, person)[-1] == ("walked", "w", "started")


def test_any_of_several_entries_lets_in_once(alice: Account, person: Subscriber, named: Any) -> None:
    a, b = named("a"), named("b")
    two = [*on(a), {"id": "b", "trigger": "tag_added", "tag_id": b.pk}]
    one = automation(alice, wait("w"), entries=two)
    give(b, person)
    give(a, person)
    work_off()
    assert Walk.objects.get().entry == "b" and why(one, person) == ["", "inside_already"]


def test_a_date_in_a_field_lets_in_once_per_person_and_date(alice: Account, person: Subscriber) -> None:
    birthday, _ = fields.create(alice.pk, {"label": "Birthday"}, NOW, cause=causes.OWNER)
    entry = {"id": "a", "trigger": "field_date", "custom_field_id": birthday.pk, "hour": 9}
    one = automation(alice, an_hour("w"), entries=[entry])
    write(person, birthday, "2026-11-25")
    work_off()
    work_off(NOW + 2 * DAY - timedelta(seconds=1))
    assert stands(one, person) is None
    for _ in range(2):
        work_off(NOW + 2 * DAY)
    assert stands(one, person) == "w" and Walk.objects.get().cause == []
    work_off(NOW + 9 * DAY)
    assert Walk.objects.count() == 1


def write(person: Subscriber, field: CustomField, value: str, now: Any = NOW) -> None:
    subscribe.update(person.pk, {"fields": {field.key: value}}, now, cause=causes.API)


# --- States ---------------------------------------------------------------------------------------------------------


def test_nobody_unconfirmed_walks_and_confirming_lets_them_walk_first(alice: Account, named: Any) -> None:
    person = make_subscriber(alice, state="inactive")
    event_node = {"id": "e", "kind": "event", "trigger": "became_active", "next": "v"}
    one = automation(alice, an_hour("w", "e"), event_node, wait("v"))
    add(one, person)
    work_off(NOW + DAY)
    assert stands(one, person) == "" and Walk.objects.get().due_at is None
    transitions.confirm(person.pk, NOW + DAY, cause=causes.SUBSCRIBER)
    work_off(NOW + DAY)
    assert stands(one, person) == "v", "from the entry to the wait, and the confirmation pulls them from there"
    assert log(one, person)[-1] == ("pulled", "v", "happened")


def test_the_waits_of_who_is_unconfirmed_run_on(alice: Account) -> None:
    person = make_subscriber(alice)
    one = automation(alice, wait("w", "v"), wait("v"))
    add(one, person)
    Subscriber.objects.filter(pk=person.pk).update(state="inactive")
    work_off(NOW + 3 * DAY)
    assert stands(one, person) == "w"
    transitions.confirm(person.pk, NOW + 4 * DAY, cause=causes.SUBSCRIBER)
    work_off(NOW + 4 * DAY)
    assert stands(one, person) == "v" and due(one, person) == NOW + 7 * DAY


@pytest.mark.parametrize("how", ["cancel", "bounce", "complain"])
def test_who_may_not_be_mailed_leaves_at_once_and_does_not_enter(
    alice: Account, person: Subscriber, named: Any, how: str
) -> None:
    a = named("a")
    one = automation(alice, wait("w"), entries=on(a))
    asleep = automation(alice, wait("w"), name="Asleep")
    for each in (one, asleep):
        add(each, person)
    switch(Automation.objects.get(pk=asleep.pk), "inactive")
    getattr(transitions, how)(person.pk, NOW, cause=causes.API)
    give(a, person)
    work_off()
    state = {"cancel": "cancelled", "bounce": "bounced", "complain": "complained"}[how]
    for each in (one, asleep):
        assert left(each, person) == f"state_{state}"
    assert why(one, person) == ["", "not_mailable"]


# --- Forward, and one thing -----------------------------------------------------------------------------------------


def test_an_event_pulls_forward_from_wherever_they_stand_before_it(alice: Account, named: Any) -> None:
    a, b = named("a"), named("b")
    course = make_sequence(alice, AT_ONCE)
    one = automation(
        alice, wait("w", "c"), ask("c", b, "s", "x"), sequence("s", course.pk, "e"), tagged("e", a, "v"), wait("v"),
        wait("x"),
    )  # fmt: skip
    waiting, reading, beside, behind = (make_subscriber(alice) for _ in range(4))
    give(b, reading)
    add(one, reading, beside)
    work_off(NOW + 3 * DAY)
    add(one, waiting, now=NOW + 3 * DAY)
    add(one, behind, now=NOW + 3 * DAY)
    give(a, behind)
    work_off(NOW + 3 * DAY)
    assert [stands(one, each) for each in (waiting, reading, beside, behind)] == ["w", "s", "x", "v"]
    again(a, behind)
    give(a, waiting, reading, beside)
    work_off(NOW + 3 * DAY)
    assert [stands(one, each) for each in (waiting, reading, beside, behind)] == ["v", "v", "x", "v"]
    place = Enrollment.objects.get()
    assert (place.status, place.removed_reason) == ("removed", "removed_by_automation"), "A5"
    step = Step.objects.filter(subscriber_id=reading.pk).latest("pk")
    assert [(each["node"], each["what"]) for each in step.path] == [("s", "left_behind"), ("e", "over"), ("v", "waits")]


def test_the_nearest_event_ahead_is_the_one(alice: Account, person: Subscriber, named: Any) -> None:
    a = named("a")
    one = automation(alice, wait("w", "e1"), tagged("e1", a, "e2"), tagged("e2", a, "v", already=False), wait("v"))
    add(one, person)
    give(a, person)
    work_off()
    assert stands(one, person) == "e2", "one happening does one thing: it goes on to the next event and waits there"
    again(a, person)
    work_off()
    assert stands(one, person) == "v"


def test_what_ends_their_own_wait_does_not_pull_them_as_well(alice: Account, person: Subscriber, named: Any) -> None:
    a = named("a")
    one = automation(alice, ask("c", a, "w", None, within={"days": 9}), wait("w", "e"), tagged("e", a, "v"), wait("v"))
    add(one, person)
    give(a, person)
    work_off()
    assert stands(one, person) == "w"


def test_who_may_not_walk_is_pulled_all_the_same_and_walks_later(
    alice: Account, person: Subscriber, named: Any
) -> None:
    a = named("a")
    course = make_sequence(alice, AT_ONCE)
    one = automation(
        alice, sequence("s", course.pk, "e"), tagged("e", a, "v", within={"days": 1}, otherwise=None), wait("v")
    )
    add(one, person)
    one = switch(one, "paused")
    give(a, person)
    work_off()
    assert stands(one, person) == "e" and Enrollment.objects.get().status == "removed"
    assert log(one, person)[-1] == ("pulled", "e", "happened")
    work_off(NOW + 2 * DAY)
    switch(Automation.objects.get(pk=one.pk), "active", NOW + 2 * DAY)
    work_off(NOW + 2 * DAY)
    assert stands(one, person) == "v" and log(one, person)[-1] == ("walked", "v", "happened")


def test_what_they_wait_for_may_end_while_it_does_not_run(alice: Account, named: Any) -> None:
    a = named("a")
    one = automation(alice, tagged("e", a, "v", within={"days": 1}, otherwise="o"), wait("v"), wait("o"))
    met, unmet = make_subscriber(alice), make_subscriber(alice)
    add(one, met, unmet)
    one = switch(one, "inactive")
    give(a, met)
    work_off(NOW + 2 * DAY)
    assert stands(one, met) == "e"
    switch(Automation.objects.get(pk=one.pk), "active", NOW + 2 * DAY)
    work_off(NOW + 2 * DAY)
    assert (stands(one, met), stands(one, unmet)) == ("v", "o")


def test_who_waits_for_a_tag_that_is_deleted_goes_on_at_once(alice: Account, person: Subscriber, named: Any) -> None:
    a = named("a")
    one = automation(alice, tagged("e", a, "v"), wait("v"))
    add(one, person)
    tags.delete(a, NOW, cause=causes.OWNER)
    work_off()
    assert stands(one, person) == "v" and log(one, person)[-1] == ("walked", "v", "thing_gone")


def test_a_field_that_is_deleted_has_no_date_any_more(alice: Account, person: Subscriber) -> None:
    field, _ = fields.create(alice.pk, {"label": "Birthday"}, NOW, cause=causes.OWNER)
    write(person, field, "2026-12-24")
    node = {"id": "w", "kind": "wait", "until": {"custom_field_id": field.pk}, "next": None, "otherwise": "v"}
    one = automation(alice, node, wait("v"))
    add(one, person)
    assert stands(one, person) == "w"
    fields.delete(field, NOW, cause=causes.OWNER)
    work_off()
    assert stands(one, person) == "v" and log(one, person)[-1] == ("walked", "v", "no_date")


# --- Rules, chains and loops ----------------------------------------------------------------------------------------


def test_each_event_goes_to_the_rules_first(alice: Account, person: Subscriber, named: Any) -> None:
    a, b = named("a"), named("b")
    one = automation(alice, ask("c", b, "yes", "no"), wait("yes"), wait("no"), entries=on(a))
    rules.rule(alice, rules.tag(b), when=rules.tag_added(a))
    give(a, person)
    work_off()
    assert stands(one, person) == "yes"


def test_quiet_acts_let_nobody_in_and_move_who_is_inside(alice: Account, person: Subscriber, named: Any) -> None:
    a = named("a")
    enters = automation(alice, wait("w"), entries=on(a))
    waits = automation(alice, tagged("e", a, "v"), wait("v"), name="Waits")
    add(waits, person)
    give(a, person, cause=causes.quietly(causes.OWNER))
    work_off()
    assert stands(enters, person) is None and why(enters, person) == [] and stands(waits, person) == "v"


def test_what_a_run_does_itself_neither_pulls_nor_readmits(alice: Account, person: Subscriber, named: Any) -> None:
    a = named("a")
    one = automation(
        alice, tag("t", a, "w"), wait("w", "e"), tagged("e", a, "v", already=False), wait("v"), entries=on(a)
    )
    add(one, person)
    work_off()
    assert stands(one, person) == "w" and why(one, person) == ["", "inside_already"]


def test_two_that_feed_each_other_stop(alice: Account, person: Subscriber, named: Any) -> None:
    a, b = named("a"), named("b")
    untag = {"kind": "untag", "next": "t"}
    ping = automation(alice, {**untag, "id": "u", "tag_id": b.pk}, tag("t", b), entries=on(a), name="Ping")
    pong = automation(alice, {**untag, "id": "u", "tag_id": a.pk}, tag("t", a), entries=on(b), name="Pong")
    give(a, person)
    work_off()
    assert why(ping, person) == ["end", "in_its_own_chain"] and why(pong, person) == ["end"]
    assert Step.objects.filter(what="not_entered").get().cause == [
        "api",
        f"automation {ping.pk}",
        f"automation {pong.pk}",
    ]


def test_at_depth_ten_nobody_is_admitted_and_who_is_inside_is_moved(
    alice: Account, person: Subscriber, named: Any
) -> None:
    chain = [named(f"t{n}") for n in range(11)]
    for before, after in pairwise(chain):
        rules.rule(alice, rules.tag(after), when=rules.tag_added(before))
    enters = automation(alice, wait("w"), entries=on(chain[10]))
    waits = automation(alice, tagged("e", chain[10], "v"), wait("v"), name="Waits")
    add(waits, person)
    give(chain[0], person)
    work_off()
    assert why(enters, person) == ["too_deep"] and stands(waits, person) == "v"


def test_ten_times_a_day_by_anything_but_an_act_of_outside(alice: Account, person: Subscriber) -> None:
    course = make_sequence(alice, AT_ONCE)
    entry = {"id": "a", "trigger": "sequence_completed", "sequence_id": course.pk}
    one = automation(alice, entries=[entry], start=None)

    def completed(n: int) -> None:
        about: Any = {"cause": causes.NONE, "subscriber_id": person.pk, "subject_id": course.pk}
        record(event(types.SEQUENCE_COMPLETED, alice.pk, NOW, **about) for _ in range(n))

    completed(12)
    work_off()
    assert why(one, person) == ["end"] * 10 + ["too_often"] * 2
    one.refresh_from_db()
    assert (one.n_entered, one.n_left, one.n_not_entered) == (10, 10, 2)


# --- Order and cost -------------------------------------------------------------------------------------------------


def test_what_an_automation_does_is_read_behind_what_waits_already(
    alice: Account, person: Subscriber, named: Any
) -> None:
    a, b, c = named("a"), named("b"), named("c")
    one = automation(
        alice, tag("t", c, "e"), tagged("e", b, "f"), tagged("f", c, "v", already=False), wait("v"), entries=on(a)
    )
    give(a, person)
    give(b, person)
    work_off()
    assert stands(one, person) == "f", "a lets in, b ends the wait, and what the run did itself counts for nothing"


def test_each_goes_to_the_automations_by_id_and_each_sees_what_the_one_before_did(
    alice: Account, person: Subscriber, named: Any
) -> None:
    a, b = named("a"), named("b")
    first = automation(alice, tag("t", b), entries=on(a), name="First")
    second = automation(alice, ask("c", b, "yes", "no"), wait("yes"), wait("no"), entries=on(a), name="Second")
    give(a, person)
    work_off()
    assert stands(second, person) == "yes" and left(first, person) == "end"


def test_events_of_accounts_without_rules_and_automations_are_not_read(alice: Account, named: Any) -> None:
    a = named("a")
    one = automation(alice, wait("w"), entries=on(a), status="inactive")
    give(a, make_subscriber(alice))
    work_off()
    assert not read.is_heard() and one.pk
    switch(one, "active")
    assert read.is_heard()


def test_the_number_of_statements_does_not_grow_with_events_that_concern_nobody(alice: Account, named: Any) -> None:
    a, b = named("a"), named("b")
    one = automation(alice, wait("w", "e"), tagged("e", a), entries=on(a))
    people = [make_subscriber(alice) for _ in range(40)]
    add(one, *people)
    work_off()

    def n_queries(some: list[Subscriber]) -> int:
        give(b, *some)
        with CaptureQueriesContext(connection) as captured:
            work_off()
        return len(captured)

    few = n_queries(people[:2])
    assert n_queries(people[2:]) <= few and Number.objects.exists() and not Rule.objects.exists()


def test_a_stranger_is_no_part_of_it(alice: Account, named: Any) -> None:
    mallory = make_account("Mallory")
    one = automation(alice, wait("w"))
    stranger = make_subscriber(mallory)
    other = automation(mallory, wait("w"), name="Theirs")
    told: Any = {"cause": causes.API, "subscriber_id": stranger.pk, "subject_id": one.pk}
    record([event(types.SENT_INTO_AUTOMATION, mallory.pk, NOW, **told)])
    work_off()
    assert not Walk.objects.exists() and not Step.objects.exists() and other.pk
