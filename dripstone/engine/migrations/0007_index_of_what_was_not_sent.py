from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ('engine', '0006_figures'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='delivery',
            index=models.Index(models.F('status'), models.F('account'), models.F('id'), condition=models.Q(('status__in', ['failed', 'unknown'])), name='delivery_not_sent'),
        ),
    ]
