"""What came back from deliveries: timestamps, in any order, in a table of their own, so that deliveries are not
rewritten.

It has plain ids and does not import the engine, since conditions use it too (has a person opened an email?).
"""

from typing import ClassVar

from django.db import models


class Response(models.Model):
    """A row per delivery that something came back from. Each stamp is the first time; opens and clicks are counted.

    It is deleted with its delivery (docs/decisions/retention.md). Opens, clicks and deliveries are not recorded yet.
    """

    delivery_id = models.BigIntegerField(primary_key=True)
    account_id = models.BigIntegerField()
    subscriber_id = models.BigIntegerField()
    email_id = models.BigIntegerField(null=True)  # the sequence's email; null if it was not of a sequence
    delivered_at = models.DateTimeField(null=True)
    opened_at = models.DateTimeField(null=True)
    clicked_at = models.DateTimeField(null=True)
    unsubscribed_at = models.DateTimeField(null=True)  # by the link in this email
    bounced_at = models.DateTimeField(null=True)
    complained_at = models.DateTimeField(null=True)
    n_opens = models.PositiveIntegerField(default=0, db_default=0)
    n_clicks = models.PositiveIntegerField(default=0, db_default=0)

    class Meta:
        indexes: ClassVar = [models.Index("email_id", name="response_by_email")]  # counts of an email

    def __str__(self) -> str:
        return f"response to delivery {self.delivery_id}"
