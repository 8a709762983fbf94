"""After which email people left a sequence, and why emails were skipped, is counted from now on: by the code that moves
places and ends attempts, by triggers elsewhere. 0034 counts who left before.

A worker of the version before does not note the email; the nightly repair adds the counts that it does not keep.
"""

from django.db import migrations, models

_WEEK = "to_char(date_trunc('week', {at} AT TIME ZONE 'UTC'), 'YYYY-MM-DD')"

# As in 0024, with who comes or goes as completed or removed.
_PLACES = f"""
CREATE OR REPLACE FUNCTION engine_count_places() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    each CONSTANT int := CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END;
BEGIN
    INSERT INTO tallies_tally (kind, subject_id, label, n)
    SELECT 'places', sequence_id, status, each * count(*) FROM changed GROUP BY sequence_id, status
    UNION ALL
    SELECT 'waiting', next_email_id, status, each * count(*) FROM changed
    WHERE status = 'active' AND next_email_id IS NOT NULL GROUP BY next_email_id, status
    UNION ALL
    SELECT kind, sequence_id, label, each * count(*)
    FROM changed
    CROSS JOIN LATERAL (SELECT CASE status WHEN 'completed' THEN 'completed' ELSE removed_reason END) why (why)
    CROSS JOIN LATERAL (VALUES ('left', COALESCE(left_after_id, 0) || ':' || why),
                               ('left_in_week', {_WEEK.format(at="COALESCE(completed_at, removed_at)")} || ':' || why))
               counted (kind, label)
    WHERE status IN ('completed', 'removed') GROUP BY kind, sequence_id, label;
    RETURN NULL;
END $$;
"""
_PLACES_AS_BEFORE = """
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
# As in 0027, with the reasons of what is skipped when `{skipped}` is.
_DELIVERIES = """
CREATE OR REPLACE FUNCTION engine_count_delivery() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tallies_tally (kind, subject_id, label, n)
    SELECT 'deliveries', NEW.email_id, label, n FROM (VALUES (OLD.status, -1), (NEW.status, 1)) change (label, n)
    WHERE NEW.email_id IS NOT NULL AND label NOT IN ('planned', 'sending')
    {skipped}
    UNION ALL
    SELECT 'sent_in_week', NEW.email_id, label, n
    FROM (VALUES (OLD.status, {week_before}, -1), (NEW.status, {week_after}, 1)) change (status, label, n)
    WHERE NEW.email_id IS NOT NULL AND status = 'sent';
    RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION engine_count_deliveries_gone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tallies_tally (kind, subject_id, label, n)
    SELECT 'deliveries_gone', email_id, status, count(*) FROM changed
    WHERE email_id IS NOT NULL AND status NOT IN ('planned', 'sending') GROUP BY email_id, status
    {skipped_gone}
    UNION ALL
    SELECT 'sent_in_week_gone', email_id, {week}, count(*) FROM changed
    WHERE email_id IS NOT NULL AND status = 'sent' GROUP BY 2, 3;
    RETURN NULL;
END $$;
"""
_SKIPPED = """UNION ALL
    SELECT 'skipped', NEW.email_id, reason, n
    FROM (VALUES (OLD.status, OLD.reason, -1), (NEW.status, NEW.reason, 1)) change (status, reason, n)
    WHERE NEW.email_id IS NOT NULL AND status = 'skipped'"""
_SKIPPED_GONE = """UNION ALL
    SELECT 'skipped_gone', email_id, reason, count(*) FROM changed
    WHERE email_id IS NOT NULL AND status = 'skipped' GROUP BY email_id, reason"""
_WEEKS = {name: _WEEK.format(at=f"{row}sent_at") for name, row in
          (("week_before", "OLD."), ("week_after", "NEW."), ("week", ""))}  # fmt: skip
_KINDS = "('left', 'left_in_week', 'skipped', 'skipped_gone')"


class Migration(migrations.Migration):
    dependencies = [("engine", "0032_notices_of_no_account"), ("tallies", "0001_initial")]

    operations = [
        migrations.AddField(
            "enrollment",
            "left_after",
            models.ForeignKey(
                "sequences.sequenceemail",
                models.DO_NOTHING,
                null=True,
                related_name="+",
                db_constraint=False,
                db_index=False,
            ),
        ),
        migrations.RunSQL(
            _PLACES + _DELIVERIES.format(skipped=_SKIPPED, skipped_gone=_SKIPPED_GONE, **_WEEKS),
            _PLACES_AS_BEFORE
            + _DELIVERIES.format(skipped="", skipped_gone="", **_WEEKS)
            + f"DELETE FROM tallies_tally WHERE kind IN {_KINDS};",
        ),
    ]
