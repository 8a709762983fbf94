from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models


class Migration(migrations.Migration):
    """What holds for every row written from now on. The rows that are there are looked at in the next one, without
    keeping anybody out."""

    dependencies = [
        ('engine', '0012_deliveries_of_three_origins'),
    ]

    operations = [
        AddConstraintNotValid(
            'delivery',
            models.CheckConstraint(condition=models.Q(models.Q(('broadcast_id', None), ('email__isnull', False), ('enrollment__isnull', False), ('notice', None), ('run__isnull', False), ('sequence__isnull', False), ('subscriber__isnull', False)), models.Q(('email', None), ('enrollment', None), ('run', None), ('sequence', None), models.Q(models.Q(('broadcast_id__isnull', False), ('notice', None), ('subscriber__isnull', False)), models.Q(('broadcast_id', None), ('notice__isnull', False)), _connector='OR')), _connector='OR'), name='delivery_one_origin'),
        ),
        AddConstraintNotValid(
            'delivery',
            models.CheckConstraint(condition=models.Q(models.Q(models.Q(models.Q(('notice', None), ('notice_ready_at', None), ('ready_at__isnull', False)), models.Q(('notice__isnull', False), ('notice_ready_at__isnull', False), ('ready_at', None)), _connector='OR'), ('ended_at', None), ('lease_until', None), ('sent_at', None), ('status', 'planned')), models.Q(models.Q(models.Q(('ended_at', None), ('lease_until__isnull', False), ('sent_at', None), ('status', 'sending')), models.Q(('ended_at', models.F('sent_at')), ('lease_until', None), ('sent_at__isnull', False), ('status', 'sent')), models.Q(('ended_at__isnull', False), ('lease_until', None), ('sent_at', None), ('status__in', ['skipped', 'failed', 'unknown'])), _connector='OR'), ('notice_ready_at', None), ('ready_at', None)), _connector='OR'), name='delivery_stamps'),
        ),
    ]
