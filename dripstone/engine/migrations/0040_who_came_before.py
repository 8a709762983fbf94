"""By which door people came before 0039: the counts that are missing, by one snapshot. It may run beside everybody else, and
twice."""

from django.db import migrations

_COUNT = """
INSERT INTO tallies_tally (kind, subject_id, label, n)
SELECT 'came_in_week', subject_id, label, COALESCE(rows.n, 0) - COALESCE(kept.n, 0)
FROM (SELECT subject_id, label, sum(n) AS n FROM tallies_tally WHERE kind = 'came_in_week' GROUP BY 1, 2) kept
FULL JOIN (
    SELECT sequence_id AS subject_id,
           to_char(date_trunc('week', entered_at AT TIME ZONE 'UTC'), 'YYYY-MM-DD') || ':'
           || COALESCE(NULLIF(door, ''), source) AS label,
           count(*) AS n
    FROM engine_enrollment GROUP BY 1, 2) rows USING (subject_id, label)
WHERE COALESCE(rows.n, 0) <> COALESCE(kept.n, 0)
"""


class Migration(migrations.Migration):
    dependencies = [("engine", "0039_doors")]

    operations = [migrations.RunSQL(_COUNT, migrations.RunSQL.noop)]
