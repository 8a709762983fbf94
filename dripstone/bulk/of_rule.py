"""A rule's actions for people who are there already, as a bulk action: counted first, then begun.

Takes       a rule, on or off
Leaves      a bulk action whose chain of causes names the rule, so that the rule itself does not fire on what it did
A crash here means nothing was asked for.
"""

from datetime import datetime

from dripstone.bulk import actions, counting
from dripstone.bulk.counting import Counted, Whom
from dripstone.bulk.models import BulkAction
from dripstone.rules import already
from dripstone.rules.models import Rule


def whom(rule: Rule, now: datetime) -> Whom:
    """Those for whom what sets it off is so now, and who meet its condition. Raises Invalid when
    that leaves no trace."""
    return {"filter": already.whom(rule, now)}


def count(rule: Rule, now: datetime) -> Counted:
    """Raises Invalid."""
    return counting.count(rule.account, whom(rule, now), rule.actions, now)


def begin(rule: Rule, asked_by: str, now: datetime, *, fire_rules: bool, seen: str | None) -> BulkAction:
    """seen   the token of a count; None: whatever it would do. Raises Invalid, PreconditionFailed and TooLarge."""
    because = (f"rule {rule.pk}",)
    asked = (rule.account, whom(rule, now), rule.actions, asked_by, now)
    return actions.begin(*asked, fire_rules=fire_rules, because=because, seen=seen)
