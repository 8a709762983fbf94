"""The newest deliveries of an email are found by an index, and a sequence's by those of its emails: one in the place of
another, since each is written three times in a delivery's life."""

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("engine", "0040_who_came_before")]

    operations = [
        AddIndexConcurrently("delivery", models.Index(models.F("email"), models.F("id"), name="delivery_by_email")),
        RemoveIndexConcurrently("delivery", "delivery_by_sequence"),
    ]
