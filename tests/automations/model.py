"""What automations mean, written down without a database: one person after the other, one event after the other.

Rules are those of tests/rules/model.py; automations stand behind them. This knows people, their tags, fields, forms,
purchases and places in sequences whose delays are hours, and graphs as they are given as JSON. Time goes from instant
to instant: whatever is due at one is done before the next.

Where the rules leave room, this is how they are read here:

- Whoever stands at the entry or at a node that is over, and may not walk just now, goes on as soon as they may.
- A run hears nothing of what it did itself; what a rule does because of it, it does hear.
- Somebody who may not be mailed leaves when the next event of theirs is read, and is let in by none before.
- Everything that is due at one instant is mailed together, before any of it is told.
"""

import hashlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.automations import model_time
from tests.rules import model as rules
from tests.rules.model import Cause, Happening

Node = dict[str, Any]
Passed = tuple[str, str, str]  # a node on the way: what became of it, and why or by which exit
Line = tuple[int, int | None, str, str, str, list[Passed]]  # automation, run, what, where, why, on the way
Arrival = tuple[str | None, str, str]  # by which exit, None: they wait; what became of the node, and why

MAILABLE = ("active", "inactive")
ACTS = ("sequence", "tag", "untag", "field", "form", "move", "call", "mail_owner")
MOST_AT_ONCE = 100
FROM_TRACE = {"tag_added", "form_joined", "purchased", "field_date", "date"}  # `already` unless told otherwise


# --- What there is ------------------------------------------------------------------------------------------------


@dataclass
class Course:
    """A sequence: hours before each email, 0 for a first one that goes at once."""

    pk: int
    delays: list[int]
    repeat: bool = False
    hold: bool = False
    is_active: bool = True


@dataclass
class Place:
    course: Course
    run: int = 1
    status: str = "active"
    next: int = 0
    due: datetime | None = None

    @property
    def is_at_its_end(self) -> bool:
        return self.status == "active" and bool(self.course.delays) and self.next == len(self.course.delays)


@dataclass
class Graph:
    """As it is given, by key."""

    entries: list[dict[str, Any]]
    start: str | None
    nodes: dict[str, Node]
    behind: dict[str, str | None] = field(default_factory=dict)  # nodes that were taken out, and where each leads

    @classmethod
    def of(cls, given: dict[str, Any]) -> "Graph":
        nodes = {node["id"]: node for node in given.get("nodes", [])}
        return cls(given.get("entries", []), given.get("start"), nodes)

    def exits(self, key: str) -> dict[str, str | None]:
        """In their order: by what one leaves it, and for where."""
        if key in self.behind:
            return {"next": self.behind[key]}
        return self.given_exits(key)

    def given_exits(self, key: str) -> dict[str, str | None]:
        node = self.nodes[key]
        match node["kind"]:
            case "unsubscribe":
                return {}
            case "condition":
                return {"yes": node.get("yes"), "no": node.get("no")}
            case "split":
                found = {str(n): branch.get("next") for n, branch in enumerate(node["branches"])}
                return found if "percent" in node["branches"][0] else {**found, "otherwise": node.get("otherwise")}
            case "event" if "within" in node:
                return {"next": node.get("next"), "otherwise": node.get("otherwise")}
            case "wait" if "custom_field_id" in node.get("until", {}):
                return {"next": node.get("next"), "otherwise": node.get("otherwise")}
        return {"next": node.get("next")}

    def ahead(self, key: str) -> list[str]:
        """All that can be reached from it ("": from the entry), the nearest first, of equals as they are listed."""
        listed = list(self.nodes)
        found: list[str] = []
        edge = [self.start] if key == "" else list(self.exits(key).values())
        while ring := sorted({one for one in edge if one is not None and one not in found}, key=listed.index):
            found += ring
            edge = [target for one in ring for target in self.exits(one).values()]
        return found

    def lead(self, key: str, exit_: str) -> str | None:
        """Where that exit of a node leads."""
        return self.behind[key] if key in self.behind else self.given_exits(key)[exit_]

    def without(self, key: str | None, there: set[str], branches: dict[str, str]) -> str | None:
        """The first from here on that is there still; None: out."""
        while key is not None and key not in there:
            key = self.way_on(key, branches)
        return key

    def way_on(self, key: str, branches: dict[str, str]) -> str | None:
        """Of a node that is deleted: through a fork by the branch that is named, else by `no` or `otherwise`."""
        exits, is_fork = self.exits(key), self.nodes[key]["kind"] in ("condition", "split", "event")
        usual = next((name for name in ("no", "otherwise") if name in exits and is_fork), "next")
        return exits.get(branches.get(key, usual))


@dataclass
class Automation:
    pk: int
    graph: Graph
    status: str = "inactive"
    reenter: str = "always"
    since: int = 0  # serial of the last event that lets nobody in
    listens: dict[str, datetime] = field(default_factory=dict)  # to these dates, since when

    @property
    def runs(self) -> bool:
        return self.status == "active"


