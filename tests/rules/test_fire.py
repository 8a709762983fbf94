"""What becomes of an event at a rule: when it fires, for whom, how often, in which order, and what its log says."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dripstone.accounts.models import Account
from dripstone.automations import read
from dripstone.calls.models import Call
from dripstone.engine import transitions
from dripstone.engine.acts import forget
from dripstone.engine.models import Enrollment
from dripstone.events import causes, types
from dripstone.events.models import Event, Numbering, Reader
from dripstone.events.record import event, record
from dripstone.rules import fire, verbs
from dripstone.rules import log as rules_log
from dripstone.rules.models import Firing, Rule
from dripstone.subscribers import fields, subscribe, tags
from dripstone.subscribers.models import Subscriber, Tag
from dripstone.triggers import turn, what, when
from tests.factories import make_account, make_sequence, make_subscriber, make_tag
from tests.rules.making import NOW, has, outcomes, rule, tag, tag_added, tags_of, untag, work_off

pytestmark = pytest.mark.django_db


@pytest.fixture
def named(alice: Account) -> Callable[[str], Tag]:
    return lambda name: make_tag(alice, name=name)


@pytest.fixture
def person(alice: Account) -> Subscriber:
    return make_subscriber(alice)


def test_it_does_its_actions_in_order_and_its_log_says_what_they_did(
    alice: Account, person: Subscriber, named: Any
) -> None:
    a, b = named("a"), named("b")
    field, _ = fields.create(alice.pk, {"label": "City"}, NOW, cause=causes.OWNER)
    set_city = {"kind": "field", "custom_field_id": field.pk, "value": "Bonn"}
    call = {"kind": "call", "url": "https://example.com/in", "body": '{"city": "{{ subscriber.city }}"}'}
    made = rule(alice, tag(b), tag(b), set_city, call, when=tag_added(a))
    tags.add(a, person, NOW, cause=causes.API)
    assert work_off() == 1
    person.refresh_from_db()
    assert tags_of(person) == {"a", "b"} and person.fields == {str(field.pk): "Bonn"}
    assert b"Bonn" in bytes(Call.objects.get().body), "an action sees what the one before it did"
    one = Firing.objects.get()
    assert (one.account_id, one.rule_id, one.subscriber_id) == (alice.pk, made.pk, person.pk)
    assert (one.outcome, one.reason, one.trigger, one.cause) == ("fired", "", tag_added(a), ["api"])
    assert one.done == ["changed", "already_so", "changed", "changed"]
    assert one.is_from_outside and one.at == NOW
    assert one.event_id == Event.objects.get(type=types.TAG_ADDED, subject_id=a.pk).pk
    assert list(rules_log.of_rule(made)) == [one] == list(rules_log.of_person(alice.pk, person.pk))
    made.refresh_from_db()
    assert (made.n_fired, made.n_not_fired, made.last_fired_at) == (1, 0, NOW)


def test_what_it_does_carries_the_chain(alice: Account, person: Subscriber, named: Any) -> None:
    a, b, c = named("a"), named("b"), named("c")
    first = rule(alice, tag(b), when=tag_added(a))
    second = rule(alice, tag(c), when=tag_added(b))
    tags.add(a, person, NOW, cause=causes.OWNER)
    work_off()
    assert Event.objects.get(type=types.TAG_ADDED, subject_id=c.pk).cause == [
        "owner", f"rule {first.pk}", f"rule {second.pk}",
    ]  # fmt: skip
    assert not Firing.objects.get(rule=second).is_from_outside


def test_several_triggers_fire_it_once_by_the_first_that_is_met(alice: Account, person: Subscriber, named: Any) -> None:
    a, b = named("a"), named("b")
    field, _ = fields.create(alice.pk, {"label": "City"}, NOW, cause=causes.OWNER)
    changed: dict[str, Any] = {"trigger": "field_changed", "custom_field_id": field.pk}
    made = rule(alice, tag(b), when=[tag_added(a), changed | {"value": "Ulm"}, changed])
    for city in ("Bonn", "Ulm"):
        subscribe.update(person.pk, {"fields": {field.key: city}}, NOW, cause=causes.API)
    work_off()
    assert [one.trigger for one in rules_log.of_rule(made)] == [changed, changed | {"value": "Ulm"}]


def test_it_hears_of_nothing_that_happened_before_it_was_on_nor_while_it_was_off(
    alice: Account, person: Subscriber, named: Any
) -> None:
    a, b = named("a"), named("b")

    def again() -> None:
        tags.remove(a, person, NOW, cause=causes.API)
        tags.add(a, person, NOW, cause=causes.API)

    again()
    made = rule(alice, tag(b), when=tag_added(a))
    again()
    work_off()
    assert outcomes(made) == ["fired"]
    made = verbs.switch(made, False, NOW)
    again()
    made = verbs.switch(made, True, NOW)
    work_off()
    assert outcomes(made) == ["fired"]
    again()
    verbs.switch(made, False, NOW)
    work_off()
    assert outcomes(made) == ["fired"], "it was switched off before the event was read"


def test_quiet_acts_fire_nothing_and_leave_no_row(alice: Account, person: Subscriber, named: Any) -> None:
    a, b = named("a"), named("b")
    rule(alice, tag(b), when=tag_added(a))
    tags.add(a, person, NOW, cause=causes.quietly(causes.imported(3)))
    assert work_off() == 0
    assert not Firing.objects.exists() and tags_of(person) == {"a"}


def test_nobody_of_another_account_fires_it(alice: Account, named: Any) -> None:
    a, b = named("a"), named("b")
    made = rule(alice, tag(b), when={"trigger": "became_active"})
    stranger = make_subscriber(make_account("Mallory"), state="inactive")
    transitions.confirm(stranger.pk, NOW, cause=causes.SUBSCRIBER)
    mine = make_subscriber(alice, state="inactive")
    transitions.confirm(mine.pk, NOW, cause=causes.SUBSCRIBER)
    work_off()
    assert [one.subscriber_id for one in rules_log.of_rule(made)] == [mine.pk]
    assert tags_of(stranger) == set() and a.pk


def test_a_condition_is_asked_when_the_event_is_read_and_sees_what_rules_before_it_did(
    alice: Account, person: Subscriber, named: Any
) -> None:
    a, b, c, d = (named(name) for name in "abcd")
    first = rule(alice, tag(c), when=tag_added(a), only_if=has(b))
    second = rule(alice, tag(d), when=tag_added(a), only_if=has(c))
    tags.add(a, person, NOW, cause=causes.API)
    tags.add(b, person, NOW, cause=causes.API)  # after the event, and before it is read
    other = make_subscriber(alice)
    tags.add(a, other, NOW, cause=causes.API)
    work_off()
    assert tags_of(person) == {"a", "b", "c", "d"} and tags_of(other) == {"a"}
    assert sorted(outcomes(first)) == sorted(outcomes(second)) == ["condition", "fired"]
    first.refresh_from_db()
    assert (first.n_fired, first.n_not_fired) == (1, 1)


def test_a_condition_about_something_deleted_is_met_by_nobody(alice: Account, person: Subscriber, named: Any) -> None:
    a, b, c = named("a"), named("b"), named("c")
    made = rule(alice, tag(c), when=tag_added(a), only_if={"not": has(b)})
    tags.delete(b, NOW, cause=causes.OWNER)
    tags.add(a, person, NOW, cause=causes.API)
    work_off()
    assert outcomes(made) == ["condition"]


def test_what_is_gone_passes_and_the_rest_is_done(alice: Account, person: Subscriber, named: Any) -> None:
    a, b, c = named("a"), named("b"), named("c")
    course = make_sequence(alice, {})
    enter = {"kind": "enter_sequence", "sequence_id": course.pk}
    rule(alice, tag(b), enter, tag(c), when=tag_added(a))
    tags.delete(b, NOW, cause=causes.OWNER)
    tags.add(a, person, NOW, cause=causes.API)
    work_off()
    assert Firing.objects.get().done == ["thing_gone", "changed", "changed"]
    place = Enrollment.objects.get()
    assert (place.sequence_id, place.subscriber_id, place.source) == (course.pk, person.pk, "rule")


def test_a_person_who_is_gone_passes_and_a_deletion_takes_their_log(
    alice: Account, person: Subscriber, named: Any
) -> None:
    a, b = named("a"), named("b")
    made = rule(alice, tag(b), when=tag_added(a))
    tags.add(a, person, NOW, cause=causes.API)
    work_off()
    forget.forget(alice, person.pk, "owner", NOW)
    assert not Firing.objects.exists()
    gone: Any = {"cause": causes.API, "subscriber_id": person.pk, "subject_id": a.pk}
    record([event(types.TAG_ADDED, alice.pk, NOW, **gone)])  # by a worker of an older version
    assert work_off() == 0
    made.refresh_from_db()
    assert made.n_fired == 1, "counts stay"


# --- Order -----------------------------------------------------------------------------------------------------------


def test_what_rules_do_is_read_behind_what_waits_already(alice: Account, person: Subscriber, named: Any) -> None:
    a, b, c, d = (named(name) for name in "abcd")
    rule(alice, tag(c), when=tag_added(a))
    rule(alice, tag(d), when=tag_added(b))
    late = rule(alice, untag(d), when=tag_added(c))
    tags.add(a, person, NOW, cause=causes.API)
    tags.add(b, person, NOW, cause=causes.API)
    work_off()
    assert Firing.objects.get(rule=late).done == ["changed"], "a, b, then what they caused: c"
    assert tags_of(person) == {"a", "b", "c"}


def test_each_persons_events_fall_into_layers_in_their_order() -> None:
    def of(*people: int) -> list[fire.Occasion]:
        return [fire.Occasion(1, pk, number, ("api",), []) for number, pk in enumerate(people)]

    found = fire.layers(of(1, 2, 1, 3, 1, 2))
    assert [[(one.subscriber_id, one.event_id) for one in layer] for layer in found] == [
        [(1, 0), (2, 1), (3, 3)],
        [(1, 2), (2, 5)],
        [(1, 4)],
    ]


# --- Loops -----------------------------------------------------------------------------------------------------------


def test_a_rule_does_not_fire_on_what_it_did_itself_nor_two_on_each_other_for_ever(
    alice: Account, person: Subscriber, named: Any
) -> None:
    a, b = named("a"), named("b")
    ping = rule(alice, untag(b), tag(b), when=tag_added(a))
    pong = rule(alice, untag(a), tag(a), when=tag_added(b))
    tags.add(a, person, NOW, cause=causes.API)
    work_off()
    assert outcomes(ping) == ["fired", "in_its_own_chain"] and outcomes(pong) == ["fired"]
    assert Firing.objects.order_by("pk").last().cause == [  # type: ignore[union-attr]
        "api", f"rule {ping.pk}", f"rule {pong.pk}",
    ]  # fmt: skip


def test_at_depth_ten_none_fires(alice: Account, person: Subscriber, named: Any) -> None:
    chain = [named(f"t{n}") for n in range(13)]
    made = [rule(alice, tag(after), when=tag_added(before)) for before, after in pairwise(chain)]
    tags.add(chain[0], person, NOW, cause=causes.API)
    work_off()
    assert [outcomes(one) for one in made] == [["fired"]] * 10 + [["too_deep"], []]


def test_a_rule_takes_a_person_ten_times_a_day_by_what_is_no_act_of_outside(
    alice: Account, person: Subscriber, named: Any
) -> None:
    a, b = named("a"), named("b")
    made = rule(alice, tag(b), when={"trigger": "sequence_completed", "sequence_id": make_sequence(alice, {}).pk})

    def completed(n: int, cause: causes.Cause = causes.NONE) -> None:
        of: Any = {"cause": cause, "subscriber_id": person.pk, "subject_id": made.triggers[0]["sequence_id"]}
        record(event(types.SEQUENCE_COMPLETED, alice.pk, NOW, **of) for _ in range(n))

    completed(4)
    work_off()
    completed(5)
    completed(3, causes.API)
    completed(3)
    work_off(NOW + timedelta(hours=23))
    assert outcomes(made) == ["fired"] * 13 + ["too_often"] * 2 and a.pk
    completed(5)
    work_off(NOW + timedelta(hours=24))
    assert outcomes(made)[-5:] == ["fired"] * 4 + ["too_often"], "the first four are a day old"


def test_one_tag_fires_a_hundred_rules_in_order_and_each_once(alice: Account, named: Any) -> None:
    a = named("a")
    people = [make_subscriber(alice) for _ in range(3)]
    made = [rule(alice, tag(named(f"t{n}")), when=tag_added(a)) for n in range(100)]
    for one in people:
        tags.add(a, one, NOW, cause=causes.API)
    assert work_off() == 300
    assert all(len(tags_of(one)) == 101 for one in people)
    for one in people:
        log = rules_log.of_person(alice.pk, one.pk).values_list("rule_id", flat=True)
        assert list(log) == [each.pk for each in made]


# --- Cost ------------------------------------------------------------------------------------------------------------


def n_queries(do: Callable[[], object]) -> int:
    with CaptureQueriesContext(connection) as captured:
        do()
    return len(captured)


def test_the_number_of_statements_does_not_grow_with_people_nor_with_rules_that_do_not_match(
    alice: Account, named: Any
) -> None:
    a, b, c = named("a"), named("b"), named("c")
    rule(alice, tag(b), when=tag_added(a), only_if={"not": has(c)})

    def some(n: int) -> int:
        for _ in range(n):
            tags.add(a, make_subscriber(alice), NOW, cause=causes.API)
        return n_queries(work_off)

    some(1)
    few = some(2)
    for _ in range(30):
        rule(alice, tag(c), when=tag_added(c))
    some(1)
    assert some(60) <= few


def test_accounts_without_a_rule_are_stepped_over_unread(alice: Account, named: Any) -> None:
    a = named("a")
    tags.add(a, make_subscriber(alice), NOW, cause=causes.API)
    n_before = n_queries(work_off)
    for _ in range(30):
        tags.add(a, make_subscriber(alice), NOW, cause=causes.API)
    assert n_queries(work_off) <= n_before
    assert Reader.objects.get(pk=turn.READER).number == Numbering.objects.get().last


# --- Once, and mistakes -----------------------------------------------------------------------------------------------


def test_a_cursor_that_was_set_back_doubles_nothing(alice: Account, person: Subscriber, named: Any) -> None:
    a, b = named("a"), named("b")
    rule(alice, tag(b), when=tag_added(a))
    tags.add(a, person, NOW, cause=causes.API)
    work_off()
    tags.remove(b, person, NOW, cause=causes.API)
    Reader.objects.filter(pk=turn.READER).update(number=0)
    Rule.objects.update(listens_after=0)
    assert work_off() == 0
    assert tags_of(person) == {"a"} and Firing.objects.count() == 1


def test_another_process_that_reads_is_not_disturbed(
    alice: Account, person: Subscriber, named: Any, elsewhere: Any
) -> None:
    a, b = named("a"), named("b")
    made = rule(alice, tag(b), when=tag_added(a))
    tags.add(a, person, NOW, cause=causes.API)
    with elsewhere():
        assert not read.next_events(NOW) and work_off() == 0
    work_off()
    assert outcomes(made) == ["fired"]


@pytest.fixture
def elsewhere() -> Callable[[], Any]:
    """Another connection has the turn."""
    from contextlib import contextmanager

    @contextmanager
    def has_the_turn() -> Iterator[None]:
        other = connection.copy()
        try:
            with other.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_lock(%s)", [turn.TURN])
                yield
                cursor.execute("SELECT pg_advisory_unlock(%s)", [turn.TURN])
        finally:
            other.close()

    return has_the_turn


@pytest.fixture
def poisoned(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """An action that stumbles over somebody: in the database, so that the transaction is broken, too."""

    def poison(person: Subscriber, tag_id: int) -> None:
        perform = what.perform

        def stumble(action: Any, held: Any, people: Any, *rest: Any, **more: Any) -> Any:
            if action.get("tag_id") == tag_id and person.pk in people:
                with connection.cursor() as cursor:
                    cursor.execute("SELECT 1 / 0")
            return perform(action, held, people, *rest, **more)

        monkeypatch.setattr(what, "perform", stumble)

    return poison


def test_a_mistake_of_ours_costs_one_person_and_one_rule(
    alice: Account, person: Subscriber, named: Any, poisoned: Any
) -> None:
    a, b, c, d = (named(name) for name in "abcd")
    field, _ = fields.create(alice.pk, {"label": "City"}, NOW, cause=causes.OWNER)
    set_city = {"kind": "field", "custom_field_id": field.pk, "value": "Bonn"}
    poisoned(person, b.pk)
    first = rule(alice, set_city, tag(c), tag(b), when=tag_added(a))
    second = rule(alice, tag(d), when=tag_added(a), only_if={"not": has(c)})
    other = make_subscriber(alice)
    for one in (person, other):
        tags.add(a, one, NOW, cause=causes.API)
    work_off()
    assert tags_of(other) == {"a", "b", "c"} and tags_of(person) == {"a", "d"}
    person.refresh_from_db()
    assert person.fields == {}, "all of it was undone"
    assert dict(rules_log.of_rule(first).values_list("subscriber_id", "reason")) == {
        person.pk: "our_mistake", other.pk: "",
    }  # fmt: skip
    assert dict(rules_log.of_rule(second).values_list("subscriber_id", "reason")) == {
        person.pk: "", other.pk: "condition",
    }  # fmt: skip


def test_a_trigger_that_stumbles_over_an_event_is_logged_and_the_other_rules_go_on(
    alice: Account, person: Subscriber, named: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = named("a"), named("b")
    bad = rule(alice, tag(b), when=tag_added(a))
    good = rule(alice, tag(b), when=tag_added(a))
    is_met = when.is_met
    monkeypatch.setattr(when, "is_met", lambda trigger, event: 1 / 0 if trigger.get("bad") else is_met(trigger, event))
    Rule.objects.filter(pk=bad.pk).update(triggers=[tag_added(a) | {"bad": True}], edition=2)
    tags.add(a, person, NOW, cause=causes.API)
    work_off()
    assert outcomes(bad) == ["our_mistake"] and outcomes(good) == ["fired"]
