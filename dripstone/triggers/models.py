"""Dates in fields that somebody waits for, and mail to owners that waits for its minute."""

from typing import ClassVar

from django.db import models

from dripstone.accounts.models import Account


class DatedTrigger(models.Model):
    """A trigger `field_date` of a rule or an automation, while it is listened to (dates.py). Its rows in DatedDue are
    made in batches, person by person, and made anew for a new zone of the account in the same way."""

    account = models.ForeignKey(Account, models.CASCADE, related_name="+")
    owner = models.TextField()  # "rule" or "automation", and
    owner_id = models.BigIntegerField()  # its id
    number = models.PositiveSmallIntegerField()  # its place among the owner's triggers
    custom_field_id = models.BigIntegerField()
    days = models.IntegerField()  # after the date; negative: before it
    hour = models.PositiveSmallIntegerField()  # wall clock in time_zone
    yearly = models.BooleanField()
    time_zone = models.TextField()  # the account's, as its dates are reckoned
    since = models.DateTimeField()  # no date up to then counts
    replaces = models.BigIntegerField(null=True)  # the trigger it was before an edit: what that took is not taken again
    filled_to = models.BigIntegerField(null=True, default=0)  # person; None: everybody has been looked at
    moved_to = models.BigIntegerField(null=True)  # the same for a new zone; None: no date has to move
    ended_at = models.DateTimeField(null=True)  # nobody listens any more; its rows go by and by

    class Meta:
        indexes: ClassVar = [
            models.Index("owner", "owner_id", name="dated_trigger_of_owner", condition=models.Q(ended_at=None)),
            models.Index("custom_field_id", name="dated_trigger_of_field", condition=models.Q(ended_at=None)),
        ]

    def __str__(self) -> str:
        return f"trigger {self.number} of {self.owner} {self.owner_id}"


class DatedDue(models.Model):
    """When the date in somebody's field is reached for a trigger."""

    trigger = models.ForeignKey(DatedTrigger, models.CASCADE, related_name="dues", db_index=False)  # dated_due_once
    account_id = models.BigIntegerField()
    subscriber_id = models.BigIntegerField()
    at = models.DateTimeField(null=True)  # None: nothing is due
    day = models.DateField(null=True)  # the date in the field
    date = models.DateField(null=True)  # that `at` stands for: the same, or its anniversary
    taken = models.DateField(null=True)  # the last one that was reached

    class Meta:
        verbose_name_plural = "dated dues"
        constraints: ClassVar = [models.UniqueConstraint("trigger", "subscriber_id", name="dated_due_once")]
        indexes: ClassVar = [
            models.Index("trigger", "at", "id", name="dated_due_at", condition=models.Q(at__isnull=False)),
            models.Index("subscriber_id", name="dated_due_of_subscriber"),
        ]

    def __str__(self) -> str:
        return f"{self.date} of subscriber {self.subscriber_id}"


class OwnerMail(models.Model):
    """What a place of a rule or an automation tells the account's owners, at most once a minute (owner_mail.py)."""

    account = models.ForeignKey(Account, models.CASCADE, related_name="+", db_index=False)  # owner_mail_of_place
    place = models.TextField()  # "rule 7 2": its third action
    n_waiting = models.PositiveIntegerField(default=0)  # people it is to tell of
    text = models.TextField(default="", blank=True)  # as it is for the first of them
    subscriber_id = models.BigIntegerField(null=True)  # that person
    due_at = models.DateTimeField(null=True)  # None: nothing waits
    sent_at = models.DateTimeField(null=True)  # the last one

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint("account", "place", name="owner_mail_of_place")]
        indexes: ClassVar = [
            models.Index("due_at", name="owner_mail_due", condition=models.Q(due_at__isnull=False)),
            models.Index(
                "subscriber_id", name="owner_mail_of_subscriber", condition=models.Q(subscriber_id__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"mail of {self.place}"