@dataclass
class Walk:
    automation: int
    run: int
    entered_at: datetime
    is_from_outside: bool
    serial: int
    node: str = ""
    arrived_at: datetime | None = None
    due: datetime | None = None  # when its wait or `within` is over
    over: tuple[str, str] | None = None  # the node is over: by which exit they go on as soon as they may, and why
    acted: set[str] = field(default_factory=set)
    asked: int | None = None  # serial of the event by which a `move` that they may leave by was asked for
    is_to_arrive: bool = False  # they were put there, and nothing of the node is done yet
    course: int | None = None  # the sequence that they wait for, at its node,
    place_run: int | None = None  # its run,
    is_ours: bool = False  # and whether this walk made that
    left_because: str | None = None

    @property
    def is_inside(self) -> bool:
        return self.left_because is None

    @property
    def is_completed(self) -> bool:
        return self.left_because in ("end", "unsubscribed")


@dataclass
class Somebody(rules.Somebody):
    fields: dict[int, str] = field(default_factory=dict)  # but for the city
    changed_at: dict[int, datetime] = field(default_factory=dict)
    forms: set[int] = field(default_factory=set)
    bought: set[int] = field(default_factory=set)
    places: dict[int, Place] = field(default_factory=dict)
    walks: list[Walk] = field(default_factory=list)
    steps: list[Line] = field(default_factory=list)
    got: list[tuple[int, int, datetime]] = field(default_factory=list)  # sequence, email, when
    told: list[tuple[str, int, str]] = field(default_factory=list)  # call or mail_owner, by which node
    reached: set[tuple[int, str, Any]] = field(default_factory=set)  # dates that have been: automation, which, date

    def inside(self, automation: int) -> Walk | None:
        return next((walk for walk in self.walks if walk.automation == automation and walk.is_inside), None)


# --- What happens -------------------------------------------------------------------------------------------------


@dataclass
class Places(rules.World):
    """Sequences, as R1 to R15 say, for delays in hours."""

    zone: str = "UTC"
    courses: dict[int, Course] = field(default_factory=dict)
    automations: dict[int, Automation] = field(default_factory=dict)
    forms: set[int] = field(default_factory=set)
    n_walks: int = 0

    def one(self, pk: int) -> Somebody:
        person = self.people[pk]
        assert isinstance(person, Somebody)
        return person

    def everybody(self) -> Iterator[tuple[int, Somebody]]:
        return ((pk, self.one(pk)) for pk in sorted(self.people))

    def enter(self, pk: int, course_id: int, cause: Cause, *, may_restart: bool = True) -> bool:
        """R12. may_restart   whoever is under way, as rules, automations, bulk actions and imports do. Returns whether
        they moved."""
        person, course = self.one(pk), self.courses[course_id]
        place = person.places.get(course_id)
        if person.state not in MAILABLE:
            if place is None:
                person.places[course_id] = Place(course, status="removed")
            return False
        if place is None:
            place = person.places[course_id] = Place(course)
        elif course.repeat and (place.status in ("completed", "removed") or may_restart):
            place.run, place.next = place.run + 1, 0
        elif course.repeat or place.status != "removed":
            return False
        place.status = "active" if person.state == "active" else "unconfirmed"
        self.happens(pk, "sequence_entered", course_id, cause)
        if place.status == "active":
            self._go_on(pk, place, cause)
        return True

    def _go_on(self, pk: int, place: Place, cause: Cause) -> None:
        """To the next email, or to the end."""
        delays = place.course.delays
        if place.next < len(delays):
            place.due = self.now + timedelta(hours=delays[place.next])
            return
        place.due = None
        if delays and place.course.hold:
            self.happens(pk, "sequence_end", place.course.pk, cause)
        elif delays:
            place.status = "completed"
            self.happens(pk, "sequence_completed", place.course.pk, cause)

    def take_out(self, pk: int, course_id: int, cause: Cause) -> bool:
        place = self.one(pk).places.get(course_id)
        if place is None or place.status not in ("active", "unconfirmed"):
            return False
        place.status, place.due = "removed", None
        self.happens(pk, "sequence_left", course_id, cause)
        return True

    def leave(self, pk: int, cause: Cause) -> bool:
        return self.ends(pk, "cancelled", cause)

    def ends(self, pk: int, state: str, cause: Cause) -> bool:
        """cancelled, bounced or complained; the graver one stays. All their places end (R15)."""
        person = self.one(pk)
        gravity = ["inactive", "active", "bounced", "cancelled", "complained"]
        if gravity.index(person.state) >= gravity.index(state) and person.state not in MAILABLE:
            return False
        person.state = state
        self.happens(pk, state, None, cause)
        for course_id in person.places:
            self.take_out(pk, course_id, cause)
        return True

    def confirm(self, pk: int, cause: Cause) -> bool:
        return self._activated(pk, ("inactive",), cause)

    def come_back(self, pk: int, cause: Cause) -> bool:
        return self._activated(pk, ("inactive", "cancelled", "bounced"), cause)

    def _activated(self, pk: int, states: tuple[str, ...], cause: Cause) -> bool:
        person = self.one(pk)
        if person.state not in states:
            return False
        person.state = "active"
        self.happens(pk, "became_active", None, cause)
        for place in person.places.values():
            if place.status == "unconfirmed":
                place.status = "active"
                self._go_on(pk, place, cause)
        return True

    def fill(self, pk: int, field_id: int, value: str, cause: Cause) -> bool:
        """A value into a field."""
        person = self.one(pk)
        if field_id == self.field_id:
            return self.move(pk, value, cause)
        if person.fields.get(field_id, "") == value:
            return False
        person.fields[field_id] = value
        person.changed_at[field_id] = self.now
        self.happens(pk, "field_changed", field_id, cause, value=value)
        return True

    def join(self, pk: int, form: int, cause: Cause, *, again: bool = False) -> bool:
        """again   they filled it in, which counts however often; adding who is there already does not"""
        person = self.one(pk)
        if form in person.forms and not again:
            return False
        person.forms.add(form)
        self.happens(pk, "form_joined", form, cause)
        return True

    def buy(self, pk: int, product: int, cause: Cause) -> None:
        self.one(pk).bought.add(product)
        self.happens(pk, "purchased", product, cause)


