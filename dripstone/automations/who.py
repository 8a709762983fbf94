"""Who stands where in automations, and what the log has of them: for pages, the API and checks. It only reads."""

from collections import Counter
from collections.abc import Collection
from datetime import datetime

from django.db.models import Count, Q, QuerySet

from dripstone.automations import counts
from dripstone.automations.models import Step, Walk

KEPT_DAYS = 365  # of the log


def inside(automation_id: int, node: str | None = None) -> QuerySet[Walk]:
    """node   its key, "" for those who wait at the entry; None: everybody"""
    rows = Walk.objects.filter(automation=automation_id, left_at=None)
    return rows if node is None else rows.filter(node=node)


def by_node(automation_id: int) -> Counter[str]:
    """How many stand where."""
    return counts.inside([automation_id])[automation_id]


def not_entered(automation_ids: Collection[int], since: datetime) -> dict[int, Counter[str]]:
    """Of each automation how often somebody did not enter since then, by reason. By step_not_entered."""
    found: dict[int, Counter[str]] = {pk: Counter() for pk in automation_ids}
    rows = Step.objects.filter(automation_id__in=automation_ids, what=Step.What.NOT_ENTERED, at__gte=since)
    for pk, reason, n in rows.order_by().values_list("automation_id", "reason").annotate(n=Count("pk")):
        found[pk][reason] = n
    return found


def log(automation_id: int, *, what: str = "", node: str | None = None, person: int | None = None) -> QuerySet[Step]:
    """what   of Step.What; "": whatever
    node   where they came to stand, or which they passed; "": the entry
    person   id of a subscriber
    """
    rows = Step.objects.filter(automation_id=automation_id)
    if what:
        rows = rows.filter(what=what)
    if node is not None:
        passed = Q(path__contains=[{"node": node}]) if node else Q()
        rows = rows.filter(Q(node=node, run__isnull=False) | passed if node else Q(node="", what=Step.What.ENTERED))
    return rows if person is None else rows.filter(subscriber_id=person)


def log_of_person(account_id: int, subscriber_id: int) -> QuerySet[Step]:
    """In any automation."""
    return Step.objects.filter(account_id=account_id, subscriber_id=subscriber_id)
