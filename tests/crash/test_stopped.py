"""A worker stands still (SIGSTOP, a suspended machine) for longer than its lease, and goes on as if nothing was."""

import os
import signal
from multiprocessing.process import BaseProcess

import psutil
import pytest

from dripstone import clock
from dripstone.engine import life
from dripstone.engine.models import Delivery
from tests.crash import doomed
from tests.crash.doomed import Place, planned, until
from tests.senders.scripted import Script, ScriptedServer

pytestmark = pytest.mark.django_db(transaction=True)

LEASE_SECONDS = 1.0


def stop_when_it_says(verb: str, server: ScriptedServer, stopped: list[BaseProcess]) -> None:
    """The worker hears our answer to its first such command only when it is woken."""
    has_stopped: list[bool] = []

    def reply(number: int, heard: str, argument: str) -> bytes | None:
        if heard == verb and not has_stopped:
            until(lambda: bool(stopped))
            os.kill(stopped[0].pid or 0, signal.SIGSTOP)
            until(lambda: psutil.Process(stopped[0].pid).status() == psutil.STATUS_STOPPED)
            has_stopped.append(True)
        return None

    server.script.reply = reply


def overtake_and_wake(worker: BaseProcess, server: ScriptedServer) -> None:
    """Another worker does the work once the lease is over; then the stopped one goes on to its end."""
    until(lambda: Delivery.objects.filter(status="sending", lease_until__lte=clock.now()).count() == 3)
    server.script.reply = Script().reply
    life.until_idle()
    os.kill(worker.pid or 0, signal.SIGCONT)
    worker.join(60)
    assert worker.exitcode == 0


def test_a_body_does_not_start_after_the_lease(server: ScriptedServer, place: Place) -> None:
    planned(3)
    workers: list[BaseProcess] = []
    stop_when_it_says("DATA", server, workers)
    with doomed.worker(doomed.send_a_batch_with_a_lease_of, place, LEASE_SECONDS) as worker:
        workers.append(worker)
        overtake_and_wake(worker, server)
    assert sorted(Delivery.objects.values_list("status", "attempt")) == [("sent", 2)] * 3
    assert len(server.accepted) == len({taken.rcpt_to for taken in server.accepted}) == 3


def test_a_late_write_is_refused(server: ScriptedServer, place: Place) -> None:
    """Its message was taken while it stood still. Nobody could know, so it counts as unknown, and stays so."""
    planned(3)
    workers: list[BaseProcess] = []
    stop_when_it_says("BODY", server, workers)
    with doomed.worker(doomed.send_a_batch_with_a_lease_of, place, LEASE_SECONDS) as worker:
        workers.append(worker)
        overtake_and_wake(worker, server)
    assert sorted(Delivery.objects.values_list("status", flat=True)) == ["sent", "sent", "unknown"]
    assert len(server.accepted) == len({taken.rcpt_to for taken in server.accepted}) == 3
