"""Jobs are worked through: in turns, in order, again after a mistake, and told of in the end."""

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction

from dripstone.accounts.models import Account
from dripstone.bulk import jobs, operations, runner
from dripstone.bulk.models import Batch, Failure, Job, Line
from dripstone.bulk.outcomes import Done, Entry, Operation, Outcome
from dripstone.calls.models import Call
from dripstone.engine import process
from dripstone.ops import prune
from dripstone.subscribers.models import Tag
from tests.factories import MONDAY_9, make_account, make_subscriber, make_tag
from tests.racing import together

pytestmark = pytest.mark.django_db

URL = "https://example.com/done"


def now() -> datetime:
    return MONDAY_9


def keep(account: Account, entries: Sequence[Any], operation: Operation = operations.TAGS, url: str = "") -> Job:
    """Two entries in a batch."""
    operation = replace(operation, at_a_time=2)
    return jobs.keep(operation, account.pk, entries, url, MONDAY_9, n_bytes=100, asked_by="API key test")


def names(*names: str) -> list[Any]:
    return [{"name": name} for name in names]


def turns(n: int) -> list[int | None]:
    """Whose turn it was, so many times."""
    seen = []
    for _ in range(n):
        account_id = runner.take_turn()
        if account_id is not None:
            assert runner.step(operations.ALL, account_id, now)
        seen.append(account_id)
    return seen


class Told:
    """An operation that writes down what it is given."""

    def __init__(self, do: Callable[[Sequence[Entry]], list[Outcome]] | None = None) -> None:
        self.given: list[list[str]] = []
        self._do = do

    def table(self) -> dict[str, Operation]:
        return {operations.TAGS.name: replace(operations.TAGS, do=self._told)}

    def _told(self, account_id: int, entries: Sequence[Entry], now: datetime) -> list[Outcome]:
        self.given.append([entry["name"] for entry in entries])
        return self._do(entries) if self._do else [Done({"name": entry["name"]}) for entry in entries]


# --- Turns --------------------------------------------------------------------------------------------------------


def test_accountstake_turns_whatever_they_have_asked_for() -> None:
    many, few = make_account(), make_account()
    keep(many, names(*"abcdefgh"))
    keep(many, names("i"))
    keep(few, names("x"))
    order = turns(8)
    assert order[:4] == [many.pk, few.pk, many.pk, few.pk]  # a batch, the only one; a batch, its end
    assert set(order[4:]) == {many.pk}


def test_an_account_that_comes_later_does_not_wait_for_the_others_to_be_through() -> None:
    many, late = make_account(), make_account()
    keep(many, names(*"abcdefgh"))
    assert turns(2) == [many.pk, many.pk]
    keep(late, names("x"))
    assert late.pk in turns(2)


def test_jobs_of_an_account_are_done_in_the_order_in_which_they_were_asked_for() -> None:
    account, told = make_account(), Told()
    keep(account, names("a", "b", "c"))
    keep(account, names("d"))
    runner.finish(told.table(), account.pk, now)
    assert told.given == [["a", "b"], ["c"], ["d"]]
    assert Job.objects.filter(ended_at=None).count() == 0


def test_nothing_waits_is_soon_known() -> None:
    assert runner.take_turn() is None
    assert not runner.work(operations.ALL, now, 60)
    account = make_account()
    keep(account, names("a"))
    assert not runner.work(operations.ALL, now, 60)
    assert Tag.objects.get().name == "a"
    assert not runner.step(operations.ALL, account.pk, now)


def test_a_worker_that_stops_begins_no_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    keep(make_account(), names("a"))
    monkeypatch.setattr(process, "is_retiring", lambda: True)
    assert runner.work(operations.ALL, now, 60)
    assert not Tag.objects.exists()


def test_a_run_is_short() -> None:
    keep(make_account(), names(*"abcdef"))
    assert runner.work(operations.ALL, now, 0)
    assert Tag.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_two_processes_never_do_the_same() -> None:
    accounts = [make_account(), make_account()]
    for account in accounts:
        keep(account, names(*"abcdefghij"))
        keep(account, names(*"klm"))
    together(lambda: runner.work(operations.ALL, now, 60), times=3)
    assert not Job.objects.filter(ended_at=None).exists()
    for account in accounts:
        made = account.tags.order_by("pk").values_list("name", flat=True)
        assert list(made) == [*"abcdefghijklm"]
    assert set(Line.objects.values_list("n_jobs", "n_bytes")) == {(0, 0)}


@pytest.mark.django_db(transaction=True)
def test_who_works_for_an_account_works_for_it_alone() -> None:
    account = make_account()
    keep(account, names("a"))
    keep(account, names("b"))
    with transaction.atomic():
        assert runner._next(account.pk, False) is not None
        assert together(lambda: runner.step(operations.ALL, account.pk, now), times=2) == [False, False]
        assert together(lambda: runner.work(operations.ALL, now, 60), times=1) == [False]
    assert not Tag.objects.exists()


# --- Mistakes -----------------------------------------------------------------------------------------------------


def test_an_entry_that_meets_a_mistake_of_ours_fails_alone() -> None:
    def stumble(entries: Sequence[Entry]) -> list[Outcome]:
        if any(entry["name"] == "b" for entry in entries):
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1 / 0")
        return [Done({"name": entry["name"]}) for entry in entries]

    account, told = make_account(), Told(stumble)
    job = keep(account, names("a", "b", "c", "d"), url=URL)
    runner.finish(told.table(), account.pk, now)
    assert told.given == [["a", "b"], ["a"], ["b"], ["c", "d"]]
    shown = {"errors": ["Something went wrong on our side"], "tag": {"name": "b"}}
    assert [(one.entry, json.loads(one.answer)) for one in job.failures.all()] == [(1, shown)]
    assert callback() == {"tags": names("a", "c", "d"), "failures": [shown]}


