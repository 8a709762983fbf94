"""The database goes back to an hour at which messages were on their way; the world, and the flight logs, do not.

What a log still has counts. What it has forgotten, once that stood in the database, would be taken for never begun:
hence docs/operations/backup.md has the logs removed on a restore."""

import shutil
import threading

import pytest
from django.db import connection

from dripstone import clock
from dripstone.engine import claim, life, rescue
from dripstone.engine.models import Delivery, Enrollment
from dripstone.senders.flight import FlightLog
from tests.crash import doomed
from tests.crash.doomed import Place, planned
from tests.senders.scripted import Script, ScriptedServer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def place(place: Place, server: ScriptedServer) -> Place:
    """Everything was sent and recorded; then a dump is restored that was made when the first body had just left."""

    def reply(number: int, verb: str, argument: str) -> bytes | None:
        if verb == "BODY" and not server.accepted:
            aside = threading.Thread(target=dump)  # Django minds the event loop in ours
            aside.start()
            aside.join()
        return None

    planned(3)
    server.script.reply = reply
    with doomed.worker(doomed.send_a_batch, place) as worker:
        worker.join(60)
    assert [row.status for row in Delivery.objects.all()] == ["sent"] * 3
    restore()
    server.script.reply = Script().reply
    assert [row.status for row in Delivery.objects.all()] == ["sending"] * 3
    return place


TABLES = ("engine_enrollment", "engine_delivery")


def dump() -> None:
    try:
        with connection.cursor() as cursor:
            for table in TABLES:
                cursor.execute(f"CREATE TABLE kept_{table} AS TABLE {table}")
    finally:
        connection.close()


def restore() -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {', '.join(TABLES)} CASCADE")
        for table in TABLES:
            cursor.execute(f"INSERT INTO {table} TABLE kept_{table}; DROP TABLE kept_{table}")


def test_the_flight_logs_tell_what_was_sent_since(server: ScriptedServer, place: Place) -> None:
    life.until_idle()
    assert [row.status for row in Delivery.objects.all()] == ["sent"] * 3
    assert len(server.accepted) == 3
    assert not Enrollment.objects.filter(in_flight=True).exists()


def test_without_them_nothing_is_sent_again_by_itself(server: ScriptedServer, place: Place) -> None:
    shutil.rmtree(place.flights)
    life.until_idle()
    assert [row.status for row in Delivery.objects.all()] == ["sending"] * 3
    rescue.abandoned(place.flights, clock.now() + claim.LEASE)
    life.until_idle()
    assert [row.status for row in Delivery.objects.all()] == ["unknown"] * 3
    assert len(server.accepted) == 3


def test_that_they_forget_is_why_they_go_on_a_restore(server: ScriptedServer, place: Place) -> None:
    """A log that has gone on in a new file since: what was settled is in it no more."""
    for log in place.flights.iterdir():
        log.unlink()
        FlightLog(place.flights, log.stem).close()
    life.until_idle()
    assert len(server.accepted) == 6, "it can say now what has become of them: tell it in docs/operations/backup.md"