# --- Walking ------------------------------------------------------------------------------------------------------


@dataclass
class Walking(Places):
    def may_walk(self, pk: int, walk: Walk) -> bool:
        return self.automations[walk.automation].runs and self.one(pk).state == "active"

    def admit(self, automation: Automation, pk: int, cause: Cause, *, again: bool = False) -> str:
        """ "" they entered, else why not."""
        if reason := self._why_not_admitted(automation, pk, cause, again):
            self.one(pk).steps.append((automation.pk, None, "not_entered", "", reason, []))
            return reason
        person = self.one(pk)
        self.n_walks += 1
        run = 1 + sum(walk.automation == automation.pk for walk in person.walks)
        walk = Walk(automation.pk, run, self.now, rules._is_from_outside(cause), self.n_walks, over=("next", "started"))
        person.walks.append(walk)
        path = self._go(pk, walk, cause) if self.may_walk(pk, walk) else []
        self._note(pk, walk, "entered", "", path)
        return ""

    def _why_not_admitted(self, automation: Automation, pk: int, cause: Cause, again: bool) -> str:
        person = self.one(pk)
        runs = [walk for walk in person.walks if walk.automation == automation.pk]
        if person.inside(automation.pk):
            return "inside_already"
        if f"automation {automation.pk}" in cause:
            return "in_its_own_chain"
        if rules._depth(cause) >= 10:
            return "too_deep"
        if automation.status == "inactive":
            return "not_running"
        if person.state not in MAILABLE:
            return "not_mailable"
        if automation.reenter == "never" and not again and any(walk.acted or walk.node for walk in runs):
            return "never_again"
        a_day_ago = self.now - timedelta(hours=24)
        n_times = sum(not walk.is_from_outside and walk.entered_at > a_day_ago for walk in runs)
        return "too_often" if not rules._is_from_outside(cause) and n_times >= 10 else ""

    def wake(self, pk: int, walk: Walk, cause: Cause = ()) -> bool:
        """They may walk, or something they wait for may be so now: on they go, if what they stand at is over."""
        if not walk.is_inside:
            return False
        if self.one(pk).state not in MAILABLE:
            self._leave(pk, walk, f"state_{self.one(pk).state}")
            return True
        if not self.may_walk(pk, walk):
            return False
        walk.over = walk.over or self._is_over(pk, walk)
        if walk.over is None:
            return False
        why = walk.over[1]
        path = self._go(pk, walk, cause)
        self._note(pk, walk, "walked", why, path)
        return True

    def _note(self, pk: int, walk: Walk, what: str, why: str, path: list[Passed]) -> None:
        at = walk.node if walk.is_inside else ""
        self.one(pk).steps.append((walk.automation, walk.run, what, at, why, path))

    def _is_over(self, pk: int, walk: Walk) -> tuple[str, str] | None:
        """What they stand at: by which exit they go on, and why."""
        if walk.node == "":
            return "next", "started"
        node = self.automations[walk.automation].graph.nodes[walk.node]
        is_late = walk.due is not None and walk.due <= self.now
        match node["kind"]:
            case "wait" if is_late:
                return "next", "wait_over"
            case "condition" if self._is_met(node["if"], pk):
                return "yes", "condition_met"
            case "condition" if is_late:
                return "no", "within_over"
            case "event" if self._is_gone(node):
                return "next", "node_gone"
            case "event" if is_late:
                return "otherwise", "within_over"
            case "sequence" if why := self._sequence_is_over(pk, walk, node):
                return "next", why
        return None

    def _sequence_is_over(self, pk: int, walk: Walk, node: Node) -> str:
        """Why; "" it is not."""
        place = self.one(pk).places.get(walk.course or 0)
        if place is None:
            return "sequence_gone"
        if place.status in ("completed", "removed"):
            return {"completed": "sequence_completed", "removed": "sequence_left"}[place.status]
        if place.run != walk.place_run:  # somebody started them over: it is the new run that is waited for
            walk.place_run, walk.is_ours = place.run, False
        return "sequence_end_reached" if node["wait"] == "last_email" and place.is_at_its_end else ""

    def _go(self, pk: int, walk: Walk, cause: Cause) -> list[Passed]:
        """From where they stand, through all that passes at once, to where they wait or leave."""
        graph = self.automations[walk.automation].graph
        chain = (*cause, f"automation {walk.automation}")
        path: list[Passed] = []
        assert walk.over is not None
        if walk.is_to_arrive:
            key: str | None = walk.node
        else:
            key = graph.start if walk.node == "" else graph.lead(walk.node, walk.over[0])
        walk.over = walk.due = walk.asked = walk.course = walk.place_run = None
        walk.is_ours = walk.is_to_arrive = False
        while key is not None:
            walk.node, walk.arrived_at = key, self.now
            exit_, what, why = self._arrive(pk, walk, graph.nodes[key], chain)
            path.append((key, what, why))
            if exit_ is None:
                return path
            if exit_ == "unsubscribed":
                self._out(walk, "unsubscribed")
                return path
            if len(path) == MOST_AT_ONCE:
                walk.over, walk.due = (exit_, "goes_on"), self.now + timedelta(seconds=1)
                return path
            key = graph.exits(key)[exit_]
        self._out(walk, "end")
        return path

    def _out(self, walk: Walk, why: str) -> None:
        walk.left_because, walk.due, walk.over = why, None, None

    def _leave(self, pk: int, walk: Walk, why: str, *, note: bool = True) -> None:
        self._out(walk, why)
        if note:
            self._note(pk, walk, "left", why, [])

    def _lose_place(self, pk: int, walk: Walk, cause: Cause) -> None:
        """A5: whoever leaves a sequence node before its end loses the place, if this walk made its present run."""
        place = self.one(pk).places.get(walk.course or 0)
        if place is not None and walk.is_ours and place.run == walk.place_run:
            self.take_out(pk, place.course.pk, (*cause, f"automation {walk.automation}"))
        walk.course, walk.place_run, walk.is_ours = None, None, False

    def _arrive(self, pk: int, walk: Walk, node: Node, chain: Cause) -> Arrival:
        """By which exit they pass it at once, None: they wait here; and what is to be said of it."""
        kind = node["kind"]
        if kind in ACTS:
            if node["id"] in walk.acted:
                return "next", "passed", "acted_before"
            walk.acted.add(node["id"])
        match kind:
            case "sequence":
                return self._at_sequence(pk, walk, node, chain)
            case "wait":
                return self._at_wait(pk, walk, node)
            case "condition":
                return self._at_condition(pk, walk, node)
            case "split":
                branch = self._branch(pk, walk, node)
                return branch, "went", branch
            case "event":
                return self._at_event(pk, walk, node)
            case "unsubscribe":
                self.leave(pk, chain)
                return "unsubscribed", "acted", ""
            case "move":
                return self._at_move(pk, walk, node, chain)
            case "call" | "mail_owner":
                self.one(pk).told.append((kind, walk.automation, node["id"]))
                return "next", "acted", ""
        done = self._do(node, pk, chain)
        return ("next", "acted", "") if done == "changed" else ("next", "passed", done)

    def _do(self, action: dict[str, Any], pk: int, cause: Cause) -> str:
        match action["kind"]:
            case "form" if action["form_id"] not in self.forms:
                return "thing_gone"
            case "form":
                is_new = self.join(pk, action["form_id"], cause)
            case "field":
                is_new = self.fill(pk, action["custom_field_id"], action["value"] or "", cause)
            case "enter_sequence":
                is_new = self.enter(pk, action["sequence_id"], cause)
            case "leave_sequence":
                is_new = self.take_out(pk, action["sequence_id"], cause)
            case "move":
                self.happens(pk, f"sent_{action['way']}", action["automation_id"], cause)
                is_new = True
            case _:
                return super()._do(action, pk, cause)
        return "changed" if is_new else "already_so"

    def _at_sequence(self, pk: int, walk: Walk, node: Node, chain: Cause) -> Arrival:
        if node["sequence_id"] not in self.courses:
            return "next", "passed", "thing_gone"
        is_ours = self.enter(pk, node["sequence_id"], chain)
        place = self.one(pk).places[node["sequence_id"]]
        if place.status == "completed":
            return "next", "passed", "completed_before"
        if node["wait"] is False or (node["wait"] == "last_email" and place.is_at_its_end):
            return ("next", "acted", "") if is_ours else ("next", "passed", "already_so")
        walk.course, walk.place_run, walk.is_ours = place.course.pk, place.run, is_ours
        return None, "waits", ""

    def _at_wait(self, pk: int, walk: Walk, node: Node) -> Arrival:
        exit_, due = self._end_of_wait(pk, node, self.now)
        if due is None:
            return exit_, "passed", "no_date"
        if due <= self.now:
            return exit_, "passed", "in_the_past"
        walk.due = due
        return None, "waits", ""

    def _end_of_wait(self, pk: int, node: Node, begun: datetime) -> tuple[str, datetime | None]:
        """By what they go on, and when, None: at once, since there is no date."""
        if "for" in node:
            return "next", model_time.after(begun, node["for"], self.zone)
        match node["until"]:
            case {"at": at}:
                return "next", datetime.fromisoformat(at)
            case {"weekdays": _} as until:
                return "next", model_time.next_slot(begun, until, self.zone)
            case {"custom_field_id": field_id, "days": days, "hour": hour}:
                day = model_time.date_in(self.one(pk).fields.get(field_id, ""))
                if day is None:
                    return "otherwise", None
                return "next", model_time.on_day(day + timedelta(days=days), hour, self.zone)
        raise AssertionError(node)

    def _at_condition(self, pk: int, walk: Walk, node: Node) -> Arrival:
        if self._is_met(node["if"], pk):
            return "yes", "went", "yes"
        if "within" not in node:
            return "no", "went", "no"
        walk.due = model_time.after(self.now, node["within"], self.zone)
        return None, "waits", ""

    def _branch(self, pk: int, walk: Walk, node: Node) -> str:
        branches = node["branches"]
        if "percent" not in branches[0]:
            met = (str(n) for n, branch in enumerate(branches) if self._is_met(branch["if"], pk))
            return next(met, "otherwise")
        asked = f"{walk.automation}:{pk}:{walk.run}:{node['id']}"
        drawn = int.from_bytes(hashlib.sha256(asked.encode()).digest()[:8], "big") % 100
        up_to = 0
        for n, branch in enumerate(branches):
            up_to += branch["percent"]
            if drawn < up_to:
                return str(n)
        raise AssertionError(node)

    def _at_event(self, pk: int, walk: Walk, node: Node) -> Arrival:
        if self._is_gone(node):
            return "next", "passed", "thing_gone"
        if node.get("already", node["trigger"] in FROM_TRACE) and self._is_so(node, pk):
            return "next", "passed", "met_already"
        if "within" in node:
            walk.due = model_time.after(self.now, node["within"], self.zone)
        return None, "waits", ""

    def _is_gone(self, node: Node) -> bool:
        """What an event waits for was deleted."""
        named = {"tag_id": self.tags, "form_id": self.forms, "sequence_id": set(self.courses)}
        return any(name in node and node[name] not in there for name, there in named.items())

    def _is_so(self, trigger: dict[str, Any], pk: int) -> bool:
        """What the trigger leaves behind."""
        person = self.one(pk)
        match trigger:
            case {"trigger": "tag_added", "tag_id": tag}:
                return tag in person.tags
            case {"trigger": "form_joined", "form_id": form}:
                return form in person.forms
            case {"trigger": "form_joined"}:
                return bool(person.forms)
            case {"trigger": "purchased", "product_id": product}:
                return product in person.bought
            case {"trigger": "purchased"}:
                return bool(person.bought)
            case {"trigger": "date", "at": at}:
                return datetime.fromisoformat(at) <= self.now
            case {"trigger": "field_date"}:
                day = model_time.date_in(person.fields.get(trigger["custom_field_id"], ""))
                return day is not None and self._reached_at(trigger, day) <= self.now
            case {"trigger": "became_active"}:
                return person.state == "active"
            case {"trigger": "field_changed", "custom_field_id": field_id, "value": value}:
                return bool(self._value(person, field_id) == value)
            case {"trigger": "sequence_completed" | "sequence_entered" | "sequence_left" as kind, "sequence_id": pk_}:
                place = person.places.get(pk_)
                wanted = {"sequence_completed": "completed", "sequence_left": "removed"}.get(kind)
                return place is not None and wanted in (None, place.status)
        raise AssertionError(trigger)

    def _value(self, person: Somebody, field_id: int) -> str:
        return person.city if field_id == self.field_id else person.fields.get(field_id, "")

    def _reached_at(self, trigger: dict[str, Any], day: Any) -> datetime:
        return model_time.on_day(day + timedelta(days=trigger["days"]), trigger["hour"], self.zone)

    def _at_move(self, pk: int, walk: Walk, node: Node, chain: Cause) -> Arrival:
        if node["automation_id"] not in self.automations:
            return "next", "passed", "thing_gone"
        self.happens(pk, f"sent_{node['way']}", node["automation_id"], chain)
        if node.get("and_leave"):
            walk.asked = self.serial
            return None, "waits", ""
        return "next", "acted", ""

    def _holds(self, condition: Any, person: rules.Somebody) -> bool:
        assert isinstance(person, Somebody)
        match condition:
            case {"type": "tags", "ids": ids, "has": "all"}:
                return set(ids) <= person.tags
            case {"type": "custom_field", "subscriber_custom_field_id": field_id, "value": value}:
                return bool(self._value(person, field_id) == value)
            case {"type": "forms", "ids": ids}:
                return bool(set(ids) & person.forms)
            case {"type": "sequences", "ids": ids, "place": place}:
                there = [person.places[pk].status for pk in ids if pk in person.places]
                wanted = {"inside": ("active", "unconfirmed"), "completed": ("completed",), "left": ("removed",)}
                return any(place == "ever" or status in wanted[place] for status in there)
            case {"type": "automations", "ids": ids, "place": "inside"}:
                return any(person.inside(pk) for pk in ids)
        return super()._holds(condition, person)


