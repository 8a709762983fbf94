"""People, taggings and form subscriptions are counted by the database: docs/decisions/kept-counts.md."""

from django.db import migrations

# What came or went in one statement, as `changed`.
_ROWS = """
CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    each CONSTANT int := CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END;
BEGIN
    {count}
    RETURN NULL;
END $$;
CREATE TRIGGER counted_in AFTER INSERT ON {table} REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION {function}();
CREATE TRIGGER counted_out AFTER DELETE ON {table} REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION {function}();
"""
_PEOPLE = """INSERT INTO tallies_tally (kind, subject_id, label, n)
    SELECT 'people', account_id, state, each * count(*) FROM changed GROUP BY account_id, state;"""

# The person is locked, as a change of their state has them locked: one of the two comes first and the other sees it.
_BY_STATE = """INSERT INTO tallies_tally (kind, subject_id, label, n)
    SELECT '{kind}', subject_id, state, each * count(*)
    FROM (SELECT c.{column} AS subject_id, s.state FROM changed c
          JOIN subscribers_subscriber s ON s.id = c.subscriber_id ORDER BY s.id FOR NO KEY UPDATE OF s) people
    GROUP BY subject_id, state;"""

_STATE = """
CREATE FUNCTION subscribers_count_state() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tallies_tally (kind, subject_id, label, n)
    SELECT kind, subject_id, label, n
    FROM (SELECT 'people', NEW.account_id
          UNION ALL SELECT 'tagged', tag_id FROM subscribers_tagging WHERE subscriber_id = NEW.id
          UNION ALL SELECT 'on_form', form_id FROM subscribers_formsubscription WHERE subscriber_id = NEW.id
         ) counts (kind, subject_id)
    CROSS JOIN (VALUES (OLD.state, -1), (NEW.state, 1)) change (label, n);
    RETURN NULL;
END $$;
CREATE TRIGGER counted_state AFTER UPDATE OF state ON subscribers_subscriber
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION subscribers_count_state();
"""

TABLES = (
    ("subscribers_subscriber", "subscribers_count_people", _PEOPLE),
    ("subscribers_tagging", "subscribers_count_tagged", _BY_STATE.format(kind="tagged", column="tag_id")),
    ("subscribers_formsubscription", "subscribers_count_on_form", _BY_STATE.format(kind="on_form", column="form_id")),
)


def _counting() -> str:
    return "".join(_ROWS.format(table=table, function=function, count=count) for table, function, count in TABLES)


def _not_counting() -> str:
    return "".join(f"DROP FUNCTION {function}() CASCADE;" for _, function, _ in TABLES)


class Migration(migrations.Migration):
    dependencies = [("subscribers", "0001_initial"), ("tallies", "0001_initial")]

    operations = [
        migrations.RunSQL(
            _counting() + _STATE, _not_counting() + "DROP FUNCTION subscribers_count_state() CASCADE;"
        ),
    ]
