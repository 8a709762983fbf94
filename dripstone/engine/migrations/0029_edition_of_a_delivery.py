"""A delivery's edition: null of all that is there, and of what workers of the version before send."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("engine", "0028_editions")]

    operations = [
        migrations.AddField(
            model_name='delivery',
            name='edition',
            field=models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='engine.edition'),
        ),
        migrations.AddConstraint(
            model_name='edition',
            constraint=models.UniqueConstraint(models.F('digest'), name='edition_once'),
        ),
    ]
