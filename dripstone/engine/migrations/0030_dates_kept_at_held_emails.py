from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models


class Migration(migrations.Migration):
    """A date is kept for people who wait at an email on hold, too. Every row meets the new constraint: it allows what
    `enrollment_paused_has_no_date` allows, and more."""

    dependencies = [
        ("engine", "0029_edition_of_a_delivery"),
    ]

    operations = [
        AddConstraintNotValid(
            'enrollment',
            models.CheckConstraint(condition=models.Q(models.Q(('held_due_at', None), ('paused_at', None)), models.Q(('due_at', None), ('status', 'active')), _connector='OR'), name='enrollment_stopped_has_no_date'),
        ),
    ]
