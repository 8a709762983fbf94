"""What is published now becomes the first version of each email, by nobody knows whom.

In batches by id, each its own transaction; emails that have a version are left alone, so it can be run again. What a
server of the version before publishes later gets its version when somebody needs it (sequences/versions.py).
"""

from django.db import migrations

BATCH = 1000  # emails are up to 200 KB each

FILL = """
WITH batch AS (SELECT * FROM sequences_sequenceemail WHERE id > %(after)s ORDER BY id LIMIT %(limit)s),
made AS (
    INSERT INTO sequences_emailversion
        (email_id, number, subject, preview_text, content, email_template_id, published_at, published_by)
    SELECT id, 1, subject, preview_text, content, email_template_id,
           CASE WHEN version = 1 THEN COALESCE(published_at, created_at) ELSE updated_at END, ''
    FROM batch b
    WHERE published AND deleted_at IS NULL AND NOT EXISTS (SELECT FROM sequences_emailversion v WHERE v.email_id = b.id)
    ON CONFLICT DO NOTHING)
SELECT max(id) FROM batch
"""


def fill(apps, schema_editor):
    after = 0
    while after is not None:
        with schema_editor.connection.cursor() as cursor:
            cursor.execute(FILL, {"after": after, "limit": BATCH})
            (after,) = cursor.fetchone()


class Migration(migrations.Migration):
    atomic = False  # a commit per batch

    dependencies = [("sequences", "0008_versions_of_emails")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
