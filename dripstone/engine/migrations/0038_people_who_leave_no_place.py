"""That nobody is deleted whose place is left, is asked once per statement, by the unique key of places.

The foreign key asked for each person, and without an index by person (docs/decisions/hot-tables.md) it read all places
each time: 50 ms a person with 300,000 places. Whoever inserts a place has locked its person (engine/enroll.py).
"""

import django.db.models.deletion
from django.db import migrations, models

_LEAVE_NO_PLACE = """
CREATE FUNCTION engine_leave_no_place() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    left_one bigint;
BEGIN
    SELECT e.id INTO left_one FROM gone g
    JOIN sequences_sequence s ON s.account_id = g.account_id
    JOIN engine_enrollment e ON e.sequence_id = s.id AND e.subscriber_id = g.id LIMIT 1;
    IF FOUND THEN
        RAISE foreign_key_violation USING MESSAGE = format('enrollment %s would be left without its person', left_one);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER leave_no_place AFTER DELETE ON subscribers_subscriber REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION engine_leave_no_place();
"""
_UNDO = """
DROP TRIGGER leave_no_place ON subscribers_subscriber;
DROP FUNCTION engine_leave_no_place();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("engine", "0036_index_of_sending"),
        ("subscribers", "0014_index_by_first_name"),
        ("sequences", "0001_initial"),
    ]

    operations = [
        migrations.RunSQL(_LEAVE_NO_PLACE, _UNDO),
        migrations.AlterField(
            "enrollment",
            "subscriber",
            models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="enrollments",
                to="subscribers.subscriber",
            ),
        ),
    ]
