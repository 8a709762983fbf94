"""PostgreSQL has committed, and the answer is lost: nobody can know. Nothing is lost by that, nothing doubled."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from dripstone import clock
from dripstone.engine.models import Delivery, Enrollment
from tests.crash import doomed
from tests.crash.doomed import Place, planned
from tests.crash.proxy import dropping_the_answer_to
from tests.factories import make_account, make_enrollment, make_sequence, make_subscriber
from tests.senders.scripted import ScriptedServer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def place(server: ScriptedServer, tmp_path: Path, settings: Any) -> Place:
    return Place(connection.settings_dict["NAME"], tmp_path, server.url)


def test_of_a_plan(place: Place) -> None:
    account = make_account()
    sequence = make_sequence(account, {"delay_value": 0})
    for _ in range(5):
        make_enrollment(sequence, make_subscriber(account), clock.now())
    connection.close()
    with dropping_the_answer_to(b"INSERT INTO engine_delivery", b"COMMIT") as proxy:
        with doomed.worker(doomed.plan_though_the_database_fails_once, replace(place, port=proxy.port)) as worker:
            worker.join(60)
        assert worker.exitcode == 0
        assert proxy.has_dropped
    assert list(Delivery.objects.values_list("status", flat=True)) == ["planned"] * 5
    assert Enrollment.objects.filter(in_flight=True).count() == 5


@pytest.mark.parametrize(
    "needles",
    [[b"SET status = 'sending', attempt"], [b"SET status = u.status", b"COMMIT"]],
    ids=["of a claim", "of what was recorded"],
)
def test_of_a_batch(server: ScriptedServer, place: Place, needles: list[bytes]) -> None:
    planned(5)
    with dropping_the_answer_to(*needles) as proxy:
        with doomed.worker(doomed.send_though_the_database_fails_once, replace(place, port=proxy.port)) as worker:
            worker.join(60)
        assert worker.exitcode == 0
        assert proxy.has_dropped
    assert list(Delivery.objects.values_list("status", flat=True)) == ["sent"] * 5
    assert len(server.accepted) == len({taken.rcpt_to for taken in server.accepted}) == 5
    assert not Enrollment.objects.filter(in_flight=True).exists()
