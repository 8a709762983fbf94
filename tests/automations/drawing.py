"""Automations with nodes of every kind, in one line, and rows of people in them: for what looks at both."""

from datetime import datetime
from typing import Any

from dripstone.accounts.models import Account
from dripstone.automations import verbs
from dripstone.automations.models import Automation, Step, Walk
from dripstone.sequences.models import Sequence
from dripstone.subscribers.models import Subscriber, Tag
from tests.factories import MONDAY_9 as NOW

Json = dict[str, Any]


def automation(account: Account, *nodes: Json, when: Any = (), is_on: bool = True, **more: Any) -> Automation:
    """It begins with the first node. when   a trigger, or several"""
    entries = [when] if isinstance(when, dict) else list(when)
    start = nodes[0]["id"] if nodes else None
    given = {"name": "After the course", "entries": entries, "start": start, "nodes": list(nodes), **more}
    row = verbs.create(account, given, NOW)
    if is_on:
        Automation.objects.filter(pk=row.pk).update(status=Automation.Status.ACTIVE)
        row.refresh_from_db()
    return row


def wait(key: str, to: str | None = None, **span: int) -> Json:
    """Three days, unless said otherwise."""
    return {"id": key, "kind": "wait", "for": span or {"days": 3}, "next": to}


def until(key: str, instant: Json, to: str | None = None) -> Json:
    return {"id": key, "kind": "wait", "until": instant, "next": to}


def tagging(key: str, tag: Tag, to: str | None = None, kind: str = "tag") -> Json:
    return {"id": key, "kind": kind, "tag_id": tag.pk, "next": to}


def course(key: str, sequence: Sequence, to: str | None = None, wait: str | bool = "completed") -> Json:
    return {"id": key, "kind": "sequence", "sequence_id": sequence.pk, "wait": wait, "next": to}


def asking(key: str, condition: Json, yes: str | None = None, no: str | None = None, **within: int) -> Json:
    limit = {"within": within} if within else {}
    return {"id": key, "kind": "condition", "if": condition, "yes": yes, "no": no, **limit}


def event(key: str, trigger: Json, to: str | None = None, otherwise: str | None = None, **within: int) -> Json:
    limit = {"within": within, "otherwise": otherwise} if within else {}
    return {"id": key, "kind": "event", **trigger, "next": to, **limit}


def shares(key: str, *branches: tuple[int, str | None]) -> Json:
    return {"id": key, "kind": "split", "branches": [{"percent": n, "next": to} for n, to in branches]}


def stands(automation: Automation, person: Subscriber, node: str = "", **values: Any) -> Walk:
    """By hand, where it is not about how they came there."""
    since: dict[str, Any] = {"entered_at": NOW, "arrived_at": NOW, "is_begun": bool(node)}
    return Walk.objects.create(
        account_id=automation.account_id,
        automation=automation,
        subscriber_id=person.pk,
        node=node,
        due_at=values.get("ends_at"),
        **since | values,
    )


def logged(automation: Automation, person: Subscriber, what: str, at: datetime = NOW, **values: Any) -> Step:
    return Step.objects.create(
        account_id=automation.account_id,
        automation_id=automation.pk,
        subscriber_id=person.pk,
        what=what,
        at=at,
        **values,
    )
