import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """Where people are."""

    dependencies = [
        ("accounts", "0012_keys_with_full_access"),
        ("subscribers", "0012_words_of_names"),
    ]

    operations = [
        migrations.CreateModel(
            name="Location",
            fields=[
                (
                    "subscriber",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="subscribers.subscriber",
                    ),
                ),
                ("city", models.TextField()),
                ("state_province", models.TextField()),
                ("country_code", models.TextField()),
                ("latitude", models.FloatField()),
                ("longitude", models.FloatField()),
                ("time_zone", models.TextField()),
                ("pinned_at", models.DateTimeField()),
                (
                    "account",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="accounts.account",
                    ),
                ),
            ],
            options={
                "indexes": [models.Index("account", "country_code", "subscriber", name="location_by_country")],
            },
        ),
    ]
