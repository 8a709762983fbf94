"""What is left of deleted people who must not be mailed again. The version before does not look here: until all of its
processes are replaced, somebody it adds is active."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0009_settings_invitations_sessions"), ("subscribers", "0009_index_of_beginnings_of_addresses")]

    operations = [
        migrations.CreateModel(
            name="Remembered",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("digest", models.BinaryField()),
                ("key", models.BinaryField()),
                (
                    "state",
                    models.TextField(
                        choices=[
                            ("active", "Active"),
                            ("inactive", "Inactive"),
                            ("cancelled", "Cancelled"),
                            ("bounced", "Bounced"),
                            ("complained", "Complained"),
                        ]
                    ),
                ),
                ("since", models.DateTimeField()),
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
                "verbose_name_plural": "remembered",
                "constraints": [
                    models.UniqueConstraint(models.F("account"), models.F("digest"), name="remembered_once"),
                    models.CheckConstraint(
                        condition=models.Q(("state__in", ["cancelled", "bounced", "complained"])),
                        name="remembered_state",
                    ),
                ],
            },
        ),
    ]
