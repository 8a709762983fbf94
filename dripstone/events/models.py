"""What happened, a row per fact, written in the transaction that made it true. Rows are never changed.

Rules, webhooks, automations and pages learn of it here (reading.py). Events are deleted after a while, so nothing is
counted from them. A send has no row of its own: the delivery is the fact.
"""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Value


class Event(models.Model):
    """`subject_id` is the tag, form, field, sequence, purchase or product it is about, as the type says; of
    `subscriber.unsubscribed`, `.bounced` and `.complained` the delivery that it came back from, if it came from one."""

    account_id = models.BigIntegerField()
    type = models.TextField()  # events/types.py lists them
    subscriber_id = models.BigIntegerField(null=True)
    subject_id = models.BigIntegerField(null=True)
    cause = ArrayField(models.TextField(), default=list, db_default=Value("{}"))  # causes.py says how to read it
    data = models.JSONField(default=dict)
    occurred_at = models.DateTimeField()

    class Meta:
        indexes: ClassVar = [
            models.Index("account_id", "id", name="event_by_account"),
            models.Index("subscriber_id", "id", name="event_by_subscriber"),
        ]

    def __str__(self) -> str:
        return f"{self.type} #{self.pk}"


class Number(models.Model):
    """The place of an event in the order of reading. This table is only appended to: updates would leave dead rows,
    which every pass would have to step over (docs/decisions/outbox.md)."""

    id = models.BigIntegerField(primary_key=True)  # 1, 2, 3 …
    event = models.ForeignKey(Event, models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False)

    def __str__(self) -> str:
        return f"event {self.event_id} is number {self.pk}"


class Numbering(models.Model):
    """How far the numbering has come. One row, which also serves as the lock of a pass.

    All events up to `settled_event` that will ever be visible have their numbers. They hold for `seen_event`, too, as
    soon as the transactions in `writers` have ended: those that were writing events when it was the highest numbered.
    Higher events than these two have higher numbers than the one named beside them.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    last = models.BigIntegerField(default=0)  # number given
    settled_event = models.BigIntegerField(default=0)
    settled_number = models.BigIntegerField(default=0)
    seen_event = models.BigIntegerField(default=0)
    seen_number = models.BigIntegerField(default=0)
    writers = ArrayField(models.TextField(), default=list)  # virtual transaction ids, as in pg_locks

    def __str__(self) -> str:
        return f"numbered up to {self.last}"


class Reader(models.Model):
    """How far a reader has read."""

    name = models.TextField(primary_key=True)
    number = models.BigIntegerField()  # of the last event read

    def __str__(self) -> str:
        return f"{self.name} has read up to {self.number}"
