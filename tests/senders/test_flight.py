import multiprocessing
import os
import signal
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dripstone.senders import flight
from dripstone.senders.flight import FlightLog
from tests.senders.doomed import fly_until_killed
from tests.senders.helpers import BODY, handed_over, outgoing, smtp_sender
from tests.senders.scripted import CUT, Script, scripted


def test_it_remembers_what_had_started_and_how_it_ended(tmp_path: Path) -> None:
    log = FlightLog(tmp_path, "host-1-abc")
    log.started(1, 1)
    log.started(2, 3)
    log.ended(1, 1, "sent")
    assert flight.read(tmp_path).flights == {(1, 1): "sent", (2, 3): "started"}
    log.close()


def test_a_held_line_goes_with_the_next_one_and_before_it(tmp_path: Path) -> None:
    log = FlightLog(tmp_path, "w")
    log.started(1, 1)
    log.ended(1, 1, "sent", is_held=True)
    assert flight.read(tmp_path).flights == {(1, 1): "started"}
    log.started(2, 1)
    assert flight.read(tmp_path).flights == {(1, 1): "sent", (2, 1): "started"}
    log.ended(2, 1, "temporary", is_held=True)
    log.flush()
    assert flight.read(tmp_path).flights == {(1, 1): "sent", (2, 1): "temporary"}
    log.close()


def test_a_held_line_survives_a_new_file(tmp_path: Path) -> None:
    """With room for three lines: the held one and the one it goes with do not fit behind the first two."""
    log = FlightLog(tmp_path, "w", n_bytes=flight.HEADER_BYTES + 4 * flight.LINE_BYTES)
    for n in (1, 2, 3):
        log.started(n, 1)
    log.ended(1, 1, "sent", is_held=True)
    log.settled([(3, 1)])
    log.started(4, 1)
    assert flight.read(tmp_path).flights == {(1, 1): "sent", (2, 1): "started", (4, 1): "started"}
    log.close()


def test_the_smtp_sender_leaves_no_reply_unwritten(tmp_path: Path) -> None:
    """The last one of a connection, after which no body takes the line along."""
    log = FlightLog(tmp_path, "w")
    with scripted() as server, smtp_sender(server.url, connections=2, flight=log) as sender:
        list(handed_over(sender, [outgoing(n) for n in range(5)]))
    assert flight.read(tmp_path).flights == {(n, 1): "sent" for n in range(5)}
    log.close()


def test_two_workers_do_not_disturb_each_other(tmp_path: Path) -> None:
    one, two = FlightLog(tmp_path, "one"), FlightLog(tmp_path, "two")
    one.started(1, 1)
    two.started(1, 2)
    two.ended(1, 2, "permanent")
    assert flight.read(tmp_path).flights == {(1, 1): "started", (1, 2): "permanent"}
    one.close()
    two.close()


def test_it_stays_small_and_keeps_what_is_in_the_air(tmp_path: Path) -> None:
    log = FlightLog(tmp_path, "w", n_bytes=2048)
    log.started(1, 1)
    for n in range(2, 2000):
        log.started(n, 1)
        log.ended(n, 1, "sent")
        log.settled([(n, 1)])
    flights = flight.read(tmp_path).flights
    assert flights[1, 1] == "started"
    assert flights[1999, 1] == "sent"
    assert [path.stat().st_size for path in tmp_path.iterdir()] == [2048]
    assert flight.read(tmp_path).silent == {}
    log.close()


def test_it_keeps_a_reply_until_its_outcome_is_recorded(tmp_path: Path) -> None:
    log = FlightLog(tmp_path, "w", n_bytes=2048)
    log.started(1, 1)
    log.ended(1, 1, "sent")  # its batch waits for another reply, and meanwhile …
    for n in range(2, 2000):
        log.started(n, 1)
        log.ended(n, 1, "sent")
        log.settled([(n, 1)])
    assert flight.read(tmp_path).flights[1, 1] == "sent"
    log.close()


def test_it_can_be_asked_about_some_workers_only(tmp_path: Path) -> None:
    logs = [FlightLog(tmp_path, name) for name in ("a", "b")]
    for number, log in enumerate(logs):
        log.started(number, 1)
    assert flight.read(tmp_path, {"b"}).flights == {(1, 1): "started"}
    for log in logs:
        log.close()


def test_a_worker_id_is_used_once(tmp_path: Path) -> None:
    """A second process under the name of the first would take the place of what that one wrote."""
    log = FlightLog(tmp_path, "w")
    with pytest.raises(FileExistsError):
        FlightLog(tmp_path, "w")
    log.close()


