"""The demo's automation: from the welcome to the course. Whoever was welcomed since it runs walks through it."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from dripstone.accounts.models import Account
from dripstone.automations import run, switching, verbs
from dripstone.automations.models import Automation, Walk
from dripstone.events import causes
from dripstone.ops.demo.letters import COURSE, WELCOME
from dripstone.sequences.models import Sequence
from dripstone.subscribers import tags
from dripstone.subscribers.models import Form

RUNS_FOR = timedelta(days=16)
NAME = "From the welcome to the course"
KNOWS, READ = "Knows the course", "Read the course"


def make(account: Account, sequences: Mapping[str, Sequence], form: Form, now: datetime) -> Automation:
    """It runs. form: of the course."""
    knows, read = (tags.create(account.pk, {"name": name}, now, cause=causes.OWNER)[0].pk for name in (KNOWS, READ))
    welcome, course = sequences[WELCOME.name].pk, sequences[COURSE.name].pk
    nodes: list[dict[str, Any]] = [
        {"id": "welcome", "kind": "sequence", "sequence_id": welcome, "next": "asked"},
        {
            "id": "asked",
            "kind": "condition",
            "if": {"type": "sequences", "ids": [course], "place": "ever"},
            "within": {"days": 1},
            "yes": "course",
            "no": "pause",
        },
        {"id": "pause", "kind": "wait", "for": {"days": 2}, "next": "knows"},
        {"id": "knows", "kind": "tag", "tag_id": knows, "next": "later"},
        {
            "id": "later",
            "kind": "event",
            "trigger": "form_joined",
            "form_id": form.pk,
            "within": {"days": 60},
            "next": "course",
            "otherwise": None,
        },
        {"id": "course", "kind": "sequence", "sequence_id": course, "next": "read"},
        {"id": "read", "kind": "tag", "tag_id": read, "next": None},
    ]
    entries = [{"id": "a", "trigger": "sequence_entered", "sequence_id": welcome}]
    given = {"name": NAME, "entries": entries, "start": "welcome", "nodes": nodes}
    return switching.activate(verbs.create(account, given, now), now, verbs.OWNER)


def follow(now: datetime) -> None:
    """What has happened, and what is due, moves people there."""
    if Automation.objects.exists():
        run.until_idle(lambda: now)


def next_instant() -> datetime | None:
    """When somebody's wait is over."""
    waiting = Walk.objects.filter(left_at=None, due_at__isnull=False).order_by("due_at")
    return waiting.values_list("due_at", flat=True).first()
