"""What does it cost to edit a sequence with 100,000 people inside, while the engine is sending?

One sequence in which all people have had the first email; a second one from which a worker process sends meanwhile
(mail kept in memory). Four edits: publish an email behind all people, insert one ahead of them, move it, delete it.
Measured per edit: the call itself, the time until all people are moved, how often a backend waited for a lock, and the
rate of sending meanwhile against the rate before.

    python -m benchmarks.edit [--small] [--json FILE]
"""

import multiprocessing
import os
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg

from benchmarks import common

if TYPE_CHECKING:
    from dripstone.accounts.models import Account
    from dripstone.sequences.models import Sequence

_SENT_FIRST = """
INSERT INTO engine_delivery (account_id, sequence_id, subscriber_id, enrollment_id, run, email_id, status, reason,
                             attempt, planned_at, sent_at, ended_at, worker, provider_id)
SELECT account_id, sequence_id, subscriber_id, id, 1, %(email)s, 'sent', '', 1, entered_at, entered_at, entered_at,
       '', ''
FROM engine_enrollment WHERE sequence_id = %(sequence)s
"""
_WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
_SENT = "SELECT count(*) FROM engine_delivery WHERE status = 'sent' AND provider_id <> ''"  # not those we seeded


def main() -> None:
    options = common.arguments(__doc__.partition("\n")[0]).parse_args()
    n_people, n_sent = (1_000, 2_000) if options.small else (100_000, 100_000)
    report = common.Report("edit")
    with common.database(DRIPSTONE_MAIL_URL="memory://edit"):
        report.table("Edits", measure(n_people, n_sent))
    report.save(options.json)


def measure(n_people: int, n_sent: int) -> list[common.Figures]:
    from django.db import connections

    from dripstone import clock
    from dripstone.engine.acts import edits

    account, now = common.make_account(), clock.now()
    course = seed(account, n_people, n_sent, now)
    stop = multiprocessing.get_context("fork").Event()
    worker = multiprocessing.get_context("fork").Process(target=send_until, args=(stop,))
    connections.close_all()  # the child must not share a socket with us
    worker.start()
    try:
        with Watch() as watch:
            before = watch.rate(0.5 if n_people < 10_000 else 4)
            email = {"subject": "New", "delay_value": 1, "delay_unit": "days", "published": True}
            made: dict[str, Any] = {}

            def create(position: int) -> None:
                made["email"] = edits.create_email(
                    account, course.pk, {**email, "position": position}, clock.now()
                ).email

            def change(**values: Any) -> Callable[[], object]:
                return lambda: edits.update_email(account, course.pk, made["email"].pk, values, clock.now())

            acts: list[tuple[str, Callable[[], object]]] = [
                ("publish behind everybody", lambda: create(1)),
                ("insert ahead of everybody", lambda: create(9)),
                ("move it behind everybody", change(position=2)),
                ("delete it", lambda: edits.delete_email(account, course.pk, made["email"].pk, clock.now())),
            ]
            rows = [act_and_follow(title, act, course.pk, watch, before) for title, act in acts]
    finally:
        stop.set()
        worker.join()
    return rows


def seed(account: "Account", n_people: int, n_sent: int, now: datetime) -> "Sequence":
    """The course, with all people waiting for its second email (position 10); beside it the busy one, all due now."""
    course, busy = common.make_sequence(account, "Course"), common.make_sequence(account, "Busy")
    course.emails.filter(position=1).update(position=10)
    with common.without_key_checks():
        lowest = common.add_people(account, n_people)
        due = f"timestamptz '{now + timedelta(days=3):%Y-%m-%dT%H:%M:%SZ}'"
        common.enroll_everybody(account, lowest, str(course.pk), due, position=10)
        first = course.emails.get(position=0)
        common.execute(_SENT_FIRST, {"email": first.pk, "sequence": course.pk})
        common.enroll_everybody(account, common.add_people(account, n_sent, "busy"), str(busy.pk), "now()")
    common.settle()
    return course


def act_and_follow(title: str, act: Callable[[], object], sequence_id: int, watch: "Watch", before: float) -> Any:
    from dripstone import clock
    from dripstone.engine import follow

    sent, waited, began = watch.sent(), watch.n_waits, time.perf_counter()
    act()
    called = time.perf_counter()
    moved = follow.everybody(sequence_id, clock.now())
    ended = time.perf_counter()
    meanwhile = (watch.sent() - sent) / (ended - began)
    return {
        "edit": title,
        "call ms": 1000 * (called - began),
        "all in line s": ended - called,
        "moved": moved,
        "lock waits seen": watch.n_waits - waited,
        "sends/s meanwhile": meanwhile,
        "of before": meanwhile / before if before else None,
    }


def send_until(stop: Any) -> None:
    """One worker: plans what is due and sends it."""
    from dripstone import clock
    from dripstone.engine import life, plan, process

    crew = process.current()
    while not stop.is_set():
        if not life.send_batch(crew.worker, crew.sender) and not plan.everything_due(clock.now()):
            time.sleep(0.05)


class Watch(threading.Thread):
    """Looks every 10 ms for backends that wait for a lock; counts what has been sent."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.n_waits, self.stopped = 0, threading.Event()

    def __enter__(self) -> "Watch":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self.join()

    def run(self) -> None:
        with closing(psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)) as connection:
            while not self.stopped.wait(0.01):
                row = connection.execute(_WAITING).fetchone()
                self.n_waits += row[0] if row else 0

    def sent(self) -> int:
        with closing(psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)) as connection:
            row = connection.execute(_SENT).fetchone()
        return row[0] if row else 0

    def rate(self, seconds: float) -> float:
        """Sends per second over a while, from the first one on."""
        common.until(lambda: self.sent() > 0)
        first = self.sent()
        time.sleep(seconds)
        return (self.sent() - first) / seconds


if __name__ == "__main__":
    main()
