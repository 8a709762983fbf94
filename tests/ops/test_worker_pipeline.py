"""`dripstone worker` with several batches on their way: one on the wire, one behind it, jobs that wait for room."""

import signal
from pathlib import Path

import pytest
from procrastinate.contrib.django import app

from dripstone import clock
from dripstone.engine import plan, wake
from dripstone.engine.models import Delivery
from dripstone.ops import worker as ops_worker
from tests.crash.doomed import planned, until
from tests.factories import make_enrollment, make_subscriber
from tests.ops.test_worker import CONNECTIONS, answer_everybody, n_listening, statuses, worker
from tests.senders.scripted import SILENCE, Script, ScriptedServer

pytestmark = pytest.mark.django_db(transaction=True)

N_PEOPLE = 3 * wake.CLAIM_BATCH
FULL = {"sending": 2 * wake.CLAIM_BATCH, "planned": N_PEOPLE - 2 * wake.CLAIM_BATCH}


def is_full(server: ScriptedServer) -> bool:
    return statuses() == FULL and len(server.started) == CONNECTIONS


def check_that_nobody_got_two(server: ScriptedServer) -> None:
    recipients = [taken.rcpt_to for taken in server.accepted]
    assert len(recipients) == len(set(recipients))


def test_told_to_stop_while_full_it_loses_nothing_and_sends_nothing_twice(
    server: ScriptedServer, tmp_path: Path
) -> None:
    planned(N_PEOPLE)
    with worker(server, tmp_path) as process:
        until(lambda: is_full(server))
        process.send_signal(signal.SIGTERM)
        until(lambda: not n_listening())
        server.say_on_all(b"250 2.0.0 Ok\r\n")
        assert process.wait(10) == 0
    assert statuses() == {"planned": N_PEOPLE - CONNECTIONS, "sent": CONNECTIONS}
    server.script.reply = Script().reply
    with worker(server, tmp_path):
        until(lambda: statuses() == {"sent": N_PEOPLE})
    check_that_nobody_got_two(server)


def test_killed_while_full_only_what_was_on_the_wire_is_unknown(server: ScriptedServer, tmp_path: Path) -> None:
    planned(N_PEOPLE)
    with worker(server, tmp_path) as process:
        until(lambda: is_full(server))
        process.kill()
        process.wait()
    server.script.reply = Script().reply
    with worker(server, tmp_path):
        until(lambda: statuses() == {"unknown": CONNECTIONS, "sent": N_PEOPLE - CONNECTIONS})
    check_that_nobody_got_two(server)


def test_ticks_do_not_wait_behind_a_silent_mail_server(server: ScriptedServer, tmp_path: Path) -> None:
    """More send jobs than threads, each of which holds a batch or waits for room."""
    sequence = planned(N_PEOPLE)
    for _ in range(8):
        wake.senders(1)
    with worker(server, tmp_path):
        until(lambda: is_full(server))
        newcomer = make_enrollment(sequence, make_subscriber(sequence.account), clock.now())
        wake.engine()
        until(lambda: Delivery.objects.filter(enrollment=newcomer).exists(), seconds=20)
        answer_everybody(server)
        until(lambda: statuses() == {"sent": N_PEOPLE + 1})


def test_a_slow_answer_holds_up_only_itself(server: ScriptedServer, tmp_path: Path) -> None:
    """The others of its batch are recorded within seconds, and the batches behind it go."""
    slow: list[str] = []

    def reply(number: int, verb: str, argument: str) -> bytes | None:
        if verb == "BODY" and not slow:
            slow.append(argument)
            return SILENCE
        return None

    server.script.reply = reply
    planned(N_PEOPLE)
    with worker(server, tmp_path):
        until(lambda: statuses() == {"sending": 1, "sent": N_PEOPLE - 1}, seconds=30)
        answer_everybody(server)
        until(lambda: statuses() == {"sent": N_PEOPLE})


def test_every_task_has_a_queue_that_a_worker_serves() -> None:
    app.perform_import_paths()  # type: ignore[no-untyped-call]
    ours = {task.queue for name, task in app.tasks.items() if name.startswith("dripstone.")}
    assert ours == set(ops_worker.threads())
    assert plan.PLAN_BATCH  # the engine's tasks are loaded
