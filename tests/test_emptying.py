"""A test that commits leaves nothing to the next one."""

from collections.abc import Iterator

import pytest
from django.db import connection
from django.test import Client

from tests import owned
from tests.emptying import KEPT, SMALL_BYTES, empty_all_tables
from tests.factories import make_account, make_key


def filled() -> Iterator[str]:
    """Tables with a row."""
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT EXISTS (SELECT FROM "{table}")')
            if cursor.fetchone() == (True,):
                yield table


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("small_bytes", [0, SMALL_BYTES], ids=["truncated", "deleted"])
def test_every_table_is_emptied_also_those_that_no_model_manages(small_bytes: int) -> None:
    account = make_account()
    owned.one_of_each(account)
    assert Client().get("/v4/account", headers={"X-Kit-Api-Key": make_key(account)[1]}).status_code == 200
    assert {"accounts_account", "credential_windows", "procrastinate_jobs"} < set(filled())
    empty_all_tables(small_bytes=small_bytes)
    assert set(filled()) == set(KEPT)
