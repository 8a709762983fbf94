"""Who hears of events: webhook endpoints, and the webhooks of before (Kit calls them legacy).

Both are receivers of calls (calls/models.py has their addresses, secrets and health); this adds what they want to hear.
"""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from dripstone.calls.models import Receiver


class Endpoint(Receiver):
    """Several kinds of events, in batches, signed."""

    receiver = models.OneToOneField(
        Receiver, models.CASCADE, parent_link=True, primary_key=True, related_name="endpoint"
    )
    name = models.TextField()
    description = models.TextField(default="", blank=True)
    events = ArrayField(models.TextField())  # kinds.py has their names; sorted
    application_id = models.BigIntegerField(null=True)  # the app that made it, whose own it is; None: the account's
    application_name = models.TextField(default="", blank=True)  # as it was called then
    listens_after = models.BigIntegerField()  # number of the last event that it is not told of

    def __str__(self) -> str:
        return self.name


class Webhook(Receiver):
    """One kind of event, perhaps about one thing only; an event per call, unsigned."""

    receiver = models.OneToOneField(
        Receiver, models.CASCADE, parent_link=True, primary_key=True, related_name="webhook"
    )
    event = models.TextField()  # as it was asked for: "subscriber.tag_add"
    thing_id = models.BigIntegerField(null=True)  # of the tag, form, sequence, field or product; None: any
    application_id = models.BigIntegerField(null=True)
    listens_after = models.BigIntegerField()

    def __str__(self) -> str:
        return self.event
