"""What was there before anything was counted. Each statement adds what is missing, by one snapshot: it may run beside
everybody else, and twice."""

from django.db import migrations

_FILL = """
INSERT INTO tallies_tally (kind, subject_id, label, n)
SELECT '{kind}', subject_id, label, COALESCE(rows.n, 0) - COALESCE(kept.n, 0)
FROM (SELECT subject_id, label, sum(n) AS n FROM tallies_tally WHERE kind = '{kind}' GROUP BY 1, 2) kept
FULL JOIN (
    SELECT subject_id, label, sum(n) AS n FROM (
        ({rows}) UNION ALL (SELECT subject_id, label, n FROM tallies_tally WHERE kind = '{kind}_gone')
    ) counted (subject_id, label, n) GROUP BY 1, 2) rows USING (subject_id, label)
WHERE COALESCE(rows.n, 0) <> COALESCE(kept.n, 0)
"""
_WAITING = """
SELECT next_email_id, status, count(*) FROM engine_enrollment
WHERE status = 'active' AND next_email_id IS NOT NULL GROUP BY 1, 2
"""
_COMPLETED_BY = """
SELECT e.sequence_id, s.state, count(*) FROM engine_enrollment e JOIN subscribers_subscriber s ON s.id = e.subscriber_id
WHERE e.status = 'completed' AND s.state <> 'active' GROUP BY 1, 2
"""
_DELIVERIES = """
SELECT email_id, status, count(*) FROM engine_delivery
WHERE status NOT IN ('planned', 'sending') AND email_id IS NOT NULL GROUP BY 1, 2
"""


class Migration(migrations.Migration):
    dependencies = [("engine", "0017_counted")]

    operations = [
        migrations.RunSQL(_FILL.format(kind=kind, rows=rows), migrations.RunSQL.noop)
        for kind, rows in (
            ("places", "SELECT sequence_id, status, count(*) FROM engine_enrollment GROUP BY 1, 2"),
            ("waiting", _WAITING),
            ("completed_by", _COMPLETED_BY),
            ("deliveries", _DELIVERIES),
        )
    ]
