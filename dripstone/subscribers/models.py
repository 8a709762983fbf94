"""People and what is known of them: tags, custom fields, forms, segments."""

from typing import ClassVar

from django.db import models
from django.db.models.functions import Lower

from dripstone.accounts.models import Account


class State(models.TextChoices):
    """Account-wide state of a subscriber, in Kit's words. Only `active` people are sent to."""

    ACTIVE = "active"
    INACTIVE = "inactive"  # unconfirmed
    CANCELLED = "cancelled"
    BOUNCED = "bounced"
    COMPLAINED = "complained"


class Subscriber(models.Model):
    account = models.ForeignKey(Account, models.CASCADE, related_name="subscribers")
    email_address = models.TextField()  # lower case
    first_name = models.TextField(null=True)
    state = models.TextField(choices=State, default=State.ACTIVE)  # written by engine/transitions.py only
    fields = models.JSONField(default=dict)  # {custom field id as text: value}; ids, so that a rename costs nothing
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    canceled_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint("account", "email_address", name="subscriber_address_of_account"),
            models.CheckConstraint(name="subscriber_state", condition=models.Q(state__in=State.values)),
            models.CheckConstraint(
                name="subscriber_cancelled_at",
                condition=models.Q(canceled_at__isnull=False) | ~models.Q(state=State.CANCELLED),
            ),
        ]
        indexes: ClassVar = [models.Index("account", "state", "id", name="subscriber_by_state")]

    def __str__(self) -> str:
        return f"subscriber {self.pk}"


def lock_person(person: Subscriber) -> None:
    """Locks the person until the transaction ends: what is written about them meanwhile comes later (events)."""
    Subscriber.objects.select_for_update(no_key=True).filter(pk=person.pk).values_list("pk").get()


class CustomField(models.Model):
    account = models.ForeignKey(Account, models.CASCADE, related_name="custom_fields")
    label = models.TextField()
    key = models.TextField()  # ASCII lower_snake of the label; what Liquid says after `subscriber.`
    name = models.TextField()  # ck_field_<id>_<first key>; never changes
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint("account", Lower("label"), name="custom_field_label_of_account"),
            models.UniqueConstraint("account", "key", name="custom_field_key_of_account"),
        ]

    def __str__(self) -> str:
        return self.label


class Tag(models.Model):
    account = models.ForeignKey(Account, models.CASCADE, related_name="tags")
    name = models.TextField()
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint("account", Lower("name"), name="tag_name_of_account")]

    def __str__(self) -> str:
        return self.name


class Tagging(models.Model):
    tag = models.ForeignKey(Tag, models.CASCADE, related_name="taggings")
    subscriber = models.ForeignKey(Subscriber, models.CASCADE, related_name="taggings")
    tagged_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint("tag", "subscriber", name="tagging_once")]


class Form(models.Model):
    class Type(models.TextChoices):
        EMBED = "embed"
        HOSTED = "hosted"

    class Status(models.TextChoices):
        ACTIVE = "active"
        ARCHIVED = "archived"
        TRASHED = "trashed"

    account = models.ForeignKey(Account, models.CASCADE, related_name="forms")
    name = models.TextField()
    type = models.TextField(choices=Type.choices, default=Type.EMBED)
    format = models.TextField(null=True)  # embeds: inline, modal, slide in, sticky bar
    status = models.TextField(choices=Status.choices, default=Status.ACTIVE)
    uid = models.CharField(max_length=10, unique=True)
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name


class FormSubscription(models.Model):
    form = models.ForeignKey(Form, models.CASCADE, related_name="subscriptions")
    subscriber = models.ForeignKey(Subscriber, models.CASCADE, related_name="form_subscriptions")
    referrer = models.TextField(null=True)
    added_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint("form", "subscriber", name="form_subscription_once")]


class Segment(models.Model):
    """A saved filter over tags, forms, sequences and fields. engine/audience.py says who is in it."""

    account = models.ForeignKey(Account, models.CASCADE, related_name="segments")
    name = models.TextField()
    filter = models.JSONField()  # subscribers/segments.py gives the shape and checks it
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name
