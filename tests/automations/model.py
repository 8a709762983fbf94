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

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tests.automations import model_time
from tests.automations.model_people import Automation, Course, Graph, Line, Passed, Place, Somebody, Walk, somebody
from tests.automations.model_walking import Walking
from tests.rules.model import Cause, Happening

__all__ = ["Automation", "Course", "Line", "Passed", "Walk", "World", "somebody"]


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
        n_lines = len(person.steps)
        self._work_off(automation, pk, happening)
        if len(person.steps) == n_lines + 2:  # they walked first, and then it counted: one step
            first, second = person.steps[n_lines:]
            if first[:3] == (*second[:2], "walked"):
                person.steps[n_lines:] = [(*second[:5], first[5] + second[5])]

    def _work_off(self, automation: Automation, pk: int, happening: Happening) -> None:
        person = self.one(pk)
        walk = person.inside(automation.pk)
        has_walked = False  # by it: then nothing is said of their not entering
        if walk is not None and happening.kind == "became_active":
            has_walked = self.wake(pk, walk, happening.cause)
        walk = person.inside(automation.pk)
        if walk is None:
            self._perhaps_enter(automation, pk, happening)
            return
        if happening.kind in ("cancelled", "bounced", "complained"):
            self._lose_place(pk, walk, happening.cause)
            self._leave(pk, walk, f"state_{happening.kind}")
            return
        if happening.kind == "sent_out" and happening.subject == automation.pk:
            self._lose_place(pk, walk, happening.cause)
            self._leave(pk, walk, "by_move")
            return
        is_own = happening.cause[-1:] == (f"automation {automation.pk}",)
        is_moved = self._ends_own(pk, walk, happening, is_own) or (not is_own and self._pulls(pk, walk, happening))
        if not (is_moved or has_walked):
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
        if not self.wake(pk, walk, happening.cause):
            walk.due = self.now  # overdue from now on
        return True

    def _pulls(self, pk: int, walk: Walk, happening: Happening) -> bool:
        graph = self.automations[walk.automation].graph
        keys = [walk.node] if walk.is_to_arrive else []  # who was put there and has not walked yet stands before it
        ahead = (graph.nodes[key] for key in [*keys, *graph.ahead(walk.node)] if key not in graph.behind)
        target = next((node for node in ahead if node["kind"] == "event" and _is(node, happening)), None)
        if target is None:
            return False
        self._pull(pk, walk, target["id"], happening.cause)
        return True

    def _pull(self, pk: int, walk: Walk, key: str, cause: Cause) -> None:
        self._lose_place(pk, walk, cause)
        walk.node, walk.due, walk.over, walk.asked, walk.is_to_arrive = key, None, ("next", "happened"), None, False
        walk.arrived_at = self.now
        walk.acted.add(key)
        if self.may_walk(pk, walk):
            path = self._go(pk, walk, cause)
        else:
            walk.due, path = self.now, [(key, "waits", "")]
        self._note(pk, walk, "pulled", "happened", path)

    def _look(self, pk: int, walk: Walk, happening: Happening) -> None:
        """At what an event may have made true for those who wait for it, and at dates that it moved."""
        if not walk.is_inside or walk.node == "" or walk.over is not None:
            return
        node = self.automations[walk.automation].graph.nodes[walk.node]
        field_id = node.get("until", {}).get("custom_field_id")
        if node["kind"] == "condition":
            self.wake(pk, walk, happening.cause)
        elif node["kind"] == "wait" and happening.kind == "field_changed" and happening.subject == field_id:
            _, walk.due = self._end_of_wait(pk, node, self.now)
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
                if not self.wake(pk, walk, happening.cause):
                    walk.due = self.now

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
        self._stand_at(walk, key)
        self._note(pk, walk, "moved", "by_hand", [])
        self.wake(pk, walk)

    def _stand_at(self, walk: Walk, key: str) -> None:
        """Nothing of the node is done yet."""
        walk.node, walk.over, walk.is_to_arrive, walk.due, walk.asked = key, ("next", "goes_on"), True, None, None

    def _begin_again(self, pk: int, walk: Walk) -> Walk:
        self._leave(pk, walk, "new_run")
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
        """choices   by node: of a deleted one `sequence` ("finish" or "leave"), `wait` ("keep" or "end"), `branch`;
        of a changed one `dates` ("keep" or "anew")"""
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
        if walk.node in new.behind and {"leave", "end"} & set(choice.values()):
            self._lose_place(pk, walk, ("owner",))
            to = new.behind[walk.node]
            if to is None:
                self._leave(pk, walk, "removed_by_edit")
                return
            self._stand_at(walk, to)
            self._note(pk, walk, "moved", "by_edit", [])
            self.wake(pk, walk)
            return
        if walk.node in new.nodes and choice.get("dates") == "anew" and walk.over is None:
            node, arrived_at = new.nodes[walk.node], walk.arrived_at or self.now
            if node["kind"] == "wait":
                _, walk.due = self._end_of_wait(pk, node, arrived_at)
            else:
                walk.due = model_time.after(arrived_at, node["within"], self.zone) if "within" in node else None
        self.wake(pk, walk, ("owner",))

    def delete_tag(self, tag: int) -> None:
        """Who waits for it at an event goes on (A14)."""
        super().delete_tag(tag)
        for automation in self.automations.values():
            for pk, walk in self._walks_in(automation):
                node = automation.graph.nodes.get(walk.node, {})
                if node.get("kind") == "event" and node.get("tag_id") == tag:
                    walk.over = walk.over or ("next", "thing_gone")
                    self.wake(pk, walk)

    def delete(self, automation: Automation, *, sequences: str) -> None:
        for pk, walk in self._walks_in(automation):
            if sequences == "end":
                self._lose_place(pk, walk, ("owner",))
            self._leave(pk, walk, "automation_deleted", note=False)
        del self.automations[automation.pk]


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
