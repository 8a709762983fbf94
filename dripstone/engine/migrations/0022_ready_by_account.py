"""What is ready is found by account, so that accounts can take turns. Built beside those who write; the claim of the
version before reads the new indexes, too."""

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("engine", "0021_index_of_what_was_skipped")]

    operations = [
        AddIndexConcurrently(
            "delivery",
            models.Index(
                models.F("account"),
                models.F("ready_at"),
                condition=models.Q(("status", "planned")),
                name="delivery_ready_of_account",
            ),
        ),
        AddIndexConcurrently(
            "delivery",
            models.Index(
                models.F("account"),
                models.F("notice_ready_at"),
                condition=models.Q(("notice_ready_at__isnull", False)),
                name="delivery_notice_of_account",
            ),
        ),
        RemoveIndexConcurrently("delivery", "delivery_ready"),
        RemoveIndexConcurrently("delivery", "delivery_notice_ready"),
    ]
