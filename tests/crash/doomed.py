"""Processes to be killed, forked from a server that has loaded Django: they start in milliseconds and hold no lock,
thread or connection of the test's."""

import contextlib
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import django
import psutil

if TYPE_CHECKING:
    from dripstone.sequences.models import Sequence

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["tests.crash.loaded"])


@dataclass(frozen=True)
class Place:
    """What a worker of the test needs to know. Picklable."""

    database: str  # its name
    data: Path
    mail_url: str
    port: int | None = None  # of a proxy before the database, on 127.0.0.1

    @property
    def flights(self) -> Path:
        return self.data / "flights"


@contextmanager
def worker(work: Callable[..., Any], place: Place, *arguments: Any) -> Iterator[BaseProcess]:
    """A process that does `work(*arguments)`, as a worker at `place`. Gone after the block."""
    process = _processes.Process(target=_begin, args=(work, place, arguments))
    process.start()
    try:
        yield process
    finally:
        kill(process)
        process.join(10)


def kill(process: BaseProcess) -> None:
    """Returns when it is gone. May be called from any thread; join is for one alone (it would lose the exit code)."""
    assert process.pid is not None
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGKILL)
    until(lambda: not psutil.pid_exists(process.pid or 0))


def _begin(work: Callable[..., Any], place: Place, arguments: tuple[Any, ...]) -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "dripstone.settings"
    django.setup()
    from django.conf import settings
    from django.db import connections

    database = connections.settings["default"]
    database["NAME"] = place.database
    if place.port is not None:
        database["HOST"], database["PORT"] = "127.0.0.1", str(place.port)
    settings.DRIPSTONE_DATA, settings.DRIPSTONE_MAIL_URL = place.data, place.mail_url
    work(*arguments)


# --- In the test ------------------------------------------------------------------------------------------------


def planned(n_people: int, content: str = "<p>Hello</p>") -> "Sequence":
    """A sequence whose first email is planned for so many people, due now by the machine's clock."""
    from django.db import connection

    from dripstone import clock
    from dripstone.engine import enroll, plan
    from dripstone.subscribers.models import Subscriber
    from tests.factories import make_account, make_sequence

    account, now = make_account(), clock.now()
    sequence = make_sequence(account, {"delay_value": 0, "content": content}, {"subject": "second"})
    stamps = {"account": account, "state": "active", "created_at": now, "updated_at": now}
    people = [Subscriber(email_address=f"planned{n}@example.com", **stamps) for n in range(n_people)]
    enroll.add(sequence, [person.pk for person in Subscriber.objects.bulk_create(people)], "bulk", now)
    plan.everything_due(now)
    connection.close()
    return sequence


def due(n_people: int) -> None:
    """So many people, each in a sequence of another account, whose first email is due now by the machine's clock."""
    from django.db import connection

    from dripstone import clock
    from tests.factories import make_account, make_enrollment, make_sequence, make_subscriber

    for _ in range(n_people):
        account = make_account()
        make_enrollment(make_sequence(account, {"delay_value": 0}), make_subscriber(account), clock.now())
    connection.close()


def asked(n_people: int) -> None:
    """So many people are asked to confirm, now by the machine's clock."""
    from django.db import connection

    from dripstone import clock
    from dripstone.engine import notices
    from tests.factories import make_account, make_subscriber

    account = make_account()
    for _ in range(n_people):
        notices.confirmation(make_subscriber(account, state="inactive").pk, clock.now())
    connection.close()


def until(is_so: Callable[[], bool], seconds: float = 120) -> None:
    """Looks again and again, and fails when it does not happen."""
    give_up_at = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < give_up_at, "it does not happen"
        time.sleep(0.005)


# --- Work -------------------------------------------------------------------------------------------------------


def send_a_batch() -> None:
    from dripstone.engine import life, process

    crew = process.current()
    life.send_batch(crew.worker, crew.sender)


def die_once_claimed() -> None:
    from dripstone import clock
    from dripstone.engine import claim, process

    with process.batch(process.current().worker) as holder:
        claim.take(holder, clock.now())
        os.kill(os.getpid(), signal.SIGKILL)


def plan_everything() -> None:
    from dripstone import clock
    from dripstone.engine import plan

    plan.everything_due(clock.now())


