from django.contrib.postgres.fields import ArrayField
from django.db import migrations, models


class Migration(migrations.Migration):
    """Which columns a member has chosen for the list of people. Servers of the release before write none."""

    dependencies = [("accounts", "0009_settings_invitations_sessions")]

    operations = [
        migrations.AddField("membership", "people_columns", ArrayField(models.TextField(), null=True)),
    ]
