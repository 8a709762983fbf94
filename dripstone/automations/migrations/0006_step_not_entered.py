from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("automations", "0005_walk_ended"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="step",
            index=models.Index(
                condition=models.Q(("what", "not_entered")), fields=["automation_id", "at"], name="step_not_entered"
            ),
        ),
    ]
