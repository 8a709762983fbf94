"""Which custom fields each source prints. What was read before is read again when somebody asks: it has reader 0."""

import django.contrib.postgres.fields
from django.db import migrations, models
from django.db.models import Value


class Migration(migrations.Migration):
    dependencies = [("uses", "0001_mentions")]

    operations = [
        migrations.AddField("mentions", "reader", models.PositiveSmallIntegerField(default=0, db_default=0)),
        migrations.AddField("mentions", "any_field", models.BooleanField(default=False, db_default=False)),
        migrations.AddField(
            "mentions",
            "fields",
            django.contrib.postgres.fields.ArrayField(
                base_field=models.TextField(), db_default=Value("{}"), default=list, size=None
            ),
        ),
    ]
