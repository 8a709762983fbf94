"""How much does deleting old deliveries slow down sending meanwhile, and does it matter how many there are?

Deliveries of earlier runs, older than they are kept; beside them one worker process that sends (mail kept in memory)
to people who are due. Measured: rows deleted per second, and the rate of sending meanwhile against the rate just before
and after.
Once more without the rests after each batch, to show what they are for.

    python -m benchmarks.prune [--small] [--json FILE]
"""

import itertools
import multiprocessing
import statistics
import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from benchmarks import common
from benchmarks.edit import Watch, send_until

if TYPE_CHECKING:
    from dripstone.accounts.models import Account
    from dripstone.sequences.models import Sequence

_OLD = """
INSERT INTO engine_delivery (id, account_id, sequence_id, subscriber_id, enrollment_id, run, email_id, status, reason,
                             attempt, planned_at, sent_at, ended_at, worker, provider_id)
SELECT row_number() OVER (ORDER BY number, e.id), account_id, sequence_id, subscriber_id, e.id, number, %(email)s,
       'sent', '', 1, %(at)s, %(at)s, %(at)s, '', ''
FROM engine_enrollment e, generate_series(1, %(n_runs)s) number WHERE sequence_id = %(sequence)s
"""
# Ids are in order of time: what is sent meanwhile comes behind all that is old.
_LATER_IDS = "SELECT setval(pg_get_serial_sequence('engine_delivery', 'id'), 10000000)"
_ANY_DUE = "SELECT EXISTS (SELECT FROM engine_enrollment WHERE due_at IS NOT NULL)"
_LATER_RUN = "UPDATE engine_enrollment SET run = %(run)s, due_at = NULL WHERE sequence_id = %(sequence)s"


def main() -> None:
    options = common.arguments(__doc__.partition("\n")[0]).parse_args()
    n_people, n_due, alone_for = (100, 60_000, 1) if options.small else (3_000, 250_000, 6)
    report = common.Report("prune")
    with common.database(DRIPSTONE_MAIL_URL="memory://prune"):
        report.table("Prune", measure(n_people, n_due, alone_for))
    report.save(options.json)


def measure(n_people: int, n_due: int, alone_for: float) -> list[common.Figures]:
    """Ten runs of all people, then a hundred, then a hundred without rests."""
    from django.db import connections

    from dripstone import clock
    from dripstone.ops import prune

    account, now = common.make_account(), clock.now()
    course = seed(account, n_people, n_due)
    context = multiprocessing.get_context("fork")
    stop = context.Event()
    worker = context.Process(target=send_until, args=(stop,))
    rests = prune.REST
    add_old(course, 10, now)
    connections.close_all()  # the child must not share a socket with us
    worker.start()
    try:
        with Watch() as watch:
            rows = [prune_all("with rests", n_people * 10, watch, alone_for)]
            for what, prune.REST in (("with rests", rests), ("without", 0.0)):
                add_old(course, 100, now)
                rows.append(prune_all(what, n_people * 100, watch, alone_for))
    finally:
        stop.set()
        worker.join()
    return rows


def seed(account: "Account", n_people: int, n_due: int) -> "Sequence":
    """A course whose people are in a later run of it; beside it the busy one, all due now."""
    course, busy = common.make_sequence(account, "Course"), common.make_sequence(account, "Busy")
    with common.without_key_checks():
        common.enroll_everybody(account, common.add_people(account, n_people), str(course.pk), "now()")
        common.execute(_LATER_IDS)
        common.execute(_LATER_RUN, {"run": 1_000, "sequence": course.pk})
        common.enroll_everybody(account, common.add_people(account, n_due, "busy"), str(busy.pk), "now()")
    common.settle()
    return course


def add_old(course: "Sequence", n_runs: int, now: datetime) -> None:
    first, at = course.emails.get(position=0), now - timedelta(days=1_000)
    with common.without_key_checks():
        common.execute(_OLD, {"email": first.pk, "sequence": course.pk, "n_runs": n_runs, "at": at})
    common.settle()


def prune_all(what: str, n_rows: int, watch: Watch, alone_for: float) -> common.Figures:
    from dripstone import clock
    from dripstone.ops import prune

    ends: list[float] = []
    before = watch.rate(alone_for)
    sent, began = watch.sent(), time.perf_counter()
    done = prune.everything(clock.now(), after_batch=lambda: ends.append(time.perf_counter()))
    seconds, n_sent = time.perf_counter() - began, watch.sent() - sent
    alone = (before + watch.rate(alone_for)) / 2
    n_gone = next(one.n_gone for one in done if one.name == "deliveries")
    assert n_gone == n_rows, f"{n_rows} rows may go, {n_gone} went"
    assert alone and common.execute(_ANY_DUE) == [(True,)], "all mail was sent too early, so this measures nothing"
    return {
        "deleting": what,
        "rows": n_rows,
        "seconds": seconds,
        "rows/s": n_rows / seconds,
        "a batch every ms": 1000 * statistics.median(b - a for a, b in itertools.pairwise(ends)),
        "sends/s alone": alone,
        "sends/s meanwhile": n_sent / seconds,
        "of alone": n_sent / seconds / alone,
    }


if __name__ == "__main__":
    main()
