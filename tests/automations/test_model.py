"""Random stories, played to the engine and to the model of model.py: after each act both must tell the same of
everybody: where they stand, until when, what was done, what was sent, and every line of the log with its reason.

Graphs of all kinds that join and fork, automations that feed one another, edits and switches while people are inside,
days that pass in leaps or small steps, workers that are killed at some statement. Of another kind are the stories of
tests/crash, where the process itself is killed.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from itertools import count
from typing import Any

import hypothesis
import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from dripstone.automations import run
from dripstone.events import causes
from tests.automations import nodes
from tests.automations.stage import NOW, Stage
from tests.conftest import VirtualClock
from tests.driving import Engine

N_PEOPLE, MOST_AUTOMATIONS = 3, 3
TAGS, CITIES = ("a", "b", "c", "d"), ("", "Bonn", "Ulm")
COURSES: tuple[tuple[tuple[int, ...], dict[str, bool]], ...] = (
    ((0, 5), {}), ((3, 24), {"repeat": True}), ((2,), {"hold": True}),
)  # fmt: skip
DAYS = [(NOW + timedelta(days=n)).date().isoformat() for n in range(-1, 9)]

numbers = st.integers(0, 11)  # of whatever there is, modulo how many there are
tags = st.sampled_from(TAGS)
outside = st.sampled_from([causes.OWNER, causes.API])

# --- Graphs, said without ids ----------------------------------------------------------------------------------------

times = st.one_of(
    st.tuples(st.sampled_from(["hours", "hours", "days"]), st.integers(1, 4)),
    st.tuples(st.just("minutes"), st.sampled_from([1, 45])),
)
conditions = st.one_of(
    st.tuples(st.sampled_from(["has", "has", "lacks"]), tags),
    st.tuples(st.just("city"), st.sampled_from(CITIES[1:])),
    st.tuples(st.sampled_from(["inside", "completed"]), numbers),
)
triggers = st.one_of(
    st.tuples(st.sampled_from(["tag_added", "tag_added", "tag_removed"]), tags),
    st.tuples(st.just("field_changed"), st.none() | st.sampled_from(CITIES[1:])),
    st.tuples(st.sampled_from(["sequence_completed", "sequence_left", "sequence_entered"]), numbers),
    st.sampled_from([("became_active", None), ("purchased", True), ("purchased", False)]),
    st.tuples(st.just("field_date"), st.sampled_from([(-1, 7), (0, 8), (1, 6)])),
)
limits = st.none() | times
# All or nobody: who is drawn follows ids, which are others whenever a story is played again (test_worked_examples.py).
shares = st.tuples(st.just("shares"), st.sampled_from([0, 100]))
said_nodes = st.one_of(
    st.tuples(st.sampled_from(["tag", "untag"]), tags),
    st.tuples(st.just("field"), st.sampled_from(CITIES)),
    st.tuples(st.just("wait"), times),
    st.tuples(st.just("wait"), st.tuples(st.just("weekdays"), st.sampled_from([("monday", 9), ("wednesday", 7)]))),
    st.tuples(st.just("wait"), st.tuples(st.just("field"), st.sampled_from([(0, 9), (-1, 13)]))),
    st.tuples(st.just("wait"), st.tuples(st.just("at"), st.integers(-3, 90))),
    st.tuples(st.just("condition"), st.tuples(conditions, limits)),
    st.tuples(st.just("split"), shares | conditions),
    st.tuples(st.just("event"), st.tuples(triggers, st.sampled_from([None, None, False]), limits)),
    st.tuples(st.just("event"), st.tuples(st.tuples(st.just("date"), st.integers(2, 90)), st.none(), limits)),
    st.tuples(st.just("sequence"), st.tuples(numbers, st.sampled_from(["completed", "last_email", False]))),
    st.tuples(st.just("move"), st.tuples(numbers, st.sampled_from(["in", "in", "out"]), st.booleans())),
    st.tuples(st.sampled_from(["mail_owner", "unsubscribe", "form"]), st.none()),
)  # fmt: skip
further = st.sampled_from([1, 1, 1, 2, 3, 0])
steps = st.tuples(said_nodes, st.tuples(further, further))  # where it leads: so many nodes further, 0 is out
later = st.sampled_from([0, 0, 1, 3, 25])  # hours
said_graphs = st.tuples(
    st.lists(triggers, min_size=1, max_size=2, unique=True), st.lists(steps, min_size=4, max_size=9), st.booleans()
)
DATES_OF = {"wait": ("for", "until"), "condition": ("within",), "event": ("within",)}
TRACELESS = ("tag_removed", "field_changed", "became_active")


class Killed(BaseException):
    """The process is gone."""


class Story(RuleBasedStateMachine):
    clock: VirtualClock  # set by the test: Hypothesis makes the machines

    def __init__(self) -> None:
        super().__init__()
        self.undone = transaction.atomic()
        self.undone.__enter__()

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.undone.__exit__(None, None, None)

    @initialize(
        zone=st.sampled_from(["UTC", "Europe/Berlin"]),
        hours=st.sampled_from([None, None, 1, 7]),
        states=st.lists(st.sampled_from(["active", "active", "inactive"]), min_size=N_PEOPLE, max_size=N_PEOPLE),
        said=st.lists(said_graphs, min_size=2, max_size=2),
        feeds=st.sampled_from([None, "tag", "move"]),
    )
    def begin(self, zone: str, hours: int | None, states: list[str], said: Any, feeds: str | None) -> None:
        self.stage = Stage(self.clock, zone)
        self.stage.pace = timedelta(hours=hours) if hours else None
        self.form, self.product = self.stage.form(), self.stage.product()
        self.courses = [self.stage.course(*hours, **how) for hours, how in COURSES]
        self.people = [self.stage.person(state) for state in states]
        for one in said:
            self.make(one, "active")
        if feeds:
            first, *_ = self.stage.world.automations
            sends = {"kind": "move", "automation_id": first, "way": "in"}
            adds = {"kind": "tag", "tag_id": self.stage.tag("b")}
            self.stage.rule(nodes.tagged(self.stage.tag("a")), sends if feeds == "move" else adds)
        for automation in list(self.stage.world.automations):
            for person in self.people:
                self.stage.add(automation, person)

    # --- Picking -----------------------------------------------------------------------------------------------------

    def person(self, number: int) -> int:
        return self.people[number % len(self.people)]

    def automation(self, number: int) -> int | None:
        there = sorted(self.stage.world.automations)
        return there[number % len(there)] if there else None

    def inside(self, number: int) -> tuple[int, int] | None:
        """Somebody at an automation."""
        there = [
            (walk.automation, pk) for pk in self.people for walk in self.stage.world.one(pk).walks if walk.is_inside
        ]
        return there[number % len(there)] if there else None

    # --- Graphs ------------------------------------------------------------------------------------------------------

    def graph(self, said: Any, own: int | None) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Entries and nodes. A node is called by its kind and number, so that graphs of one automation have some in
        common."""
        given_entries, given_nodes, is_reversed = said
        numbers_of: dict[str, Iterator[int]] = {}
        sound = [one for one in given_nodes if one[0][0] != "move" or self._other(one[0][1][0], own) is not None]
        keys = [f"{kind}{next(numbers_of.setdefault(kind, count()))}" for (kind, _), _ in sound]
        made = []
        for place, (((kind, what), leads), key) in enumerate(zip(sound, keys, strict=True)):
            ahead = keys[place + 1 :]
            to = [ahead[n - 1] if 0 < n <= len(ahead) else None for n in leads]
            made.append(self._node(key, kind, what, to, own))
        entries = [self._trigger(one) for one in given_entries]
        return entries, made[::-1] if is_reversed else made

    def _other(self, number: int, own: int | None) -> int | None:
        there = [pk for pk in sorted(self.stage.world.automations) if pk != own]
        return there[number % len(there)] if there else None

    def _node(self, key: str, kind: str, what: Any, to: list[str | None], own: int | None) -> dict[str, Any]:
        stage, first, second = self.stage, to[0], to[1]
        match kind, what:
            case (("tag" | "untag"), name):
                return {"id": key, "kind": kind, "tag_id": stage.tag(name), "next": first}
            case "field", city:
                return nodes.fill(key, stage.city, city or None, first)
            case "wait", ("weekdays", (day, hour)):
                return nodes.until(key, first, weekdays=[day], hour=hour)
            case "wait", ("field", (days, hour)):
                return nodes.until(key, first, second, custom_field_id=stage.day, days=days, hour=hour)
            case "wait", ("at", hours):
                return nodes.until(key, first, at=(NOW + timedelta(hours=hours, minutes=10)).isoformat())
            case "wait", (unit, n):
                return nodes.wait(key, first, **{unit: n})
            case "condition", (condition, limit):
                return nodes.ask(key, self._condition(condition), first, second, **_limit(limit))
            case "split", ("shares", percent):
                return nodes.shares(key, (percent, first), (100 - percent, second))
            case "split", condition:
                return nodes.sort(key, (self._condition(condition), first), otherwise=second)
            case "event", (trigger, already, limit):
                blind = None if trigger[0] in TRACELESS else already
                return nodes.event(key, self._trigger(trigger), first, already=blind, otherwise=second, **_limit(limit))
            case "sequence", (number, how):
                return nodes.sequence(key, self.courses[number % len(self.courses)], first, wait=how)
            case "move", (number, way, and_leave):
                other = self._other(number, own)
                assert other is not None
                return nodes.move(key, other, way, first, and_leave=and_leave)
            case "mail_owner", _:
                return nodes.mail_owner(key, first)
            case "form", _:
                return {"id": key, "kind": "form", "form_id": self.form, "next": first}
        return nodes.unsubscribe(key)

    def _trigger(self, said: Any) -> dict[str, Any]:
        match said:
            case ("field_changed", city):
                value = {} if city is None else {"value": city}
                return {"trigger": "field_changed", "custom_field_id": self.stage.city} | value
            case ("field_date", (days, hour)):
                return nodes.reached(self.stage.day, days, hour)
            case ("date", hours):
                return nodes.on_date((NOW + timedelta(hours=hours, minutes=20)).isoformat())
            case ("became_active", _):
                return dict(nodes.ACTIVE)
            case ("purchased", is_any):
                return {"trigger": "purchased"} | ({} if is_any else {"product_id": self.product})
            case (("tag_added" | "tag_removed") as kind, name):
                return {"trigger": kind, "tag_id": self.stage.tag(name)}
        return {"trigger": said[0], "sequence_id": self.courses[said[1] % len(self.courses)]}

    def _condition(self, said: Any) -> dict[str, Any]:
        match said:
            case ("has", name):
                return nodes.has(self.stage.tag(name))
            case ("lacks", name):
                return nodes.lacks(self.stage.tag(name))
            case ("city", city):
                leaf = {"type": "custom_field", "subscriber_custom_field_id": self.stage.city}
                return leaf | {"comparison": "is", "value": city}
        ids = [self.courses[said[1] % len(self.courses)]]
        return {"type": "sequences", "ids": ids, "place": said[0]}

    # --- What owners do ----------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.stage.world.automations) < MOST_AUTOMATIONS)
    @rule(
        said=said_graphs,
        status=st.sampled_from(["active", "active", "paused", "inactive"]),
        reenter=st.sampled_from(["always", "always", "never"]),
    )
    def make(self, said: Any, status: str, reenter: str = "always") -> None:
        entries, made = self.graph(said, None)
        start = max(made, key=lambda node: len(self._behind(node["id"], made)), default=None)
        start_at = start["id"] if start else None
        self.stage.automation(*made, on=entries, status=status, reenter=reenter, start=start_at)

    def _behind(self, key: str, made: list[dict[str, Any]]) -> set[str]:
        by_key = {node["id"]: node for node in made}
        found: set[str] = set()
        waiting = [key]
        while waiting:
            node = by_key[waiting.pop()]
            found.add(node["id"])
            branches = [branch["next"] for branch in node.get("branches", [])]
            ways = [node.get("next"), node.get("yes"), node.get("no"), node.get("otherwise"), *branches]
            waiting += [way for way in ways if way is not None and way not in found]
        return found

    @rule(number=numbers, said=said_graphs, at_once=st.booleans(), anew=st.booleans())
    def edit(self, number: int, said: Any, at_once: bool, anew: bool) -> None:
        """at_once   whoever stands at a node that is deleted does not wait for it any more"""
        automation = self.automation(number)
        if automation is None:
            return
        entries, made = self.graph(said, automation)
        graph = self.stage.world.automations[automation].graph
        choices: dict[str, Any] = {}
        there = {node["id"]: node for node in made}
        for key, node in graph.nodes.items():
            if key in graph.behind:  # deleted before, and perhaps back
                continue
            if node["kind"] == "sequence" and key not in there and at_once:
                choices[key] = {"sequence": "leave"}
            elif node["kind"] in DATES_OF and key not in there and at_once:
                choices[key] = {"wait": "end"}
            elif (
                key in there
                and anew
                and any(there[key].get(name) != node.get(name) for name in DATES_OF.get(node["kind"], ()))
            ):
                choices[key] = {"dates": "anew"}
        start = max(made, key=lambda node: len(self._behind(node["id"], made)), default=None)
        new_entries = [{"id": f"e{n}", **one} for n, one in enumerate(entries)]
        self.stage.publish(
            automation, *made, choices=choices, entries=new_entries, start=start["id"] if start else None
        )

    @rule(number=numbers, overdue=st.sampled_from(["walk", "walk", "leave"]))
    def switch_on(self, number: int, overdue: Any) -> None:
        if (automation := self.automation(number)) and not self.stage.world.automations[automation].runs:
            inside = [one for _, one in self.stage.world.everybody() if one.inside(automation)]
            would_walk = all(one.state == "active" for one in inside)  # whoever is unconfirmed is not overdue
            self.stage.activate(automation, overdue=overdue if would_walk else "walk")

    @rule(number=numbers, status=st.sampled_from(["paused", "inactive"]), hours=st.sampled_from([0, 6, 30]))
    def switch_off(self, number: int, status: str, hours: int) -> None:
        if (automation := self.automation(number)) and self.stage.world.automations[automation].status != status:
            self.stage.stop(automation, status)
            self.stage.passes(hours=hours)

    @rule(number=numbers, who=numbers, again=st.booleans())
    def add(self, number: int, who: int, again: bool) -> None:
        if automation := self.automation(number):
            self.stage.add(automation, self.person(who), again=again)

    @rule(number=numbers, node=numbers, keep_place=st.booleans())
    def move(self, number: int, node: int, keep_place: bool) -> None:
        if found := self.inside(number):
            graph = self.stage.world.automations[found[0]].graph
            keys = [key for key in graph.nodes if key not in graph.behind]
            if keys:
                self.stage.move(*found, keys[node % len(keys)], keep_place=keep_place)

    @rule(number=numbers)
    def take_out_by_hand(self, number: int) -> None:
        if found := self.inside(number):
            self.stage.remove(*found)

    @rule(number=numbers, really=st.sampled_from([True, False, False]), sequences=st.sampled_from(["end", "finish"]))
    def delete(self, number: int, really: bool, sequences: Any) -> None:
        if really and (automation := self.automation(number)):
            self.stage.delete(automation, sequences)

    @rule(name=tags, really=st.sampled_from([True, False, False]))
    def delete_tag(self, name: str, really: bool) -> None:
        """Another one takes its place in the story."""
        if really and name in self.stage.tags:
            self.stage.delete_tag(name)

    # --- What happens ------------------------------------------------------------------------------------------------

    @rule(who=numbers, name=tags, cause=outside, quiet=st.sampled_from([True, False, False]), hours=later)
    def put_tag(self, who: int, name: str, cause: causes.Cause, quiet: bool, hours: int) -> None:
        self.stage.put_tag(self.person(who), name, cause, quiet=quiet)
        self.stage.passes(hours=hours)

    @rule(number=numbers, node=numbers, hours=later)
    def provoke(self, number: int, node: int, hours: int) -> None:
        """What somebody who is inside waits for, or what would pull them."""
        found = self.inside(number)
        if found is None:
            return
        automation, person = found
        walk, graph = self.stage.world.one(person).inside(automation), self.stage.world.automations[automation].graph
        assert walk is not None
        near = [key for key in (walk.node, *graph.ahead(walk.node)) if key]
        events = [one for one in map(graph.nodes.__getitem__, near) if one["kind"] == "event"]
        if events:
            self._happens(person, events[node % len(events)])
            self.stage.passes(hours=hours)

    def _happens(self, person: int, trigger: dict[str, Any]) -> None:
        names = {pk: name for name, pk in self.stage.tags.items()}
        match trigger:
            case {"trigger": "tag_added", "tag_id": tag} if tag in names:
                self.stage.take_tag(person, names[tag])
                self.stage.put_tag(person, names[tag])
            case {"trigger": "tag_removed", "tag_id": tag} if tag in names:
                self.stage.put_tag(person, names[tag])
                self.stage.take_tag(person, names[tag])
            case {"trigger": "field_changed"}:
                self.stage.fill(person, self.stage.city, "Köln")
                self.stage.fill(person, self.stage.city, trigger.get("value", "Ulm"))
            case {"trigger": "purchased"}:
                self.stage.buy(person, self.product)
            case {"trigger": "sequence_left", "sequence_id": course}:
                self.stage.enroll(person, course)
                self.stage.take_out(person, course)

    @rule(name=tags, hours=later)
    def put_tag_on_everybody(self, name: str, hours: int) -> None:
        was_hasty, self.stage.is_hasty = self.stage.is_hasty, True
        for person in self.people:
            self.stage.put_tag(person, name)
        self.stage.is_hasty = was_hasty
        self.stage.passes(hours=hours)

    @rule(who=numbers, name=tags)
    def take_tag(self, who: int, name: str) -> None:
        self.stage.take_tag(self.person(who), name)

    @rule(who=numbers, city=st.sampled_from(CITIES))
    def change_city(self, who: int, city: str) -> None:
        self.stage.fill(self.person(who), self.stage.city, city)

    @rule(who=numbers, day=st.sampled_from([*DAYS, *DAYS, "", "soon"]))
    def change_day(self, who: int, day: str) -> None:
        self.stage.fill(self.person(who), self.stage.day, day)

    @rule(who=numbers)
    def buy(self, who: int) -> None:
        self.stage.buy(self.person(who), self.product)

    @rule(who=numbers, number=numbers, source=st.sampled_from(["api", "rule"]))
    def enroll(self, who: int, number: int, source: Any) -> None:
        self.stage.enroll(self.person(who), self.courses[number % len(self.courses)], source)

    @rule(who=numbers, number=numbers)
    def take_out_of_sequence(self, who: int, number: int) -> None:
        self.stage.take_out(self.person(who), self.courses[number % len(self.courses)])

    @rule(who=numbers, act=st.sampled_from(["cancel", "bounce", "confirm", "come_back", "come_back"]))
    def change_state(self, who: int, act: str) -> None:
        getattr(self.stage, act)(self.person(who))

    @rule()
    def make_haste(self) -> None:
        """Several acts before anything is worked off."""
        self.stage.is_hasty = True

    # --- Time --------------------------------------------------------------------------------------------------------

    @rule(hours=st.sampled_from([0, 1, 2, 5, 24, 60]))
    def let_pass(self, hours: int) -> None:
        self.stage.passes(hours=hours)

    @rule(early=st.sampled_from([0, 0, 1]))
    def let_pass_until_next(self, early: int) -> None:
        """Up to the very instant at which something is due, or just short of it."""
        self.stage.passes(seconds=0)
        instant = self.stage.world.next_instant()
        if instant is not None and instant > self.stage.now:
            self.stage.until(max(instant - timedelta(seconds=early), self.stage.now))

    @rule(n_statements=st.integers(1, 120))
    def be_killed(self, n_statements: int) -> None:
        left = n_statements

        def count_down(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
            nonlocal left
            left -= not sql.startswith(("SAVEPOINT", "RELEASE", "ROLLBACK"))
            if left == 0:
                left = -1
                raise Killed
            return execute(sql, *rest)

        with connection.execute_wrapper(count_down), suppress(Killed):
            run.until_idle(lambda: self.stage.now)
        self.stage.passes(seconds=0)


def _limit(limit: tuple[str, int] | None) -> dict[str, int]:
    return {} if limit is None else {limit[0]: limit[1]}


@pytest.mark.django_db
def test_automations_do_what_the_model_does(engine: Engine, clock: VirtualClock) -> None:
    Story.clock = clock
    usual = hypothesis.settings()
    few = hypothesis.settings(
        max_examples=max(1, usual.max_examples // 5),
        stateful_step_count=25,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Story, settings=few)
