import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """Answers that are kept for a day, for calls that are sent again with the same Idempotency-Key."""

    dependencies = [("accounts", "0013_brand")]

    operations = [
        migrations.CreateModel(
            name="KeptAnswer",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("caller", models.TextField()),
                ("key", models.TextField()),
                ("fingerprint", models.BinaryField()),
                ("status", models.PositiveSmallIntegerField()),
                ("content_type", models.TextField()),
                ("content", models.BinaryField(null=True)),
                ("answered_at", models.DateTimeField()),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="accounts.account"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(models.F("caller"), models.F("key"), name="kept_answer_once")
                ]
            },
        ),
    ]
