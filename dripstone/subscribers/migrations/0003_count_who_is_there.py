"""What was there before anything was counted. Each statement adds what is missing, by one snapshot: it may run beside
everybody else, and twice."""

from django.db import migrations

_FILL = """
INSERT INTO tallies_tally (kind, subject_id, label, n)
SELECT '{kind}', subject_id, label, COALESCE(rows.n, 0) - COALESCE(kept.n, 0)
FROM (SELECT subject_id, label, sum(n) AS n FROM tallies_tally WHERE kind = '{kind}' GROUP BY 1, 2) kept
FULL JOIN ({rows}) rows (subject_id, label, n) USING (subject_id, label)
WHERE COALESCE(rows.n, 0) <> COALESCE(kept.n, 0)
"""
_JOINED = """
SELECT t.{column}, s.state, count(*) FROM {table} t JOIN subscribers_subscriber s ON s.id = t.subscriber_id GROUP BY 1, 2
"""


class Migration(migrations.Migration):
    dependencies = [("subscribers", "0002_counted")]

    operations = [
        migrations.RunSQL(_FILL.format(kind=kind, rows=rows), migrations.RunSQL.noop)
        for kind, rows in (
            ("people", "SELECT account_id, state, count(*) FROM subscribers_subscriber GROUP BY 1, 2"),
            ("tagged", _JOINED.format(column="tag_id", table="subscribers_tagging")),
            ("on_form", _JOINED.format(column="form_id", table="subscribers_formsubscription")),
        )
    ]
