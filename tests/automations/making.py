"""Automations in one line, and where people stand in them."""

from datetime import datetime, timedelta
from typing import Any

from dripstone.accounts.models import Account
from dripstone.automations import inside, publishing, run, switching, verbs
from dripstone.automations import people as by_hand
from dripstone.automations.models import Automation, Step, Walk
from dripstone.events import causes
from dripstone.foresight import automation_impact
from dripstone.foresight.automation_impact import AutomationImpact
from dripstone.subscribers.models import Subscriber, Tag

NOW = datetime.fromisoformat("2026-11-23T09:00:00+00:00")  # a Monday
DAY = timedelta(days=1)

Node = dict[str, Any]


def wait(key: str, to: str | None = None, *, until: Any = None, **span: int) -> Node:
    """Three days, unless told otherwise."""
    how = {"until": until} if until else {"for": span or {"days": 3}}
    return {"id": key, "kind": "wait", **how, "next": to}


def tag(key: str, tag: Tag, to: str | None = None) -> Node:
    return {"id": key, "kind": "tag", "tag_id": tag.pk, "next": to}


def sequence(key: str, sequence_id: int, to: str | None = None, wait: Any = "completed") -> Node:
    return {"id": key, "kind": "sequence", "sequence_id": sequence_id, "wait": wait, "next": to}


def ask(key: str, tag: Tag, yes: str | None = None, no: str | None = None, **members: Any) -> Node:
    return {"id": key, "kind": "condition", "if": {"type": "tags", "ids": [tag.pk]}, "yes": yes, "no": no, **members}


def tagged(key: str, tag: Tag, to: str | None = None, **members: Any) -> Node:
    """Waits until they get the tag."""
    return {"id": key, "kind": "event", "trigger": "tag_added", "tag_id": tag.pk, "next": to, **members}


def graph(*nodes: Node, start: str | None = "", entries: Any = ()) -> dict[str, Any]:
    """start   the first node, unless told otherwise"""
    first = nodes[0]["id"] if nodes and start == "" else start or None
    return {"entries": list(entries), "start": first, "nodes": list(nodes)}


def automation(
    account: Account, *nodes: Node, status: str = "active", now: datetime = NOW, name: str = "Course", **members: Any
) -> Automation:
    given = {"name": name, **graph(*nodes, **{k: members.pop(k) for k in ("start", "entries") if k in members})}
    made = verbs.create(account, {**given, **members}, now)
    return switch(made, status, now)


def switch(one: Automation, status: str, now: datetime = NOW, **choices: Any) -> Automation:
    """Having looked at what it does."""
    one.refresh_from_db()
    token = switching.token_of(one, status)
    if status == "active":
        return switching.activate(one, now, token=token, **choices)
    return {"paused": switching.pause, "inactive": switching.deactivate}[status](one, now, token=token)


def draft(one: Automation, *nodes: Node, now: datetime = NOW, **members: Any) -> Automation:
    return verbs.save_draft(one, graph(*nodes, **members), now)


def publish(one: Automation, *nodes: Node, now: datetime = NOW, **choices: Any) -> AutomationImpact:
    """These nodes, having looked at what it does. choices   by node. Returns what was foretold."""
    one.refresh_from_db()
    saved = draft(one, *nodes, now=now)
    said = {"nodes": choices}
    told = automation_impact.of_publish(saved, None, now, said)
    publishing.publish(saved, now, token=told.token, choices=said)
    return told


def add(one: Automation, *people: Subscriber, now: datetime = NOW) -> None:
    told = by_hand.add(one, [person.pk for person in people], now, cause=causes.OWNER)
    assert set(told.values()) == {""}


def work_off(now: datetime = NOW) -> int:
    return run.until_idle(lambda: now)


def stands(one: Automation, person: Subscriber) -> str | None:
    """The node, "" for the entry; None: outside."""
    found = by_hand.walk_of(one, person.pk)
    return None if found is None else found.node


def counts(one: Automation) -> dict[str, int]:
    return inside.by_node(one.pk)


def due(one: Automation, person: Subscriber) -> datetime | None:
    return Walk.objects.get(automation=one.pk, subscriber_id=person.pk, left_at=None).ends_at


def left(one: Automation, person: Subscriber) -> str:
    """Why, the last time."""
    return Walk.objects.filter(automation=one.pk, subscriber_id=person.pk).latest("run").left_because


def log(one: Automation, person: Subscriber) -> list[tuple[str, str, str]]:
    rows = Step.objects.filter(automation_id=one.pk, subscriber_id=person.pk).order_by("pk")
    return [(str(row.what), row.node, row.reason) for row in rows]
