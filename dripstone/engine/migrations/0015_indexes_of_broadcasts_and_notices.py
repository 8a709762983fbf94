from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

# One whose building was broken off stays behind, invalid: run again, it is built anew.
_DROP = 'DROP INDEX CONCURRENTLY IF EXISTS {name}'
_MAKE = 'CREATE UNIQUE INDEX CONCURRENTLY {name} ON engine_delivery ({columns}) WHERE {condition}'


def unique_concurrently(name: str, columns: str, condition: str, constraint: models.UniqueConstraint) -> migrations.SeparateDatabaseAndState:
    return migrations.SeparateDatabaseAndState(
        database_operations=[
            migrations.RunSQL(_DROP.format(name=name)),
            migrations.RunSQL(_MAKE.format(name=name, columns=columns, condition=condition), _DROP.format(name=name)),
        ],
        state_operations=[migrations.AddConstraint('delivery', constraint)],
    )


class Migration(migrations.Migration):
    """All three are empty, and stay so for the mail of sequences."""

    atomic = False

    dependencies = [
        ('engine', '0014_one_origin_of_every_row'),
    ]

    operations = [
        unique_concurrently(
            'delivery_once_per_broadcast',
            'broadcast_id, subscriber_id',
            'broadcast_id IS NOT NULL',
            models.UniqueConstraint(models.F('broadcast_id'), models.F('subscriber'), condition=models.Q(('broadcast_id__isnull', False)), name='delivery_once_per_broadcast'),
        ),
        unique_concurrently(
            'delivery_once_per_notice',
            'notice_id',
            'notice_id IS NOT NULL',
            models.UniqueConstraint(models.F('notice'), condition=models.Q(('notice__isnull', False)), name='delivery_once_per_notice'),
        ),
        AddIndexConcurrently(
            'delivery',
            models.Index(models.F('notice_ready_at'), condition=models.Q(('notice_ready_at__isnull', False)), name='delivery_notice_ready'),
        ),
    ]
