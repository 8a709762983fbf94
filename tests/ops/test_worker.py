"""`dripstone worker` for real: told to stop, killed, and its database taken away, while mail is on the wire.
And `dripstone web`, whose database is taken away too."""

import http.client
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import connection

from dripstone import clock
from dripstone.engine import plan, wake
from dripstone.engine.models import Delivery
from tests.crash.doomed import planned, until
from tests.factories import make_enrollment, make_subscriber
from tests.senders.helpers import free_port
from tests.senders.scripted import SILENCE, Script, ScriptedServer, scripted

pytestmark = pytest.mark.django_db(transaction=True)

N_PEOPLE = 40
CONNECTIONS = 2


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """It does not answer a body before `answer_everybody`. Without PIPELINING, so that nothing is behind one."""

    def reply(number: int, verb: str, argument: str) -> bytes | None:
        return SILENCE if verb == "BODY" else None

    with scripted(Script(reply=reply, extensions=("8BITMIME",))) as server:
        yield server


def answer_everybody(server: ScriptedServer) -> None:
    server.script.reply = Script().reply
    server.say_on_all(b"250 2.0.0 Ok\r\n")


@contextmanager
def worker(server: ScriptedServer, data: Path) -> Iterator["subprocess.Popen[bytes]"]:
    with dripstone("worker", data, DRIPSTONE_MAIL_URL=f"{server.url}&connections={CONNECTIONS}") as process:
        yield process


@contextmanager
def dripstone(command: str, data: Path, **environment: str) -> "Iterator[subprocess.Popen[bytes]]":
    """Sees the test's database. Killed after the block, if it has not ended."""
    database = connection.settings_dict
    address = f"postgresql://{database['USER']}@/{database['NAME']}?host={database['HOST']}&port={database['PORT']}"
    with subprocess.Popen(
        [sys.executable, "-m", "dripstone", command],
        env={
            "PATH": os.environ["PATH"],
            "DATABASE_URL": address,
            "PGPASSWORD": database["PASSWORD"],
            "DRIPSTONE_DATA": str(data),
            "DRIPSTONE_LOG_LEVEL": "warning",
            **environment,
        },
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def statuses() -> dict[str, int]:
    found = list(Delivery.objects.values_list("status", flat=True))
    return {status: found.count(status) for status in set(found)}


def n_on_the_wire(server: ScriptedServer) -> int:
    return len(server.started)


def test_told_to_stop_it_finishes_what_is_on_the_wire_and_gives_back_the_rest(
    server: ScriptedServer, tmp_path: Path
) -> None:
    planned(N_PEOPLE)
    with worker(server, tmp_path) as process:
        until(lambda: n_on_the_wire(server) == CONNECTIONS)
        process.terminate()
        until(lambda: not n_listening())  # it has begun to stop
        assert process.poll() is None
        server.say_on_all(b"250 2.0.0 Ok\r\n")
        assert process.wait(10) == 0
    assert statuses() == {"planned": N_PEOPLE - CONNECTIONS, "sent": CONNECTIONS}
    assert n_on_the_wire(server) == CONNECTIONS
    given_back = Delivery.objects.filter(status="planned")
    assert set(given_back.values_list("reason", flat=True)) == {"sender closed"}
    assert given_back.filter(ready_at__gt=clock.now()).count() == 0


def test_a_server_that_does_not_answer_does_not_keep_it_from_stopping(server: ScriptedServer, tmp_path: Path) -> None:
    planned(N_PEOPLE)
    with worker(server, tmp_path) as process:
        until(lambda: n_on_the_wire(server) == CONNECTIONS)
        process.terminate()
        assert process.wait(15) == 0  # 7 s on a quiet machine; its own alarm is set to 9.5
    assert statuses() == {"planned": N_PEOPLE - CONNECTIONS, "unknown": CONNECTIONS}


def test_its_connections_to_the_database_are_cut_and_it_goes_on(server: ScriptedServer, tmp_path: Path) -> None:
    sequence = planned(N_PEOPLE)
    with worker(server, tmp_path) as process:
        until(lambda: n_on_the_wire(server) == CONNECTIONS)
        cut_all_connections()
        answer_everybody(server)
        until(lambda: statuses() == {"sent": N_PEOPLE})

        for _ in range(5):  # the queue and the listener are back as well
            make_enrollment(sequence, make_subscriber(sequence.account), clock.now())
        plan.everything_due(clock.now())
        wake.engine()
        until(lambda: statuses() == {"sent": N_PEOPLE + 5})
        assert process.poll() is None
    recipients = [taken.rcpt_to for taken in server.accepted]
    assert len(recipients) == len(set(recipients))


def n_listening() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query ~ '^LISTEN'")
        return int(cursor.fetchone()[0])


def cut_all_connections() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def test_killed_and_started_again_it_settles_at_once_what_it_held(server: ScriptedServer, tmp_path: Path) -> None:
    planned(N_PEOPLE)
    with worker(server, tmp_path) as first:
        until(lambda: n_on_the_wire(server) == CONNECTIONS)
        first.kill()
        first.wait()
    server.script.reply = Script().reply
    with worker(server, tmp_path):
        until(lambda: statuses() == {"unknown": CONNECTIONS, "sent": N_PEOPLE - CONNECTIONS})
    recipients = [taken.rcpt_to for taken in server.accepted]
    assert len(recipients) == len(set(recipients))


def test_web_answers_again_after_its_connections_were_cut(tmp_path: Path) -> None:
    port = free_port()
    with dripstone("web", tmp_path, DRIPSTONE_PORT=str(port)) as process:
        until(lambda: is_well(port))
        for _ in range(3):
            cut_all_connections()
            assert is_well(port)
        process.terminate()
        assert process.wait(10) == 0


def is_well(port: int) -> bool:
    """No worker runs, which /healthz may say; of the database it must say nothing."""
    web = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        web.request("GET", "/healthz", headers={"Host": "localhost"})
        return b"database does not answer" not in web.getresponse().read()
    except OSError:
        return False
    finally:
        web.close()
