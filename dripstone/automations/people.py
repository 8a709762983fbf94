"""People put into an automation, moved in it and taken out of it by hand.

Each verb is one transaction. They walk on in it as they would by themselves, if the automation runs.
A crash here means nothing was changed.
"""

from collections.abc import Iterable
from datetime import datetime

from django.db import transaction

from dripstone.automations import reasons, walk
from dripstone.automations.models import Automation, Walk
from dripstone.automations.steps import Held, Sequences
from dripstone.errors import Invalid, NotFound
from dripstone.events.causes import Cause

OUTSIDE = "This person is not inside the automation: add them first"
NO_SUCH_NODE = "There is no such node in what is published"


def walk_of(automation: Automation, subscriber_id: int) -> Walk | None:
    """Where they stand; None: they are outside."""
    return Walk.objects.filter(automation=automation.pk, subscriber_id=subscriber_id, left_at=None).first()


@transaction.atomic
def add(
    automation: Automation, subscriber_ids: Iterable[int], now: datetime, *, cause: Cause, again: bool = False
) -> dict[int, str]:
    """By id: "" where they entered, else why not (reasons.NOT_ENTERED). Ids that are nobody's of the account are passed
    over.

    again   also those who may not enter a second time (`reenter`)
    """
    held = walk.hold([automation.pk], subscriber_ids)
    _must_be_there(held, automation)
    return walk.admit(held, automation.pk, sorted(held.people), now, cause=cause, again=again)


@transaction.atomic
def move(
    automation: Automation,
    subscriber_id: int,
    key: str,
    now: datetime,
    *,
    cause: Cause,
    keep_place: bool = False,
) -> Walk | None:
    """To a node: ahead of them in the same run, anywhere else in a new one, in which everything acts again (A3).

    keep_place   of the sequence at which they stand they are sent the rest, even if this automation put them into it
    Returns where they stand then; None: they have walked on from there, and left. Raises Invalid, NotFound.
    """
    held = walk.hold([automation.pk], [subscriber_id])
    where = _standing(held, automation, subscriber_id)
    nodes = held.routes[automation.pk].graph.nodes
    if key not in nodes or nodes[key].is_deleted:
        raise Invalid.member("node", NO_SUCH_NODE)
    is_back = key not in held.routes[automation.pk].graph.ahead(where.node)
    sequences: Sequences = "finish" if keep_place else "end"
    to, how = {subscriber_id: key}, reasons.BY_HAND
    walk.put(held, automation.pk, to, now, cause=cause, reason=how, sequences=sequences, new_run=is_back)
    walk.step(held, automation.pk, [subscriber_id], now)
    return walk_of(automation, subscriber_id)


@transaction.atomic
def remove(
    automation: Automation, subscriber_id: int, now: datetime, *, cause: Cause, keep_place: bool = False
) -> None:
    """Out of the automation. Raises Invalid, NotFound."""
    held = walk.hold([automation.pk], [subscriber_id])
    _standing(held, automation, subscriber_id)
    sequences: Sequences = "finish" if keep_place else "end"
    walk.leave(held, automation.pk, [subscriber_id], reasons.BY_HAND, now, cause=cause, sequences=sequences)


def _must_be_there(held: Held, automation: Automation) -> None:
    if automation.pk not in held.automations:
        raise NotFound


def _standing(held: Held, automation: Automation, subscriber_id: int) -> Walk:
    _must_be_there(held, automation)
    if subscriber_id not in held.people:
        raise NotFound
    where = held.walks.get(automation.pk, {}).get(subscriber_id)
    if where is None:
        raise Invalid(OUTSIDE)
    return where
