"""An index of the log for one outcome of a rule, where it is rare. Built beside those who write."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("rules", "0001_initial")]

    operations = [
        AddIndexConcurrently("firing", models.Index("rule", "outcome", "id", name="firing_of_outcome")),
    ]
