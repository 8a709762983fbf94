"""Heads of captured messages in a narrow table, which the database keeps, and their texts as they are read.

The heads of those that are there are written a batch of ids at a time, each its own transaction; it may run twice.
"""

from typing import Any

from django.db import migrations, models

BATCH = 10_000  # ids

_HEAD = "left(dripstone_folded(\"to\" || ' ' || subject), 400)"

_KEEP = f"""
CREATE FUNCTION senders_keep_heads() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO senders_capturedhead (account_id, message_id, head)
    SELECT account_id, id, {_HEAD} FROM changed ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER captured AFTER INSERT ON senders_capturedmessage REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION senders_keep_heads();
CREATE FUNCTION senders_drop_heads() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM senders_capturedhead h USING changed c WHERE h.account_id = c.account_id AND h.message_id = c.id;
    DELETE FROM senders_capturedtext t USING changed c WHERE t.account_id = c.account_id AND t.message_id = c.id;
    RETURN NULL;
END $$;
CREATE TRIGGER dropped AFTER DELETE ON senders_capturedmessage REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION senders_drop_heads();
"""

# Each message is held while its head is written, so that it can't go meanwhile and leave its head behind.
_FILL = f"""
INSERT INTO senders_capturedhead (account_id, message_id, head)
SELECT account_id, id, {_HEAD} FROM senders_capturedmessage
WHERE id >= %(first)s AND id < %(end)s ORDER BY id FOR SHARE
ON CONFLICT DO NOTHING
"""


def fill(apps: Any, editor: Any) -> None:
    with editor.connection.cursor() as cursor:
        cursor.execute("SELECT min(id), max(id) FROM senders_capturedmessage")
        lowest, highest = cursor.fetchone()
        for first in range(lowest, highest + 1, BATCH) if lowest is not None else ():
            cursor.execute(_FILL, {"first": first, "end": first + BATCH})


def _of_messages(name: str, column: str) -> migrations.CreateModel:
    key = models.CompositePrimaryKey(
        "account_id", "message_id", blank=True, editable=False, primary_key=True, serialize=False
    )
    numbers = [("account_id", models.BigIntegerField()), ("message_id", models.BigIntegerField())]
    return migrations.CreateModel(name=name, fields=[("pk", key), *numbers, (column, models.TextField())])


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("accounts", "0011_folded_words"), ("senders", "0006_hindrances")]

    operations = [
        _of_messages("CapturedHead", "head"),
        _of_messages("CapturedText", "text"),
        migrations.RunSQL(_KEEP, "DROP FUNCTION senders_keep_heads() CASCADE; DROP FUNCTION senders_drop_heads() CASCADE;"),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
