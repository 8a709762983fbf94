"""What happened, a row per fact, written in the transaction that made it true. Rows are never changed.

Rules, webhooks, automations and pages learn of it here (reading.py). Nothing is counted from events: they go after a
while. A send has no row of its own: the delivery is the fact.
"""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Value


class Event(models.Model):
    """`subject_id` is the tag, form, field or sequence it is about, as the type says; of `subscriber.unsubscribed`,
    `.bounced` and `.complained` the delivery that it came back from, if it came from one."""

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
