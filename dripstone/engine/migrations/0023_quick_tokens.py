"""Message-IDs and unsubscribe links get quicker tokens, from a delivery on that lies ahead.

Deliveries that exist keep theirs. So do the next million: workers and web processes of the version before may run for a
while on this schema, and must agree with the new ones about every delivery they touch.
"""

from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

AHEAD = 1_000_000


def decide(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    newest = apps.get_model("engine", "Delivery").objects.order_by("-pk").values_list("pk", flat=True).first()
    if newest is not None:
        apps.get_model("engine", "Since").objects.create(name="quick_tokens", delivery_id=newest + AHEAD)


class Migration(migrations.Migration):
    dependencies = [("engine", "0022_ready_by_account")]
    operations = [
        migrations.CreateModel(
            name="Since",
            fields=[
                ("name", models.TextField(primary_key=True, serialize=False)),
                ("delivery_id", models.BigIntegerField()),
            ],
        ),
        migrations.RunPython(decide, migrations.RunPython.noop),
    ]
