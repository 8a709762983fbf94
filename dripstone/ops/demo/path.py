"""The demo's automation: from the welcome to the course. Whoever is welcomed walks through it from the beginning."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from dripstone.accounts.models import Account
from dripstone.automations import switching, verbs
from dripstone.automations.models import Automation
from dripstone.events import causes
from dripstone.ops.demo.letters import COURSE, WELCOME
from dripstone.sequences.models import Sequence
from dripstone.subscribers import tags
from dripstone.subscribers.models import Form

NAME = "From the welcome to the course"
KNOWS, READ = "Knows the course", "Read the course"


def make(account: Account, sequences: Mapping[str, Sequence], form: Form, began: datetime) -> Automation:
    """It runs. form: of the course."""
    knows, read = (tags.create(account.pk, {"name": name}, began, cause=causes.OWNER)[0].pk for name in (KNOWS, READ))
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
        {"id": "pause", "kind": "wait", "until": {"weekdays": ["tuesday"], "hour": 9}, "next": "knows"},
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
    return switching.activate(verbs.create(account, given, began), began, verbs.OWNER)
