"""`dripstone up` for real: its own database, its own processes, the signals an operator sends."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import psycopg
import pytest

from dripstone import embedded
from tests.crash.doomed import until

READY = "Ctrl-C stops everything"


class Machine:
    """A data folder, a port, and the `dripstone up` on them."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.started: list[subprocess.Popen[str]] = []
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]

    def up(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "dripstone", "up", "--no-demo"],
            env={
                "PATH": os.environ["PATH"],
                "DRIPSTONE_DATA": str(self.data),
                "DRIPSTONE_PORT": str(self.port),
                "DRIPSTONE_INBOX_PORT": "0",
                "DRIPSTONE_WORKERS": "1",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.started.append(process)
        return process

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command beside the running server, without a terminal."""
        return subprocess.run(
            [sys.executable, "-m", "dripstone", *arguments],
            env={"PATH": os.environ["PATH"], "DRIPSTONE_DATA": str(self.data)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def post(self, key: str, path: str, body: dict[str, object]) -> dict[str, Any]:
        """Asks again after a 503 or no answer, as a client does: one may still wait when the database is back."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/v4{path}",
            json.dumps(body).encode(),
            {"X-Kit-Api-Key": key, "Content-Type": "application/json"},
        )
        answers: list[dict[str, Any]] = []

        def is_answered() -> bool:
            try:
                with urllib.request.urlopen(request, timeout=10) as response:
                    answers.append(json.load(response))
            except urllib.error.HTTPError as refused:
                if refused.code != 503:
                    raise
            except TimeoutError:  # this database is read from end to end after a kill, beside other tests
                pass
            return bool(answers)

        until(is_answered)
        return answers[0]

    def execute(self, statement: str) -> None:
        with psycopg.connect(embedded.url(self.data), autocommit=True) as connection:
            connection.execute(statement.encode())

    def health(self) -> int:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=5) as response:
            status: int = response.status
        return status


@pytest.fixture
def machine() -> Iterator[Machine]:
    with TemporaryDirectory(prefix="dripstone-test-", dir="/tmp") as folder:
        machine = Machine(Path(folder) / "data")
        yield machine
        for process in machine.started:
            if process.poll() is None:  # the test has failed
                process.terminate()
                rest(process)


def wait_until_ready(process: subprocess.Popen[str]) -> str:
    """Everything it says until it is ready."""
    said = ""
    assert process.stdout is not None
    for line in process.stdout:
        said += line
        if READY in line:
            return said
    pytest.fail(f"ended before it was ready: {said}")