def follow_and_die_at(sequence_id: int, n_statements: int) -> None:
    """Two people at a time. The process dies right before its n-th statement, or is done before that."""
    import itertools

    from django.db import connection

    from dripstone import clock
    from dripstone.engine import follow

    follow.BATCH = 2
    numbers = itertools.count(1)

    def count(execute: Callable[..., Any], *statement: Any) -> Any:
        if next(numbers) == n_statements:
            os.kill(os.getpid(), signal.SIGKILL)
        return execute(*statement)

    with connection.execute_wrapper(count):
        follow.everybody(sequence_id, clock.now())


def sign_up_and_die_at(form_id: int, address: str, n_statements: int) -> None:
    """Somebody fills in a form, and the process dies right before its n-th statement, or is done before that."""
    from dripstone import clock
    from dripstone.engine.acts import sign_ups
    from dripstone.subscribers.models import Form
    from dripstone.subscribers.sign_ups import Asked

    form = Form.objects.get(pk=form_id)
    with _dying_at(n_statements):
        sign_ups.ask(form, Asked(address, "Ann"), clock.now())


def click_and_die_at(sign_up_id: int, n_statements: int) -> None:
    from dripstone import clock
    from dripstone.engine.acts import sign_ups

    with _dying_at(n_statements):
        sign_ups.click(sign_up_id, clock.now())


def call_and_die_at(path: str, body: dict[str, Any], headers: dict[str, str], n_statements: int) -> None:
    """A web process is killed right before the n-th statement of a call, or has made the answer and tells nobody."""
    from django.test import Client

    with _dying_at(n_statements):
        Client().post(path, body, content_type="application/json", headers=headers)


def do_in_bulk_and_die_at(account_id: int, n_statements: int) -> None:
    """Its jobs, batch after batch. The process dies right before its n-th statement, or is done before that."""
    from dripstone import clock
    from dripstone.bulk import operations, runner

    with _dying_at(n_statements):
        runner.finish(operations.ALL, account_id, clock.now)


def ask_in_bulk_and_die_at(account_id: int, n_entries: int, n_statements: int) -> None:
    """A call with many entries, as far as it writes."""
    from dripstone import clock
    from dripstone.bulk import jobs, operations

    entries = [{"name": f"tag {number}"} for number in range(n_entries)]
    with _dying_at(n_statements):
        jobs.keep(operations.TAGS, account_id, entries, "", clock.now(), n_bytes=1_000, asked_by="a test")


