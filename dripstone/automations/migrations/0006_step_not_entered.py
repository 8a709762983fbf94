from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("automations", "0005_walk_ended"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="step",
            index=models.Index(
                models.F("automation_id"),
                models.F("at"),
                condition=models.Q(("what", "not_entered")),
                name="step_not_entered",
            ),
        ),
    ]
