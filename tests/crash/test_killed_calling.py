"""A process is killed while it turns events into calls and makes them, before each of its statements; another goes on.

No event is lost or queued twice. A call whose answer was not recorded is made again, with the same id and body.
"""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from dripstone import clock
from dripstone.accounts.models import Account
from dripstone.calls import send
from dripstone.calls.models import Attempt, Call, Receiver
from dripstone.events import causes
from dripstone.events.models import Number, Numbering, Reader
from dripstone.subscribers import tags
from dripstone.webhooks import endpoints, read, run
from tests.crash import doomed
from tests.crash.doomed import Place
from tests.factories import make_account
from tests.receivers import answer, receiver

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def place(tmp_path: Path, settings: Any) -> Iterator[Place]:
    settings.DRIPSTONE_CALL_HOSTS = frozenset({("127.0.0.1", None)})
    yield Place(connection.settings_dict["NAME"], tmp_path, "memory://calling")
    connection.close()


def story(url: str) -> Account:
    """An endpoint that was made and three events that it has not been told of, in three calls."""
    now, account = clock.now(), make_account()
    events = ["tag.created", "tag.deleted"]
    endpoints.create(account, {"url": url, "events": events}, now)
    tag = tags.create(account.pk, {"name": "A"}, now, cause=causes.API)[0]
    tags.delete(tag, now, cause=causes.API)
    tags.create(account.pk, {"name": "B"}, now, cause=causes.API)
    return account


def dead_leases() -> None:
    """As if a minute had passed since."""
    past = clock.system_now() - timedelta(seconds=1)
    Call.objects.filter(status="sending").update(lease_until=past)
    Receiver.objects.filter(lane_until__isnull=False).update(lane_until=past)


@pytest.mark.parametrize("status", [200, 500])
def test_killed_before_each_statement_of_reading_and_calling(place: Place, status: int) -> None:
    for n_statements in range(1, 200):
        with receiver(answer(status)) as one:
            account = story(one.url)
            connection.close()
            with doomed.worker(doomed.tell_and_die_at, place, n_statements) as worker:
                worker.join(60)
                was_killed = worker.exitcode == -9
            dead_leases()
            run.until_idle(clock.now)
        calls = list(Call.objects.filter(account_id=account.pk).order_by("pk"))
        assert [call.about for call in calls] == ["tag.created", "tag.deleted", "tag.created"], n_statements
        assert {call.status for call in calls} == {"done" if status == 200 else "planned"}
        assert {call.attempt for call in calls} == {1}
        assert Attempt.objects.filter(call__account_id=account.pk).count() == 3
        bodies = list(dict.fromkeys(one.bodies))
        assert bodies == [bytes(call.body) for call in calls], "each came, in order, and none with another body"
        assert not Receiver.objects.filter(account=account, lane_until__gt=clock.system_now()).exists()
        assert Reader.objects.get(pk=read.READER).number == Numbering.objects.get().last == Number.objects.count()
        if not was_killed:
            assert n_statements > 15
            return
    pytest.fail("it does not end")


def test_a_worker_killed_in_the_middle_of_a_call_leaves_it_to_the_next_one(place: Place) -> None:
    """The receiver has the request and has not answered."""
    with receiver(lambda got, sock: sock.recv(1) and None) as one:
        account = story(one.url)
        connection.close()
        with doomed.worker(doomed.tell_and_die_at, place, 10_000) as worker:
            one.wait_for(1)
            doomed.kill(worker)
        assert send.rescue(clock.now()) == 0, "its lease is not over"
        dead_leases()
        one.says = lambda got, sock: answer(200)
        run.until_idle(clock.now)
    assert set(Call.objects.filter(account_id=account.pk).values_list("status", flat=True)) == {"done"}
    assert one.bodies[0] == one.bodies[1] and len(one.bodies) == 4


def test_a_callback_is_asked_for_with_the_rest_or_not_at_all(place: Place) -> None:
    with receiver() as one:
        account = make_account()
        for n_statements in range(1, 50):
            Call.objects.all().delete()
            connection.close()
            with doomed.worker(
                doomed.ask_for_a_callback_and_die_at, place, account.pk, one.url, n_statements
            ) as worker:
                worker.join(60)
                was_killed = worker.exitcode == -9
            n_calls = Call.objects.count()
            is_new = tags.create(account.pk, {"name": f"T{n_statements}"}, clock.now(), cause=causes.API)[1]
            assert (n_calls == 1) == (not is_new), "the work and its callback are one transaction"
            if not was_killed:
                assert n_calls == 1
                return
    pytest.fail("it does not end")
