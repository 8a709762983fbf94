"""Two workers at one import. Whatever happens beside a batch, and before whichever of its statements: each row is done
once or not at all, and the counts are exact."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from threading import Thread
from typing import Any

import pytest
from django.db import connection

from dripstone import clock
from dripstone.accounts.models import Account
from dripstone.engine.models import Enrollment
from dripstone.imports import files, running, verbs, work
from dripstone.imports.models import Import, Piece, Row, Touched
from dripstone.tallies import verbs as tallies
from tests.crash.doomed import until
from tests.factories import make_account, make_sequence, make_subscriber, make_tag
from tests.imports.files import left

pytestmark = pytest.mark.django_db(transaction=True)

FILE = b"""email,first name,town,tags
old@example.org,Olga,Bath,VIP
a@example.org,Ann,York,
b@example.org,,Leeds,"vip, New"
c@example.org,Carl,,"new, VIP"
A@example.org,Anna,,New
bad,,,
d@example.org,,Bath,
e@example.org,Eve,,Last
"""
N_PEOPLE = 6

Act = Callable[[Import], object]


@pytest.fixture(autouse=True)
def small_batches() -> Iterator[None]:
    before, running.step.__defaults__ = running.step.__defaults__, (2,)
    yield
    running.step.__defaults__ = before


def running_import() -> Import:
    account = make_account()
    make_subscriber(account, email_address="old@example.org", first_name="Old")
    given = {
        "consent": True,
        "tag_ids": [make_tag(account, name="All").pk],
        "sequence_ids": [make_sequence(account, {}, active=False).pk],
    }
    import_ = files.begin(account, "people.csv", "a test", clock.now())
    files.add(import_, 0, FILE)
    verbs.choose(files.finish(import_, clock.now()), given, clock.now())
    work.until_idle(clock.now)
    return verbs.run(import_, clock.now())


def batch(import_: Import) -> None:
    work.step(import_.pk, clock.now)


def cancel(import_: Import) -> None:
    verbs.cancel(import_, clock.now())


def cancel_and_sweep(import_: Import) -> None:
    cancel(import_)
    batch(import_)


def cancel_and_undo(import_: Import) -> None:
    cancel(import_)
    verbs.undo(import_, clock.now())
    batch(import_)


@contextmanager
def beside(act: Callable[[], object], n_statements: int) -> Iterator[list[bool]]:
    """Right before the n-th statement of the block somebody else begins to act, until it is done or waits for a lock of
    ours. What is yielded says afterwards whether it came to that."""
    numbers, happened = itertools.count(1), [False]
    pid: list[int] = []

    def other() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            pid.append(cursor.fetchone()[0])
        act()
        connection.close()

    thread = Thread(target=other)

    def look(execute: Callable[..., Any], *statement: Any) -> Any:
        if next(numbers) == n_statements:
            happened[0] = True
            thread.start()
            until(lambda: not thread.is_alive() or (bool(pid) and is_waiting(pid[0])))
        return execute(*statement)

    def is_waiting(backend: int) -> bool:
        with connection.connection.cursor() as cursor:
            cursor.execute("SELECT cardinality(pg_blocking_pids(%s)) > 0", [backend])
            return bool(cursor.fetchone()[0])

    with connection.execute_wrapper(look):
        yield happened
    if happened[0]:
        thread.join(60)
        assert not thread.is_alive()


def each_instant(act: Act) -> Iterator[Import]:
    """An import for each instant of its second batch beside which the other acts; all that waits is done then."""
    for n_statements in itertools.count(1):
        import_ = running_import()
        batch(import_)
        with beside(partial(act, import_), n_statements) as happened:
            batch(import_)
        if not happened[0]:
            return
        work.until_idle(clock.now)
        import_.refresh_from_db()
        yield import_


def test_two_batches_beside_each_other_leave_what_one_after_the_other_leave() -> None:
    alone = running_import()
    work.until_idle(clock.now)
    expected = left(alone.account)
    assert expected[4] == [N_PEOPLE, N_PEOPLE - 1, 1, N_PEOPLE, 0, 0]
    assert expected[5] == [0, 0, 1, N_PEOPLE]
    for import_ in each_instant(batch):
        assert left(import_.account) == expected
    assert tallies.differences() == []


def test_a_batch_that_finds_the_import_cancelled_was_not_done() -> None:
    for import_ in each_instant(cancel):
        assert_exact(import_)
        assert import_.n_done == 2
        verbs.undo(import_, clock.now())
        work.until_idle(clock.now)
        assert_undone(import_.account)
    assert tallies.differences() == []


def test_what_a_cancelled_import_needs_no_more_goes_beside_its_last_batch() -> None:
    for import_ in each_instant(cancel_and_sweep):
        assert_exact(import_)
    assert tallies.differences() == []


def test_an_import_is_undone_beside_its_last_batch() -> None:
    for import_ in each_instant(cancel_and_undo):
        assert (import_.state, import_.n_undone, import_.n_left_alone) == ("undone", import_.n_done, 0)
        assert_undone(import_.account)
    assert tallies.differences() == []


def assert_exact(import_: Import) -> None:
    """It says how many it made and changed, and has nothing left of its file."""
    touched = Touched.objects.filter(of_import=import_)
    new = import_.account.subscribers.exclude(email_address="old@example.org").count()
    assert (import_.state, import_.is_staged) == ("cancelled", False)
    assert (import_.n_done, import_.n_made + import_.n_changed) == (touched.count(), touched.count())
    assert (import_.n_made, import_.n_entered) == (new, Enrollment.objects.filter(account=import_.account).count())
    assert [model.objects.filter(of_import=import_).count() for model in (Row, Piece)] == [0, 0]


def assert_undone(account: Account) -> None:
    people, taggings, *_, rows = left(account)
    assert (people, taggings) == ([("old@example.org", "Old", [], "active")], [])
    assert rows == [0, 0, 1, 0]
