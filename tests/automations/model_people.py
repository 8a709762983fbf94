"""Part of model.py: who and what there is, and what happens to people but for automations."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.rules import model as rules
from tests.rules.model import Cause

Node = dict[str, Any]
Passed = tuple[str, str, str]  # a node on the way: what became of it, and why or by which exit
Line = tuple[int, int | None, str, str, str, list[Passed]]  # automation, run, what, where, why, on the way

MAILABLE = ("active", "inactive")

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


def somebody(state: str = "active") -> Somebody:
    return Somebody(state=state, waiting=deque())


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
