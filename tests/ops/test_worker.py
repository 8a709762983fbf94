"""`dripstone worker` for real: told to stop, killed, and its database taken away, while mail is on the wire; and
started before the database is there. And `dripstone web`, whose database is taken away too."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from django.db import connection

from dripstone import clock
from dripstone.engine import plan, wake
from dripstone.engine.models import Delivery
from dripstone.ops.worker import Worker
from tests.crash.doomed import planned, until
from tests.crash.proxy import Proxy
from tests.factories import make_enrollment, make_subscriber
from tests.senders.helpers import free_port
from tests.senders.scripted import Script, ScriptedServer

pytestmark = pytest.mark.django_db(transaction=True)

N_PEOPLE = 40
CONNECTIONS = 2


def answer_everybody(server: ScriptedServer) -> None:
    server.script.reply = Script().reply
    server.say_on_all(b"250 2.0.0 Ok\r\n")


@contextmanager
def worker(server: ScriptedServer, data: Path) -> Iterator["subprocess.Popen[bytes]"]:
    with dripstone("worker", data, DRIPSTONE_MAIL_URL=f"{server.url}&connections={CONNECTIONS}") as process:
        yield process


@contextmanager
def dripstone(
    command: str, data: Path, *, stderr: int = subprocess.DEVNULL, **environment: str
) -> "Iterator[subprocess.Popen[bytes]]":
    """Sees the test's database. Killed after the block, if it has not ended."""
    database = connection.settings_dict
    at = f"postgresql://{database['USER']}@/{database['NAME']}?host={database['HOST']}&port={database['PORT']}"
    with subprocess.Popen(
        [sys.executable, "-m", "dripstone", command],
        env={
            "PATH": os.environ["PATH"],
            "DATABASE_URL": at,
            "PGPASSWORD": database["PASSWORD"],
            "DRIPSTONE_DATA": str(data),
            "DRIPSTONE_LOG_LEVEL": "warning",
            **environment,
        },
        stderr=stderr,
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
    assert set(given_back.values_list("reason", flat=True)) == {"sender_closed"}
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


# --- Started before the database is there -----------------------------------------------------------------------

WAITS = b"Waiting for PostgreSQL, which does not answer yet: "


@contextmanager
def early(command: str, data: Path, port: int, **environment: str) -> "Iterator[subprocess.Popen[bytes]]":
    """Its database is to be found at a port of 127.0.0.1, sooner or later."""
    at = address(f"127.0.0.1:{port}")
    with dripstone(command, data, stderr=subprocess.PIPE, DATABASE_URL=at, **environment) as process:
        yield process


def address(where: str, **parts: str) -> str:
    found = connection.settings_dict | parts
    return f"postgresql://{found['USER']}@{where}/{found['NAME']}?sslmode=disable&gssencmode=disable"


def first_line(process: "subprocess.Popen[bytes]") -> bytes:
    assert process.stderr is not None
    return process.stderr.readline()


def rest(process: "subprocess.Popen[bytes]") -> bytes:
    assert process.stderr is not None
    return process.stderr.read()


def test_a_worker_waits_for_the_database_and_then_sends(server: ScriptedServer, tmp_path: Path) -> None:
    planned(N_PEOPLE)
    answer_everybody(server)
    port = free_port()
    with early("worker", tmp_path, port, DRIPSTONE_MAIL_URL=server.url) as process:
        said = first_line(process)
        assert said.startswith(WAITS) and b"Connection refused" in said
        with closing(Proxy(port=port)):
            until(lambda: statuses() == {"sent": N_PEOPLE})
            process.terminate()
            assert process.wait(10) == 0
        assert WAITS not in rest(process)  # it said so once


def test_web_waits_for_the_database_and_then_answers(tmp_path: Path) -> None:
    port, database_port = free_port(), free_port()
    with early("web", tmp_path, database_port, DRIPSTONE_PORT=str(port)) as process:
        assert first_line(process).startswith(WAITS)
        with closing(Proxy(port=database_port)):
            until(lambda: is_well(port))
            process.terminate()
            assert process.wait(10) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_waits_no_longer(tmp_path: Path, number: signal.Signals) -> None:
    with early("worker", tmp_path, free_port()) as process:
        first_line(process)
        process.send_signal(number)
        assert process.wait(5) == 0


def test_a_server_that_swallows_everything_does_not_keep_it_from_stopping(tmp_path: Path) -> None:
    silent = socket.create_server(("127.0.0.1", 0))
    with silent, early("worker", tmp_path, silent.getsockname()[1]) as process:
        asked, _ = silent.accept()
        with asked:
            process.terminate()
            assert process.wait(3) == 0  # a try takes 5 s


def test_a_server_that_is_starting_is_waited_for(tmp_path: Path) -> None:
    with refusing("57P03", "the database system is starting up") as port, early("worker", tmp_path, port) as process:
        assert b"the database system is starting up" in first_line(process)
        process.terminate()
        assert process.wait(5) == 0


def test_a_wrong_password_is_not_waited_for(tmp_path: Path) -> None:
    said = 'password authentication failed for user "drip"'
    with refusing("28P01", said) as port, early("worker", tmp_path, port) as process:
        assert process.wait(20) == 1
        assert b"The database cannot be used: " in first_line(process)


@pytest.mark.parametrize("command", ["worker", "web"])
def test_a_database_that_does_not_exist_is_not_waited_for(tmp_path: Path, command: str) -> None:
    with closing(Proxy()) as proxy:
        nowhere = address(f"127.0.0.1:{proxy.port}", NAME="nowhere")
        with dripstone(command, tmp_path, stderr=subprocess.PIPE, DATABASE_URL=nowhere) as process:
            assert process.wait(20) == 1
            said = first_line(process)
            assert said.startswith(b"dripstone: The database cannot be used: ")
            assert b'database "nowhere" does not exist' in said + rest(process)


def test_a_database_without_our_tables_is_not_waited_for(tmp_path: Path) -> None:
    with closing(Proxy()) as proxy:
        empty = address(f"127.0.0.1:{proxy.port}", NAME="template1")
        with dripstone("worker", tmp_path, stderr=subprocess.PIPE, DATABASE_URL=empty) as process:
            assert process.wait(20) == 1
            assert b"run dripstone migrate" in first_line(process)


@contextmanager
def refusing(code: str, sentence: str) -> Iterator[int]:
    """A PostgreSQL that lets nobody in, and says why. Yields its port."""
    fields = f"SFATAL\0VFATAL\0C{code}\0M{sentence}\0\0".encode()
    answer = b"E" + (len(fields) + 4).to_bytes(4, "big") + fields

    def refuse() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                client.recv(4096)
                client.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=refuse, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def test_a_look_says_which_start_of_the_database_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """So a restart between two looks is noticed, when none of them met a database that was away."""
    looking = Worker()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_postmaster_start_time()")
        (started_at,) = cursor.fetchone()
    assert looking._look() == looking._look() == started_at
    connection.close()
    monkeypatch.setitem(connection.settings_dict, "PORT", str(free_port()))
    assert looking._look() is None
