from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("subscribers", "0008_names_in_one_form"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="subscriber",
            index=models.Index(
                fields=["account", "email_address"],
                opclasses=["int8_ops", "text_pattern_ops"],
                name="subscriber_by_prefix",
            ),
        ),
    ]
