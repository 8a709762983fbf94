import multiprocessing
import os
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dripstone.senders import flight
from dripstone.senders.flight import FlightLog
from tests.senders.doomed import fly_until_killed
from tests.senders.helpers import BODY, outgoing, smtp_sender
from tests.senders.scripted import CUT, Script, scripted


def test_it_remembers_what_had_started_and_how_it_ended(tmp_path: Path) -> None:
    log = FlightLog(tmp_path, "host-1-abc")
    log.started(1, 1)
    log.started(2, 3)
    log.ended(1, 1, "sent")
    assert flight.read(tmp_path) == {(1, 1): "sent", (2, 3): "started"}
    log.close()


def test_two_workers_do_not_disturb_each_other(tmp_path: Path) -> None:
    one, two = FlightLog(tmp_path, "one"), FlightLog(tmp_path, "two")
    one.started(1, 1)
    two.started(1, 2)
    two.ended(1, 2, "permanent")
    assert flight.read(tmp_path) == {(1, 1): "started", (1, 2): "permanent"}
    one.close()
    two.close()


@given(st.integers(0, 40))
def test_a_torn_last_line_hides_nothing_else(n_bytes: int) -> None:
    content = b"s 1 1\ne 1 1 unknown\ns 22 1\n"[:n_bytes]
    flights: dict[tuple[int, int], str] = {}
    flight._read_into(flights, content)
    assert flights.get((1, 1)) == (None if n_bytes < 6 else "started" if n_bytes < 20 else "unknown")
    assert ((22, 1) in flights) == (n_bytes >= 27)


def test_it_stays_small_and_keeps_what_is_in_the_air(tmp_path: Path) -> None:
    log = FlightLog(tmp_path, "w", rotate_at=1000)
    log.started(1, 1)
    for n in range(2, 2000):
        log.started(n, 1)
        log.ended(n, 1, "sent")
        log.settled([(n, 1)])
    flights = flight.read(tmp_path)
    assert flights[1, 1] == "started"
    assert flights[1999, 1] == "sent"
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 3000
    assert len(list(tmp_path.iterdir())) == 2
    log.close()


def test_it_keeps_a_reply_until_its_outcome_is_recorded(tmp_path: Path) -> None:
    log = FlightLog(tmp_path, "w", rotate_at=1000)
    log.started(1, 1)
    log.ended(1, 1, "sent")  # its batch waits for another reply, and meanwhile …
    for n in range(2, 2000):
        log.started(n, 1)
        log.ended(n, 1, "sent")
        log.settled([(n, 1)])
    assert flight.read(tmp_path)[1, 1] == "sent"
    log.close()


def test_it_can_be_asked_about_some_workers_only(tmp_path: Path) -> None:
    logs = [FlightLog(tmp_path, name) for name in ("a", "b")]
    for number, log in enumerate(logs):
        log.started(number, 1)
    assert flight.read(tmp_path, {"b"}) == {(1, 1): "started"}
    for log in logs:
        log.close()


def test_a_restarted_worker_goes_on_behind_its_own_log(tmp_path: Path) -> None:
    first = FlightLog(tmp_path, "w")
    first.started(1, 1)
    first.close()
    second = FlightLog(tmp_path, "w")
    second.started(2, 1)
    assert flight.read(tmp_path) == {(1, 1): "started", (2, 1): "started"}
    second.close()


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
    assert flight.read(tmp_path) == {(5, 1): "started"}
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert flight.workers(tmp_path) == {"doomed": False}
    flight.forget(tmp_path, "doomed")
    assert flight.read(tmp_path) == {}
    assert flight.workers(tmp_path) == {}


def test_the_smtp_sender_writes_before_the_first_byte_of_a_body(tmp_path: Path) -> None:
    log = FlightLog(tmp_path, "w")
    before_body: list[dict[tuple[int, int], str]] = []

    def look(number: int, verb: str, argument: str) -> bytes | None:
        if verb == "BODY":
            before_body.append(flight.read(tmp_path))
            return CUT if "person2@" in argument else None
        return b"550 5.1.1 No\r\n" if "person3@" in argument else None

    with scripted(Script(reply=look)) as server, smtp_sender(server.url, flight=log) as sender:
        answers = {a.delivery_id: a.kind for a in sender.hand_over([outgoing(n) for n in (1, 2, 3)])}
    assert before_body[0][1, 1] == "started"
    assert answers == {1: "sent", 2: "unknown", 3: "permanent"}
    assert flight.read(tmp_path) == {(1, 1): "sent", (2, 1): "unknown"}
    log.close()


def test_no_body_leaves_when_the_flight_log_cannot_be_written(tmp_path: Path) -> None:
    log = FlightLog(tmp_path, "w")
    log.close()
    with scripted() as server, smtp_sender(server.url, flight=log) as sender:
        answers = list(sender.hand_over([outgoing(1)]))
        assert [(a.kind, a.reason) for a in answers] == [("temporary", "flight_log")]
        assert not any(BODY in data for _, data in server.writes)
