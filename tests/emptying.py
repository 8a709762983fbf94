"""Empties the database after a test that commits.

Django's flush leaves the tables that no model manages (the queue, counts of requests), so that what one test wrote
there another found; and it truncates a hundred tables and writes permissions anew, which took 0.25 s of a processor.
"""

from typing import Any

from django.db import connection, transaction

# What stands in them comes from the migrations.
KEPT = ("django_migrations", "django_content_type", "auth_permission")
# Deleting leaves dead rows, which nobody vacuums here: too many of them, and every test would read them.
SMALL_BYTES = 8 * 1024 * 1024


def empty_all_tables(_: Any = None, *, small_bytes: int = SMALL_BYTES) -> None:
    """Waits for whoever still writes. Deletes up to `small_bytes`, without triggers; truncates more than that."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_TABLES, [list(KEPT)])
        tables = [table for (table,) in cursor.fetchall()]
        cursor.execute(f"LOCK {', '.join(tables)} IN SHARE MODE")
        cursor.execute(_WRITTEN, [tables])
        written = dict(cursor.fetchall())
        if sum(written.values()) > small_bytes or not _is_superuser():
            cursor.execute(f"TRUNCATE {', '.join(tables)}")
        elif written:
            cursor.execute("SET LOCAL session_replication_role = replica")
            cursor.execute("; ".join(f"DELETE FROM {table}" for table in written))


_TABLES = """
SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = current_schema() AND tablename <> ALL(%s) ORDER BY 1
"""
_WRITTEN = """
SELECT name, pg_relation_size(name::regclass) FROM unnest(%s::text[]) AS name WHERE pg_relation_size(name::regclass) > 0
"""


def _is_superuser() -> bool:
    """Nobody else may silence triggers."""
    return bool(connection.connection.info.parameter_status("is_superuser") == "on")
