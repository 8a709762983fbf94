"""A worker is killed in the middle of bulk jobs, before each of its statements: what it had not committed is done
again, and nothing is lost or done twice. So is a web process that keeps a job."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from dripstone import clock
from dripstone.accounts.models import Account
from dripstone.bulk import jobs, operations, runner
from dripstone.bulk.models import Batch, Failure, Job, Line
from dripstone.bulk.outcomes import Operation
from dripstone.calls.models import Call
from dripstone.events.models import Event
from dripstone.subscribers import forms
from dripstone.subscribers.models import FormSubscription, SignUp, Tagging
from tests.crash import doomed
from tests.crash.doomed import Place
from tests.factories import make_account, make_subscriber, make_tag

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    yield Place(connection.settings_dict["NAME"], tmp_path, "memory://bulk")
    connection.close()


def ask(account: Account, now: datetime) -> None:
    """Jobs of each kind that matters, several batches of one entry or two, each with an entry that fails."""
    tag, form = make_tag(account), forms.create(account.pk, {"name": "F", "opt_in": "double"}, now)
    person = make_subscriber(account, state="inactive")
    people = [{"email_address": f"p{n}@example.org"} for n in range(3)]
    keep(account, operations.SUBSCRIBERS, [*people, {"email_address": "nobody"}], "https://example.com/done")
    keep(account, operations.TAGGINGS, [{"tag_id": tag.pk, "subscriber_id": pk} for pk in (person.pk, 0)], "")
    keep(account, operations.ADDITIONS, [{"form_id": form.pk, "subscriber_id": pk} for pk in (person.pk, 0)], "")


def keep(account: Account, operation: Operation, entries: list[Any], url: str) -> None:
    """Two entries in a batch: the worker finds them so."""
    operation = replace(operation, at_a_time=2)
    jobs.keep(operation, account.pk, entries, url, clock.now(), n_bytes=1_000, asked_by="a test")


def seen(account: Account) -> list[Any]:
    """All that the jobs may leave."""
    of_account = {"account": account}
    return [
        list(account.subscribers.order_by("email_address").values_list("email_address", flat=True))[:3],
        Tagging.objects.filter(tag__account=account).count(),
        list(FormSubscription.objects.filter(form__account=account).values_list("is_unconfirmed", flat=True)),
        SignUp.objects.filter(form__account=account).count(),
        sorted(Event.objects.filter(account_id=account.pk).values_list("type", flat=True)),
        list(Job.objects.filter(**of_account).order_by("pk").values_list("n_done", "n_failed", "callback")),
        list(Failure.objects.filter(job__account=account).order_by("pk").values_list("entry", flat=True)),
        Batch.objects.filter(job__account=account).count(),
        list(Line.objects.filter(**of_account).values_list("n_jobs", "n_bytes")),
        [
            (
                [one["email_address"] for one in json.loads(bytes(body))["subscribers"]],
                len(json.loads(bytes(body))["failures"]),
            )
            for body in Call.objects.filter(account_id=account.pk).values_list("body", flat=True)
        ],
    ]


def test_a_worker_is_killed_before_any_statement(place: Place) -> None:
    expected: Any = None
    for n_statements in range(1, 300):
        account = make_account()
        ask(account, clock.now())
        connection.close()
        with doomed.worker(doomed.do_in_bulk_and_die_at, place, account.pk, n_statements) as worker:
            worker.join(60)
            was_killed = worker.exitcode == -9
        runner.finish(operations.ALL, account.pk, clock.now)
        expected = expected or seen(account)
        assert seen(account) == expected
        if not was_killed:
            break
    else:
        pytest.fail("it does not end")
    assert expected[5:9] == [[(4, 1, "queued"), (2, 1, ""), (2, 1, "")], [3, 1, 1], 0, [(0, 0)]]
    assert expected[9] == [(["p0@example.org", "p1@example.org", "p2@example.org"], 1)]


def test_a_job_is_kept_whole_or_not_at_all(place: Place) -> None:
    for n_statements in range(1, 50):
        account = make_account()
        connection.close()
        with doomed.worker(doomed.ask_in_bulk_and_die_at, place, account.pk, 1_200, n_statements) as worker:
            worker.join(60)
            was_killed = worker.exitcode == -9
        n_batches = Batch.objects.filter(job__account=account).count()
        n_jobs = Line.objects.filter(account=account).values_list("n_jobs", flat=True).first() or 0
        assert (n_batches, n_jobs) in ((0, 0), (3, 1))
        if not was_killed:
            assert (n_batches, n_jobs) == (3, 1)
            return
    pytest.fail("it does not end")
