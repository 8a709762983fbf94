"""As whom the list of a sequence shows each place, beside the instant of its entry, and how many there are of each.

Only what is rare changes it: an entry, a removal, another state of the person. No statement on the way of an email names
one of these columns, so none of them runs a trigger. Rows of the kind `completed_by` stay for web processes of the
version before, which count by them; a later migration may delete them.
"""

from django.db import migrations, models

_LISTED_AS = """
CREATE FUNCTION engine_listed_as(status text, removed_reason text, state text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN status <> 'removed' THEN state
                WHEN removed_reason IN ('subscriber_cancelled', 'subscriber_bounced', 'subscriber_complained')
                     AND state IN ('cancelled', 'bounced', 'complained') THEN state
                ELSE '' END
$$;
"""

_KEEP = """
CREATE OR REPLACE FUNCTION engine_keep_entries() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO engine_entry (enrollment_id, sequence_id, entered_at, listed_as)
    SELECT c.id, c.sequence_id, c.entered_at, COALESCE(engine_listed_as(c.status, c.removed_reason, s.state), '')
    FROM changed c LEFT JOIN subscribers_subscriber s ON s.id = c.subscriber_id
    ON CONFLICT (enrollment_id) DO NOTHING;
    RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION engine_keep_entry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO engine_entry (enrollment_id, sequence_id, entered_at, listed_as)
    SELECT NEW.id, NEW.sequence_id, NEW.entered_at, engine_listed_as(NEW.status, NEW.removed_reason, s.state)
    FROM subscribers_subscriber s WHERE s.id = NEW.subscriber_id
    ON CONFLICT (enrollment_id) DO UPDATE SET entered_at = EXCLUDED.entered_at, listed_as = EXCLUDED.listed_as;
    RETURN NULL;
END $$;
CREATE TRIGGER removed_or_back AFTER UPDATE OF removed_at, removed_reason ON engine_enrollment
    FOR EACH ROW WHEN (OLD.removed_at IS DISTINCT FROM NEW.removed_at OR OLD.removed_reason <> NEW.removed_reason)
    EXECUTE FUNCTION engine_keep_entry();
"""

# The places are locked first: one that is being removed at this moment is read when that is done.
_PERSON = """
CREATE FUNCTION engine_list_person() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    places bigint[];
BEGIN
    places := ARRAY(
        SELECT e.id FROM engine_enrollment e
        WHERE e.sequence_id IN (SELECT id FROM sequences_sequence WHERE account_id = NEW.account_id)
          AND e.subscriber_id = NEW.id
        ORDER BY e.id FOR NO KEY UPDATE OF e);
    UPDATE engine_entry t SET listed_as = engine_listed_as(e.status, e.removed_reason, NEW.state)
    FROM engine_enrollment e
    WHERE e.id = ANY(places) AND t.enrollment_id = e.id
      AND t.listed_as <> engine_listed_as(e.status, e.removed_reason, NEW.state);
    RETURN NULL;
END $$;
CREATE TRIGGER listed AFTER UPDATE OF state ON subscribers_subscriber
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION engine_list_person();
"""

_COUNT = """
CREATE FUNCTION engine_count_listed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    each CONSTANT int := CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END;
BEGIN
    INSERT INTO tallies_tally (kind, subject_id, label, n)
    SELECT 'listed', sequence_id, listed_as, each * count(*) FROM changed WHERE listed_as <> ''
    GROUP BY sequence_id, listed_as;
    RETURN NULL;
END $$;
CREATE TRIGGER counted_in AFTER INSERT ON engine_entry REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION engine_count_listed();
CREATE TRIGGER counted_out AFTER DELETE ON engine_entry REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION engine_count_listed();
CREATE FUNCTION engine_count_listed_anew() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tallies_tally (kind, subject_id, label, n)
    SELECT 'listed', sequence_id, listed_as, sum(each)
    FROM (SELECT sequence_id, listed_as, -1 AS each FROM before UNION ALL SELECT sequence_id, listed_as, 1 FROM after) rows
    WHERE listed_as <> '' GROUP BY sequence_id, listed_as HAVING sum(each) <> 0;
    RETURN NULL;
END $$;
CREATE TRIGGER counted_move AFTER UPDATE ON engine_entry REFERENCING OLD TABLE AS before NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION engine_count_listed_anew();
"""

# As in 0017, without the places that people have completed who are not active: `listed` says more.
_COUNT_PLACES = """
CREATE OR REPLACE FUNCTION engine_count_places() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    each CONSTANT int := CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END;
BEGIN
    INSERT INTO tallies_tally (kind, subject_id, label, n)
    SELECT 'places', sequence_id, status, each * count(*) FROM changed GROUP BY sequence_id, status
    UNION ALL
    SELECT 'waiting', next_email_id, status, each * count(*) FROM changed
    WHERE status = 'active' AND next_email_id IS NOT NULL GROUP BY next_email_id, status;
    RETURN NULL;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("engine", "0023_quick_tokens"), ("subscribers", "0002_counted")]

    operations = [
        migrations.AddField("entry", "listed_as", models.TextField(default="", db_default="")),
        migrations.RunSQL(_LISTED_AS + _KEEP + _PERSON + _COUNT + _COUNT_PLACES),
    ]
