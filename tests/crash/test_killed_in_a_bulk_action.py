"""A worker is killed in the middle of an action on many people, before each of its statements, and of its undo: what it
had not committed is done again, and nobody is acted on twice."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from dripstone import clock
from dripstone.accounts.models import Account
from dripstone.bulk import actions, operations, runner
from dripstone.bulk.models import BulkAction, Change, Line
from dripstone.engine.models import Enrollment
from dripstone.events.models import Event
from dripstone.subscribers import fields
from dripstone.subscribers.models import Subscriber, Tagging
from dripstone.tallies import verbs as tallies
from tests.crash import doomed
from tests.crash.doomed import Place
from tests.factories import make_account, make_enrollment, make_sequence, make_subscriber, make_tag

pytestmark = pytest.mark.django_db(transaction=True)

EVERYBODY: dict[str, Any] = {"filter": {"all": []}}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    yield Place(connection.settings_dict["NAME"], tmp_path, "memory://bulk")
    connection.close()


def asked(now: datetime) -> Account:
    """An action of three kinds on three people; then one that deletes one of them."""
    account = make_account()
    tag, sequence = make_tag(account), make_sequence(account, {"delay_value": 0})
    field, _ = fields.create(account.pk, {"label": "Town"}, now, cause=("owner",))
    people = [make_subscriber(account) for _ in range(3)]
    make_enrollment(sequence, people[0])
    acts = [
        {"kind": "tag", "tag_id": tag.pk},
        {"kind": "field", "custom_field_id": field.pk, "value": "Rome"},
        {"kind": "enter_sequence", "sequence_id": sequence.pk},
    ]
    actions.begin(account, EVERYBODY, acts, "a test", now, fire_rules=True)
    actions.begin(account, {"ids": [people[2].pk]}, [{"kind": "delete"}], "a test", now, fire_rules=True)
    return account


def seen(account: Account) -> list[Any]:
    """All that they may leave."""
    rows = BulkAction.objects.filter(account=account).order_by("pk")
    return [
        Subscriber.objects.filter(account=account).count(),
        Tagging.objects.filter(tag__account=account).count(),
        [list(one.fields.values()) for one in account.subscribers.order_by("pk")],
        Enrollment.objects.filter(account=account).count(),
        sorted(Event.objects.filter(account_id=account.pk).values_list("type", flat=True)),
        Change.objects.filter(action__account=account).count(),
        list(rows.values_list("state", "n_met", "n_looked_at", "n_changes", "report", "n_undone", "n_left")),
        list(Line.objects.filter(account=account).values_list("n_jobs", "n_bytes")),
    ]


def killed_at_every_statement(place: Place, begin: Any) -> Any:
    """What is there in the end, which is the same whenever it was killed."""
    expected: Any = None
    for n_statements in range(1, 300):
        account = begin()
        connection.close()
        with doomed.worker(doomed.do_in_bulk_and_die_at, place, account.pk, n_statements) as worker:
            worker.join(60)
            was_killed = worker.exitcode == -9
        runner.finish(operations.ALL, account.pk, clock.now)
        expected = expected or seen(account)
        assert seen(account) == expected
        assert tallies.differences() == []
        if not was_killed:
            return expected
    pytest.fail("it does not end")


def test_a_worker_is_killed_before_any_statement_of_it(place: Place) -> None:
    left = killed_at_every_statement(place, lambda: asked(clock.now()))
    assert left[:4] == [2, 2, [["Rome"]] * 2, 2]
    assert [one[0] for one in left[6]] == ["done", "done"]
    assert left[7] == [(0, 0)]


def test_and_of_its_undo(place: Place) -> None:
    def begin() -> Account:
        account = asked(clock.now())
        runner.finish(operations.ALL, account.pk, clock.now)
        first = BulkAction.objects.filter(account=account).order_by("pk")[0]
        actions.undo(account, first.pk, "a test", clock.now())
        return account

    left = killed_at_every_statement(place, begin)
    assert left[:3] == [2, 0, [[]] * 2]
    assert left[5] == 0
    assert left[6][0][0] == "undone"
    assert left[6][0][5:] == (4, 0)