def rest(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    with process.stdout:
        said = process.stdout.read()
    process.wait(15)
    return said


def test_it_starts_stops_and_survives_being_killed(machine: Machine) -> None:
    """One story, because each start takes seconds."""
    first = machine.up()
    said = wait_until_ready(first)
    assert f"http://127.0.0.1:{machine.port}" in said
    assert '"level": "error"' not in said  # waiting until it is ready is no fault
    assert machine.health() == 200
    family = psutil.Process(first.pid).children(recursive=True)
    assert len(family) >= 3  # web, its server, one worker

    second = machine.up()
    said = rest(second)
    assert second.returncode == 1
    assert f"Port {machine.port} on 127.0.0.1 is in use" in said

    first.send_signal(signal.SIGINT)
    rest(first)
    assert first.returncode == 0
    assert not psutil.wait_procs(family, timeout=5)[1]
    assert embedded._postmaster(machine.data / "postgres") is None

    third = machine.up()
    wait_until_ready(third)
    family = psutil.Process(third.pid).children(recursive=True)
    third.kill()
    rest(third)
    assert not psutil.wait_procs(family, timeout=10)[1], "orphans"
    assert embedded._postmaster(machine.data / "postgres") is not None  # it waits for the next start

    fourth = machine.up()
    wait_until_ready(fourth)
    assert machine.health() == 200
    fourth.terminate()
    rest(fourth)
    assert fourth.returncode == 0


def course(machine: Machine, delay_value: int, delay_unit: str) -> tuple[str, int]:
    """An account with a sequence of one email: its key, and the sequence's id."""
    made = machine.run("accounts", "create", "--name", "Alice", "--email", "alice@example.com", "--json")
    key: str = json.loads(made.stdout)["api_key"]
    sequence: int = machine.post(key, "/sequences", {"name": "Course"})["sequence"]["id"]
    delay = {"delay_value": delay_value, "delay_unit": delay_unit}
    email = {"subject": "One", "content": "<p>Hi</p>", "published": True, **delay}
    machine.post(key, f"/sequences/{sequence}/emails", email)
    return key, sequence


def enter(machine: Machine, key: str, sequence: int, email_address: str) -> None:
    machine.post(key, "/subscribers", {"email_address": email_address})
    machine.post(key, f"/sequences/{sequence}/subscribers", {"email_address": email_address})


def somebody_waits(machine: Machine) -> None:
    """An account with a person whose first email goes in an hour."""
    key, sequence = course(machine, 1, "hours")
    enter(machine, key, sequence, "bob@example.org")


def test_after_a_long_silence_it_asks_before_it_mails_the_past(machine: Machine) -> None:
    first = machine.up()
    wait_until_ready(first)
    somebody_waits(machine)
    first.terminate()
    rest(first)
    with embedded.running(machine.data):  # three days pass
        machine.execute("UPDATE engine_pulse SET beat_at = beat_at - interval '3 days'")
        machine.execute("UPDATE engine_enrollment SET due_at = due_at - interval '3 days'")

    second = machine.up()
    said = wait_until_ready(second)
    assert "1 email is overdue" in said
    assert "To decide: dripstone resume-sending --late" in said  # without a terminal nobody can be asked
    with pytest.raises(urllib.error.HTTPError, match="503"):
        machine.health()
    undecided = machine.run("resume-sending")
    assert undecided.returncode == 1
    assert "treat every overdue email as sent" in undecided.stderr
    assert "1 email was skipped. Sending goes on." in machine.run("resume-sending", "--late", "skip").stderr
    assert machine.health() == 200
    assert "nothing to decide" in machine.run("resume-sending", "--late", "send").stderr
    second.terminate()
    rest(second)
    assert second.returncode == 0


def test_a_database_that_was_killed_is_started_again_and_mail_flows(machine: Machine) -> None:
    process = machine.up()
    wait_until_ready(process)
    key, sequence = course(machine, 0, "days")
    enter(machine, key, sequence, "bob@example.org")
    until(lambda: captured(machine) == ["bob@example.org"])
    killed = embedded._postmaster(machine.data / "postgres")
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    until(lambda: embedded._postmaster(machine.data / "postgres") not in (None, killed))
    until(lambda: is_well(machine))
    enter(machine, key, sequence, "carol@example.org")
    until(lambda: "carol@example.org" in captured(machine))
    process.terminate()
    said = rest(process)
    assert process.returncode == 0, said
    assert said.count("database_ended") == said.count("database_started_again") == 1
    assert "process_ended" not in said  # the others were not touched
    assert embedded._postmaster(machine.data / "postgres") is None  # who leaves last still stops it


@pytest.mark.parametrize("part", ["server", "process"])
def test_a_web_process_that_was_killed_is_started_again(machine: Machine, part: str) -> None:
    """Once the server that `up` has started, which takes its processes with it; once a process of that server."""
    up = machine.up()
    wait_until_ready(up)
    before = listening(machine, up)
    [server] = {process.ppid() for process in before}
    others = {child.pid for child in psutil.Process(up.pid).children()} - {server}
    psutil.Process(server if part == "server" else before[0].pid).kill()

    def is_whole_again() -> bool:
        now = listening(machine, up)
        return before[0] not in now and len(now) == len(before)

    until(is_whole_again)
    assert machine.health() == 200
    children = {child.pid for child in psutil.Process(up.pid).children()}
    assert (server in children) == (part == "process")
    assert others < children  # workers and the database's keeper were not touched
    up.terminate()
    said = rest(up)
    assert up.returncode == 0, said
    assert said.count("process_ended") == (1 if part == "server" else 0), said


def listening(machine: Machine, up: subprocess.Popen[str]) -> list[psutil.Process]:
    """The processes that answer requests."""
    found = []
    for process in psutil.Process(up.pid).children(recursive=True):
        with suppress(psutil.Error):  # it has ended meanwhile
            ports = {one.laddr.port for one in process.net_connections("tcp")}
            if machine.port in ports and process.ppid() != up.pid:
                found.append(process)
    return found


def test_told_to_stop_while_the_database_is_dead_it_stops(machine: Machine) -> None:
    process = machine.up()
    wait_until_ready(process)
    killed = embedded._postmaster(machine.data / "postgres")
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    process.terminate()
    rest(process)
    assert process.returncode == 0
    assert embedded._postmaster(machine.data / "postgres") is None


def captured(machine: Machine) -> list[str]:
    """Who got mail, in order."""
    with psycopg.connect(embedded.url(machine.data)) as connection:
        rows = connection.execute('SELECT "to" FROM senders_capturedmessage ORDER BY id').fetchall()
    return [str(address) for (address,) in rows]


def is_well(machine: Machine) -> bool:
    try:
        return machine.health() == 200
    except OSError:  # 503, or no answer: it waits for the database, too
        return False
