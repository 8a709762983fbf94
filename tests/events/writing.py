"""Transactions that write events beside each other, each on a connection of its own: they commit when told."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import psycopg
from django.db import connection

from dripstone.events import reading
from dripstone.events.models import Event

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)

_INSERT = """
INSERT INTO events_event (account_id, type, subscriber_id, data, occurred_at)
VALUES (1, %s, %s, '{}', %s) RETURNING id
"""


def connect() -> psycopg.Connection:
    """To the test's database, beside Django's connection."""
    parameters = connection.get_connection_params()
    names = ("host", "port", "user", "password", "dbname")
    return psycopg.connect(**{name: parameters[name] for name in names if name in parameters})


@contextmanager
def writers(number: int) -> Iterator[list[psycopg.Connection]]:
    made = [connect() for _ in range(number)]
    try:
        yield made
    finally:
        for one in made:
            one.close()


def write(writer: psycopg.Connection, kind: str, subscriber_id: int = 1) -> int:
    """An event, not committed. Returns its id."""
    row = writer.execute(_INSERT, [kind, subscriber_id, NOW]).fetchone()
    assert row is not None
    return int(row[0])


def happened(*kinds: str) -> None:
    """Committed at once, in this order."""
    for kind in kinds:
        Event.objects.create(account_id=1, type=kind, subscriber_id=1, occurred_at=NOW)


def read(reader: str = "rules", limit: int = 500) -> list[str]:
    """The kinds of the next events for a reader that has been there from the start."""
    with reading.following(reader, limit, start="first") as events:
        return [event.type for event in events]
