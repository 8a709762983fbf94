"""The log of firings, and of events that a rule heard of without firing. Kept a year (ops/prune.py); newest last."""

from django.db import connection
from django.db.models import QuerySet

from dripstone.rules.models import Firing, Rule

KEPT_DAYS = 365

# Purpose: some rows of rules that are gone. From one rule to the next by firing_of_rule, without reading their rows.
_DELETE_OF_DELETED = """
WITH RECURSIVE rules AS (
    SELECT min(rule_id) AS id FROM rules_firing
    UNION ALL
    SELECT (SELECT min(rule_id) FROM rules_firing WHERE rule_id > rules.id) FROM rules WHERE rules.id IS NOT NULL),
gone AS (
    SELECT id FROM rules WHERE id IS NOT NULL AND NOT EXISTS (SELECT FROM rules_rule r WHERE r.id = rules.id) LIMIT 1)
DELETE FROM rules_firing WHERE id IN (
    SELECT id FROM rules_firing WHERE rule_id = (SELECT id FROM gone) ORDER BY rule_id, id LIMIT %(limit)s)
"""


def of_rule(rule: Rule) -> QuerySet[Firing]:
    return Firing.objects.filter(rule_id=rule.pk).order_by("pk")


def of_person(account_id: int, subscriber_id: int) -> QuerySet[Firing]:
    """With each one's rule. What rules did that are deleted is not among them."""
    rows = Firing.objects.filter(subscriber_id=subscriber_id, rule__account_id=account_id)
    return rows.select_related("rule").order_by("pk")


def delete_some_of_deleted_rules(limit: int) -> int:
    """Returns how many rows; 0 when there are none left."""
    with connection.cursor() as cursor:
        cursor.execute(_DELETE_OF_DELETED, {"limit": limit})
        return int(cursor.rowcount)
