"""What wakes the work on imports, and whom."""

from collections.abc import Iterator

import pytest
from django.db import connection

from dripstone import clock
from dripstone.accounts.models import Account
from dripstone.imports import files, reading, tasks, verbs, wake
from dripstone.imports.models import Import
from tests.factories import make_account

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def small_batches() -> Iterator[None]:
    before, reading.BATCH = reading.BATCH, 2
    yield
    reading.BATCH = before


def chosen(account: Account, n_people: int) -> Import:
    import_ = files.begin(account, "people.csv", "a test", clock.now())
    files.add(import_, 0, b"email\n" + b"".join(b"p%d@example.org\n" % n for n in range(n_people)))
    return verbs.choose(files.finish(import_, clock.now()), {"consent": True}, clock.now())


def n_jobs() -> int:
    """That wait; they are gone then."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM procrastinate_jobs WHERE task_name = %s AND status = 'todo'", [wake.TASK])
        return int(cursor.rowcount)


def test_a_run_asks_another_process_for_help_once_it_knows_that_there_is_more(small_batches: None) -> None:
    chosen(make_account(), 5)
    assert n_jobs() == 1
    tasks.work()
    assert n_jobs() == 1
    tasks.work()
    assert n_jobs() == 0


def test_a_job_that_comes_to_a_process_that_is_at_it_is_not_lost(small_batches: None) -> None:
    import_ = chosen(make_account(), 5)
    with tasks._running:
        tasks.work()
        import_.refresh_from_db()
        assert import_.read_to == 0
        assert tasks._is_asked.is_set()
    tasks.work()
    import_.refresh_from_db()
    assert import_.state == Import.State.READY
    assert not tasks._is_asked.is_set()
