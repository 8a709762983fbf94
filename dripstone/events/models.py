"""What happened, a row per fact, written in the transaction that made it true. Rows are never changed.

Whatever is not on the path of an email (rules, webhooks, counters, pages) learns of it here. A send has no row of
its own: the delivery is the fact.
"""

from typing import ClassVar

from django.db import models


class Event(models.Model):
    account_id = models.BigIntegerField()
    type = models.TextField()  # events/types.py lists them
    subscriber_id = models.BigIntegerField(null=True)
    subject_id = models.BigIntegerField(null=True)  # the sequence, tag, form or email it is about
    data = models.JSONField(default=dict)
    occurred_at = models.DateTimeField()

    class Meta:
        indexes: ClassVar = [
            models.Index("account_id", "id", name="event_by_account"),
            models.Index("subscriber_id", "id", name="event_by_subscriber"),
        ]

    def __str__(self) -> str:
        return f"{self.type} #{self.pk}"
