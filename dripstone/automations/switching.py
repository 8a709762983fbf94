"""Switches an automation on, pauses it, switches it off (A10, A11).

    inactive   nobody enters, nobody walks, places are kept
    paused     people enter and wait at the entry, nobody walks
    active     people enter and walk

Takes       an automation, its next status, and for switching it on the token of the impact and what becomes of the
            overdue
Leaves      it switched; what it sent people to stands still or goes on; whom the ticks find due walks on
A crash here means nothing was switched: it is one transaction.

Nobody walks meanwhile: whoever moves people holds the automation, and this waits for them.
"""

from datetime import datetime, timedelta
from typing import Final, Literal

from django.db import transaction
from django.db.models import QuerySet

from dripstone.automations import dates, inside, kinds, reasons, schedule, verbs, walk
from dripstone.automations.models import Automation, Walk
from dripstone.events import causes, reading
from dripstone.rules import wake
from dripstone.subscribers.models import State, Subscriber
from dripstone.triggers.turn import READER

Status = Automation.Status
Overdue = Literal["walk", "leave"]

WALK: Final = "walk"  # on, with whoever else is due
LEAVE: Final = "leave"  # the automation, if they are overdue for longer than some time

_BATCH = 1_000  # people


def token_of(automation: Automation, status: str) -> str:
    """Of the impact; what becomes of the overdue is chosen after looking at it."""
    return inside.token(automation, verbs.published(automation), ["switch", status])


def activate(
    automation: Automation,
    now: datetime,
    actor: str = verbs.OWNER,
    *,
    token: str | None = None,
    overdue: Overdue = WALK,
    older_than: timedelta | None = None,
) -> Automation:
    """Nothing that happened while it was inactive lets anybody in.

    overdue      what becomes of those whose wait was over while it did not run; waits for a weekday and hour take
                 their next slot instead
    older_than   of `leave`: those who are overdue for longer; None: all of them
    Raises Unseen while somebody is inside and the token is not that of these people; Invalid, NotFound.
    """
    with transaction.atomic():
        automation = verbs.locked(automation)
        if automation.status == Status.ACTIVE:
            return automation
        inside.must_be_seen(automation, token, token_of(automation, Status.ACTIVE))
        walk.next_slots(automation.pk, now)
        if overdue == LEAVE:
            _let_go(automation, now - (older_than or timedelta(0)), now, actor)
        return _switched(automation, Status.ACTIVE, now, actor)


def pause(automation: Automation, now: datetime, actor: str = verbs.OWNER, *, token: str | None = None) -> Automation:
    """Raises Unseen for a token that is out of date; NotFound."""
    return _stopped(automation, Status.PAUSED, now, actor, token)


def deactivate(
    automation: Automation, now: datetime, actor: str = verbs.OWNER, *, token: str | None = None
) -> Automation:
    """Raises Unseen for a token that is out of date; NotFound."""
    return _stopped(automation, Status.INACTIVE, now, actor, token)


def _stopped(automation: Automation, status: Status, now: datetime, actor: str, token: str | None) -> Automation:
    """Stopping does no harm that could not be undone, so it needs no token."""
    with transaction.atomic():
        automation = verbs.locked(automation)
        if automation.status == status:
            return automation
        if token is not None:
            inside.must_be_seen(automation, token, token_of(automation, status))
        return _switched(automation, status, now, actor)


def _switched(automation: Automation, status: Status, now: datetime, actor: str) -> Automation:
    was = automation.status
    if was == Status.INACTIVE:
        automation.listens_after = reading.from_now_on(READER)
    if status == Status.ACTIVE:
        automation.stopped_at = None
        walk.still(automation.pk, False, now)
        walk.look_again(automation.pk, _conditions(automation), now)
    elif was == Status.ACTIVE:
        automation.stopped_at = now
        walk.still(automation.pk, True, now)
    automation.status, automation.status_at = status, now
    automation.changed_at, automation.changed_by = now, actor
    automation.edition += 1
    switched = ("status", "status_at", "stopped_at", "listens_after", "edition", "changed_at", "changed_by")
    automation.save(update_fields=switched)
    dates.set_up(automation, verbs.published(automation), now)
    wake.worker()
    return automation


def _conditions(automation: Automation) -> list[str]:
    """They are looked at when it runs again (A7)."""
    return [node.key for node in verbs.published(automation).nodes.values() if node.kind == kinds.CONDITION]


# --- The overdue --------------------------------------------------------------------------------------------------


def overdue(automation: Automation, before: datetime) -> QuerySet[Walk]:
    """What whoever waited for had come by then; without those who wait for a weekday and hour, and without the
    unconfirmed, who are late for nothing (A2)."""
    late = Walk.objects.filter(automation=automation.pk, left_at=None, ends_at__lte=before, due_at__lte=before)
    confirmed = Subscriber.objects.filter(account=automation.account_id, state=State.ACTIVE)
    return late.exclude(node__in=slots(automation)).filter(subscriber_id__in=confirmed.values("pk"))


def slots(automation: Automation) -> list[str]:
    """Nodes that wait for a weekday and hour, deleted ones among them."""
    nodes = verbs.published(automation).nodes.values()
    return [node.key for node in nodes if node.kind == kinds.WAIT and schedule.is_for_weekday(node.settings)]


def _let_go(automation: Automation, before: datetime, now: datetime, actor: str) -> None:
    people = list(overdue(automation, before).order_by("subscriber_id").values_list("subscriber_id", flat=True))
    for first in range(0, len(people), _BATCH):
        some = people[first : first + _BATCH]
        held = walk.hold([automation.pk], some)
        walk.leave(held, automation.pk, some, reasons.OVERDUE, now, cause=causes.of_actor(actor))
