from django.db import migrations, models


class Migration(migrations.Migration):
    """Keys that open what Kit keeps for OAuth. The keys there are do not, nor do those that older servers make."""

    dependencies = [("accounts", "0011_folded_words")]

    operations = [
        migrations.AddField("apikey", "has_full_access", models.BooleanField(default=False, db_default=False)),
    ]
