"""People for whom what lets somebody in is so already (A10): they can be added when an automation is switched on.

Nothing that happened while it was inactive enters by itself; what it left behind may still be there.
"""

from datetime import datetime
from typing import Any

from dripstone.automations import graph, verbs
from dripstone.automations.graph import Entry
from dripstone.automations.models import Automation
from dripstone.errors import Invalid
from dripstone.grammar import Condition, kinds
from dripstone.rules import already
from dripstone.subscribers.models import State

NOTHING_LEFT = (
    "Nothing of what lets people into this automation leaves a trace by which they could be found. "
    "Find them by a filter, and move them into it with a bulk action"
)


def whom(automation: Automation, now: datetime) -> Condition:
    """Those who match one of the entries now, are not inside, and may be mailed. Whether somebody who has been inside
    may enter again is asked when they do. Raises Invalid where no entry leaves anything behind."""
    account, entries = automation.account, verbs.published(automation).entries
    found = (already.left_behind(graph.trigger_of(one), account, now) for one in entries)
    states = [state for state in found if state is not None]
    if not states:
        raise Invalid(NOTHING_LEFT)
    inside: Condition = {"type": kinds.AUTOMATIONS, "ids": [automation.pk], "place": "inside"}
    mailable = {"type": kinds.STATE, "states": [State.ACTIVE.value, State.INACTIVE.value]}
    return {"all": [states[0] if len(states) == 1 else {"any": states}, {"not": inside}, mailable]}


def traceless(automation: Automation, now: datetime) -> list[Entry]:
    """Those by which nobody is found."""
    account = automation.account
    entries: list[dict[str, Any]] = automation.entries
    return [one for one in entries if already.left_behind(graph.trigger_of(one), account, now) is None]