def test_a_log_full_of_what_cannot_be_settled_lets_no_more_leave(tmp_path: Path) -> None:
    log = FlightLog(tmp_path, "w", n_bytes=1024)
    for n in range(8):
        log.started(n, 1)
    with pytest.raises(OSError, match="full"):
        log.started(8, 1)
    log.settled([(n, 1) for n in range(4)])
    log.started(8, 1)
    assert flight.read(tmp_path) == ({(n, 1): "started" for n in range(4, 9)}, {})
    log.close()


def test_a_bad_worker_id_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="worker id"):
        FlightLog(tmp_path, "../../etc")


def test_a_killed_worker_is_seen_as_dead_and_its_flights_are_known(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    process = multiprocessing.get_context("spawn").Process(target=fly_until_killed, args=(tmp_path, str(ready)))
    process.start()
    while not ready.exists():
        assert process.is_alive()
    assert flight.workers(tmp_path) == {"doomed": True}
    flight.forget(tmp_path, "doomed")
    assert flight.read(tmp_path).flights == {(5, 1): "started"}
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert flight.workers(tmp_path) == {"doomed": False}
    flight.forget(tmp_path, "doomed")
    assert flight.read(tmp_path).flights == {}
    assert flight.workers(tmp_path) == {}


# --- Files that came to harm -------------------------------------------------------------------------------------

EVERYTHING = {(n, 1): "started" for n in range(20)} | {(3, 1): "sent", (5, 1): "permanent"}


def written(directory: Path, *, n_bytes: int = 4096, machine: str | None = None) -> Path:
    """The log of a dead worker."""
    log = FlightLog(directory, "w", n_bytes=n_bytes, machine=machine)
    for n in range(20):
        log.started(n, 1)
    log.ended(3, 1, "sent")
    log.ended(5, 1, "permanent")
    log.close()
    return directory / "w.flightlog"


def test_a_whole_log_speaks_of_every_message(tmp_path: Path) -> None:
    written(tmp_path)
    assert flight.read(tmp_path) == (EVERYTHING, {})
    assert flight.unreadable(tmp_path) == {}


@given(st.integers(0, 4095))
def test_a_cut_log_is_silent_about_what_it_lacks(n_bytes: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.truncate(written(Path(folder)), n_bytes)
        flights, silent = flight.read(Path(folder))
    assert silent.keys() == {"w"}
    assert all(kind in ("started", EVERYTHING[key]) for key, kind in flights.items())


@given(st.integers(0, 512 + 22 * 64 - 1), st.binary(min_size=1, max_size=300))
def test_a_scrambled_log_is_silent_about_what_it_lacks(at: int, noise: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder))
        content = path.read_bytes()
        path.write_bytes((content[:at] + noise + content[at + len(noise) :])[:4096])
        assume(path.read_bytes() != content)
        flights, silent = flight.read(Path(folder))
    assert silent.keys() == {"w"}
    assert all(kind in ("started", EVERYTHING[key]) for key, kind in flights.items())


@given(st.permutations(range(22)), st.integers(0, 22))
def test_lines_that_were_moved_or_taken_out_are_missed(order: list[int], n_kept: int) -> None:
    assume(order[:n_kept] != list(range(n_kept)))
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder))
        content = path.read_bytes()
        lines = [content[512 + 64 * n :][:64] for n in order[:n_kept]]
        path.write_bytes((content[:512] + b"".join(lines)).ljust(4096, b"\0"))
        flights, silent = flight.read(Path(folder))
    assert silent == {"w": "it is damaged"}
    assert flights.keys() <= EVERYTHING.keys()


def test_a_log_from_before_the_machine_was_started_is_silent_about_what_it_lacks(tmp_path: Path) -> None:
    """The kernel may have lost its last lines with the power."""
    written(tmp_path, machine="another-start")
    assert flight.read(tmp_path) == (EVERYTHING, {"w": "the machine was started anew since"})


def test_the_log_of_another_worker_in_its_place_is_no_log(tmp_path: Path) -> None:
    written(tmp_path).rename(tmp_path / "v.flightlog")
    assert flight.read(tmp_path).silent == {"v": "it has no header of its worker's"}


