"""What became of each account's attempts, by the minute."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("engine", "0034_who_left_before")]

    operations = [
        migrations.CreateModel(
            name="Minute",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "account_id", "minute", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("account_id", models.BigIntegerField()),
                ("minute", models.DateTimeField()),
                ("sent", models.PositiveIntegerField(default=0)),
                ("failed", models.PositiveIntegerField(default=0)),
                ("unknown", models.PositiveIntegerField(default=0)),
                ("retried", models.PositiveIntegerField(default=0)),
            ],
        ),
    ]
