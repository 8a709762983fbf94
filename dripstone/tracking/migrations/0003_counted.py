"""What comes back is counted per email by the database: docs/decisions/kept-counts.md."""

from django.db import migrations

_COUNT = """
CREATE FUNCTION tracking_count_response() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tallies_tally (kind, subject_id, label, n)
    SELECT 'responses', NEW.email_id, label, 1
    FROM (VALUES ('unsubscribed', OLD.unsubscribed_at, NEW.unsubscribed_at), ('bounced', OLD.bounced_at, NEW.bounced_at),
                 ('complained', OLD.complained_at, NEW.complained_at)) stamp (label, before, after)
    WHERE before IS NULL AND after IS NOT NULL;
    RETURN NULL;
END $$;
CREATE TRIGGER counted AFTER INSERT OR UPDATE OF unsubscribed_at, bounced_at, complained_at ON tracking_response
    FOR EACH ROW WHEN (NEW.email_id IS NOT NULL) EXECUTE FUNCTION tracking_count_response();
CREATE FUNCTION tracking_count_responses_gone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tallies_tally (kind, subject_id, label, n)
    SELECT 'responses_gone', email_id, label, count(*)
    FROM changed CROSS JOIN LATERAL (VALUES ('unsubscribed', unsubscribed_at), ('bounced', bounced_at),
                                            ('complained', complained_at)) stamp (label, at)
    WHERE email_id IS NOT NULL AND at IS NOT NULL GROUP BY email_id, label;
    RETURN NULL;
END $$;
CREATE TRIGGER counted_out AFTER DELETE ON tracking_response REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION tracking_count_responses_gone();
"""
# What came back before: it may run beside everybody else, and twice.
_FILL = """
INSERT INTO tallies_tally (kind, subject_id, label, n)
SELECT 'responses', subject_id, label, COALESCE(rows.n, 0) - COALESCE(kept.n, 0)
FROM (SELECT subject_id, label, sum(n) AS n FROM tallies_tally WHERE kind = 'responses' GROUP BY 1, 2) kept
FULL JOIN (
    SELECT subject_id, label, sum(n) AS n FROM (
        SELECT email_id, label, count(*)
        FROM tracking_response CROSS JOIN LATERAL (VALUES ('unsubscribed', unsubscribed_at), ('bounced', bounced_at),
                                                          ('complained', complained_at)) stamp (label, at)
        WHERE email_id IS NOT NULL AND at IS NOT NULL GROUP BY 1, 2
        UNION ALL SELECT subject_id, label, n FROM tallies_tally WHERE kind = 'responses_gone'
    ) counted (subject_id, label, n) GROUP BY 1, 2) rows USING (subject_id, label)
WHERE COALESCE(rows.n, 0) <> COALESCE(kept.n, 0)
"""
_FUNCTIONS = ("tracking_count_response", "tracking_count_responses_gone")


class Migration(migrations.Migration):
    dependencies = [("tracking", "0002_what_events_tell"), ("tallies", "0001_initial")]

    operations = [
        migrations.RunSQL(_COUNT, "".join(f"DROP FUNCTION {function}() CASCADE;" for function in _FUNCTIONS)),
        migrations.RunSQL(_FILL, migrations.RunSQL.noop),
    ]
