"""Dates in people's fields that have come, for rules that wait for them.

Takes       dates that are due, the longest first
Leaves      what fire.py makes of them; the dates are taken
A crash here means that they are still due.
"""

from collections.abc import Iterable
from datetime import datetime

import structlog
from django.db import OperationalError, transaction

from dripstone.events import causes
from dripstone.postgresql.deadlocks import is_deadlock
from dripstone.rules import fire
from dripstone.rules.book import Heard
from dripstone.rules.fire import Occasion
from dripstone.rules.models import Rule
from dripstone.rules.read import NOTHING, Passed, turn
from dripstone.triggers import dates
from dripstone.triggers.dates import Due

log = structlog.get_logger(__name__)

AT_ONCE = 500


def next_dates(now: datetime) -> Passed:
    """Work off some of the dates that have come, of each person one: what it causes comes before their next (A9)."""
    with turn() as is_ours:
        return _take(now) if is_ours else NOTHING


def _take(now: datetime) -> Passed:
    try:
        with transaction.atomic():
            dues = dates.take(now, AT_ONCE)
            n_firings = fire.everything(_occasions(dues), now)
    except OperationalError as error:
        if not is_deadlock(error):
            raise
        log.info("dates_wait")
        return Passed(0, True)
    return Passed(n_firings, bool(dues))


def _occasions(dues: Iterable[Due]) -> list[Occasion]:
    of_rules = [due for due in dues if due.owner.kind == "rule"]
    rules = Rule.objects.filter(is_on=True).in_bulk({due.owner.pk for due in of_rules})
    found = []
    for due in of_rules:
        rule = rules.get(due.owner.pk)
        if rule is not None and due.trigger < len(rule.triggers):
            heard = [Heard(rule, rule.triggers[due.trigger])]
            found.append(Occasion(due.owner.account_id, due.subscriber_id, None, causes.NONE, heard))
    return found
