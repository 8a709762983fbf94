"""A new database gets all of its tables at once, and they are the ones that the migrations make one by one."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django.db import connection

from dripstone import embedded
from dripstone.ops import first_schema

OURS = "from dripstone.ops.management.commands.migrate import Command"
DJANGOS = "from django.core.management.commands.migrate import Command"
MIGRATE = "import django; django.setup(); {}; from django.core.management import call_command; call_command(Command())"
COUNTS = "SELECT app, count(*) FROM django_migrations GROUP BY app"
ROWS = "SELECT * FROM events_numbering"


@contextmanager
def database(name: str) -> Iterator[str]:
    server = os.environ["DATABASE_URL"]
    name = f"dripstone_{name}_{os.getpid()}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}"'.encode())
        try:
            yield urlsplit(server)._replace(path=f"/{name}").geturl()
        finally:
            admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


def schema(url: str, command: str) -> tuple[list[str], list[Any]]:
    """What a database has once a command has migrated it: its definitions, and rows that migrations make."""
    environment = {**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "dripstone.settings"}
    done = subprocess.run(
        [sys.executable, "-c", MIGRATE.format(command)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    dump = subprocess.run([embedded._binary("pg_dump"), "-s", url], capture_output=True, text=True, check=True)
    with psycopg.connect(url) as one:
        rows = [sorted(one.execute(statement.encode()).fetchall()) for statement in (COUNTS, ROWS)]
    return [line for line in dump.stdout.splitlines() if "restrict" not in line], rows


def test_it_is_what_the_migrations_make() -> None:
    assert first_schema.is_current()
    with database("laid") as laid, database("migrated") as migrated:
        assert schema(laid, OURS) == schema(migrated, DJANGOS)


@pytest.mark.django_db
def test_a_database_that_has_tables_is_left_alone() -> None:
    assert not first_schema.lay(connection)


def test_a_file_of_other_migrations_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    other = tmp_path / "first_schema.sql"
    monkeypatch.setattr(first_schema, "FILE", other)
    assert not first_schema.is_current()
    other.write_text("-- of something else\n")
    assert not first_schema.is_current()
