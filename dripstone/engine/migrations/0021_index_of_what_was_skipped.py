"""The index of what was not sent holds what was skipped, too. Built beside those who write."""

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("engine", "0020_entries_of_before")]

    operations = [
        AddIndexConcurrently(
            "delivery",
            models.Index(
                models.F("status"),
                models.F("account"),
                models.F("id"),
                condition=models.Q(("status__in", ["failed", "unknown", "skipped"])),
                name="delivery_ended_unsent",
            ),
        ),
        RemoveIndexConcurrently("delivery", "delivery_not_sent"),
    ]
