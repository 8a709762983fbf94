"""What came back before there was a table for it, from the events that told it. In batches; it may be run again.

Events of deliveries that have been pruned tell nothing that is counted any more.
"""

from typing import Any

from django.db import migrations

BATCH = 20_000  # events a statement looks at: some 50 ms

FILL = """
WITH span AS (SELECT id, type, subject_id, occurred_at FROM events_event WHERE id > %(after)s ORDER BY id LIMIT %(limit)s),
told AS (
    SELECT subject_id, min(occurred_at) FILTER (WHERE type = 'subscriber.unsubscribed') AS unsubscribed_at,
           min(occurred_at) FILTER (WHERE type = 'subscriber.bounced') AS bounced_at,
           min(occurred_at) FILTER (WHERE type = 'subscriber.complained') AS complained_at
    FROM span WHERE type IN ('subscriber.unsubscribed', 'subscriber.bounced', 'subscriber.complained')
    GROUP BY subject_id),
filled AS (
    INSERT INTO tracking_response (delivery_id, account_id, subscriber_id, email_id, unsubscribed_at, bounced_at,
                                   complained_at)
    SELECT d.id, d.account_id, d.subscriber_id, d.email_id, told.unsubscribed_at, told.bounced_at, told.complained_at
    FROM told JOIN engine_delivery d ON d.id = told.subject_id
    ON CONFLICT (delivery_id) DO UPDATE
    SET unsubscribed_at = COALESCE(tracking_response.unsubscribed_at, EXCLUDED.unsubscribed_at),
        bounced_at = COALESCE(tracking_response.bounced_at, EXCLUDED.bounced_at),
        complained_at = COALESCE(tracking_response.complained_at, EXCLUDED.complained_at))
SELECT max(id) FROM span
"""


def fill(apps: Any, schema_editor: Any) -> None:
    after: int | None = 0
    with schema_editor.connection.cursor() as cursor:
        while after is not None:
            cursor.execute(FILL, {"after": after, "limit": BATCH})
            (after,) = cursor.fetchone()


class Migration(migrations.Migration):
    atomic = False
    dependencies = [
        ("tracking", "0001_initial"),
        ("events", "0001_initial"),
        ("engine", "0001_initial"),
    ]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop, elidable=True)]
