"""Places and deliveries that come or go are counted by the database. Places that move, and deliveries that end after an
attempt, are counted by the code that moves them: docs/decisions/kept-counts.md."""

from django.db import migrations

_PLACES = """
CREATE FUNCTION engine_count_places() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    each CONSTANT int := CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END;
BEGIN
    INSERT INTO tallies_tally (kind, subject_id, label, n)
    SELECT 'places', sequence_id, status, each * count(*) FROM changed GROUP BY sequence_id, status
    UNION ALL
    SELECT 'waiting', next_email_id, status, each * count(*) FROM changed
    WHERE status = 'active' AND next_email_id IS NOT NULL GROUP BY next_email_id, status
    UNION ALL
    SELECT 'completed_by', c.sequence_id, s.state, each * count(*) FROM changed c
    JOIN subscribers_subscriber s ON s.id = c.subscriber_id
    WHERE c.status = 'completed' AND s.state <> 'active' GROUP BY c.sequence_id, s.state;
    RETURN NULL;
END $$;
CREATE TRIGGER counted_in AFTER INSERT ON engine_enrollment REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION engine_count_places();
CREATE TRIGGER counted_out AFTER DELETE ON engine_enrollment REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION engine_count_places();
"""

# Skipped, sent again, treated as sent. The conditions keep it off the ordinary way: planned → sending → an end.
_DELIVERIES = """
CREATE FUNCTION engine_count_delivery() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tallies_tally (kind, subject_id, label, n)
    SELECT 'deliveries', NEW.email_id, label, n FROM (VALUES (OLD.status, -1), (NEW.status, 1)) change (label, n)
    WHERE NEW.email_id IS NOT NULL AND label NOT IN ('planned', 'sending');
    RETURN NULL;
END $$;
CREATE TRIGGER counted_in AFTER INSERT ON engine_delivery
    FOR EACH ROW WHEN (NEW.status <> 'planned') EXECUTE FUNCTION engine_count_delivery();
CREATE TRIGGER counted_move AFTER UPDATE OF status ON engine_delivery
    FOR EACH ROW WHEN (OLD.status <> 'sending' AND NEW.status <> 'sending' AND OLD.status <> NEW.status)
    EXECUTE FUNCTION engine_count_delivery();
CREATE FUNCTION engine_count_deliveries_gone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tallies_tally (kind, subject_id, label, n)
    SELECT 'deliveries_gone', email_id, status, count(*) FROM changed
    WHERE email_id IS NOT NULL AND status NOT IN ('planned', 'sending') GROUP BY email_id, status;
    RETURN NULL;
END $$;
CREATE TRIGGER counted_out AFTER DELETE ON engine_delivery REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION engine_count_deliveries_gone();
"""
_FUNCTIONS = ("engine_count_places", "engine_count_delivery", "engine_count_deliveries_gone")


class Migration(migrations.Migration):
    dependencies = [("engine", "0016_reorderings"), ("subscribers", "0001_initial"), ("tallies", "0001_initial")]

    operations = [
        migrations.RunSQL(
            _PLACES + _DELIVERIES, "".join(f"DROP FUNCTION {function}() CASCADE;" for function in _FUNCTIONS)
        ),
    ]