@contextmanager
def _dying_at(n_statements: int, *, that_write: bool = False) -> Iterator[None]:
    """that_write   those that only read are not counted: to die before one of them is to die before the next that
    writes, or not at all"""
    import itertools

    from django.db import connection

    numbers = itertools.count(1)

    def count(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        is_counted = not that_write or not sql.lstrip().startswith(("SELECT", "(SELECT", "SAVEPOINT", "RELEASE"))
        if is_counted and next(numbers) == n_statements:
            os.kill(os.getpid(), signal.SIGKILL)
        return execute(sql, *rest)

    with connection.execute_wrapper(count):
        yield


def send_a_batch_with_a_lease_of(seconds: float) -> None:
    from datetime import timedelta

    from dripstone.engine import claim

    claim.LEASE = timedelta(seconds=seconds)
    send_a_batch()


def plan_though_the_database_fails_once() -> None:
    from django.db import OperationalError, connection

    from dripstone import clock
    from dripstone.engine import plan

    try:
        plan.everything_due(clock.now())
    except OperationalError:
        connection.close()
        plan.everything_due(clock.now())  # the next tick


def send_though_the_database_fails_once() -> None:
    from django.db import OperationalError, connection

    from dripstone import clock
    from dripstone.engine import process, rescue

    try:
        send_a_batch()
    except OperationalError:
        connection.close()
        rescue.abandoned(process.flights(), clock.now())  # the next look
        send_a_batch()


def send_side_by_side_and_die_at(n_statements: int) -> None:
    """Small batches in two threads at one desk. The process dies right before its n-th statement, whoever makes it."""
    import itertools
    from threading import Thread

    from django.db import connection

    from dripstone.engine import life, process, wake

    wake.CLAIM_BATCH = 4
    crew, numbers = process.current(), itertools.count(1)

    def count(execute: Callable[..., Any], *statement: Any) -> Any:
        if next(numbers) == n_statements:
            os.kill(os.getpid(), signal.SIGKILL)
        return execute(*statement)

    def send() -> None:
        with connection.execute_wrapper(count):
            life.keep_sending(crew.worker, crew.sender, desk=crew.desk)
        connection.close()

    threads = [Thread(target=send) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def forget_and_die_at(subscriber_id: int, n_statements: int) -> None:
    """The process dies right before its n-th statement, or is done before that."""
    import itertools

    from django.db import connection

    from dripstone import clock
    from dripstone.engine.acts import forget
    from dripstone.subscribers.models import Subscriber

    account = Subscriber.objects.select_related("account").get(pk=subscriber_id).account
    numbers = itertools.count(1)

    def count(execute: Callable[..., Any], *statement: Any) -> Any:
        if next(numbers) == n_statements:
            os.kill(os.getpid(), signal.SIGKILL)
        return execute(*statement)

    with connection.execute_wrapper(count):
        forget.forget(account, subscriber_id, "owner", clock.now())


def tell_and_die_at(n_statements: int) -> None:
    """Tell of events. The process dies right before its n-th statement, or is done before that."""
    from django.conf import settings

    from dripstone import clock
    from dripstone.webhooks import run

    settings.DRIPSTONE_CALL_HOSTS = frozenset({("127.0.0.1", None)})
    with _dying_at(n_statements):
        run.until_idle(clock.now)


def work_off_rules_and_die_at(n_statements: int) -> None:
    """A window of events and some dates. The process dies right before its n-th statement, or is done before that."""
    from dripstone import clock
    from dripstone.automations import read

    with _dying_at(n_statements):
        read.next_events(clock.now())
        read.next_dates(clock.now())


def switch_a_rule_on_and_die_at(rule_id: int, n_statements: int) -> None:
    from dripstone import clock
    from dripstone.rules import verbs
    from dripstone.rules.models import Rule

    rule = Rule.objects.get(pk=rule_id)
    with _dying_at(n_statements):
        verbs.switch(rule, True, clock.now())


def walk_and_die_at(n_statements: int) -> None:
    """Events, dates and waits. The process dies right before its n-th statement that writes, or is done before."""
    from dripstone import clock
    from dripstone.automations import run

    with _dying_at(n_statements, that_write=True):
        run.until_idle(clock.now)


def act_on_automation_and_die_at(act: str, automation_id: int, person_id: int, n_statements: int) -> None:
    """What an owner does to it, who has seen what it will do."""
    from dripstone import clock
    from dripstone.automations import people, publishing, removal, switching
    from dripstone.automations.models import Automation
    from dripstone.events import causes

    one, now = Automation.objects.get(pk=automation_id), clock.now()
    tokens = {
        "publish": lambda: publishing.plan(one).token(),
        "activate": lambda: switching.token_of(one, "active"),
        "delete": lambda: removal.token_of(one, "end"),
    }
    token = tokens.get(act, lambda: None)()
    with _dying_at(n_statements, that_write=True):
        match act:
            case "publish":
                publishing.publish(one, now, token=token)
            case "activate":
                switching.activate(one, now, token=token)
            case "pause":
                switching.pause(one, now)
            case "delete":
                removal.delete(one, now, sequences="end", token=token)
            case "add":
                people.add(one, [person_id], now, cause=causes.OWNER)
            case "move":
                people.move(one, person_id, "bought", now, cause=causes.OWNER)


def ask_for_a_callback_and_die_at(account_id: int, url: str, n_statements: int) -> None:
    """Make a tag, and ask for a callback about it."""
    from django.conf import settings
    from django.db import transaction

    from dripstone import clock
    from dripstone.calls import queue
    from dripstone.events import causes
    from dripstone.subscribers import tags

    settings.DRIPSTONE_CALL_HOSTS = frozenset({("127.0.0.1", None)})
    with _dying_at(n_statements), transaction.atomic():
        tags.create(account_id, {"name": f"T{n_statements}"}, clock.now(), cause=causes.API)
        queue.callback(account_id, url, b"{}", clock.now(), about="a test")


def import_and_die_at(n_statements: int) -> None:
    """Imports that wait, batch after batch. The process dies right before its n-th statement, or is done before."""
    from dripstone import clock
    from dripstone.imports import work

    _in_small_batches()
    with _dying_at(n_statements):
        work.until_idle(clock.now)


def _in_small_batches() -> None:
    from dripstone.imports import reading, running, undoing

    reading.BATCH = 2
    running.step.__defaults__ = undoing.step.__defaults__ = (2,)
