"""What rules mean, written down without a database: one event after the other, one rule after the other.

The model does not know in which order events of different people are numbered, since that is nobody's promise: each
person has a row of events of their own, and whoever plays a story says how many of whose are read.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

Cause = tuple[str, ...]


@dataclass
class Happening:
    serial: int
    kind: str
    subject: int | None
    value: str | None
    cause: Cause
    is_quiet: bool = False


@dataclass
class Somebody:
    tags: set[int] = field(default_factory=set)
    city: str = ""
    state: str = "active"
    waiting: deque[Happening] = field(default_factory=deque)
    log: list[tuple[Any, ...]] = field(default_factory=list)  # (rule, trigger, reason, cause, done)


@dataclass
class OneRule:
    pk: int
    triggers: list[dict[str, Any]]
    condition: Any
    actions: list[dict[str, Any]]
    is_on: bool
    since: int  # serial of the last event that it does not hear of
    n_fired: int = 0
    n_not_fired: int = 0
    fired_from_inside: list[tuple[int, datetime]] = field(default_factory=list)  # person and when


@dataclass
class World:
    now: datetime
    field_id: int
    people: dict[int, Somebody] = field(default_factory=dict)
    rules: dict[int, OneRule] = field(default_factory=dict)
    tags: set[int] = field(default_factory=set)  # that are there
    serial: int = 0

    # What happens

    def happens(self, pk: int, kind: str, subject: int | None, cause: Cause, *, value: str | None = None,
                is_quiet: bool = False) -> None:  # fmt: skip
        self.serial += 1
        self.people[pk].waiting.append(Happening(self.serial, kind, subject, value, cause, is_quiet))

    def put_tag(self, pk: int, tag: int, cause: Cause, *, is_quiet: bool = False) -> bool:
        if tag in self.people[pk].tags:
            return False
        self.people[pk].tags.add(tag)
        self.happens(pk, "tag_added", tag, cause, is_quiet=is_quiet)
        return True

    def take_tag(self, pk: int, tag: int, cause: Cause) -> bool:
        if tag not in self.people[pk].tags:
            return False
        self.people[pk].tags.remove(tag)
        self.happens(pk, "tag_removed", tag, cause)
        return True

    def move(self, pk: int, city: str, cause: Cause) -> bool:
        if city == self.people[pk].city:
            return False
        self.people[pk].city = city
        self.happens(pk, "field_changed", self.field_id, cause, value=city)
        return True

    def leave(self, pk: int, cause: Cause) -> bool:
        if self.people[pk].state == "cancelled":
            return False
        self.people[pk].state = "cancelled"
        self.happens(pk, "cancelled", None, cause)
        return True

    def delete_tag(self, tag: int) -> None:
        self.tags.discard(tag)
        for person in self.people.values():
            person.tags.discard(tag)

    # What rules make of it

    def read(self, pk: int, n: int) -> None:
        """The person's next events."""
        for _ in range(n):
            happening = self.people[pk].waiting.popleft()
            for rule in sorted(self.rules.values(), key=lambda one: one.pk):
                self._at(rule, pk, happening)

    def _at(self, rule: OneRule, pk: int, happening: Happening) -> None:
        if not rule.is_on or happening.serial <= rule.since or happening.is_quiet:
            return
        trigger = next((one for one in rule.triggers if _is(one, happening)), None)
        if trigger is None:
            return
        reason = self._why_not(rule, pk, happening.cause)
        done: list[str] = []
        if reason:
            rule.n_not_fired += 1
        else:
            rule.n_fired += 1
            if not is_from_outside(happening.cause):
                rule.fired_from_inside.append((pk, self.now))
            done = [self._do(action, pk, (*happening.cause, f"rule {rule.pk}")) for action in rule.actions]
        self.people[pk].log.append((rule.pk, trigger, reason, happening.cause, done))

    def _why_not(self, rule: OneRule, pk: int, cause: Cause) -> str:
        if f"rule {rule.pk}" in cause:
            return "in_its_own_chain"
        if depth(cause) >= 10:
            return "too_deep"
        if rule.condition is not None and not self._is_met(rule.condition, pk):
            return "condition"
        a_day_ago = self.now - timedelta(hours=24)
        n_times = sum(person == pk and at > a_day_ago for person, at in rule.fired_from_inside)
        return "too_often" if not is_from_outside(cause) and n_times >= 10 else ""

    def _is_met(self, condition: Any, pk: int) -> bool:
        return set(_named(condition)) <= self.tags and self._holds(condition, self.people[pk])

    def _holds(self, condition: Any, person: Somebody) -> bool:
        match condition:
            case {"not": inner}:
                return not self._holds(inner, person)
            case {"all": several}:
                return all(self._holds(one, person) for one in several)
            case {"any": several}:
                return any(self._holds(one, person) for one in several)
            case {"type": "tags", "ids": ids}:
                return bool(set(ids) & person.tags)
            case {"type": "subscriber_state", "states": states}:
                return person.state in states
        raise AssertionError(condition)

    def _do(self, action: dict[str, Any], pk: int, cause: Cause) -> str:
        match action["kind"]:
            case "tag" | "untag" if action["tag_id"] not in self.tags:
                return "thing_gone"
            case "tag":
                is_new = self.put_tag(pk, action["tag_id"], cause)
            case "untag":
                is_new = self.take_tag(pk, action["tag_id"], cause)
            case "field":
                is_new = self.move(pk, action["value"] or "", cause)
            case "unsubscribe":
                is_new = self.leave(pk, cause)
            case kind:
                raise AssertionError(kind)
        return "changed" if is_new else "already_so"


def _is(trigger: dict[str, Any], happening: Happening) -> bool:
    if trigger["trigger"] != happening.kind:
        return False
    if "value" in trigger and trigger["value"] != happening.value:
        return False
    named = [value for name, value in trigger.items() if name.endswith("_id")]
    return named in ([], [happening.subject])


def _named(condition: Any) -> Iterator[int]:
    """Tags."""
    match condition:
        case {"not": inner}:
            yield from _named(inner)
        case {"all": several} | {"any": several}:
            for one in several:
                yield from _named(one)
        case {"type": "tags", "ids": ids}:
            yield from ids


def depth(cause: Cause) -> int:
    return len([one for one in cause if one.split()[0] in ("rule", "automation")])


def is_from_outside(cause: Cause) -> bool:
    return len(cause) > 0 and depth(cause) == 0
