"""Rules: made, changed, switched, copied, deleted.

A rule that is on hears of what happens after it was made or switched on, and of nothing before. An edit holds for
events that are read after it.
"""

from datetime import datetime

from django.db.models import QuerySet

from dripstone.accounts.models import Account
from dripstone.given import Given
from dripstone.rules.models import Rule

MOST = 2_000  # of an account


def of(account: Account) -> QuerySet[Rule]:
    return Rule.objects.filter(account=account)


def create(account: Account, given: Given, now: datetime, actor: str = "") -> Rule:
    """given  `name`, `triggers`, `condition` (null or absent: everybody), `actions`, `active` (absent: off)
    actor   who does it, for the log
    Raises Invalid with every problem by its member.
    """
    raise NotImplementedError


def update(rule: Rule, given: Given, now: datetime, actor: str = "") -> Rule:
    """Change the members given. Raises Invalid, NotFound."""
    raise NotImplementedError


def switch(rule: Rule, on: bool, now: datetime, actor: str = "") -> Rule:
    """Nothing of what happened while it was off fires it. Raises NotFound."""
    raise NotImplementedError


def duplicate(rule: Rule, now: datetime, actor: str = "") -> Rule:
    """The same once more, off, named "… (copy)". Raises Invalid, NotFound."""
    raise NotImplementedError


def delete(rule: Rule, now: datetime, actor: str = "") -> None:
    """With its log. What it did stays done. Raises NotFound."""
    raise NotImplementedError
