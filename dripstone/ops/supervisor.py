"""`dripstone up`: database, web, workers and the local inbox on one machine, as one thing that starts and stops.

Order: take the data folder → database → schema → demo (first start) → children → wait until ready → say so → watch.
A crash here means: Linux tells the children to stop; elsewhere they notice within a second. The database stays up,
and the next start (or any command) finds it and goes on with it.
"""

import fcntl
import http.client
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, connections

from dripstone import clock, embedded
from dripstone.accounts.models import Account
from dripstone.ops import checks, past, processes, readiness, schema, serve, waiting, welcome, worker
from dripstone.ops import demo as demo_account
from dripstone.ops.processes import Child, stop_signals

logger = logging.getLogger(__name__)

READY_SECONDS = 60
STOP_SECONDS = 10
Tell = Callable[[str], None]


def run(*, demo: bool, tell: Tell) -> int:
    """Runs until SIGINT, SIGTERM or SIGHUP. Returns the exit code; says everything in sentences."""
    problem = next(_problems(), None)
    if problem:
        tell(problem)
        return 1
    with stop_signals() as stopping, _alone_on(settings.DRIPSTONE_DATA) as is_alone:
        if not is_alone:
            tell(f"Dripstone already runs on {settings.DRIPSTONE_DATA}; stop it first, or set DRIPSTONE_DATA.")
            return 1
        if settings.DATABASE_URL and not waiting.until_postgresql_answers(stopping, tell):
            return 0
        with nullcontext() if settings.DATABASE_URL else embedded.running(settings.DRIPSTONE_DATA, tell):
            schema.migrate(tell)
            first = _load_demo(tell) if demo and not Account.objects.exists() else None
            past.ask_or_tell(tell)
            connections.close_all()
            return _run_children(first, stopping, tell)


def _problems() -> Iterator[str]:
    """What would stop the start, before anything is started."""
    yield from checks.errors()
    yield from checks.data_problem()
    if taken := serve.port_problem():
        yield taken


def _load_demo(tell: Tell) -> demo_account.DemoResult | None:
    tell("Loading the demo")
    return demo_account.load(clock.now())


def _run_children(first: demo_account.DemoResult | None, stopping: threading.Event, tell: Tell) -> int:
    children = _children(tell)
    try:
        for child in children:
            child.start()
        if _wait_until_ready(children, stopping, tell):
            welcome.show(first)
            connections.close_all()  # a child forked later must not inherit one
        _watch(children, stopping)
    finally:
        _stop(children, tell)
    return 0


def _children(tell: Tell) -> list[Child]:
    children = [Child("web", serve.web)]
    children += [Child(f"worker-{number}", worker.run) for number in range(1, settings.DRIPSTONE_WORKERS + 1)]
    if not settings.DATABASE_URL:
        children.append(Child("database-keeper", serve.database_keeper))
    taken = processes.port_problem(settings.DRIPSTONE_INBOX_HOST, settings.DRIPSTONE_INBOX_PORT)
    if taken and settings.DRIPSTONE_INBOX_PORT:
        tell(f"{taken} The inbox takes no SMTP this time; DRIPSTONE_INBOX_PORT chooses another port.")
    elif settings.DRIPSTONE_INBOX_PORT:
        children.append(Child("inbox", serve.inbox_door))
    return children


# --- Ready ------------------------------------------------------------------------------------------------------


def _wait_until_ready(children: list[Child], stopping: threading.Event, tell: Tell) -> bool:
    """Until /healthz says ready. False: told to stop first. Says what is missing when it takes a minute."""
    give_up_at, findings = time.monotonic() + READY_SECONDS, ""
    while not stopping.wait(0.1):
        _restart_ended(children)
        status, findings = _readiness()
        # What is told on its own, and nothing to wait for, is no reason to wait.
        if status == 200 or any(one in findings for one in (readiness.NOT_SENDING, readiness.NO_ROOM)):
            return True
        if time.monotonic() > give_up_at:
            tell(f"Not ready after {READY_SECONDS} s, still trying. {findings}")
            give_up_at = float("inf")
    return False


def _readiness() -> tuple[int, str]:
    """What /healthz says, asked in this process first: a request answered with 503 stands in the log as an error."""
    try:
        status, findings = readiness.report()
    except DatabaseError as error:
        return 0, str(error)
    finally:
        connections.close_all()  # a child forked later must not inherit one
    return (0, " ".join(findings)) if status == readiness.NOT_READY else _healthz()


def _healthz() -> tuple[int, str]:
    """Status and body; (0, reason) while nobody listens."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.DRIPSTONE_HOST, settings.DRIPSTONE_HOST)  # noqa: S104
    connection = http.client.HTTPConnection(host, settings.DRIPSTONE_PORT, timeout=5)
    try:
        connection.request("GET", "/healthz", headers={"Host": "localhost"})
        response = connection.getresponse()
        return response.status, response.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return 0, str(error)
    finally:
        connection.close()


# --- Watching and stopping --------------------------------------------------------------------------------------


def _watch(children: list[Child], stopping: threading.Event) -> None:
    while not stopping.wait(0.25):
        _restart_ended(children)


def _restart_ended(children: list[Child]) -> None:
    for child in children:
        if child.process is not None and child.has_ended():
            code = child.process.exitcode
            pause = child.plan_restart()
            logger.error("process_ended", extra={"child": child.name, "code": code, "restart_in_seconds": pause})
        if child.process is None and time.monotonic() >= child.due:
            child.start()


def _stop(children: list[Child], tell: Tell) -> None:
    """All at once, within STOP_SECONDS; what does not stop by then is killed."""
    tell("Stopping")
    give_up_at = time.monotonic() + STOP_SECONDS - 1
    for child in children:
        child.ask_to_stop()
    for child in children:
        if not child.make_sure_it_stopped(give_up_at):
            logger.warning("process_killed", extra={"child": child.name})


@contextmanager
def _alone_on(data: Path) -> Iterator[bool]:
    """Whether no other `dripstone up` uses this data folder. The lock goes with the process."""
    data.mkdir(parents=True, exist_ok=True)
    with (data / "up.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        os.register_at_fork(after_in_child=lock.close)  # a child that outlives us must not hold it
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield True
