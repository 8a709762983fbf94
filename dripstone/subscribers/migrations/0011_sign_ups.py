"""Forms have a page, and sign-ups that wait for a click. Every column has a default in the database or may be null, so
that processes of the version before go on writing."""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models


def _text():
    return models.TextField(blank=True, db_default="", default="")


def _ids():
    return django.contrib.postgres.fields.ArrayField(
        models.BigIntegerField(), db_default=models.Value("{}"), default=list
    )


_UTM = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content")
_TEXTS = (
    "heading",
    "description",
    "address_label",
    "name_label",
    "button",
    "confirmation_subject",
    "confirmation_text",
    "confirmation_button",
    "thanks_text",
    "thanks_url",
    "confirmed_text",
    "confirmed_url",
)
# How many sign-ups the door took in each five minutes: subscribers/door.py. Unlogged: a crash forgives an hour.
_COUNTS = """
CREATE UNLOGGED TABLE sign_up_counts (
    who text NOT NULL,
    slot bigint NOT NULL,
    n integer NOT NULL,
    PRIMARY KEY (who, slot)
) WITH (fillfactor = 50)
"""


class Migration(migrations.Migration):
    dependencies = [("subscribers", "0010_remembered")]

    operations = [
        migrations.AddField(
            "form",
            "opt_in",
            models.TextField(
                choices=[("single", "Single"), ("double", "Double")], db_default="double", default="double"
            ),
        ),
        *(migrations.AddField("form", name, _text()) for name in _TEXTS),
        *(migrations.AddField("form", name, _ids()) for name in ("field_ids", "tag_ids", "sequence_ids")),
        migrations.AddField("form", "is_plain", models.BooleanField(db_default=False, default=False)),
        migrations.AddField("form", "asks_first_name", models.BooleanField(db_default=True, default=True)),
        migrations.AddField("form", "hourly_limit", models.PositiveIntegerField(db_default=1000, default=1000)),
        migrations.AddField("form", "crowded_at", models.DateTimeField(null=True)),
        *(migrations.AddField("formsubscription", name, models.TextField(null=True)) for name in _UTM),
        migrations.AddField(
            "formsubscription", "is_unconfirmed", models.BooleanField(db_default=False, default=False)
        ),
        migrations.CreateModel(
            name="SignUp",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("referrer", models.TextField(null=True)),
                *((name, models.TextField(null=True)) for name in _UTM),
                (
                    "status",
                    models.TextField(
                        choices=[
                            ("waiting", "Waiting"),
                            ("confirmed", "Confirmed"),
                            ("replaced", "Replaced"),
                            ("withdrawn", "Withdrawn"),
                        ],
                        default="waiting",
                    ),
                ),
                ("email_address", models.TextField()),
                ("first_name", models.TextField(null=True)),
                ("fields", models.JSONField(default=dict)),
                ("asked_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "form",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="sign_ups",
                        to="subscribers.form",
                    ),
                ),
                (
                    "subscriber",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="sign_ups",
                        to="subscribers.subscriber",
                    ),
                ),
            ],
            options={
                "indexes": [models.Index("subscriber", "asked_at", name="sign_up_of_subscriber")],
                "constraints": [
                    models.CheckConstraint(
                        name="sign_up_ended_or_waiting",
                        condition=models.Q(("ended_at", None), ("status", "waiting"))
                        | models.Q(
                            ("ended_at__isnull", False), ("status__in", ["confirmed", "replaced", "withdrawn"])
                        ),
                    )
                ],
            },
        ),
        migrations.RunSQL(_COUNTS, "DROP TABLE sign_up_counts"),
    ]
