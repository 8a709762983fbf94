"""Dates that automations wait for: in people's fields, and on event nodes; and the account's zone, by which they go.

Takes       the graph of an automation, whenever it is published or switched (set_up)
Leaves      the next date of each person (triggers/dates.py), and of each node; who is called when it has come
A crash here means that a batch of people was not called, or not moved to another zone: the next call goes on.

A date in somebody's field is a happening of theirs, which read.py works off. The date of a node concerns everybody who
stands before it: they are called in batches, and the ticks of all workers pull them there (tick.py).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from django.db import transaction
from django.db.models import Min

from dripstone.accounts.models import Account
from dripstone.automations import kinds, schedule, walk
from dripstone.automations.book import Book, Route
from dripstone.automations.graph import Graph
from dripstone.automations.models import Automation, NodeDate, Walk
from dripstone.automations.steps import execute, fetch
from dripstone.triggers import dates, when
from dripstone.triggers.dates import Owner
from dripstone.triggers.when import Trigger

AT_ONCE = 5_000  # people of a batch who are called: 0.1 s,
AT_ONCE_IN_ZONE = 1_000  # or moved to another zone

_NOT_HEARD: Final[Trigger] = {"trigger": ""}  # keeps the place of one that is

# Purpose: the next people who stand before the node and had entered by its date. By walk_at_node, or the primary key.
_CALL = """
WITH before AS (
    SELECT id FROM automations_walk
    WHERE automation_id = %(automation)s AND left_at IS NULL AND node = ANY(%(nodes)s) AND id > %(after)s
      AND entered_at <= %(at)s
    ORDER BY id LIMIT %(limit)s FOR NO KEY UPDATE),
called AS (
    UPDATE automations_walk SET called_to = %(node)s, due_at = %(at)s WHERE id IN (SELECT id FROM before))
SELECT count(*), max(id) FROM before
"""
# Purpose: a node's date that has come, the first of its automation. By node_date_at, walk_called. Few rows.
_DATE_THAT_HAS_COME = """
SELECT d.id FROM automations_nodedate d
WHERE d.at <= %(now)s
  AND NOT EXISTS (SELECT FROM automations_nodedate e
                  WHERE e.automation_id = d.automation_id AND (e.at, e.id) < (d.at, d.id))
  AND (d.called_to > 0 OR NOT EXISTS (SELECT FROM automations_walk w WHERE w.automation_id = d.automation_id
                                      AND w.left_at IS NULL AND w.called_to <> ''))
ORDER BY d.at, d.id LIMIT 1 FOR UPDATE OF d SKIP LOCKED
"""
# Purpose: automations whose account has got another zone since people began to wait for dates. Few rows.
_REZONE = """
UPDATE automations_automation a SET time_zone = c.time_zone, moved_to = 0
FROM accounts_account c WHERE c.id = a.account_id AND a.time_zone <> '' AND a.time_zone <> c.time_zone
"""


@transaction.atomic
def set_up(automation: Automation, graph: Graph, now: datetime) -> None:
    """In the transaction that has published or switched it, and holds it. Dates of entries count while it lets people
    in, those of events as long as somebody may stand before them; what is past now pulls nobody."""
    route = Route(automation, graph)
    lets_in = automation.status != Automation.Status.INACTIVE
    is_used = lets_in or Walk.objects.filter(automation=automation, left_at=None).exists()
    of_events = [node.trigger for node in route.events] if is_used else []
    heard = [one if lets_in or one in of_events else _NOT_HEARD for one in route.dated]
    dates.set_up(_owner(automation), heard, now)
    _set_up_nodes(automation, _dates_of(graph), now)
    zone = Account.objects.values_list("time_zone", flat=True).get(pk=automation.account_id) if route.fields else ""
    if not (zone and automation.time_zone):
        automation.time_zone = zone
        automation.save(update_fields=["time_zone"])


def forget(automation: Automation, now: datetime) -> None:
    """It is deleted in the same transaction."""
    dates.set_up(_owner(automation), [], now)


def _owner(automation: Automation) -> Owner:
    return Owner("automation", automation.pk, automation.account_id)


def _dates_of(graph: Graph) -> dict[str, datetime]:
    triggers = {node.key: node.trigger for node in graph.living if node.kind == kinds.EVENT}
    return {key: datetime.fromisoformat(one["at"]) for key, one in triggers.items() if one["trigger"] == when.DATE}


def _set_up_nodes(automation: Automation, wanted: Mapping[str, datetime], now: datetime) -> None:
    there = {row.node: row for row in NodeDate.objects.select_for_update().filter(automation=automation)}
    gone = [row.pk for key, row in there.items() if wanted.get(key) != row.at]
    NodeDate.objects.filter(pk__in=gone).delete()
    NodeDate.objects.bulk_create(
        NodeDate(automation=automation, node=key, at=at)
        for key, at in wanted.items()
        if at > now and (key not in there or there[key].pk in gone)
    )


# --- As time goes by ----------------------------------------------------------------------------------------------


@transaction.atomic
def call(now: datetime, book: Book) -> bool:
    """Call some of those who stand before a node whose date has come. False: none has.

    One date of an automation after the other: whom the first has called have to be pulled before the second.
    """
    found = fetch(_DATE_THAT_HAS_COME, now=now)
    for pk in (pk for (pk,) in found):
        call_to(NodeDate.objects.get(pk=pk), book)
    return bool(found)


def call_to(date: NodeDate, book: Book) -> None:
    """Call some of those who stand before it. Whoever has come there since its date is called, too; whoever has entered
    since is not."""
    [automation] = walk.locked([date.automation_id])
    route = book.routes([automation])[automation.pk]
    values = {"automation": automation.pk, "node": date.node, "at": date.at, "after": date.called_to}
    n, last = 0, 0
    if date.node in route.graph.nodes:
        [(n, last)] = fetch(_CALL, nodes=route.before(date.node), limit=AT_ONCE, **values)
    if n < AT_ONCE:
        date.delete()
    else:
        date.called_to = last
        date.save(update_fields=["called_to"])


def catch_up(now: datetime, book: Book) -> bool:
    """Move some of those who wait for dates in fields to another zone of their account (A14). False: nobody has to."""
    execute(_REZONE)
    with transaction.atomic():
        rows = Automation.objects.select_for_update(no_key=True, skip_locked=True).filter(moved_to__isnull=False)
        automation = rows.defer("draft").order_by("pk").first()
        if automation is None:
            return False
        nodes = book.routes([automation])[automation.pk].graph.nodes.values()
        keys = [node.key for node in nodes if schedule.field_of(node.settings) is not None]
        waiting = Walk.objects.filter(automation=automation, node__in=keys, left_at=None, pk__gt=automation.moved_to)
        some = list(waiting.order_by("pk").values_list("pk", "subscriber_id")[:AT_ONCE_IN_ZONE])
        held = walk.hold([automation.pk], [person for _, person in some], book=book)
        walk.redate(held, automation.pk, [person for _, person in some], now, anew=False)
        automation.moved_to = some[-1][0] if len(some) == AT_ONCE_IN_ZONE else None
        automation.save(update_fields=["moved_to"])
    return True


def next_instant(after: datetime) -> datetime | None:
    """When a node's date comes next; for the virtual clock. Those in fields are triggers/dates.py's."""
    found: datetime | None = NodeDate.objects.filter(at__gt=after).aggregate(at=Min("at"))["at"]
    return found
