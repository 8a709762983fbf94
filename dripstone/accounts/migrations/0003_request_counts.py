from django.db import migrations


class Migration(migrations.Migration):
    """Requests per API key and second, for api/limits.py. Unlogged: a crash forgives a minute of requests."""

    dependencies = [("accounts", "0002_sign_in_failures")]

    operations = [
        migrations.RunSQL(
            """
            CREATE UNLOGGED TABLE request_count (
                api_key_id bigint NOT NULL,
                second bigint NOT NULL,
                n integer NOT NULL,
                PRIMARY KEY (api_key_id, second)
            ) WITH (fillfactor = 50)
            """,
            "DROP TABLE request_count",
        )
    ]
