"""The log of firings, and of events that a rule heard of without firing. Kept a year (ops/prune.py); newest last."""

from django.db.models import QuerySet

from dripstone.rules.models import Firing, Rule

KEPT_DAYS = 365


def of_rule(rule: Rule) -> QuerySet[Firing]:
    return Firing.objects.filter(rule_id=rule.pk).order_by("pk")


def of_person(account_id: int, subscriber_id: int) -> QuerySet[Firing]:
    """With each one's rule. What rules did that are deleted is not among them."""
    rows = Firing.objects.filter(subscriber_id=subscriber_id, rule__account_id=account_id)
    return rows.select_related("rule").order_by("pk")
