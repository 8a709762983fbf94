"""Moves the virtual clock, and everything with it: what the API and the strip on the pages call.

At one instant come acts of outside that still wait, then what rules make of them and of dates, then emails and once
more what rules make of those, and at last calls to others (docs/decisions/rules.md).
"""

from collections import Counter
from datetime import datetime

from dripstone.automations import run as automations
from dripstone.bulk import run as bulk
from dripstone.engine import virtual
from dripstone.imports import work as imports
from dripstone.webhooks import run as webhooks

BEFORE_MAIL: tuple[virtual.Beside, ...] = (bulk, imports, automations)
AFTER_MAIL: tuple[virtual.Beside, ...] = (webhooks,)


def to(target: datetime, account_id: int) -> Counter[str]:
    """See virtual.advance_to."""
    return virtual.advance_to(target, account_id, *AFTER_MAIL, first=BEFORE_MAIL)
