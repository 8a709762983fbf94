"""Random stories, played to the rules and to the model of model.py: after every reading both must tell the same.

Rules that feed one another, that are switched and edited while events wait, readers that stop after a few events or are
killed at some statement, things that are deleted, days that pass. Of another kind are the stories of tests/crash, where
the process itself is killed.
"""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import hypothesis
import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from dripstone.accounts.models import Account
from dripstone.automations import read
from dripstone.engine import transitions
from dripstone.engine.acts import forget
from dripstone.events import causes, reading, types
from dripstone.events.models import Number, Numbering, Reader
from dripstone.events.record import event, record
from dripstone.rules import verbs
from dripstone.rules.models import Firing, Rule
from dripstone.subscribers import fields, subscribe, tags
from dripstone.subscribers.models import Subscriber, Tag
from dripstone.triggers import turn
from tests.factories import make_account, make_sequence, make_subscriber, make_tag
from tests.rules.making import NOW
from tests.rules.model import OneRule, Somebody, World

N_TAGS, N_PEOPLE, MOST_RULES = 4, 3, 7

numbers = st.integers(0, 11)  # of whatever there is, modulo how many there are
places = st.integers(0, N_TAGS - 1)
cities = st.sampled_from(["", "Bonn", "Ulm"])
triggers = st.one_of(
    st.tuples(st.sampled_from(["tag_added", "tag_added", "tag_removed"]), places),
    st.tuples(st.just("field_changed"), st.none() | cities),
    st.sampled_from([("cancelled", None), ("sequence_completed", None)]),
)
actions = st.one_of(
    st.tuples(st.sampled_from(["tag", "tag", "untag"]), places),
    st.tuples(st.just("field"), cities),
)
conditions = st.none() | st.recursive(
    st.one_of(
        st.tuples(st.just("tags"), st.lists(places, min_size=1, max_size=2)),
        st.tuples(st.just("state"), st.sampled_from(["active", "cancelled"])),
    ),
    lambda part: st.tuples(st.sampled_from(["not", "all", "any"]), st.lists(part, min_size=2, max_size=2)),
    max_leaves=3,
)
given_rules = st.tuples(
    st.lists(triggers, min_size=1, max_size=2, unique=True),
    conditions,
    st.lists(actions, min_size=1, max_size=3),
    st.booleans() | st.just(False),  # whether it unsubscribes at the end
)
outside = st.sampled_from([causes.OWNER, causes.API, causes.form(1)])


class Killed(BaseException):
    """The process is gone."""


