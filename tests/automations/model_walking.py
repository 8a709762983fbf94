"""Part of model.py: how people are let in, and walk from node to node."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tests.automations import model_time
from tests.automations.model_people import MAILABLE, Automation, Node, Passed, Places, Somebody, Walk
from tests.rules import model as rules
from tests.rules.model import Cause

Arrival = tuple[str | None, str, str]  # by which exit, None: they wait; what became of the node, and why

FORKS = ("condition", "split")  # they do nothing, so they are met as often as one comes to them
MOST_AT_ONCE = 100
FROM_TRACE = {"tag_added", "form_joined", "purchased", "field_date", "date"}  # `already` unless told otherwise


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
        walk = Walk(automation.pk, run, self.now, rules.is_from_outside(cause), self.n_walks, over=("next", "started"))
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
        if rules.depth(cause) >= 10:
            return "too_deep"
        if automation.status == "inactive":
            return "not_running"
        if person.state not in MAILABLE:
            return "not_mailable"
        if automation.reenter == "never" and not again and any(walk.acted or walk.node for walk in runs):
            return "never_again"
        a_day_ago = self.now - timedelta(hours=24)
        n_times = sum(not walk.is_from_outside and walk.entered_at > a_day_ago for walk in runs)
        return "too_often" if not rules.is_from_outside(cause) and n_times >= 10 else ""

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
        if walk.left_because is not None:
            what, why = "entered" if what == "entered" else "left", walk.left_because
        self.one(pk).steps.append((walk.automation, walk.run, what, at, why, path))

    def _is_over(self, pk: int, walk: Walk) -> tuple[str, str] | None:
        """What they stand at: by which exit they go on, and why."""
        if walk.node == "":
            return "next", "started"
        node = self.automations[walk.automation].graph.nodes[walk.node]
        is_late = walk.due is not None and walk.due <= self.now
        is_late = is_late or (node["kind"] == "condition" and "within" not in node)  # an edit has taken it away
        match node["kind"]:
            case "wait" if walk.due is None:
                return "otherwise", "no_date"
            case "wait" if is_late:
                return "next", "wait_over"
            case "condition" if self._is_met(node["if"], pk):
                return "yes", "condition_met"
            case "condition" if is_late:
                return "no", "within_over"
            case "event" if self._is_gone(node):
                return "next", "thing_gone"
            case "event" if is_late:  # an edit may have taken the limit away: the date stays
                return "otherwise" if "within" in node else "next", "within_over"
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
        if node["wait"] == "last_email" and place.is_at_its_end:
            return "sequence_end_reached"
        return "goes_on" if node["wait"] is False else ""  # an edit lets them wait no longer

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
            if len(path) == MOST_AT_ONCE:
                walk.node, walk.is_to_arrive = key, True
                walk.over, walk.due = ("next", "goes_on"), self.now + timedelta(seconds=1)
                return [*path, (key, "put_off", "")]
            walk.node, walk.arrived_at = key, self.now
            exit_, what, why = self._arrive(pk, walk, graph.nodes[key], chain)
            path.append((key, what, why))
            if exit_ is None:
                return path
            if exit_ in ("unsubscribed", "moved_on"):
                self._out(walk, exit_)
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
        if kind not in FORKS:
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
        if node["wait"] is False:
            return ("next", "acted", "") if is_ours else ("next", "passed", "already_so")
        if node["wait"] == "last_email" and place.is_at_its_end:
            return "next", "passed", "sequence_end_reached"
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
        if node.get("and_leave") and node["way"] == "out":
            return "moved_on", "acted", ""
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
