"""`dripstone web` as it runs, on a database of its own, for everything that is about sockets."""

import os
from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.front.served import Web, account_key, run, serving


@pytest.fixture(scope="session")
def fresh_database() -> Iterator[str]:
    """URL of a migrated database beside those of the other tests."""
    server = os.environ["DATABASE_URL"]
    name = f"dripstone_front_{os.getpid()}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
        url = urlsplit(server)._replace(path=f"/{name}").geturl()
        try:
            run(url, "migrate")
            yield url
        finally:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


@pytest.fixture(scope="session")
def web(fresh_database: str) -> Iterator[Web]:
    """One process with four threads, and an account's key."""
    with serving(fresh_database, account_key(fresh_database, "served")) as web:
        yield web
