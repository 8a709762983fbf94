"""Deletes an automation with everybody in it (A14).

Takes       an automation, what becomes of the sequences it put people into, and the token of the impact
Leaves      neither it nor its nodes; everybody outside; their places in sequences as they are, or to be ended
            (errands.py)
A crash here means nothing was deleted: it is one transaction.

What names it elsewhere rests: a `move` into it passes, a condition about it is never met. Its log is not shown any more
and goes at night, as its walks do.
"""

from datetime import datetime

from django.db import transaction

from dripstone.automations import dates, errands, inside, reasons, verbs, walk
from dripstone.automations.models import Automation, Walk
from dripstone.automations.steps import Sequences
from dripstone.events import causes


def token_of(automation: Automation, sequences: Sequences) -> str:
    return inside.token(automation, verbs.published(automation), ["delete", sequences])


@transaction.atomic
def delete(
    automation: Automation, now: datetime, actor: str = verbs.OWNER, *, sequences: Sequences, token: str | None = None
) -> None:
    """Raises Unseen while somebody is inside and the token is not that of this choice and these people; NotFound."""
    automation = verbs.locked(automation)
    inside.must_be_seen(automation, token, token_of(automation, sequences))
    if sequences == "end":
        errands.end_places(automation, now, causes.of_actor(actor))
    else:
        walk.still(automation.pk, False, now)
    _everybody_leaves(automation, now)
    dates.forget(automation, now)
    automation.delete()


def _everybody_leaves(automation: Automation, now: datetime) -> None:
    """In one statement: nobody walks while the automation is held, and no log of it is shown any more."""
    everybody = Walk.objects.filter(automation=automation.pk, left_at=None)
    everybody.update(
        left_at=now, left_because=reasons.AUTOMATION_DELETED, due_at=None, ends_at=None, called_to="", stilled_at=None
    )
