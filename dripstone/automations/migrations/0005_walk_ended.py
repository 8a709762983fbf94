from django.db import migrations, models


class Migration(migrations.Migration):
    """Conditions ask who was in an automation."""

    dependencies = [("automations", "0004_errands")]

    operations = [
        migrations.AddIndex(
            model_name="walk",
            index=models.Index(
                models.F("automation"),
                models.F("subscriber_id"),
                condition=models.Q(left_at__isnull=False),
                name="walk_ended",
            ),
        ),
    ]
