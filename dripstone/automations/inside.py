"""Who is inside an automation, by the node at which they stand; and figures of it, by which an act knows whether it
meets the people it was told about. Reads only."""

import hashlib
import json
from collections.abc import Collection, Iterable
from typing import Any

from django.db import connection

from dripstone.automations import graph as graphs
from dripstone.automations.graph import Graph
from dripstone.automations.models import Automation, Walk
from dripstone.errors import Unseen

NAMES = 20  # of those who stand at a node

# Purpose: how many stand at each node. By walk_at_node, from the index alone: 100,000 in 20 ms.
_COUNTS = """
SELECT node, count(*) FROM automations_walk WHERE automation_id = %(automation)s AND left_at IS NULL GROUP BY node
"""

# Purpose: a figure that changes when one of those who stand at these nodes goes, when somebody comes, and when one gets
# another date. Sums do not depend on the order of rows. By walk_at_node, 0.6 µs a row.
_FIGURE = """
SELECT count(*)::text || ':' || coalesce(sum(hash_record_extended(ROW(id, node, ends_at), 0)::numeric), 0)::text
FROM automations_walk WHERE automation_id = %(automation)s AND left_at IS NULL
  AND (%(nodes)s::text[] IS NULL OR node = ANY(%(nodes)s::text[]))
"""

# Purpose: the first few at each node, as they are called. A walk of walk_at_node for each.
_NAMES = """
SELECT asked.node, p.first_name, p.email_address
FROM unnest(%(nodes)s::text[]) AS asked (node)
CROSS JOIN LATERAL (SELECT w.id, w.subscriber_id FROM automations_walk w
                    WHERE w.automation_id = %(automation)s AND w.node = asked.node AND w.left_at IS NULL
                    ORDER BY w.id LIMIT %(most)s) one
JOIN subscribers_subscriber p ON p.id = one.subscriber_id
ORDER BY asked.node, one.id
"""


def anybody(automation_id: int) -> bool:
    return Walk.objects.filter(automation=automation_id, left_at=None).exists()


def by_node(automation_id: int) -> dict[str, int]:
    """How many stand at each node; at the entry under ""."""
    return dict(_rows(_COUNTS, {"automation": automation_id}))


def names(automation_id: int, nodes: Iterable[str], most: int = NAMES) -> dict[str, list[str]]:
    """The first of those who stand at each of these nodes: their first name, or their address."""
    found: dict[str, list[str]] = {}
    for node, first_name, address in _rows(_NAMES, {"automation": automation_id, "nodes": list(nodes), "most": most}):
        found.setdefault(node, []).append(first_name or address)
    return found


# --- Tokens -------------------------------------------------------------------------------------------------------


def token(automation: Automation, published: Graph, act: Any, nodes: Collection[str] | None = None) -> str:
    """What whoever was told about an act brings back to do it: 20 characters. It changes with the graph, the status,
    and who stands where.

    act     what is to be done, with its choices; as JSON
    nodes   those at which it touches whoever stands there; None: everybody inside
    """
    if nodes is not None and not nodes:
        figure = ""
    else:
        listed = None if nodes is None else sorted(nodes)
        [(figure,)] = _rows(_FIGURE, {"automation": automation.pk, "nodes": listed})
    gone = {node.key: node.leads_to for node in published.nodes.values() if node.is_deleted}
    world = [automation.pk, automation.status, graphs.as_json(published), gone, figure, act]
    return hashlib.sha256(json.dumps(world, sort_keys=True).encode()).hexdigest()[:20]


def must_be_seen(automation: Automation, given: str | None, now: str) -> None:
    """In the transaction of the act, which holds the automation. now: the token as it is now. Raises Unseen."""
    if given is None and not anybody(automation.pk):
        return
    if given != now:
        raise Unseen(
            None if given is None else "What it would do to people has changed since that was told: look again"
        )


def _rows(query: str, values: dict[str, Any]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return list(cursor.fetchall())
