"""As whom the places of before 0024 are listed: a batch of ids at a time, each its own transaction. It may run twice."""

from typing import Any

from django.db import migrations, transaction

BATCH = 20_000  # ids

# Whoever changes a person or a place at this moment comes before, or waits and comes after.
_LOCK = """
SELECT FROM subscribers_subscriber WHERE id IN (
    SELECT subscriber_id FROM engine_enrollment WHERE id >= %(first)s AND id < %(end)s)
ORDER BY id FOR SHARE
"""
_LOCK_PLACES = "SELECT FROM engine_enrollment WHERE id >= %(first)s AND id < %(end)s ORDER BY id FOR SHARE"
_FILL = """
UPDATE engine_entry t SET listed_as = engine_listed_as(e.status, e.removed_reason, s.state)
FROM engine_enrollment e JOIN subscribers_subscriber s ON s.id = e.subscriber_id
WHERE e.id >= %(first)s AND e.id < %(end)s AND t.enrollment_id = e.id
  AND t.listed_as <> engine_listed_as(e.status, e.removed_reason, s.state)
"""


def fill(apps: Any, editor: Any) -> None:
    with editor.connection.cursor() as cursor:
        cursor.execute("SELECT min(id), max(id) FROM engine_enrollment")
        lowest, highest = cursor.fetchone()
        for first in range(lowest, highest + 1, BATCH) if lowest is not None else ():
            with transaction.atomic(using=editor.connection.alias):
                for statement in (_LOCK, _LOCK_PLACES, _FILL):
                    cursor.execute(statement, {"first": first, "end": first + BATCH})


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("engine", "0024_listed_as")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
