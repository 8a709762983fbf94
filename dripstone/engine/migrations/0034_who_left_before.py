"""After which email those left who left before 0033, a batch of ids at a time, each its own transaction; then the counts
that are missing, by one snapshot. All of it may run beside everybody else, and twice."""

from typing import Any

from django.db import migrations, transaction

BATCH = 20_000  # ids

_NOTE = """
UPDATE engine_enrollment e SET left_after_id = last.email_id
FROM (SELECT id, run FROM engine_enrollment
      WHERE id >= %(first)s AND id < %(end)s AND status IN ('completed', 'removed') AND left_after_id IS NULL
      ORDER BY id FOR NO KEY UPDATE) place
CROSS JOIN LATERAL (SELECT d.email_id FROM engine_delivery d
                    WHERE d.enrollment_id = place.id AND d.run = place.run AND d.ended_at IS NOT NULL
                    ORDER BY d.ended_at DESC LIMIT 1) last
WHERE e.id = place.id
"""
_WHY = "CASE status WHEN 'completed' THEN 'completed' ELSE removed_reason END"
_ROWS = {
    "left": f"""
SELECT sequence_id, COALESCE(left_after_id, 0) || ':' || {_WHY}, count(*) FROM engine_enrollment
WHERE status IN ('completed', 'removed') GROUP BY 1, 2
""",
    "left_in_week": f"""
SELECT sequence_id,
       to_char(date_trunc('week', COALESCE(completed_at, removed_at) AT TIME ZONE 'UTC'), 'YYYY-MM-DD') || ':' || {_WHY},
       count(*)
FROM engine_enrollment WHERE status IN ('completed', 'removed') GROUP BY 1, 2
""",
    "skipped": """
SELECT email_id, reason, count(*) FROM engine_delivery
WHERE status = 'skipped' AND email_id IS NOT NULL GROUP BY 1, 2
""",
}
_COUNT = """
INSERT INTO tallies_tally (kind, subject_id, label, n)
SELECT '{kind}', subject_id, label, COALESCE(rows.n, 0) - COALESCE(kept.n, 0)
FROM (SELECT subject_id, label, sum(n) AS n FROM tallies_tally WHERE kind = '{kind}' GROUP BY 1, 2) kept
FULL JOIN (
    SELECT subject_id, label, sum(n) AS n FROM (
        ({rows}) UNION ALL (SELECT subject_id, label, n FROM tallies_tally WHERE kind = '{kind}_gone')
    ) counted (subject_id, label, n) GROUP BY 1, 2) rows USING (subject_id, label)
WHERE COALESCE(rows.n, 0) <> COALESCE(kept.n, 0)
"""


def note(apps: Any, editor: Any) -> None:
    with editor.connection.cursor() as cursor:
        cursor.execute("SELECT min(id), max(id) FROM engine_enrollment")
        lowest, highest = cursor.fetchone()
        for first in range(lowest, highest + 1, BATCH) if lowest is not None else ():
            with transaction.atomic(using=editor.connection.alias):
                cursor.execute(_NOTE, {"first": first, "end": first + BATCH})


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("engine", "0033_left_after")]

    operations = [
        migrations.RunPython(note, migrations.RunPython.noop),
        *(migrations.RunSQL(_COUNT.format(kind=kind, rows=rows), migrations.RunSQL.noop) for kind, rows in _ROWS.items()),
    ]
