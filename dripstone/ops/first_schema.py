"""The tables of a new database, laid at once: what all migrations leave behind when they begin with nothing.

Takes       a database without any table; first_schema.sql, which script/first_schema.py makes out of the migrations
Leaves      every table but those of the job queue, whose package brings statements of its own; their migrations noted
            as applied
A crash here means the database is still empty: it is one transaction.

Django thinks for a quarter of a minute about two hundred migrations, one after the other, and PostgreSQL works for a
second. A database that has something in it, or a file that is not of these migrations, goes the usual way.
"""

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

FILE = Path(__file__).parent / "first_schema.sql"
_OF = "-- of "  # the first line: which migrations it is of
_BRINGS_ITS_OWN = "procrastinate"

_NOTED = "INSERT INTO django_migrations (app, name, applied) VALUES ('{}', '{}', now());"


def lay(connection: BaseDatabaseWrapper) -> bool:
    """False: nothing was done, since there are tables, or the file is not of these migrations."""
    if connection.introspection.table_names() or not is_current():
        return False
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        cursor.execute(FILE.read_text())
    return True


def is_current() -> bool:
    """Whether the file is of the migrations that are installed."""
    if not FILE.exists():
        return False
    with FILE.open() as file:
        return file.readline().strip() == f"{_OF}{_digest(MigrationLoader(None))}"


def write(connection: BaseDatabaseWrapper) -> None:
    """Applies all migrations to an empty database, and writes down what that does."""
    scribe = _Scribe()
    executor = MigrationExecutor(connection, scribe.turn_to)
    recorder = MigrationRecorder(connection)
    recorder.ensure_schema()
    with connection.execute_wrapper(scribe):
        executor.migrate(executor.loader.graph.leaf_nodes())
    with connection.schema_editor(collect_sql=True) as editor:
        editor.create_model(recorder.Migration)
    head = [f"{_OF}{_digest(executor.loader)}", "-- Made by script/first_schema.py out of the migrations."]
    FILE.write_text("\n".join([*head, *editor.collected_sql, *scribe.said, ""]))


class _Scribe:
    """Writes down what is executed, but for what changes nothing where there is nothing."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self._listens = True

    def turn_to(self, action: str, migration: Any = None, fake: bool | None = False, /) -> None:
        """MigrationExecutor tells what it is about to do, and what it has done."""
        if action == "apply_start":
            self._listens = migration.app_label != _BRINGS_ITS_OWN
        elif action == "apply_success" and self._listens:
            self.said.append(_NOTED.format(migration.app_label, migration.name))

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        result = execute(sql, params, many, context)
        word = sql.split(maxsplit=1)[0].upper()
        is_idle = word in ("INSERT", "UPDATE", "DELETE") and context["cursor"].rowcount == 0
        is_note = '"django_migrations"' in sql
        if self._listens and word not in ("SELECT", "SHOW", "WITH") and not is_idle and not is_note:
            whole = psycopg.ClientCursor(context["connection"].connection).mogrify(sql, params) if params else sql
            self.said.append(whole.strip().rstrip(";").replace(" CONCURRENTLY ", " ") + ";")
        return result


def _digest(loader: MigrationLoader) -> str:
    found = hashlib.sha256()
    for line in _sources(loader):
        found.update(line)
    return found.hexdigest()


def _sources(loader: MigrationLoader) -> Iterator[bytes]:
    for key, migration in sorted(loader.disk_migrations.items()):
        yield ".".join(key).encode()
        yield Path(str(sys.modules[type(migration).__module__].__file__)).read_bytes()
