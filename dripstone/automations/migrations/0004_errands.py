import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    """What an edit or a deletion has left to do for many people."""

    dependencies = [("automations", "0003_walking")]

    operations = [
        migrations.CreateModel(
            name="Errand",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("account_id", models.BigIntegerField()),
                ("automation_id", models.BigIntegerField()),
                (
                    "what",
                    models.TextField(
                        choices=[("go_on", "Go On"), ("redate", "Redate"), ("end_places", "End Places")]
                    ),
                ),
                ("node", models.TextField(blank=True, default="")),
                (
                    "cause",
                    django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), default=list, size=None),
                ),
                ("asked_at", models.DateTimeField()),
                ("after", models.BigIntegerField(default=0)),
            ],
        ),
    ]