def test_a_database_that_is_away_fails_nothing() -> None:
    def stumble(entries: Sequence[Entry]) -> list[Outcome]:
        raise OperationalError("server closed the connection unexpectedly")

    account = make_account()
    job = keep(account, names("a"))
    with pytest.raises(OperationalError):
        runner.step(Told(stumble).table(), account.pk, now)
    job.refresh_from_db()
    assert (job.n_done, Batch.objects.count()) == (0, 1)
    runner.finish(operations.ALL, account.pk, now)
    assert Tag.objects.get().name == "a"


@pytest.mark.django_db(transaction=True)
def test_a_deadlock_costs_a_turn() -> None:
    """The batch and somebody else hold what the other needs: whoever is told goes on later."""
    account = make_account()
    first, second = make_subscriber(account), make_subscriber(account)
    tag = make_tag(account)

    def cross(entries: Sequence[Entry]) -> list[Outcome]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT FROM subscribers_subscriber WHERE id = %s FOR UPDATE", [second.pk])
            barrier.wait()
            cursor.execute("SELECT FROM subscribers_subscriber WHERE id = %s FOR UPDATE", [first.pk])
        return [Done() for _ in entries]

    def other() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT FROM subscribers_subscriber WHERE id = %s FOR UPDATE", [first.pk])
            barrier.wait()
            cursor.execute("SELECT FROM subscribers_subscriber WHERE id = %s FOR UPDATE", [second.pk])

    barrier = threading.Barrier(2)
    keep(account, [{"tag_id": tag.pk, "subscriber_id": first.pk}], operations.TAGGINGS)
    table = {operations.TAGGINGS.name: replace(operations.TAGGINGS, do=lambda _, entries, at: cross(entries))}
    parts = iter([lambda: runner.step(table, account.pk, now), other])
    results = together(lambda: next(parts)(), times=2)
    assert True in results  # the batch's turn is over, done or not
    runner.finish(operations.ALL, account.pk, now)
    assert Job.objects.get().ended_at


# --- The end ------------------------------------------------------------------------------------------------------


def callback() -> Any:
    call = Call.objects.get()
    assert (call.url, call.about.split()[0]) == (URL, "bulk")
    return json.loads(bytes(call.body))


def test_the_callback_says_what_a_call_with_few_entries_answers() -> None:
    account = make_account()
    person, tag = make_subscriber(account), make_tag(account)
    asked = {
        operations.SUBSCRIBERS: [
            {"email_address": "a@example.org"},
            {"email_address": "b"},
            None,
            {"email_address": "c@example.org"},
        ],
        operations.TAGS: names("b", "", "a"),
        operations.FIELDS: [{"label": "L"}, {"label": None}, {"label": "l"}],
        operations.TAGGINGS: [{"tag_id": tag.pk, "subscriber_id": person.pk}, {"tag_id": 0, "subscriber_id": None}],
        operations.REMOVED_TAGGINGS: [{"tag_id": tag.pk, "subscriber_id": person.pk}, {"tag_id": 0}],
        operations.DELETED_TAGS: [{"id": tag.pk}, {"id": tag.pk}],
    }
    for operation, entries in asked.items():
        with transaction.atomic():
            at_once = jobs.at_once(operation, account.pk, entries, MONDAY_9)
            transaction.set_rollback(True)
        keep(account, entries, operation, URL)
        runner.finish(operations.ALL, account.pk, now)
        told = callback()
        assert list(told) == list(at_once)
        assert without_new_ids(told) == without_new_ids(json.loads(json.dumps(at_once))), operation.name
        assert Job.objects.get(operation=operation.name).callback == "queued"
        Call.objects.all().delete()


def without_new_ids(answer: Any) -> Any:
    """What was rolled back had other ids."""
    return json.loads(
        json.dumps(answer), object_hook=lambda one: {k: v for k, v in one.items() if k not in ("id", "name")}
    )


def test_without_a_callback_nobody_is_told_and_only_failures_are_kept() -> None:
    account = make_account()
    job = keep(account, names("a", "", "b"))
    runner.finish(operations.ALL, account.pk, now)
    job.refresh_from_db()
    assert (job.n_done, job.n_failed, job.callback, job.ended_at) == (3, 1, "", MONDAY_9)
    assert not Call.objects.exists() and not Batch.objects.exists()
    assert Failure.objects.get().entry == 1


def test_an_answer_that_is_too_large_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "LARGEST_CALLBACK", 100)
    account = make_account()
    keep(account, names(*"abcdefgh"), url=URL)
    runner.finish(operations.ALL, account.pk, now)
    assert Job.objects.get().callback == "too_large"
    assert not Call.objects.exists()
    assert Tag.objects.count() == 8


def test_an_address_that_may_not_be_called_any_more_is_not_called() -> None:
    account = make_account()
    keep(account, names("a"), url="http://127.0.0.1/once-allowed")
    runner.finish(operations.ALL, account.pk, now)
    assert (Job.objects.get().callback, Tag.objects.count(), Call.objects.count()) == ("refused", 1, 0)


def test_old_jobs_go_with_their_failures() -> None:
    account = make_account()
    keep(account, names("a", ""))
    runner.finish(operations.ALL, account.pk, now)
    waiting = keep(account, names("b"))
    prune.everything(MONDAY_9 + timedelta(days=29))
    assert Job.objects.count() == 2
    prune.everything(MONDAY_9 + timedelta(days=31))
    assert list(Job.objects.all()) == [waiting]
    assert not Failure.objects.exists()