class Story(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.undone = transaction.atomic()
        self.undone.__enter__()

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.undone.__exit__(None, None, None)
        read.rules._pages.clear()

    @initialize(feeding=st.booleans())
    def begin(self, feeding: bool) -> None:
        self.account: Account = make_account()
        self.tags: list[Tag] = [make_tag(self.account) for _ in range(N_TAGS)]
        self.field, _ = fields.create(self.account.pk, {"label": "City"}, NOW, cause=causes.OWNER)
        self.sequence = make_sequence(self.account, {})
        reading.number_visible()
        self.read_up_to = Numbering.objects.get().last
        self.world = World(NOW, self.field.pk, tags={tag.pk for tag in self.tags})
        for _ in range(N_PEOPLE):
            self.world.people[make_subscriber(self.account).pk] = Somebody()
        if feeding:  # two that feed each other, and one that feeds on both
            for a, b in ((0, 1), (1, 0), (0, 2)):
                self.make(([("tag_added", a)], None, [("untag", b), ("tag", b)], False), True)

    # Picking

    def tag(self, place: int) -> Tag:
        return self.tags[place % N_TAGS]

    def person(self, number: int) -> Subscriber | None:
        there = sorted(self.world.people)
        return Subscriber.objects.get(pk=there[number % len(there)]) if there else None

    def rule_of(self, number: int) -> OneRule | None:
        there = sorted(self.world.rules)
        return self.world.rules[there[number % len(there)]] if there else None

    # Rules

    def _given(self, said: Any) -> dict[str, Any]:
        when, condition, then, leaves = said
        done = [self._action(one) for one in then] + ([{"kind": "unsubscribe"}] if leaves else [])
        return {"triggers": [self._trigger(one) for one in when], "condition": self._condition(condition),
                "actions": done}  # fmt: skip

    def _trigger(self, said: Any) -> dict[str, Any]:
        kind, which = said
        match kind:
            case "field_changed":
                return {"trigger": kind, "custom_field_id": self.field.pk} | ({} if which is None else {"value": which})
            case "sequence_completed":
                return {"trigger": kind, "sequence_id": self.sequence.pk}
            case "cancelled":
                return {"trigger": kind}
        return {"trigger": kind, "tag_id": self.tag(which).pk}

    def _action(self, said: Any) -> dict[str, Any]:
        kind, which = said
        if kind == "field":
            return {"kind": kind, "custom_field_id": self.field.pk, "value": which or None}
        return {"kind": kind, "tag_id": self.tag(which).pk}

    def _condition(self, said: Any) -> Any:
        if said is None:
            return None
        kind, which = said
        match kind:
            case "tags":
                return {"type": "tags", "ids": sorted({self.tag(one).pk for one in which})}
            case "state":
                return {"type": "subscriber_state", "states": [which]}
            case "not":
                return {"not": self._condition(which[0])}
        return {kind: [self._condition(one) for one in which]}

    def _is_sound(self, given: dict[str, Any]) -> bool:
        """Nothing deleted is named: a rule that names it is not saved."""
        said = str(given["triggers"] + given["actions"])
        gone = {tag.pk for tag in self.tags} - self.world.tags
        return not gone & _ids(given["condition"]) and not any(f"'tag_id': {pk}}}" in said for pk in gone)

    @precondition(lambda self: len(self.world.rules) < MOST_RULES)
    @rule(said=given_rules, on=st.booleans() | st.just(True))
    def make(self, said: Any, on: bool) -> None:
        given = self._given(said)
        if not self._is_sound(given):
            return
        made = verbs.create(self.account, given | {"name": "R", "active": on}, self.world.now)
        self.world.rules[made.pk] = OneRule(made.pk, made.triggers, made.condition, made.actions, on, self.world.serial)

    @rule(number=numbers, on=st.booleans())
    def switch(self, number: int, on: bool) -> None:
        if (one := self.rule_of(number)) is not None:
            verbs.switch(Rule.objects.get(pk=one.pk), on, self.world.now)
            if on and not one.is_on:
                one.since = self.world.serial
            one.is_on = on

    @rule(number=numbers, said=given_rules, part=st.sampled_from(["triggers", "condition", "actions"]))
    def edit(self, number: int, said: Any, part: str) -> None:
        given = self._given(said)
        if (one := self.rule_of(number)) is not None and self._is_sound(given):
            edited = verbs.update(Rule.objects.get(pk=one.pk), {part: given[part]}, self.world.now)
            one.triggers, one.condition, one.actions = edited.triggers, edited.condition, edited.actions

    @precondition(lambda self: len(self.world.rules) > 3)
    @rule(number=numbers)
    def delete(self, number: int) -> None:
        if (one := self.rule_of(number)) is not None:
            verbs.delete(Rule.objects.get(pk=one.pk), self.world.now)
            del self.world.rules[one.pk]
            for person in self.world.people.values():
                person.log = [line for line in person.log if line[0] != one.pk]

    # What happens

    @rule(number=numbers, place=places, cause=outside, quiet=st.sampled_from([True, False, False]))
    def tag_somebody(self, number: int, place: int, cause: causes.Cause, quiet: bool) -> None:
        person, tag = self.person(number), self.tag(place)
        if person is not None and tag.pk in self.world.tags:
            cause = causes.quietly(cause) if quiet else cause
            tags.add(tag, person, self.world.now, cause=cause)
            self.world.put_tag(person.pk, tag.pk, cause, is_quiet=quiet)

    @rule(number=numbers, place=places, cause=outside)
    def untag_somebody(self, number: int, place: int, cause: causes.Cause) -> None:
        if (person := self.person(number)) is not None:
            tags.remove(self.tag(place), person, self.world.now, cause=cause)
            self.world.take_tag(person.pk, self.tag(place).pk, cause)

    @rule(number=numbers, city=st.sampled_from(["Bonn", "Ulm"]), cause=outside)
    def move_somebody(self, number: int, city: str, cause: causes.Cause) -> None:
        if (person := self.person(number)) is not None:
            subscribe.update(person.pk, {"fields": {self.field.key: city}}, self.world.now, cause=cause)
            self.world.move(person.pk, city, cause)

    @rule(number=numbers)
    def somebody_leaves(self, number: int) -> None:
        if (person := self.person(number)) is not None:
            transitions.cancel(person.pk, self.world.now, cause=causes.SUBSCRIBER)
            self.world.leave(person.pk, causes.SUBSCRIBER)

    @rule(number=numbers, n=st.sampled_from([1, 4, 12]), cause=st.sampled_from([causes.NONE, causes.NONE, causes.API]))
    def somebody_completes(self, number: int, n: int, cause: causes.Cause) -> None:
        """A sequence, so many times: a new chain each time, where an email did it."""
        if (person := self.person(number)) is None:
            return
        of: Any = {"cause": cause, "subscriber_id": person.pk, "subject_id": self.sequence.pk}
        record(event(types.SEQUENCE_COMPLETED, self.account.pk, self.world.now, **of) for _ in range(n))
        for _ in range(n):
            self.world.happens(person.pk, "sequence_completed", self.sequence.pk, cause)

    @precondition(lambda self: len(self.world.people) > 1)
    @rule(number=numbers, really=st.sampled_from([True, False, False]))
    def somebody_is_deleted(self, number: int, really: bool) -> None:
        if really and (person := self.person(number)) is not None:
            forget.forget(self.account, person.pk, "owner", self.world.now)
            del self.world.people[person.pk]

    @rule(place=places, really=st.sampled_from([True, False, False]))
    def a_tag_is_deleted(self, place: int, really: bool) -> None:
        if really and self.tag(place).pk in self.world.tags:
            tags.delete(self.tag(place), self.world.now, cause=causes.OWNER)
            self.world.delete_tag(self.tag(place).pk)

    @rule(hours=st.sampled_from([1, 23, 24, 30]))
    def time_passes(self, hours: int) -> None:
        self.world.now += timedelta(hours=hours)

    # Reading

    @rule(limit=st.sampled_from([1, 2, 3, 5, 1000]))
    def read_some(self, limit: int) -> None:
        self._read(limit, lambda: read.next_events(self.world.now))

    @rule()
    def read_all(self) -> None:
        while self._read(1000, lambda: read.next_events(self.world.now)):
            pass
        assert not any(person.waiting for person in self.world.people.values())

    @rule(limit=st.sampled_from([2, 1000]), n_statements=st.integers(1, 60))
    def be_killed_reading(self, limit: int, n_statements: int) -> None:
        left = n_statements

        def count(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
            nonlocal left
            left -= not sql.startswith(("SAVEPOINT", "RELEASE", "ROLLBACK"))
            if left == 0:
                left = -1
                raise Killed
            return execute(sql, *rest)

        def die() -> bool:
            with connection.execute_wrapper(count):
                try:
                    return read.next_events(self.world.now)
                except Killed:
                    read.rules._pages.clear()
                    return False

        self._read(limit, die)

    def _read(self, limit: int, go_on: Callable[[], bool]) -> bool:
        """The model reads of each person as many as the rules did."""
        read._pace.limit = limit
        is_more = go_on()
        before, self.read_up_to = self.read_up_to, self._cursor()
        events = Number.objects.filter(pk__gt=before, pk__lte=self.read_up_to).select_related("event")
        n_read = Counter(number.event.subscriber_id for number in events)
        for pk, n in n_read.items():
            if pk in self.world.people:
                self.world.read(pk, n)
        return is_more

    def _cursor(self) -> int:
        found = Reader.objects.filter(pk=turn.READER).first()
        return max(self.read_up_to, found.number) if found else self.read_up_to

    # Both must tell the same

    @invariant()
    def both_tell_the_same(self) -> None:
        if not hasattr(self, "world"):
            return
        for pk, person in self.world.people.items():
            row = Subscriber.objects.get(pk=pk)
            assert set(row.fields.values()) == ({person.city} if person.city else set())
            assert row.state == person.state
            assert set(Tag.objects.filter(taggings__subscriber=row).values_list("pk", flat=True)) == person.tags
            log = Firing.objects.filter(subscriber_id=pk, rule__isnull=False, rule__account=self.account).order_by("pk")
            assert [(one.rule_id, one.trigger, one.reason, tuple(one.cause), one.done) for one in log] == person.log
        for one in self.world.rules.values():
            counted = Rule.objects.get(pk=one.pk)
            assert (counted.n_fired, counted.n_not_fired) == (one.n_fired, one.n_not_fired)


def _ids(condition: Any) -> set[int]:
    if condition is None:
        return set()
    if "not" in condition:
        return _ids(condition["not"])
    parts = condition.get("all", condition.get("any"))
    return set(condition.get("ids", ())) if parts is None else {pk for part in parts for pk in _ids(part)}


@pytest.mark.django_db
def test_rules_do_what_the_model_does() -> None:
    usual = hypothesis.settings()
    few = hypothesis.settings(
        max_examples=max(1, usual.max_examples // 5),
        stateful_step_count=30,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Story, settings=few)
