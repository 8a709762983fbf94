"""The words of people's names, in a table of their own that the database keeps: subscribers/finding.py.

An index on the table of people can't have several words of one row in an order. Whoever is there gets theirs a batch of
ids at a time, each its own transaction; it may run beside everybody else, and twice.
"""

from typing import Any

from django.db import migrations, models

BATCH = 10_000  # ids: 0.2 s

_KEEP = """
CREATE FUNCTION subscribers_keep_words() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO subscribers_nameword (account_id, word, subscriber_id)
    SELECT account_id, word, id FROM changed CROSS JOIN LATERAL unnest(dripstone_words(first_name)) word
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER named AFTER INSERT ON subscribers_subscriber REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION subscribers_keep_words();
CREATE FUNCTION subscribers_change_words() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM subscribers_nameword
    WHERE account_id = OLD.account_id AND word = ANY(dripstone_words(OLD.first_name)) AND subscriber_id = OLD.id;
    INSERT INTO subscribers_nameword (account_id, word, subscriber_id)
    SELECT NEW.account_id, word, NEW.id FROM unnest(dripstone_words(NEW.first_name)) word
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER renamed AFTER UPDATE OF first_name ON subscribers_subscriber
    FOR EACH ROW WHEN (OLD.first_name IS DISTINCT FROM NEW.first_name) EXECUTE FUNCTION subscribers_change_words();
CREATE FUNCTION subscribers_drop_words() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM subscribers_nameword w USING changed c
    WHERE w.account_id = c.account_id AND w.word = ANY(dripstone_words(c.first_name)) AND w.subscriber_id = c.id;
    RETURN NULL;
END $$;
CREATE TRIGGER unnamed AFTER DELETE ON subscribers_subscriber REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION subscribers_drop_words();
"""
_FUNCTIONS = ("subscribers_keep_words", "subscribers_change_words", "subscribers_drop_words")

# Each person is locked while their name is read, so that a change of it comes before or after.
_FILL = """
INSERT INTO subscribers_nameword (account_id, word, subscriber_id)
SELECT account_id, word, id
FROM (SELECT id, account_id, first_name FROM subscribers_subscriber
      WHERE id >= %(first)s AND id < %(end)s AND first_name IS NOT NULL ORDER BY id FOR SHARE) people
CROSS JOIN LATERAL unnest(dripstone_words(first_name)) word
ON CONFLICT DO NOTHING
"""


def fill(apps: Any, editor: Any) -> None:
    with editor.connection.cursor() as cursor:
        cursor.execute("SELECT min(id), max(id) FROM subscribers_subscriber")
        lowest, highest = cursor.fetchone()
        for first in range(lowest, highest + 1, BATCH) if lowest is not None else ():
            cursor.execute(_FILL, {"first": first, "end": first + BATCH})


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("accounts", "0011_folded_words"),
        ("subscribers", "0011_sign_ups"),
    ]

    operations = [
        migrations.CreateModel(
            name="NameWord",
            fields=[
                ("pk", models.CompositePrimaryKey("account_id", "word", "subscriber_id", blank=True, editable=False, primary_key=True, serialize=False)),  # noqa: E501
                ("account_id", models.BigIntegerField()),
                ("word", models.TextField(db_collation="C")),
                ("subscriber_id", models.BigIntegerField()),
            ],
        ),
        migrations.RunSQL(_KEEP, "".join(f"DROP FUNCTION {function}() CASCADE;" for function in _FUNCTIONS)),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
