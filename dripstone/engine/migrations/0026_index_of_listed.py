"""The index of entries also says as whom each place is listed, so that they are counted from it alone."""

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("engine", "0025_entries_listed")]

    operations = [
        AddIndexConcurrently(
            "entry",
            models.Index(
                models.F("sequence"),
                models.F("entered_at"),
                models.F("enrollment"),
                include=["listed_as"],
                name="entry_listed_by_time",
            ),
        ),
        RemoveIndexConcurrently("entry", "entry_by_time"),
    ]
