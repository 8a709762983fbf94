"""`dripstone up` for real: its own database, its own processes, the signals an operator sends."""

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest

from dripstone import embedded

READY = "Ctrl-C stops everything"


class Machine:
    """A data folder, a port, and the `dripstone up` on them."""

    def __init__(self, data: Path) -> None:
        self.data = data
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]

    def up(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
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

    def health(self) -> int:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=5) as response:
            status: int = response.status
        return status


@pytest.fixture
def machine() -> Iterator[Machine]:
    with TemporaryDirectory(prefix="dripstone-test-", dir="/tmp") as folder:
        yield Machine(Path(folder) / "data")


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
