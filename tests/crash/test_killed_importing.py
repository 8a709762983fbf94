"""A worker is killed in the middle of an import, before each of its statements: while it reads, runs, undoes. What it
had not committed is done again, and nothing is lost or done twice."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from dripstone import clock
from dripstone.accounts.models import Account
from dripstone.imports import files, verbs, work
from dripstone.imports.models import Import
from dripstone.tallies import verbs as tallies
from tests.crash import doomed
from tests.crash.doomed import Place
from tests.factories import make_account, make_sequence, make_subscriber, make_tag
from tests.imports.files import left

pytestmark = pytest.mark.django_db(transaction=True)

NEVER = 1_000_000  # statements

FILE = b"""email,first name,town,tags
old@example.org,Olga,Bath,VIP
a@example.org,Ann,York,
bad,,,
b@example.org,,Leeds,"VIP, New"
A@example.org,Anna,,New
"""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    yield Place(connection.settings_dict["NAME"], tmp_path, "memory://imports")
    connection.close()


def begun(account: Account) -> Import:
    make_subscriber(account, email_address="old@example.org", first_name="Old")
    tag, sequence = make_tag(account, name="All"), make_sequence(account, {}, active=False)
    import_ = files.begin(account, "people.csv", "a test", clock.now())
    files.add(import_, 0, FILE)
    files.finish(import_, clock.now())
    given = {"consent": True, "tag_ids": [tag.pk], "sequence_ids": [sequence.pk]}
    return verbs.choose(import_, given, clock.now())


def run(import_: Import) -> None:
    work.until_idle(clock.now)
    verbs.run(import_, clock.now())


def undo(import_: Import) -> None:
    run(import_)
    work.until_idle(clock.now)
    verbs.undo(import_, clock.now())


@pytest.mark.parametrize("prepare", [lambda import_: None, run, undo], ids=["reading", "running", "undoing"])
def test_a_worker_is_killed_before_any_statement(place: Place, prepare: Callable[[Import], None]) -> None:
    """The steps grow, and differ with what is done: the statements of a later batch are those of the batch before."""
    expected: Any = None
    n_statements, step = 1, 1
    while True:
        account = make_account()
        prepare(begun(account))
        connection.close()
        with doomed.worker(doomed.import_and_die_at, place, n_statements) as worker:
            worker.join(60)
            was_killed = worker.exitcode == -9
        work.until_idle(clock.now)
        expected = expected or left(account)
        assert left(account) == expected
        if not was_killed:
            break
        n_statements, step = n_statements + step, 1 + n_statements // 12
        assert n_statements < 2_000, "it does not end"
    assert tallies.differences() == []
    assert expected[3][1:] == [5, 1, 1, 2, 1]
    if prepare is run:
        assert expected[4] == [3, 2, 1, 3, 0, 0]
        assert expected[5] == [0, 0, 1, 3]
    if prepare is undo:
        assert [name for name, *_ in expected[0]] == ["old@example.org"]
        assert (expected[0][0][1:3], expected[1]) == (("Old", []), [])


def test_one_of_two_workers_at_an_import_is_killed_before_any_statement(place: Place) -> None:
    """The other goes on, with what the one has not done as well."""
    account = make_account()
    run(begun(account))
    work.until_idle(clock.now)
    expected = left(account)
    n_statements = 1
    while n_statements < 150:
        account = make_account()
        run(begun(account))
        connection.close()
        with (
            doomed.worker(doomed.import_and_die_at, place, n_statements) as one,
            doomed.worker(doomed.import_and_die_at, place, NEVER) as other,
        ):
            one.join(60)
            other.join(60)
            assert other.exitcode == 0
        work.until_idle(clock.now)
        assert left(account) == expected
        n_statements += 1 + n_statements // 8
    assert tallies.differences() == []
