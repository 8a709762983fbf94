import django.db.models.deletion
from django.contrib.postgres.fields import ArrayField
from django.db import migrations, models
from django.db.models import Value


class Migration(migrations.Migration):
    """Colors of an account, and who writes. Servers of the release before write neither."""

    dependencies = [("accounts", "0012_keys_with_full_access")]

    operations = [
        migrations.AddField(
            "account", "colors", ArrayField(models.TextField(), default=list, db_default=Value("{}"))
        ),
        migrations.CreateModel(
            name="CreatorProfile",
            fields=[
                (
                    "account",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="accounts.account",
                    ),
                ),
                ("name", models.TextField()),
                ("byline", models.TextField(blank=True)),
                ("bio", models.TextField(blank=True)),
                ("image_url", models.TextField(blank=True)),
                ("profile_url", models.TextField(blank=True)),
            ],
        ),
    ]
