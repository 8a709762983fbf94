"""How many were sent in each week is counted as deliveries are: by the code that ends attempts, by triggers elsewhere.

A worker of the version before does not count weeks; the nightly repair adds what it sent.
"""

from django.db import migrations

_WEEK = "to_char(date_trunc('week', {row}sent_at AT TIME ZONE 'UTC'), 'YYYY-MM-DD')"

# As in 0017, with the weeks besides.
_COUNT = f"""
CREATE OR REPLACE FUNCTION engine_count_delivery() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tallies_tally (kind, subject_id, label, n)
    SELECT 'deliveries', NEW.email_id, label, n FROM (VALUES (OLD.status, -1), (NEW.status, 1)) change (label, n)
    WHERE NEW.email_id IS NOT NULL AND label NOT IN ('planned', 'sending')
    UNION ALL
    SELECT 'sent_in_week', NEW.email_id, label, n
    FROM (VALUES (OLD.status, {_WEEK.format(row="OLD.")}, -1), (NEW.status, {_WEEK.format(row="NEW.")}, 1))
         change (status, label, n)
    WHERE NEW.email_id IS NOT NULL AND status = 'sent';
    RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION engine_count_deliveries_gone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tallies_tally (kind, subject_id, label, n)
    SELECT 'deliveries_gone', email_id, status, count(*) FROM changed
    WHERE email_id IS NOT NULL AND status NOT IN ('planned', 'sending') GROUP BY email_id, status
    UNION ALL
    SELECT 'sent_in_week_gone', email_id, {_WEEK.format(row="")}, count(*) FROM changed
    WHERE email_id IS NOT NULL AND status = 'sent' GROUP BY 2, 3;
    RETURN NULL;
END $$;
"""
_COUNT_AS_BEFORE = """
CREATE OR REPLACE FUNCTION engine_count_delivery() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tallies_tally (kind, subject_id, label, n)
    SELECT 'deliveries', NEW.email_id, label, n FROM (VALUES (OLD.status, -1), (NEW.status, 1)) change (label, n)
    WHERE NEW.email_id IS NOT NULL AND label NOT IN ('planned', 'sending');
    RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION engine_count_deliveries_gone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tallies_tally (kind, subject_id, label, n)
    SELECT 'deliveries_gone', email_id, status, count(*) FROM changed
    WHERE email_id IS NOT NULL AND status NOT IN ('planned', 'sending') GROUP BY email_id, status;
    RETURN NULL;
END $$;
"""
# What was sent before; as in 0018, it adds what is missing by one snapshot, and may run beside everybody else and twice.
_FILL = f"""
INSERT INTO tallies_tally (kind, subject_id, label, n)
SELECT 'sent_in_week', subject_id, label, COALESCE(rows.n, 0) - COALESCE(kept.n, 0)
FROM (SELECT subject_id, label, sum(n) AS n FROM tallies_tally WHERE kind = 'sent_in_week' GROUP BY 1, 2) kept
FULL JOIN (
    SELECT subject_id, label, sum(n) AS n FROM (
        (SELECT email_id, {_WEEK.format(row="")}, count(*) FROM engine_delivery
         WHERE status = 'sent' AND email_id IS NOT NULL GROUP BY 1, 2)
        UNION ALL (SELECT subject_id, label, n FROM tallies_tally WHERE kind = 'sent_in_week_gone')
    ) counted (subject_id, label, n) GROUP BY 1, 2) rows USING (subject_id, label)
WHERE COALESCE(rows.n, 0) <> COALESCE(kept.n, 0)
"""


class Migration(migrations.Migration):
    dependencies = [("engine", "0026_index_of_listed"), ("tallies", "0001_initial")]

    operations = [
        migrations.RunSQL(_COUNT, _COUNT_AS_BEFORE),
        migrations.RunSQL(_FILL, "DELETE FROM tallies_tally WHERE kind IN ('sent_in_week', 'sent_in_week_gone')"),
    ]
