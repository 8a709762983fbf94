"""By which door each place was entered, with the number of the form, rule, import … is noted and counted from now on. 0040
counts who came before, by their `source` alone.

A worker of the version before notes no door; the nightly repair adds the counts that it does not keep.
"""

from django.db import migrations, models

_WEEK = "to_char(date_trunc('week', {at} AT TIME ZONE 'UTC'), 'YYYY-MM-DD')"

# As in 0033, with the doors when `{doors}` is.
_PLACES = """
CREATE OR REPLACE FUNCTION engine_count_places() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    each CONSTANT int := CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END;
BEGIN
    INSERT INTO tallies_tally (kind, subject_id, label, n)
    SELECT 'places', sequence_id, status, each * count(*) FROM changed GROUP BY sequence_id, status
    UNION ALL
    SELECT 'waiting', next_email_id, status, each * count(*) FROM changed
    WHERE status = 'active' AND next_email_id IS NOT NULL GROUP BY next_email_id, status
    {doors}
    UNION ALL
    SELECT kind, sequence_id, label, each * count(*)
    FROM changed
    CROSS JOIN LATERAL (SELECT CASE status WHEN 'completed' THEN 'completed' ELSE removed_reason END) why (why)
    CROSS JOIN LATERAL (VALUES ('left', COALESCE(left_after_id, 0) || ':' || why),
                               ('left_in_week', {left_in} || ':' || why)) counted (kind, label)
    WHERE status IN ('completed', 'removed') GROUP BY kind, sequence_id, label;
    RETURN NULL;
END $$;
"""
_DOORS = f"""UNION ALL
    SELECT 'came_in_week', sequence_id, {_WEEK.format(at="entered_at")} || ':' || COALESCE(NULLIF(door, ''), source),
           each * count(*)
    FROM changed GROUP BY 2, 3"""
_LEFT_IN = _WEEK.format(at="COALESCE(completed_at, removed_at)")


class Migration(migrations.Migration):
    dependencies = [("engine", "0038_people_who_leave_no_place"), ("tallies", "0001_initial")]

    operations = [
        migrations.AddField("enrollment", "door", models.TextField(default="", db_default="", blank=True)),
        migrations.RunSQL(
            _PLACES.format(doors=_DOORS, left_in=_LEFT_IN),
            _PLACES.format(doors="", left_in=_LEFT_IN) + "DELETE FROM tallies_tally WHERE kind = 'came_in_week';",
        ),
    ]
