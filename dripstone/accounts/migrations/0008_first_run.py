from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0007_memberships_of_users")]

    operations = [
        migrations.AddField("account", "first_run_dismissed_at", models.DateTimeField(null=True)),
    ]
