from django.db import migrations


class Migration(migrations.Migration):
    """Requests per credential and second, for accounts/limits.py. Unlogged: a crash forgives a minute of requests.

    It takes the place of request_count, which knows API keys alone. That one goes with a later release: processes of
    the one before still write to it while they are replaced.
    """

    dependencies = [("accounts", "0004_limits_of_accounts")]

    operations = [
        migrations.RunSQL(
            """
            CREATE UNLOGGED TABLE credential_requests (
                credential text NOT NULL,
                second bigint NOT NULL,
                n integer NOT NULL,
                PRIMARY KEY (credential, second)
            ) WITH (fillfactor = 50)
            """,
            "DROP TABLE credential_requests",
        )
    ]
