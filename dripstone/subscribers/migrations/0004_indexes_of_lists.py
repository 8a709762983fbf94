"""An index for each filter and order of the lists of people. Built beside those who write."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("subscribers", "0003_count_who_is_there")]

    operations = [
        AddIndexConcurrently(
            "subscriber",
            models.Index(
                models.F("account"),
                models.F("state"),
                models.F("id"),
                include=("updated_at",),
                name="subscriber_of_state",
            ),
        ),
        AddIndexConcurrently(
            "subscriber", models.Index(models.F("account"), models.F("id"), name="subscriber_of_account")
        ),
        AddIndexConcurrently(
            "subscriber",
            models.Index(
                models.F("account"),
                models.F("created_at"),
                models.F("id"),
                include=("state",),
                name="subscriber_by_creation",
            ),
        ),
        AddIndexConcurrently(
            "subscriber",
            models.Index(
                models.F("account"),
                models.F("updated_at"),
                models.F("id"),
                include=("state",),
                name="subscriber_by_change",
            ),
        ),
        AddIndexConcurrently(
            "subscriber",
            models.Index(
                models.F("account"),
                models.F("canceled_at"),
                models.F("id"),
                condition=models.Q(("state", "cancelled")),
                name="subscriber_by_leaving",
            ),
        ),
        AddIndexConcurrently(
            "tagging",
            models.Index(models.F("tag"), models.F("tagged_at"), models.F("subscriber"), name="tagging_by_time"),
        ),
        AddIndexConcurrently(
            "formsubscription",
            models.Index(
                models.F("form"), models.F("added_at"), models.F("subscriber"), name="form_subscription_by_time"
            ),
        ),
    ]
