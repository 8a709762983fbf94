"""What an edit or a deletion has left to do for many people, a batch at a time.

Takes       errands (models.Errand), the oldest first, by any number of workers
Leaves      people sent on from a deleted node, new dates at a changed one, places ended
A crash here means that the batch was not done, and will be: what is left is what the rows say.

Everything else that an edit decides holds at once. These take time: a date for each person, or a place in a sequence
that ends, with what is planned for it and an event for whoever reads events.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

import structlog
from django.db import OperationalError, transaction

from dripstone.automations import reasons, walk
from dripstone.automations.graph import GraphNode
from dripstone.automations.models import Automation, Errand, Walk
from dripstone.automations.steps import Held
from dripstone.engine import reasons as engine_reasons
from dripstone.engine import transitions
from dripstone.engine.acts import places
from dripstone.events.causes import Cause
from dripstone.postgresql.deadlocks import is_deadlock
from dripstone.rules import wake
from dripstone.triggers.turn import NOTHING, Passed

log = structlog.get_logger(__name__)

BATCH = 500  # people: half a second


def go_on(automation: Automation, node: str, now: datetime, cause: Cause) -> None:
    """Whoever stands at this deleted node goes on now. The sequence where they stand ends, if this automation put them
    into it (A5)."""
    _note(Errand.What.GO_ON, automation, now, cause, node)


def end_places(automation: Automation, now: datetime, cause: Cause) -> None:
    """Those that walks had made which ended because it was deleted."""
    _note(Errand.What.END_PLACES, automation, now, cause)


def redate(automation: Automation, node: str, now: datetime, cause: Cause) -> None:
    """Whoever waits at this node gets the date that it gives now, counted from when they came."""
    _note(Errand.What.REDATE, automation, now, cause, node)


def _note(what: Errand.What, automation: Automation, now: datetime, cause: Cause, node: str = "") -> None:
    ids = {"account_id": automation.account_id, "automation_id": automation.pk}
    Errand.objects.create(what=what, node=node, cause=list(cause), asked_at=now, **ids)
    wake.worker()


def is_any() -> bool:
    return Errand.objects.exists()


def some(now: datetime) -> Passed:
    """Work off a batch of the oldest errand that nobody else is at."""
    try:
        with transaction.atomic():
            errand = Errand.objects.select_for_update(skip_locked=True).order_by("pk").first()
            if errand is None:
                return NOTHING
            n_people = _BATCHES[errand.what](errand, now)
            if n_people is None:
                errand.delete()
            return Passed(n_people or 0, True)
    except OperationalError as error:
        if not is_deadlock(error):
            raise
        log.info("errand_waits")  # for somebody who holds what we need
        return Passed(0, True)


# Each returns how many people it was about; None: there are no more.


def _send_some_on(errand: Errand, now: datetime) -> int | None:
    """Whoever has gone off the node meanwhile has nothing more to do with it, and nobody comes to it."""
    some = _next(errand)
    if some is None or not some.node.is_deleted:
        return None
    why, to = tuple(errand.cause), some.node.leads_to
    if to is None:
        walk.leave(some.held, errand.automation_id, some.people, reasons.REMOVED_BY_EDIT, now, cause=why)
    else:
        places = dict.fromkeys(some.people, to)
        walk.put(some.held, errand.automation_id, places, now, cause=why, reason=reasons.BY_EDIT)
        walk.step(some.held, errand.automation_id, some.people, now)
    return len(some.people)


def _redate_some(errand: Errand, now: datetime) -> int | None:
    some = _next(errand)
    if some is None:
        return None
    walk.redate(some.held, errand.automation_id, some.people, now, anew=False)
    return len(some.people)


@dataclass(frozen=True, slots=True)
class _Some:
    held: Held
    node: GraphNode
    people: list[int]  # who stand there, by their walks


def _next(errand: Errand) -> _Some | None:
    """The next of those who stand at the errand's node, held, and the errand moved behind them. None: there are no
    more, or the node is gone."""
    standing = Walk.objects.filter(automation=errand.automation_id, node=errand.node, left_at=None)
    asked = list(standing.filter(pk__gt=errand.after).order_by("pk")[:BATCH])
    held = walk.hold([errand.automation_id], [one.subscriber_id for one in asked])
    route = held.routes.get(errand.automation_id)
    if not asked or route is None or errand.node not in route.graph.nodes:
        return None
    _move_behind(errand, asked[-1].pk)
    walks = sorted(held.walks[errand.automation_id].values(), key=lambda one: one.pk)
    return _Some(held, route.graph.nodes[errand.node], [one.subscriber_id for one in walks if one.node == errand.node])


def _move_behind(errand: Errand, walk_id: int) -> None:
    errand.after = walk_id
    errand.save(update_fields=["after"])


def _end_some(errand: Errand, now: datetime) -> int | None:
    """A place that was entered anew meanwhile is not the walk's any more (A5)."""
    ended = Walk.objects.filter(automation=errand.automation_id, left_because=reasons.AUTOMATION_DELETED)
    made = ended.filter(pk__gt=errand.after, is_ours=True, enrollment_id__isnull=False).order_by("pk")
    rows = list(made.values_list("pk", "enrollment_id", "enrollment_run")[:BATCH])
    if not rows:
        return None
    runs = {place_id: run for _, place_id, run in rows if place_id is not None}
    found = places.lock_all(sorted(runs), now)
    going = [pk for pk, row in found.items() if row.run == runs[pk] and row.status in places.INSIDE]
    transitions.remove(going, engine_reasons.REMOVED_BY_AUTOMATION, now, cause=tuple(errand.cause))
    _move_behind(errand, rows[-1][0])
    return len(rows)


_BATCHES: Mapping[str, Callable[[Errand, datetime], int | None]] = {
    Errand.What.GO_ON: _send_some_on,
    Errand.What.REDATE: _redate_some,
    Errand.What.END_PLACES: _end_some,
}
