"""An index of people by first name, for Kit's filter, which sorts by it."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models.functions import Coalesce, Left


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("subscribers", "0013_locations")]

    operations = [
        AddIndexConcurrently(
            model_name="subscriber",
            index=models.Index(
                "account",
                Left(Coalesce("first_name", models.Value("")), 255),
                "id",
                name="subscriber_by_first_name",
            ),
        ),
    ]
