from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    """`delivery_stamps` says what `delivery_stamps_fit_status` said, and where a planned notice has its stamp."""

    atomic = False

    dependencies = [
        ('engine', '0013_one_origin_of_new_rows'),
    ]

    operations = [
        ValidateConstraint('delivery', 'delivery_one_origin'),
        ValidateConstraint('delivery', 'delivery_stamps'),
        migrations.RemoveConstraint('delivery', 'delivery_stamps_fit_status'),
    ]
