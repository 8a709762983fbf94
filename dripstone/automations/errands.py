"""What an edit or a deletion has left to do for many people: their places in sequences end, a batch at a time.

Takes       errands (models.Errand), the oldest first, by any number of workers
Leaves      the sequences left; whoever stood at a deleted node is on its way
A crash here means that the batch was not done, and will be: what is left is what the rows say.

Everything else that an edit decides holds at once. Only leaving a sequence takes time, since it ends what is planned
and tells every reader of events.
"""

from datetime import datetime

import structlog
from django.db import OperationalError, transaction

from dripstone.automations import reasons, wake, walk
from dripstone.automations.models import Automation, Errand, Node, Walk
from dripstone.engine import reasons as engine_reasons
from dripstone.engine import transitions
from dripstone.engine.acts import places
from dripstone.events.causes import Cause
from dripstone.postgresql.deadlocks import is_deadlock

log = structlog.get_logger(__name__)

BATCH = 500  # people: half a second


def leave_sequence(automation: Automation, node: str, now: datetime, cause: Cause) -> None:
    """Whoever stands at this deleted node leaves the sequence now, and goes on."""
    _note(Errand.What.LEAVE_SEQUENCE, automation, now, cause, node)


def end_places(automation: Automation, now: datetime, cause: Cause) -> None:
    """Those that walks had made which ended because it was deleted."""
    _note(Errand.What.END_PLACES, automation, now, cause)


def _note(what: Errand.What, automation: Automation, now: datetime, cause: Cause, node: str = "") -> None:
    ids = {"account_id": automation.account_id, "automation_id": automation.pk}
    Errand.objects.create(what=what, node=node, cause=list(cause), asked_at=now, **ids)
    wake.worker()


def is_any() -> bool:
    return Errand.objects.exists()


def next_batch(now: datetime) -> bool:
    """Works off some of the oldest errand that nobody else is at. True: there may be more to do at once."""
    try:
        with transaction.atomic():
            errand = Errand.objects.select_for_update(skip_locked=True).order_by("pk").first()
            if errand is None:
                return False
            if not _batch(errand, now):
                errand.delete()
            return True
    except OperationalError as error:
        if not is_deadlock(error):
            raise
        log.info("errand_waits")  # for somebody who holds what we need
        return True


def _batch(errand: Errand, now: datetime) -> bool:
    """False: it is done."""
    return _leave_some(errand, now) if errand.what == Errand.What.LEAVE_SEQUENCE else _end_some(errand, now)


def _leave_some(errand: Errand, now: datetime) -> bool:
    """Whoever has gone off the node by themselves meanwhile has nothing more to do with it, and nobody comes to it."""
    standing = Walk.objects.filter(automation=errand.automation_id, node=errand.node, left_at=None)
    people = list(standing.order_by("pk").values_list("subscriber_id", flat=True)[:BATCH])
    held = walk.hold([errand.automation_id], people)
    automation = Automation.objects.filter(pk=errand.automation_id).first()
    node = Node.objects.filter(automation=errand.automation_id, key=errand.node).first()
    if automation is None or node is None or node.deleted_at is None or not people:
        return False
    still = set(standing.filter(subscriber__in=people).values_list("subscriber_id", flat=True))
    cause = tuple(errand.cause)
    if node.leads_to is None:
        walk.leave(held, automation, still, reasons.REMOVED_BY_EDIT, now, cause=cause, sequences="end")
    else:
        walk.put(held, automation, dict.fromkeys(still, node.leads_to), now, cause=cause, reason=reasons.BY_EDIT)
    return True


def _end_some(errand: Errand, now: datetime) -> bool:
    """A place that was entered anew meanwhile is not the walk's any more (A5)."""
    ended = Walk.objects.filter(automation=errand.automation_id, left_because=reasons.AUTOMATION_DELETED)
    made = ended.filter(pk__gt=errand.after, is_ours=True, enrollment_id__isnull=False).order_by("pk")
    rows = list(made.values_list("pk", "enrollment_id", "enrollment_run")[:BATCH])
    if not rows:
        return False
    runs = {place_id: run for _, place_id, run in rows}
    found = places.lock_all(sorted(runs), now)
    going = [pk for pk, row in found.items() if row.run == runs[pk] and row.status in places.INSIDE]
    transitions.remove(going, engine_reasons.REMOVED_BY_AUTOMATION, now, cause=tuple(errand.cause))
    errand.after = rows[-1][0]
    errand.save(update_fields=["after"])
    return True
