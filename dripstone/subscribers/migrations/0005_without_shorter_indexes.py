"""What the indexes of 0004, or a unique key, begin with needs no index of its own."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0004_limits_of_accounts"),
        ("subscribers", "0004_indexes_of_lists"),
    ]

    operations = [
        migrations.RemoveIndex(model_name="subscriber", name="subscriber_by_state"),
        migrations.AlterField(
            model_name="subscriber",
            name="account",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="subscribers",
                to="accounts.account",
            ),
        ),
        migrations.AlterField(
            model_name="tagging",
            name="tag",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="taggings",
                to="subscribers.tag",
            ),
        ),
        migrations.AlterField(
            model_name="formsubscription",
            name="form",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="subscriptions",
                to="subscribers.form",
            ),
        ),
    ]
