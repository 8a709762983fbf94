"""What templates and snippets say now becomes their first version, by nobody knows whom.

In batches by id, each its own transaction; what has a version is left alone, so it can be run again. What a server of
the version before saves later gets its version when somebody needs it (content/versions.py).
"""

from django.db import migrations

BATCH = 1000  # texts of up to 200 KB each

TEMPLATES = """
WITH batch AS (SELECT * FROM content_emailtemplate WHERE id > %(after)s ORDER BY id LIMIT %(limit)s),
made AS (
    INSERT INTO content_templateversion (account_id, template_id, number, html, saved_at, saved_by)
    SELECT account_id, id, 1, html, updated_at, '' FROM batch b
    WHERE NOT EXISTS (SELECT FROM content_templateversion v WHERE v.template_id = b.id)
    ON CONFLICT DO NOTHING)
SELECT max(id) FROM batch
"""

SNIPPETS = """
WITH batch AS (SELECT * FROM content_snippet WHERE id > %(after)s ORDER BY id LIMIT %(limit)s),
made AS (
    INSERT INTO content_snippetversion (account_id, snippet_id, number, key, snippet_type, source, saved_at, saved_by)
    SELECT account_id, id, 1, key, snippet_type,
           CASE WHEN snippet_type = 'inline' THEN content ELSE COALESCE(value_html, '') END, updated_at, ''
    FROM batch b
    WHERE NOT EXISTS (SELECT FROM content_snippetversion v WHERE v.snippet_id = b.id)
    ON CONFLICT DO NOTHING)
SELECT max(id) FROM batch
"""


def fill(apps, schema_editor):
    for statement in (TEMPLATES, SNIPPETS):
        after = 0
        while after is not None:
            with schema_editor.connection.cursor() as cursor:
                cursor.execute(statement, {"after": after, "limit": BATCH})
                (after,) = cursor.fetchone()


class Migration(migrations.Migration):
    atomic = False  # a commit per batch

    dependencies = [("content", "0002_versions")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
