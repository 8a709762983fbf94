"""The log of steps, kept a year (ops/prune.py); and what is left of automations that were deleted."""

from django.db import connection

KEPT_DAYS = 365

# Purpose: some rows of automations that are gone. From one automation to the next by an index that begins with it.
_DELETE = """
WITH RECURSIVE automations AS (
    SELECT min(automation_id) AS id FROM {table}
    UNION ALL
    SELECT (SELECT min(automation_id) FROM {table} WHERE automation_id > automations.id) FROM automations
    WHERE automations.id IS NOT NULL),
gone AS (
    SELECT id FROM automations WHERE id IS NOT NULL
      AND NOT EXISTS (SELECT FROM automations_automation a WHERE a.id = automations.id)
      AND NOT EXISTS (SELECT FROM automations_errand e WHERE e.automation_id = automations.id) LIMIT 1)
DELETE FROM {table} WHERE id IN (
    SELECT id FROM {table} WHERE automation_id = (SELECT id FROM gone) ORDER BY id LIMIT %(limit)s)
"""
_TABLES = ("automations_step", "automations_walk")


def delete_some_of_deleted(limit: int) -> int:
    """Steps, then walks, unless their places have still to end (errands.py). Returns how many rows; 0 when there are
    none left."""
    with connection.cursor() as cursor:
        for table in _TABLES:
            cursor.execute(_DELETE.format(table=table), {"limit": limit})
            if cursor.rowcount:
                return int(cursor.rowcount)
    return 0
