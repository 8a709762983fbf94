import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """Columns that are null in every row there is: nothing is rewritten. The version before writes them as before."""

    dependencies = [
        ('engine', '0011_notices'),
        ('sequences', '0005_when_published'),
        ('subscribers', '0001_initial'),
    ]

    operations = [
        migrations.AddField('delivery', 'broadcast_id', models.BigIntegerField(null=True)),
        migrations.AddField(
            'delivery',
            'notice',
            models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='engine.notice'),
        ),
        migrations.AddField('delivery', 'notice_ready_at', models.DateTimeField(null=True)),
        migrations.AlterField(
            'delivery',
            'email',
            models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='deliveries', to='sequences.sequenceemail'),
        ),
        migrations.AlterField(
            'delivery',
            'enrollment',
            models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='engine.enrollment'),
        ),
        migrations.AlterField('delivery', 'run', models.PositiveIntegerField(null=True)),
        migrations.AlterField(
            'delivery',
            'sequence',
            models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='sequences.sequence'),
        ),
        migrations.AlterField(
            'delivery',
            'subscriber',
            models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='subscribers.subscriber'),
        ),
    ]
