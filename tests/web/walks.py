"""An automation that pages show, and people in it, made by hand: where they stand and what the log has of them."""

from datetime import datetime
from typing import Any

from dripstone.accounts.models import Account
from dripstone.automations import reasons, verbs
from dripstone.automations.models import Automation, Step, Walk
from dripstone.events import causes
from dripstone.subscribers.models import Subscriber
from tests.factories import MONDAY_9, make_sequence, make_tag

Json = dict[str, Any]


def make_automation(account: Account, **more: Any) -> Automation:
    """ "After the course": whoever gets the tag goes through a sequence; who has not bought within two days waits three
    and is nudged; then an event; then out."""
    course = make_tag(account, name=f"course {account.automations.count()}")
    bought, reader = make_tag(account, name=f"book {course.pk}"), make_tag(account, name=f"reader {course.pk}")
    sequence = make_sequence(account, {"delay_value": 0}, {"delay_value": 2}, name="Write better emails")
    nodes: list[Json] = [
        {"id": "welcome", "kind": "sequence", "sequence_id": sequence.pk, "wait": "completed", "next": "bought"},
        {
            "id": "bought",
            "kind": "condition",
            "if": {"type": "tags", "ids": [bought.pk]},
            "within": {"days": 2},
            "yes": "thanks",
            "no": "pause",
        },
        {"id": "thanks", "kind": "tag", "tag_id": reader.pk, "next": "sold"},
        {"id": "pause", "kind": "wait", "for": {"days": 3}, "next": "sold"},
        {"id": "sold", "kind": "event", "trigger": "purchased", "next": None},
    ]
    entry = {"id": "in", "trigger": "tag_added", "tag_id": course.pk}
    given = {"name": "After the course", "entries": [entry], "start": "welcome", "nodes": nodes, **more}
    return verbs.create(account, given, MONDAY_9)


def switch_on(automation: Automation) -> None:
    Automation.objects.filter(pk=automation.pk).update(status="active")
    automation.refresh_from_db()


def make_walk(automation: Automation, person: Subscriber, node: str = "", **more: Any) -> Walk:
    """Somebody inside, unless it says when they left."""
    values = {"entered_at": MONDAY_9, "arrived_at": MONDAY_9, "entry": "in", "cause": causes.API, "node": node}
    return Walk.objects.create(
        account_id=automation.account_id, automation=automation, subscriber_id=person.pk, **(values | more)
    )


def make_step(automation: Automation, person: Subscriber, what: str, node: str = "", **more: Any) -> Step:
    values = {"at": MONDAY_9, "run": None if what == "not_entered" else 1, "cause": causes.API, "node": node}
    return Step.objects.create(
        account_id=automation.account_id, automation_id=automation.pk, subscriber_id=person.pk, what=what,
        **(values | more),
    )  # fmt: skip


def passed(node: str, what: str = reasons.ACTED, reason: str = "") -> Json:
    return {"node": node, "what": what, "reason": reason}


def make_way(automation: Automation, person: Subscriber, at: datetime = MONDAY_9) -> Walk:
    """Of somebody who came past the sequence and the fork, and waits since then."""
    make_step(automation, person, "entered", "welcome", path=[passed("welcome", reasons.WAITS)])
    path = [
        passed("welcome", reasons.OVER, reasons.SEQUENCE_COMPLETED),
        passed("bought", reasons.WENT) | {"exit": "no"},
        passed("pause", reasons.WAITS),
    ]
    make_step(automation, person, "walked", "pause", at=at, reason=reasons.SEQUENCE_COMPLETED, path=path)
    return make_walk(automation, person, "pause", arrived_at=at)