# --- Hearing ------------------------------------------------------------------------------------------------------


@dataclass
class World(Walking):
    def read(self, pk: int, n: int) -> None:
        for _ in range(n):
            happening = self.people[pk].waiting.popleft()
            for rule in sorted(self.rules.values(), key=lambda one: one.pk):
                self._at(rule, pk, happening)
            for automation in sorted(self.automations.values(), key=lambda one: one.pk):
                self._hear(automation, pk, happening)
            self._answer(pk, happening)

    def _hear(self, automation: Automation, pk: int, happening: Happening) -> None:
        person = self.one(pk)
        walk = person.inside(automation.pk)
        if walk is not None and (person.state not in MAILABLE or happening.kind == "became_active"):
            self.wake(pk, walk, happening.cause)
        walk = person.inside(automation.pk)
        if walk is None:
            self._perhaps_enter(automation, pk, happening)
            return
        if happening.kind == "sent_out" and happening.subject == automation.pk:
            self._lose_place(pk, walk, happening.cause)
            self._leave(pk, walk, "by_move")
            return
        is_own = happening.cause[-1:] == (f"automation {automation.pk}",)
        if not (self._ends_own(pk, walk, happening, is_own) or (not is_own and self._pulls(pk, walk, happening))):
            self._perhaps_enter(automation, pk, happening)
        self._look(pk, walk, happening)

    def _perhaps_enter(self, automation: Automation, pk: int, happening: Happening) -> None:
        is_sent = happening.kind == "sent_in" and happening.subject == automation.pk
        if not is_sent:
            if automation.status == "inactive" or happening.serial <= automation.since or happening.is_quiet:
                return
            if not any(_is(entry, happening) for entry in automation.graph.entries):
                return
        self.admit(automation, pk, happening.cause)

    def _ends_own(self, pk: int, walk: Walk, happening: Happening, is_own: bool) -> bool:
        """It is what their own node waits for."""
        if walk.node == "" or walk.over is not None:
            return False
        node = self.automations[walk.automation].graph.nodes[walk.node]
        of_sequences = ("sequence_completed", "sequence_left", "sequence_end", "sequence_entered")
        if node["kind"] == "event" and not is_own and _is(node, happening):
            walk.over = "next", "happened"
        elif node["kind"] == "sequence" and happening.kind in of_sequences and happening.subject == walk.course:
            walk.over = self._is_over(pk, walk)
        if walk.over is None:
            return False
        self.wake(pk, walk, happening.cause)
        return True

    def _pulls(self, pk: int, walk: Walk, happening: Happening) -> bool:
        graph = self.automations[walk.automation].graph
        ahead = (graph.nodes[key] for key in graph.ahead(walk.node) if key not in graph.behind)
        target = next((node for node in ahead if node["kind"] == "event" and _is(node, happening)), None)
        if target is None:
            return False
        self._pull(pk, walk, target["id"], happening.cause)
        return True

    def _pull(self, pk: int, walk: Walk, key: str, cause: Cause) -> None:
        self._lose_place(pk, walk, cause)
        walk.node, walk.due, walk.over, walk.asked, walk.is_to_arrive = key, None, ("next", "happened"), None, False
        walk.arrived_at = self.now
        path = self._go(pk, walk, cause) if self.may_walk(pk, walk) else []
        self._note(pk, walk, "pulled", "happened", path)

    def _look(self, pk: int, walk: Walk, happening: Happening) -> None:
        """At what an event may have made true for those who wait for it, and at dates that it moved."""
        if not walk.is_inside or walk.node == "" or walk.over is not None:
            return
        node = self.automations[walk.automation].graph.nodes[walk.node]
        field_id = node.get("until", {}).get("custom_field_id")
        if node["kind"] == "condition":
            self.wake(pk, walk, happening.cause)
        elif node["kind"] == "wait" and field_id is not None and happening.subject == field_id:
            exit_, due = self._end_of_wait(pk, node, self.now)
            walk.due = due
            if due is None or due <= self.now:
                walk.over = exit_, "wait_over"
                self.wake(pk, walk, happening.cause)

    def _answer(self, pk: int, happening: Happening) -> None:
        """To whoever is to leave by a `move`: the other automation has let them in, or not."""
        for walk in [one for one in self.one(pk).walks if one.is_inside and one.asked == happening.serial]:
            other = self.automations.get(happening.subject or 0)
            said = self.one(pk).steps
            lines = [line for line in said if other and line[0] == other.pk]
            is_admitted = happening.kind == "sent_out" or (bool(lines) and lines[-1][2] == "entered")
            walk.asked = None
            if is_admitted:
                self._leave(pk, walk, "moved_on")
            else:
                walk.over = "next", "not_let_in"
                self.wake(pk, walk, happening.cause)

    # --- Time -----------------------------------------------------------------------------------------------------

    def let_pass(self, until: datetime) -> None:
        """Up to `until`, each thing at its own instant."""
        self.settle()
        while (instant := self.next_instant()) is not None and instant <= until:
            self.now = max(instant, self.now)
            self.settle()
        self.now = until

    def settle(self) -> None:
        """Everything due now: what has happened, then dates, then waits that are over, then emails."""
        while True:
            self._read_all()
            done = [self._next_date(pk) for pk, _ in self.everybody()]
            if not any(done):
                done = [self._next_wait(pk) for pk, _ in self.everybody()]
            if not any(done) and not self._mail():
                return

    def _read_all(self) -> None:
        for pk, person in self.everybody():
            while person.waiting:
                self.read(pk, 1)

    def _next_wait(self, pk: int) -> bool:
        over = [
            walk
            for walk in self.one(pk).walks
            if walk.is_inside and walk.due is not None and walk.due <= self.now and self.may_walk(pk, walk)
        ]
        return bool(over) and self.wake(pk, min(over, key=_by_due))

    def _next_date(self, pk: int) -> bool:
        """The first date of theirs that has come."""
        due = sorted((one for one in self._dates(pk) if one[0] <= self.now), key=lambda one: one[0])
        if not due:
            return False
        _, automation, trigger, day = due[0]
        self.one(pk).reached.add((automation.pk, _said(trigger), day))
        happening = Happening(self.serial + 1, trigger["trigger"], None, _said(trigger), ())
        self._hear(automation, pk, happening)
        return True

    def _dates(self, pk: int) -> Iterator[tuple[datetime, Automation, dict[str, Any], Any]]:
        """Those of theirs that are to come or have come, and have not been reached yet."""
        person = self.one(pk)
        for automation in self.automations.values():
            by_name = {_said(trigger): trigger for trigger in _dated(automation)}
            for name, trigger in by_name.items():
                for at, day in self._instants(person, trigger):
                    if at > automation.listens[name] and (automation.pk, name, day) not in person.reached:
                        yield at, automation, trigger, day

    def _instants(self, person: Somebody, trigger: dict[str, Any]) -> Iterator[tuple[datetime, Any]]:
        if trigger["trigger"] == "date":
            yield datetime.fromisoformat(trigger["at"]), None
            return
        field_id = trigger["custom_field_id"]
        day = model_time.date_in(person.fields.get(field_id, ""))
        if day is None:
            return
        last = self.now.year + 2 if trigger["yearly"] else day.year
        for year in range(day.year, last + 1):
            one = model_time.anniversary(day, year)
            at = self._reached_at(trigger, one)
            if at > person.changed_at[field_id]:
                yield at, one

    def _listen(self, automation: Automation) -> None:
        """To dates that it did not listen to before, from now on."""
        before = automation.listens
        automation.listens = {name: before.get(name, self.now) for name in map(_said, _dated(automation))}

    def _mail(self) -> bool:
        """The emails that are due: all of them, then what comes of it is told."""
        due = [
            (pk, place)
            for pk, person in self.everybody()
            for place in person.places.values()
            if place.due is not None and place.due <= self.now and self._may_send(pk, place)
        ]
        for pk, place in due:
            self.one(pk).got.append((place.course.pk, place.next, self.now))
            place.next += 1
            self._go_on(pk, place, ())
        return bool(due)

    def _may_send(self, pk: int, place: Place) -> bool:
        """Not while the sequence is off, nor for somebody who stands at it in an automation that made the place and
        does not run (A11)."""
        return place.course.is_active and place.status == "active" and not any(
            walk.is_inside
            and walk.is_ours
            and walk.place_run == place.run
            and walk.course == place.course.pk
            and not self.automations[walk.automation].runs
            for walk in self.one(pk).walks
        )  # fmt: skip

    def next_instant(self) -> datetime | None:
        """When something is due next."""
        found: list[datetime] = []
        for pk, person in self.everybody():
            found += [place.due for place in person.places.values() if place.due and self._may_send(pk, place)]
            found += [walk.due for walk in person.walks if walk.is_inside and walk.due and self.may_walk(pk, walk)]
            found += [at for at, *_ in self._dates(pk)]
        return min(found, default=None)

    # --- What owners do -------------------------------------------------------------------------------------------

    def make(self, pk: int, given: dict[str, Any]) -> Automation:
        made = self.automations[pk] = Automation(pk, Graph.of(given), reenter=given.get("reenter", "always"))
        self._listen(made)
        return made

    def activate(self, automation: Automation, *, overdue: str = "walk", older_than: timedelta | None = None) -> None:
        """Waits for a weekday and hour that are overdue take their next slot; whoever else is overdue walks on, or
        leaves (A11)."""
        if automation.status == "inactive":
            automation.since = self.serial
        automation.status = "active"
        self._listen(automation)
        for pk, walk in self._walks_in(automation):
            self._awake(automation, pk, walk, overdue, older_than or timedelta(0))

    def _awake(self, automation: Automation, pk: int, walk: Walk, overdue: str, older_than: timedelta) -> None:
        if walk.due is not None and walk.due <= self.now:
            node = automation.graph.nodes[walk.node]
            if "weekdays" in node.get("until", {}):
                walk.due = model_time.next_slot(self.now, node["until"], self.zone)
            elif overdue == "leave" and self.now - walk.due >= older_than:
                self._leave(pk, walk, "overdue")
        self.wake(pk, walk)

    def stop(self, automation: Automation, status: str) -> None:
        """paused or inactive"""
        automation.status = status
        self._listen(automation)

    def _walks_in(self, automation: Automation) -> list[tuple[int, Walk]]:
        return [(pk, walk) for pk, person in self.everybody() if (walk := person.inside(automation.pk)) is not None]

    def add(self, automation: Automation, pk: int, cause: Cause, *, again: bool = False) -> str:
        """By hand."""
        return self.admit(automation, pk, cause, again=again)

    def put(self, automation: Automation, pk: int, key: str, *, keep_place: bool = False) -> None:
        """By hand: forward in the same run, anywhere else in a new one."""
        walk = self.one(pk).inside(automation.pk)
        assert walk is not None
        if not keep_place:
            self._lose_place(pk, walk, ("owner",))
        if key not in automation.graph.ahead(walk.node):
            walk = self._begin_again(pk, walk)
        walk.node, walk.over, walk.is_to_arrive, walk.due, walk.asked = key, ("next", "goes_on"), True, None, None
        path = self._go(pk, walk, ("owner",)) if self.may_walk(pk, walk) else []
        self._note(pk, walk, "moved", "by_hand", path)

    def _begin_again(self, pk: int, walk: Walk) -> Walk:
        self._out(walk, "new_run")
        self.n_walks += 1
        again = Walk(walk.automation, walk.run + 1, self.now, True, self.n_walks)
        self.one(pk).walks.append(again)
        return again

    def remove(self, automation: Automation, pk: int) -> None:
        """By hand."""
        walk = self.one(pk).inside(automation.pk)
        assert walk is not None
        self._lose_place(pk, walk, ("owner",))
        self._leave(pk, walk, "by_hand")

    def publish(self, automation: Automation, given: dict[str, Any], choices: dict[str, dict[str, Any]]) -> None:
        """choices   by node: `sequence` ("finish" or "leave"), `branch`, `dates` ("keep" or "anew")"""
        old, new = automation.graph, Graph.of(given)
        there, branches = set(new.nodes), {key: one["branch"] for key, one in choices.items() if "branch" in one}
        for _, walk in self._walks_in(automation):
            if walk.node not in ("", *there):  # behind the scenes, as long as somebody stands there
                new.behind[walk.node] = old.without(old.way_on(walk.node, branches), there, branches)
        new.nodes |= {key: old.nodes[key] for key in new.behind}
        automation.graph = new
        self._listen(automation)
        for pk, walk in self._walks_in(automation):
            self._after_edit(pk, walk, old, new, choices.get(walk.node, {}))

    def _after_edit(self, pk: int, walk: Walk, old: Graph, new: Graph, choice: dict[str, Any]) -> None:
        if walk.node in new.behind and walk.course is not None and choice.get("sequence") == "leave":
            self._lose_place(pk, walk, ("owner",))
            walk.over = walk.over or ("next", "sequence_left")
        elif walk.node in new.nodes and new.nodes[walk.node]["kind"] == "wait" and choice.get("dates") == "anew":
            exit_, walk.due = self._end_of_wait(pk, new.nodes[walk.node], walk.arrived_at or self.now)
            walk.over = (exit_, "wait_over") if walk.due is None or walk.due <= self.now else walk.over
        self.wake(pk, walk, ("owner",))

    def delete_tag(self, tag: int) -> None:
        """Who waits for it at an event goes on (A14)."""
        super().delete_tag(tag)
        for automation in self.automations.values():
            for pk, walk in self._walks_in(automation):
                node = automation.graph.nodes.get(walk.node, {})
                if node.get("kind") == "event" and node.get("tag_id") == tag:
                    walk.over = walk.over or ("next", "node_gone")
                    self.wake(pk, walk)

    def delete(self, automation: Automation, *, sequences: str) -> None:
        for pk, walk in self._walks_in(automation):
            if sequences == "end":
                self._lose_place(pk, walk, ("owner",))
            self._leave(pk, walk, "automation_deleted")
        del self.automations[automation.pk]


