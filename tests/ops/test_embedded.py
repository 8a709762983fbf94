import os
import signal
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest

from dripstone import embedded
from tests.crash.doomed import until


@pytest.fixture
def data() -> Iterator[Path]:
    """A data folder with a space in its path. Not tmp_path: its parents are closed to the server's user."""
    with TemporaryDirectory(prefix="dripstone test ", dir="/tmp") as folder:
        yield Path(folder) / "data"


def pid(data: Path) -> int | None:
    return embedded._postmaster(data / "postgres")


def answer(data: Path) -> int:
    with psycopg.connect(embedded.url(data)) as connection:
        row = connection.execute("SELECT 42").fetchone()
    assert row is not None
    return int(row[0])


def test_it_runs_while_somebody_uses_it_and_no_longer(data: Path) -> None:
    with embedded.running(data):
        assert answer(data) == 42
        with embedded.running(data):
            first = pid(data)
        assert pid(data) == first is not None  # the inner one was not the last
    assert pid(data) is None


def test_it_recovers_from_a_kill(data: Path) -> None:
    with embedded.running(data):
        with psycopg.connect(embedded.url(data), autocommit=True) as connection:
            connection.execute("CREATE TABLE kept (n int)")
            connection.execute("INSERT INTO kept VALUES (7)")
        killed = pid(data)
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        with embedded.running(data), psycopg.connect(embedded.url(data)) as connection:
            assert connection.execute("SELECT n FROM kept").fetchone() == (7,)


def test_a_server_that_died_is_started_again_for_those_who_use_it(data: Path) -> None:
    with embedded.running(data):
        assert not embedded.is_dead(data)
        first = pid(data)
        assert first is not None
        embedded.revive(data)
        assert pid(data) == first  # somebody was faster
        os.kill(first, signal.SIGKILL)
        until(lambda: embedded.is_dead(data))
        embedded.revive(data)
        assert answer(data) == 42
    assert pid(data) is None


def test_a_stale_process_id_of_somebody_else_does_not_fool_it(data: Path) -> None:
    with embedded.running(data):
        pass
    lines = [str(os.getpid()), str(data / "postgres"), "1", "5432", "", "", "0 0", "ready"]
    (data / "postgres" / "postmaster.pid").write_text("\n".join(lines))
    with embedded.running(data):
        assert answer(data) == 42


def test_a_path_too_long_for_a_socket_gets_a_short_one(data: Path) -> None:
    long = data / ("x" * 60) / ("y" * 60)
    long.mkdir(parents=True)
    assert len(embedded.url(long)) < 90
    with embedded.running(long):
        assert answer(long) == 42
    folder = embedded._socket_folder(long / "postgres")
    assert folder.stat().st_mode & 0o077 == 0
    folder.rmdir()


def test_data_of_another_version_is_refused_with_a_sentence(data: Path) -> None:
    (data / "postgres").mkdir(parents=True)
    (data / "postgres" / "PG_VERSION").write_text("15\n")
    with pytest.raises(embedded.EmbeddedError, match="PostgreSQL 15"), embedded.running(data):
        pass


def test_a_half_made_cluster_is_made_again(data: Path) -> None:
    (data / "postgres.new").mkdir(parents=True)
    (data / "postgres.new" / "leftover").touch()
    with embedded.running(data):
        assert answer(data) == 42