@pytest.mark.parametrize("content", [b"s 1 1" + b"0" * 100_000 + b"\n", b"\xff" * 5000, b"\n" * 5000, b"s 1 1\n"])
def test_what_is_no_log_is_silent(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w.flightlog").write_bytes(content)
    assert flight.read(tmp_path) == ({}, {"w": "it has no header of its worker's"})


def test_what_is_too_long_is_not_read(tmp_path: Path) -> None:
    os.truncate(written(tmp_path), 10**12)
    flights, silent = flight.read(tmp_path)
    assert flights == {}
    assert silent["w"].startswith("it cannot be read")


def folder(path: Path) -> None:
    path.mkdir()


def link(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("put", [folder, os.mkfifo, link])
def test_what_is_no_file_is_named_and_holds_up_nobody(tmp_path: Path, put: Callable[[Path], None]) -> None:
    put(tmp_path / "w.flightlog")
    log = FlightLog(tmp_path, "v")
    log.started(1, 1)
    assert flight.workers(tmp_path) == {"v": True}
    assert flight.read(tmp_path) == ({(1, 1): "started"}, {})
    assert flight.unreadable(tmp_path).keys() == {"w.flightlog"}
    assert flight.read(tmp_path, {"w"}).silent.keys() == {"w"}
    flight.forget(tmp_path, "w")
    log.close()


def test_a_log_that_went_while_it_was_asked_for_is_silent(tmp_path: Path) -> None:
    assert flight.read(tmp_path, {"w"}).silent.keys() == {"w"}


def test_a_worker_that_goes_on_in_a_new_file_is_never_seen_as_dead(tmp_path: Path) -> None:
    log = FlightLog(tmp_path, "w", n_bytes=640)
    seen: set[bool] = set()
    is_over = threading.Event()

    def look() -> None:
        while not is_over.is_set():
            seen.update(flight.workers(tmp_path).values())

    looking = threading.Thread(target=look)
    looking.start()
    for n in range(3000):  # a new file every other line
        log.started(n, 1)
        log.settled([(n, 1)])
    is_over.set()
    looking.join()
    assert seen == {True}
    log.close()


# --- Logs of the version before ------------------------------------------------------------------------------------


def test_logs_of_the_version_before_are_read_in_their_order(tmp_path: Path) -> None:
    (tmp_path / "host-1-a.9.flight").write_bytes(b"s 1 1\ns 2 1\ne 2 1 sent\n")
    (tmp_path / "host-1-a.10.flight").write_bytes(b"e 1 1 permanent\ns 3 1\ns 4")
    assert flight.workers(tmp_path) == {"host-1-a": False}
    assert flight.read(tmp_path) == ({(1, 1): "permanent", (2, 1): "sent", (3, 1): "started"}, {})
    flight.forget(tmp_path, "host-1-a")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"s 1", b"s 1 1\nnoise\ns 2 1\n", b"s 1 " + b"1" * 100_000 + b"\n"])
def test_one_that_is_empty_or_damaged_is_silent(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "host-1-a.1.flight").write_bytes(content)
    assert flight.read(tmp_path).silent == {"host-1-a": "it is damaged"}


# --- The sender ----------------------------------------------------------------------------------------------------


def test_the_smtp_sender_writes_before_the_first_byte_of_a_body(tmp_path: Path) -> None:
    log = FlightLog(tmp_path, "w")
    before_body: list[dict[tuple[int, int], str]] = []

    def look(number: int, verb: str, argument: str) -> bytes | None:
        if verb == "BODY":
            before_body.append(flight.read(tmp_path).flights)
            return CUT if "person2@" in argument else None
        return b"550 5.1.1 No\r\n" if "person3@" in argument else None

    with scripted(Script(reply=look)) as server, smtp_sender(server.url, flight=log) as sender:
        answers = {a.delivery_id: a.kind for a in handed_over(sender, [outgoing(n) for n in (1, 2, 3)])}
    assert before_body[0][1, 1] == "started"
    assert answers == {1: "sent", 2: "unknown", 3: "permanent"}
    assert flight.read(tmp_path).flights == {(1, 1): "sent", (2, 1): "unknown"}
    log.close()


def test_no_body_leaves_when_the_flight_log_cannot_be_written(tmp_path: Path) -> None:
    log = FlightLog(tmp_path, "w")
    log.close()
    with scripted() as server, smtp_sender(server.url, flight=log) as sender:
        answers = list(handed_over(sender, [outgoing(1)]))
        assert [(a.kind, a.reason) for a in answers] == [("temporary", "flight_log")]
        assert not any(BODY in data for _, data in server.writes)