def somebody(state: str = "active") -> Somebody:
    return Somebody(state=state, waiting=deque())


def _by_due(walk: Walk) -> tuple[datetime | None, int]:
    return walk.due, walk.serial


def _dated(automation: Automation) -> list[dict[str, Any]]:
    """Triggers that come to be by time: of its events, and of its entries while it is not inactive."""
    graph = automation.graph
    events = [node for node in graph.nodes.values() if node["kind"] == "event"]
    entries = graph.entries if automation.status != "inactive" else []
    return [one for one in [*entries, *events] if one["trigger"] in ("date", "field_date")]


def _said(trigger: dict[str, Any]) -> str:
    """Of a date: what makes it the same one."""
    return str([trigger.get(name) for name in ("trigger", "custom_field_id", "days", "hour", "yearly", "at")])


_SUBJECTS = ("tag_id", "form_id", "sequence_id", "product_id", "custom_field_id")


def _is(trigger: dict[str, Any], happening: Happening) -> bool:
    if trigger["trigger"] != happening.kind:
        return False
    if happening.kind in ("date", "field_date"):
        return _said(trigger) == happening.value
    if "value" in trigger and trigger["value"] != (happening.value or ""):
        return False
    named = [trigger[name] for name in _SUBJECTS if name in trigger]
    return named in ([], [happening.subject])
