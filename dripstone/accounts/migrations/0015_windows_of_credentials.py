from django.db import migrations


class Migration(migrations.Migration):
    """Requests of the last minute, one row per credential, for accounts/limits.py. Unlogged: a crash forgives a minute.

    It takes the place of credential_requests, which had a row per second: what is counted in one row is counted right
    when several do it at once. That table goes with a later release: processes of the one before still write to it
    while they are replaced.
    """

    dependencies = [("accounts", "0014_repeats")]

    operations = [
        migrations.RunSQL(
            """
            CREATE UNLOGGED TABLE credential_windows (
                credential text PRIMARY KEY,
                seconds bigint[] NOT NULL,
                ns bigint[] NOT NULL,
                is_full boolean NOT NULL
            ) WITH (fillfactor = 50)
            """,
            "DROP TABLE credential_windows",
        )
    ]
