"""Numbers of events, and who has read how far. The numbers begin with what happens from now on: what has happened
before lies before the beginning of every reader (docs/decisions/outbox.md)."""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models

BEGIN = """
INSERT INTO events_numbering (id, last, settled_event, settled_number, seen_event, seen_number, writers)
SELECT 1, 0, highest, 0, highest, 0, '{}' FROM (SELECT COALESCE(max(id), 0) AS highest FROM events_event) event
"""


class Migration(migrations.Migration):
    dependencies = [("events", "0002_causes")]

    operations = [
        migrations.CreateModel(
            name="Numbering",
            fields=[
                ("id", models.PositiveSmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("last", models.BigIntegerField(default=0)),
                ("settled_event", models.BigIntegerField(default=0)),
                ("settled_number", models.BigIntegerField(default=0)),
                ("seen_event", models.BigIntegerField(default=0)),
                ("seen_number", models.BigIntegerField(default=0)),
                (
                    "writers",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.TextField(), default=list, size=None
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Reader",
            fields=[
                ("name", models.TextField(primary_key=True, serialize=False)),
                ("number", models.BigIntegerField()),
            ],
        ),
        migrations.CreateModel(
            name="Number",
            fields=[
                ("id", models.BigIntegerField(primary_key=True, serialize=False)),
                (
                    "event",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="events.event",
                    ),
                ),
            ],
        ),
        migrations.RunSQL(BEGIN, migrations.RunSQL.noop),
    ]
