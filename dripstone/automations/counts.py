"""How many people stand where. Reads only."""

from collections import Counter
from collections.abc import Collection

from django.db.models import Count

from dripstone.automations.models import Walk


def inside(automation_ids: Collection[int]) -> dict[int, Counter[str]]:
    """By automation, how many stand at each node; at the entry under "". One query, from walk_at_node alone."""
    found: dict[int, Counter[str]] = {pk: Counter() for pk in automation_ids}
    rows = Walk.objects.filter(automation__in=automation_ids, left_at=None).order_by()
    for automation_id, node, n in rows.values_list("automation_id", "node").annotate(n=Count("*")):
        found[automation_id][node] = n
    return found
