"""A web process is killed while it carries out a call with an `Idempotency-Key`, and the client sends it again."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from dripstone.accounts.models import Account, KeptAnswer
from dripstone.engine.models import Enrollment
from dripstone.events.models import Event
from dripstone.sequences.models import Sequence
from dripstone.subscribers.models import Subscriber
from tests.crash import doomed
from tests.crash.doomed import Place
from tests.crash.proxy import dropping_the_answer_to
from tests.factories import make_account, make_key, make_sequence, make_subscriber

pytestmark = pytest.mark.django_db(transaction=True)

Call = tuple[str, dict[str, Any]]


@pytest.fixture
def here(tmp_path: Path) -> Place:
    return Place(connection.settings_dict["NAME"], tmp_path, "memory://nowhere")


def entry(account: Account) -> Call:
    sequence = make_sequence(account, {"delay_value": 0})
    return f"/v4/sequences/{sequence.pk}/subscribers/{make_subscriber(account).pk}", {}


def creation(account: Account) -> Call:
    return "/v4/sequences", {"name": "Course"}


def done() -> tuple[int, ...]:
    """What calls like these leave."""
    return tuple(model.objects.count() for model in (Subscriber, Sequence, Enrollment, Event))


def send(path: str, body: dict[str, Any], headers: dict[str, str]) -> Any:
    return Client().post(path, body, content_type="application/json", headers=headers)


def send_until_it_is_dead(path: str, body: dict[str, Any], headers: dict[str, str]) -> None:
    """For PostgreSQL too, which holds its locks until then."""
    doomed.until(lambda: send(path, body, headers).status_code != 409)


@pytest.mark.parametrize("making", [entry, creation], ids=lambda making: making.__name__)
def test_before_any_statement(making: Callable[[Account], Call], here: Place) -> None:
    """Nothing is done and nothing is kept, or all of it. Either way the repeat is answered as done, and done once."""
    outcomes = []
    for n_statements in range(1, 100):
        account = make_account()
        path, body = making(account)
        headers = {"X-Kit-Api-Key": make_key(account)[1], "Idempotency-Key": "a"}
        before = done()
        connection.close()
        with doomed.worker(doomed.call_and_die_at, here, path, body, headers, n_statements) as worker:
            worker.join(60)
            was_killed = worker.exitcode == -9
        was_kept = KeptAnswer.objects.filter(account=account).exists()
        assert was_kept == (done() != before)
        send_until_it_is_dead(path, body, headers)
        after = done()
        again = send(path, body, headers)
        assert (again.status_code, again["Idempotent-Replayed"]) == (201, "true")
        assert done() == after
        outcomes.append(was_kept)
        if not was_killed:
            break
    assert outcomes == sorted(outcomes)
    assert set(outcomes) == {False, True}


def test_when_the_answer_to_its_commit_is_lost(here: Place) -> None:
    """The client hears of a failure, or of nothing, and it is done."""
    account = make_account()
    path, body = creation(account)
    headers = {"X-Kit-Api-Key": make_key(account)[1], "Idempotency-Key": "a"}
    connection.close()
    with dropping_the_answer_to(b'INSERT INTO "accounts_keptanswer"', b"COMMIT") as proxy:
        with doomed.worker(
            doomed.call_and_die_at, replace(here, port=proxy.port), path, body, headers, 1_000
        ) as worker:
            worker.join(60)
        assert proxy.has_dropped
    assert Sequence.objects.count() == 1
    again = send(path, body, headers)
    assert (again.status_code, again["Idempotent-Replayed"]) == (201, "true")
    assert Sequence.objects.count() == 1
