import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("events", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="event",
            name="cause",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.TextField(), db_default=models.Value("{}"), default=list, size=None
            ),
        ),
    ]
