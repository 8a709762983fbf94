"""How long does it take to say what an edit would do to 100,000 people, and how much does it delay others meanwhile?

The sequence of benchmarks/forecast.py: people at every place of it with the deliveries they had, a tenth excluded by a
tag. Every kind of proposal is measured, while another process adds one person after the other to the same sequence.
Measured per proposal: the answer, how long the sequence was locked, the slowest add meanwhile, memory.

    python -m benchmarks.impact [--small] [--json FILE]
"""

import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks import common, forecast

if TYPE_CHECKING:
    from datetime import datetime

    from dripstone.accounts.models import Account
    from dripstone.foresight.impact import Proposal
    from dripstone.sequences.models import Sequence

N_READINGS = 3
PAUSE_SECONDS = 0.002  # between two adds


def main() -> None:
    options = common.arguments(__doc__.partition("\n")[0]).parse_args()
    report = common.Report("impact")
    with common.database():
        account = common.make_account()
        sizes = forecast.SMALL_SIZES if options.small else forecast.SIZES
        report.table("Impact", [row for size in sizes for row in measure(account, size)])
    report.save(options.json)


def measure(account: "Account", n_people: int) -> list[common.Figures]:
    from dripstone import clock

    now = clock.now()
    sequence = forecast.seed(account, n_people, now)
    to_add = common.add_people(account, 50_000 if n_people > 1000 else 2_000, f"new-{n_people}-")
    with adding(sequence.pk, to_add) as adds:
        rows = [
            reading(title, account, sequence, proposal, n_people, adds)
            for title, proposal in proposals(account, sequence, now)
        ]
        rows.append(token(sequence, n_people, adds))
    return rows


def proposals(account: "Account", sequence: "Sequence", now: "datetime") -> "Iterator[tuple[str, Proposal]]":
    from dripstone.sequences import verbs

    first, last = sequence.emails.earliest("position"), sequence.emails.latest("position")
    new = {"subject": "New", "delay_value": 1, "delay_unit": "days"}
    yield (
        "publish behind everybody",
        partial(verbs.create_email, account, sequence.pk, {**new, "position": 1, "published": True}, now),
    )
    yield (
        "insert a draft in the middle",
        partial(verbs.create_email, account, sequence.pk, {**new, "position": 50}, now),
    )
    yield (
        "move the last to the second",
        partial(verbs.update_email, account, sequence.pk, last.pk, {"position": first.position + 1}, now),
    )
    yield "delete one", partial(verbs.delete_email, account, sequence.pk, last.pk, now)
    yield "longer delay", partial(verbs.update_email, account, sequence.pk, last.pk, {"delay_value": 9}, now)
    yield "pause", partial(verbs.update_sequence, account, sequence.pk, {"active": False}, now)
    yield "reschedule", partial(verbs.reschedule, account, sequence.pk, now)
    yield "delete the sequence", partial(verbs.delete_sequence, account, sequence.pk, now)


def reading(
    title: str, account: "Account", sequence: "Sequence", proposal: "Proposal", n_people: int, adds: Callable[[], Any]
) -> common.Figures:
    """The middle one of several; of locks and adds the worst."""
    from dripstone import clock
    from dripstone.foresight import impact

    memory, costs, locked = common.peak_memory_mb(), [], []
    adds()
    for _ in range(N_READINGS):
        with watched_lock() as seconds_locked, common.measured() as cost:
            told = impact.of(account, sequence.pk, proposal, clock.now())
        costs.append(cost)
        locked.append(seconds_locked())
        assert told.people >= n_people and sum(told.kinds.values()) == told.people
    return figures(title, n_people, costs, max(locked), adds(), memory)


def token(sequence: "Sequence", n_people: int, adds: Callable[[], Any]) -> common.Figures:
    """What If-Match costs the real call, which holds the lock meanwhile."""
    from dripstone.foresight import impact

    memory = common.peak_memory_mb()
    adds()
    with common.measured() as cost:
        impact.world(sequence.pk)
    return figures("the token alone", n_people, [cost], None, adds(), memory)


def figures(
    title: str, n_people: int, costs: list[common.Cost], locked: float | None, adds: tuple[int, float], memory: float
) -> common.Figures:
    n_adds, slowest = adds
    return {
        "proposal": title,
        "people": n_people,
        "seconds": statistics.median(cost.wall for cost in costs),
        "CPU s": statistics.median(cost.python + cost.server for cost in costs),
        "sequence locked ms": None if locked is None else 1000 * locked,
        "adds meanwhile": n_adds,
        "slowest add ms": 1000 * slowest,
        "MB more": common.peak_memory_mb() - memory,
    }


@contextmanager
def watched_lock() -> Iterator[Callable[[], float]]:
    """From before the sequence is locked until after it is let go: to the first statement that reads people."""
    from django.db import connection

    marks: dict[str, float] = {}

    def watch(execute: Any, sql: str, *arguments: Any) -> Any:
        if "FOR NO KEY UPDATE" in sql:
            marks.setdefault("locked", time.perf_counter())
        elif "engine_enrollment" in sql and "locked" in marks:
            marks.setdefault("free", time.perf_counter())
        return execute(sql, *arguments)

    with connection.execute_wrapper(watch):
        yield lambda: marks["free"] - marks["locked"]


@contextmanager
def adding(sequence_id: int, lowest: int) -> Iterator[Callable[[], tuple[int, float]]]:
    """Another process adds people, from `lowest` on. Gives a call: how many since the last call, and the slowest."""
    from django.db import connections

    connections.close_all()  # the child must not share a socket with us
    context = multiprocessing.get_context("fork")
    stop, here, there = context.Event(), *context.Pipe()
    worker = context.Process(target=add_until, args=(stop, there, sequence_id, lowest))

    def heard() -> Any:
        assert here.poll(common.PATIENCE_SECONDS), "nobody adds people any more"
        return here.recv()

    def since() -> tuple[int, float]:
        here.send(None)
        n_adds, slowest = heard()
        return n_adds, slowest

    worker.start()
    try:
        heard()  # the first one is in
        yield since
    finally:
        stop.set()
        worker.join()


def add_until(stop: Any, pipe: Any, sequence_id: int, subscriber_id: int) -> None:
    from dripstone import clock
    from dripstone.engine import enroll
    from dripstone.sequences.models import Sequence

    sequence, n_adds, slowest, is_ready = Sequence.objects.get(pk=sequence_id), 0, 0.0, False
    while not stop.is_set():
        began = time.perf_counter()
        enroll.add(sequence, [subscriber_id + n_adds], "api", clock.now())
        ended = time.perf_counter()
        n_adds, slowest = n_adds + 1, max(slowest, ended - began)
        if not is_ready:
            is_ready = True
            pipe.send(None)
        if pipe.poll():
            pipe.recv()
            pipe.send((n_adds, slowest))
            subscriber_id, n_adds, slowest = subscriber_id + n_adds, 0, 0.0
        time.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    main()
