"""People who match already, put into an automation by a bulk action: counted first, then begun (A10).

Takes       an automation that runs
Leaves      a bulk action that sends them into it, in the order of what else happens to them
A crash here means nothing was asked for.
"""

from datetime import datetime

from dripstone.automations import kinds, matching
from dripstone.automations.models import Automation
from dripstone.bulk import actions, counting
from dripstone.bulk.counting import Counted
from dripstone.bulk.models import BulkAction
from dripstone.triggers import what
from dripstone.triggers.what import Action


def sending(automation: Automation, *, again: bool) -> list[Action]:
    """again   whoever has been inside, too, although `reenter` is never"""
    move = {"kind": what.MOVE, "automation_id": automation.pk, "way": kinds.IN}
    return [{**move, "again": True} if again else move]


def count(automation: Automation, now: datetime, *, again: bool = False) -> Counted:
    """Raises Invalid where no entry leaves anything behind."""
    whom = {"filter": matching.whom(automation, now)}
    return counting.count(automation.account, whom, sending(automation, again=again), now)


def begin(
    automation: Automation, asked_by: str, now: datetime, *, again: bool = False, seen: str | None = None
) -> BulkAction:
    """seen   the token of a count; None: whatever it would do. Raises Invalid, PreconditionFailed and TooLarge."""
    whom = {"filter": matching.whom(automation, now)}
    sent = sending(automation, again=again)
    return actions.begin(automation.account, whom, sent, asked_by, now, fire_rules=True, seen=seen)
