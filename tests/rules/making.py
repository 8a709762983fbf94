"""Rules in one line, and what became of them."""

from datetime import datetime
from typing import Any

from dripstone import clock
from dripstone.accounts.models import Account
from dripstone.automations import run
from dripstone.rules import verbs
from dripstone.rules.models import Firing, Rule
from dripstone.subscribers.models import Subscriber, Tag

NOW = datetime.fromisoformat("2026-11-23T09:00:00+00:00")


def tag_added(tag: Tag) -> dict[str, Any]:
    return {"trigger": "tag_added", "tag_id": tag.pk}


def tag(tag: Tag) -> dict[str, Any]:
    return {"kind": "tag", "tag_id": tag.pk}


def untag(tag: Tag) -> dict[str, Any]:
    return {"kind": "untag", "tag_id": tag.pk}


def has(tag: Tag) -> dict[str, Any]:
    return {"type": "tags", "ids": [tag.pk]}


def rule(account: Account, *then: dict[str, Any], when: Any, only_if: Any = None, now: datetime = NOW) -> Rule:
    """One that is on. when   a trigger, or several"""
    triggers = when if isinstance(when, list) else [when]
    given = {"name": "Rule", "triggers": triggers, "condition": only_if, "actions": list(then), "active": True}
    return verbs.create(account, given, now)


def work_off(now: datetime = NOW) -> int:
    return run.until_idle(lambda: now)


def work_off_virtually() -> int:
    return run.until_idle(clock.now)


def outcomes(rule: Rule) -> list[str]:
    """ "fired", or why not."""
    rows = Firing.objects.filter(rule_id=rule.pk).order_by("pk")
    return [row.reason or str(row.outcome) for row in rows]


def tags_of(person: Subscriber) -> set[str]:
    return set(Tag.objects.filter(taggings__subscriber=person).values_list("name", flat=True))
