"""Deletes an automation with everybody in it (A14).

Takes       an automation, what becomes of the sequences it put people into, and the token of the impact
Leaves      neither it nor its nodes; everybody outside; their places in sequences as they are, or to be ended (errands.py)
A crash here means nothing was deleted: it is one transaction.

What names it elsewhere rests: a `move` into it passes, a condition about it is never met. Its log is not shown any more
and goes at night, as its walks do.
"""

from datetime import datetime
from typing import Literal

from django.db import transaction

from dripstone.automations import errands, inside, reasons, schedule, verbs, walk
from dripstone.automations.models import Automation, Walk
from dripstone.events import causes

Sequences = Literal["end", "finish"]
"""end      whoever stands at a sequence that this automation put them into is taken out of it
finish   they stay in it, and get the rest"""


def token(automation: Automation, sequences: Sequences) -> str:
    return inside.token(automation, ["delete", sequences])


def delete(
    automation: Automation,
    now: datetime,
    actor: str = verbs.OWNER,
    *,
    sequences: Sequences,
    token: str | None = None,
) -> None:
    """Raises Unseen while somebody is inside and the token is not that of this choice and these people; NotFound."""
    with transaction.atomic():
        automation = verbs.locked(automation)
        _must_be_seen(automation, sequences, token)
        walk.still(automation.pk, False, now)
        _everybody_leaves(automation, now)
        if sequences == "end":
            errands.end_places(automation, now, causes.of_actor(actor))
        schedule.set_up(automation, [], now)
        automation.delete()


def _must_be_seen(automation: Automation, sequences: Sequences, given: str | None) -> None:
    inside.must_be_seen(automation, given, lambda: token(automation, sequences))


def _everybody_leaves(automation: Automation, now: datetime) -> None:
    """In one statement: nobody walks while the automation is held, and no log of it is shown any more."""
    everybody = Walk.objects.filter(automation=automation.pk, left_at=None)
    everybody.update(left_at=now, left_because=reasons.AUTOMATION_DELETED, due_at=None, ends_at=None)
