import os
import signal
import socket
import time

import pytest

from dripstone.ops.processes import Child, port_problem


def sleep_on() -> None:
    time.sleep(60)


def end_at_once() -> None:
    os._exit(3)


def never_stop() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(60)


def test_a_free_port_is_no_problem() -> None:
    assert port_problem("127.0.0.1", 0) is None


def test_a_taken_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert port_problem("127.0.0.1", port) == f"Port {port} on 127.0.0.1 is in use by another program."


@pytest.mark.parametrize("host", ["203.0.113.7", "no such host", "a" * 300, "..", "[::1", "\udcff"])
def test_an_address_of_somebody_else_is_named(host: str) -> None:
    assert "is not an address of this machine" in str(port_problem(host, 8000))


def test_a_child_stops_when_asked() -> None:
    child = Child("sleeper", sleep_on)
    child.start()
    child.ask_to_stop()
    assert child.make_sure_it_stopped(time.monotonic() + 5)


def test_a_child_that_does_not_listen_is_killed() -> None:
    child = Child("stubborn", never_stop)
    child.start()
    time.sleep(0.2)  # it must have begun to ignore us
    child.ask_to_stop()
    assert not child.make_sure_it_stopped(time.monotonic() + 0.2)
    assert child.has_ended()


def test_the_pause_before_a_restart_doubles_up_to_half_a_minute() -> None:
    child = Child("crasher", end_at_once)
    pauses = []
    for _ in range(7):
        child.start()
        assert child.process is not None
        child.process.join(5)
        assert child.has_ended()
        pauses.append(child.plan_restart())
    assert pauses == [1, 2, 4, 8, 16, 30, 30]
