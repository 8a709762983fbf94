"""Rules, and the log of what became of each event that one of them hears of.

docs/reference/life-of-a-firing.md follows an event through a rule.
"""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from dripstone.accounts.models import Account
from dripstone.rules import reasons


class Rule(models.Model):
    """When something happens to a person, then do this (triggers/when.py, conditions/, triggers/what.py)."""

    account = models.ForeignKey(Account, models.CASCADE, related_name="rules")
    name = models.TextField()
    triggers = models.JSONField()  # a list; any of them
    condition = models.JSONField(null=True)  # None: everybody
    actions = models.JSONField()  # a list, done in order
    is_on = models.BooleanField(default=False)
    listens_after = models.BigIntegerField()  # number of the last event that it does not hear of; moved by switching on
    made_at = models.DateTimeField()
    changed_at = models.DateTimeField()
    changed_by = models.TextField(default="", blank=True)  # "owner", a person at a page, a credential of the API
    edition = models.PositiveIntegerField(
        default=1
    )  # counts edits and switches: who has read it knows whether to again

    # Kept counts: the log lasts a year, and a person's goes with the person.
    n_fired = models.PositiveBigIntegerField(default=0)
    n_not_fired = models.PositiveBigIntegerField(default=0)
    last_fired_at = models.DateTimeField(null=True)

    class Meta:
        indexes: ClassVar = [models.Index("account", "id", condition=Q(is_on=True), name="rule_on")]

    def __str__(self) -> str:
        return self.name


class Firing(models.Model):
    """What became of an event, or of a date, at a rule. Written once, in the transaction of what was done."""

    class Outcome(models.TextChoices):
        FIRED = "fired"
        NOT_FIRED = "not_fired"

    account_id = models.BigIntegerField()
    # No constraint: deleting a rule does not wait for its log, which is not shown any more and goes at night.
    rule = models.ForeignKey(Rule, models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False)
    subscriber_id = models.BigIntegerField()
    event_id = models.BigIntegerField(null=True)  # None: a date was reached
    trigger = models.JSONField()  # as it was
    at = models.DateTimeField()
    outcome = models.TextField(choices=Outcome)
    reason = models.TextField(default="", blank=True)  # reasons.py; "" when it fired
    cause = ArrayField(models.TextField())  # of the event; () of a date
    is_from_outside = models.BooleanField()  # whether that is an act of outside: the others are counted (A16)
    done = models.JSONField(default=list)  # per action: "changed", or why it passed (triggers/reasons.py)

    class Meta:
        constraints: ClassVar = [
            # The last word on "once". A date's row is taken in the same transaction instead (triggers/dates.py).
            models.UniqueConstraint("event_id", "rule", name="firing_once"),
            models.CheckConstraint(
                name="firing_reason",
                condition=Q(outcome="fired", reason="") | Q(outcome="not_fired", reason__in=reasons.ALL),
            ),
        ]
        indexes: ClassVar = [
            models.Index("rule", "id", name="firing_of_rule"),
            # The log of one outcome: without it, ten that did not fire are looked for among all that did.
            models.Index("rule", "outcome", "id", name="firing_of_outcome"),
            models.Index("subscriber_id", "id", name="firing_of_person"),
            # How often a rule took a person by anything but an act of outside.
            models.Index(
                "subscriber_id",
                "rule",
                "at",
                condition=Q(outcome="fired", is_from_outside=False),
                name="firing_counted",
            ),
        ]

    def __str__(self) -> str:
        return f"rule {self.rule_id}: {self.outcome}"
