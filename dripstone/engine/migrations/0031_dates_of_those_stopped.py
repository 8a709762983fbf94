from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    """Reads the table without keeping anybody out."""

    atomic = False

    dependencies = [
        ("engine", "0030_dates_kept_at_held_emails"),
    ]

    operations = [
        ValidateConstraint('enrollment', 'enrollment_stopped_has_no_date'),
        migrations.RemoveConstraint('enrollment', 'enrollment_paused_has_no_date'),
    ]
