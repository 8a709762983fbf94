"""Which places people came back to by an import: undoing takes them out again. Unknown of imports before; they stay."""

from django.contrib.postgres.fields import ArrayField
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("imports", "0001_imports")]

    operations = [
        migrations.AddField(
            "touched",
            "back_ids",
            ArrayField(models.BigIntegerField(), default=list, db_default=models.Value("{}")),
        ),
    ]
