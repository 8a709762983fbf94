"""From due rows to recorded outcomes, per second, into an SMTP server on this machine.

The real path: plan → claim → render → SMTP → record, each message personal (Liquid in subject and body, two snippets,
a custom field, unsubscribe link, text and HTML, about 8 KB), PostgreSQL with fsync. By two `dripstone worker` processes
as they run in production, and by n processes that call life.send_batch in a loop. The parts, and what others reach on
the same sink, are measured in the same run. Every message is counted at the sink.

    python -m benchmarks.send [--small] [--messages 20000,200000,1000000] [--workers 1,2,4] [--json FILE]
"""

import asyncio
import collections
import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import django
import psutil

from benchmarks import common, sink
from benchmarks.sink import Sink

if TYPE_CHECKING:
    from multiprocessing.synchronize import Barrier

    from dripstone.accounts.models import Account
    from dripstone.senders.base import Outgoing

DONE = "SELECT count(*) FROM engine_delivery WHERE status = 'sent'"
SAMPLE = 500


def main() -> None:
    parser = common.arguments("Messages per second, from due rows to recorded outcomes.")
    parser.add_argument("--messages", help="per run, each number in a run of its own (default 20000)")
    parser.add_argument("--workers", default="1,2,4", help="process counts to try (default 1,2,4)")
    options = parser.parse_args()
    numbers = _numbers(options.messages or ("600" if options.small else "20000"))
    counts = [2] if options.small else _numbers(options.workers)
    report = common.Report("send")
    with sink.running() as target, common.database(DRIPSTONE_MAIL_URL=f"smtp://127.0.0.1:{target.port}"):
        account = common.make_account()
        messages = sample(account)
        n_others = min(numbers)
        sources = smtp_source(target, messages, n_others)
        parts = others(target, messages, n_others)
        runs = []
        for n_messages in numbers:
            runs.append(production(account, target, n_messages))
            runs += [loop(account, target, n_messages, n_workers) for n_workers in counts]
        sources += smtp_source(target, messages, n_others)  # before and after: the machine may not be quiet
    if len(numbers) > 1:
        runs = [replace(run, name=f"{run.name}, {run.n_messages:,}") for run in runs]
    if not sources:
        common.out.print("smtp-source is not installed (Debian: postfix): shares are of our SMTP sender alone.")
    report.table("On the same sink", [*sources, *parts])
    report.table("From due rows to recorded outcomes", [figures(run, sources or parts[:1]) for run in runs])
    report.table("CPU per message, µs", [cpu(run) for run in runs])
    report.table("Where a thread's time goes, µs per message, waiting included", [steps(run) for run in runs])
    report.save(options.json)


def _numbers(text: str) -> list[int]:
    return [int(one) for one in text.split(",")]


# --- The path ---------------------------------------------------------------------------------------------------


@dataclass
class Worker:
    """What one process reports of its part. Seconds, MB."""

    n_sent: int
    wall: float
    plan_seconds: float
    cpu_main: float  # the thread that claims, renders and records
    cpu_others: float  # the thread that speaks SMTP
    first_mb: float  # resident after the first batch
    peak_mb: float


@dataclass
class Run:
    name: str
    n_messages: int
    plan_seconds: float | None  # None: planned while others were sending
    seconds: float  # from due to the last outcome
    message_bytes: float
    cpu_workers: float
    cpu_server: float
    cpu_sink: float
    peak_mb: float
    workers: list[Worker] = field(default_factory=list)
    stages: dict[str, float] = field(default_factory=dict)  # seconds that threads spent in each


def loop(account: "Account", target: Sink, n_messages: int, n_workers: int) -> Run:
    """The workers plan what is due, then send until nothing is left. Their start is not counted."""
    spawn = multiprocessing.get_context("spawn")
    start, results = spawn.Barrier(n_workers + 1), spawn.Queue()
    processes = [spawn.Process(target=send_everything, args=(start, results)) for _ in range(n_workers)]
    common.empty()
    common.make_due(account, n_messages)
    common.settle()
    before = stage_seconds()
    with counting(target, n_messages) as count, common.stopping(processes):
        for process in processes:
            process.start()
        start.wait(common.PATIENCE_SECONDS)  # they have imported and connected
        sink_cpu, server_cpu, began = cpu_of(target), common.server_cpu_seconds(), time.perf_counter()
        start.wait(common.PATIENCE_SECONDS)
        workers: list[Worker] = [results.get(timeout=common.PATIENCE_SECONDS) for _ in processes]
        ended = time.perf_counter()
        cpu_server, cpu_sink = common.server_cpu_seconds() - server_cpu, cpu_of(target) - sink_cpu
        start.wait(common.PATIENCE_SECONDS)  # they may go; their connections' CPU has been counted
        for process in processes:
            process.join(common.PATIENCE_SECONDS)  # they write down the seconds of their stages
    return Run(
        name=f"{n_workers} process{'es' if n_workers > 1 else ''}",
        n_messages=n_messages,
        plan_seconds=max(worker.plan_seconds for worker in workers),
        seconds=ended - began,
        message_bytes=count["bytes"] / n_messages,
        cpu_workers=sum(worker.cpu_main + worker.cpu_others for worker in workers),
        cpu_server=cpu_server,
        cpu_sink=cpu_sink,
        peak_mb=max(worker.peak_mb for worker in workers),
        workers=workers,
        stages={stage: seconds - before[stage] for stage, seconds in stage_seconds().items()},
    )


def send_everything(start: "Barrier", results: Any) -> None:
    """A worker process: plans as a tick does, then batch after batch, as tasks.send does, until nothing is left."""
    django.setup()
    from django.db import connection

    from dripstone.engine import counters, life, plan, process

    connection.ensure_connection()
    crew = process.current()
    start.wait(common.PATIENCE_SECONDS)
    start.wait(common.PATIENCE_SECONDS)
    n_sent, first_mb = 0, 0.0
    began, cpu_main, cpu_all = time.perf_counter(), time.thread_time(), time.process_time()
    with counters.timed("plan"):
        plan.everything_due(datetime.now(UTC))
    plan_seconds = time.perf_counter() - began
    while tally := life.send_batch(crew.worker, crew.sender):
        n_sent += sum(tally.values())
        first_mb = first_mb or psutil.Process().memory_info().rss / 2**20
    wall, cpu_main = time.perf_counter() - began, time.thread_time() - cpu_main
    cpu_all = time.process_time() - cpu_all
    results.put(Worker(n_sent, wall, plan_seconds, cpu_main, cpu_all - cpu_main, first_mb, common.peak_memory_mb()))
    start.wait(common.PATIENCE_SECONDS)
    counters.flush()
    process.close()


def stage_seconds() -> dict[str, float]:
    """What the engine's own figures say, of all workers so far, waiting included.

    While a worker renders or records, its SMTP thread goes on sending; "hand_over" is what is left to wait for.
    """
    from dripstone.engine import counters

    counted = counters.read()
    return {stage: counted.get((counters.SECONDS, stage), 0.0) for stage in counters.STAGES}


def production(account: "Account", target: Sink, n_messages: int, n_workers: int = 2) -> Run:
    """Two `dripstone worker` processes, woken as by an API call that added everybody: ticks and send jobs."""
    from django.db import transaction

    from dripstone.engine import wake

    common.empty()
    n_before, stages_before = target.count().messages, stage_seconds()
    processes = [subprocess.Popen([sys.executable, "-m", "dripstone", "worker"]) for _ in range(n_workers)]
    with counting(target, n_messages) as count, common.stopping(processes):
        common.until(lambda: common.n_listening() >= n_workers)
        with transaction.atomic():
            common.make_due(account, n_messages)
            wake.engine()
        cpu_before = sum(common.process_cpu_seconds(process.pid) for process in processes)
        sink_cpu, server_cpu, began = cpu_of(target), common.server_cpu_seconds(), time.perf_counter()
        common.until(lambda: target.count().messages - n_before >= n_messages)
        common.until(lambda: common.execute(DONE)[0][0] >= n_messages)
        ended = time.perf_counter()
        run = Run(
            name=f"{n_workers} × dripstone worker",
            n_messages=n_messages,
            plan_seconds=None,
            seconds=ended - began,
            message_bytes=count_bytes(target, count) / n_messages,
            cpu_workers=sum(common.process_cpu_seconds(process.pid) for process in processes) - cpu_before,
            cpu_server=common.server_cpu_seconds() - server_cpu,
            cpu_sink=cpu_of(target) - sink_cpu,
            peak_mb=max(common.peak_memory_mb_of(process.pid) for process in processes),
        )
    # They have written down the seconds of their stages when they ended.
    run.stages = {stage: seconds - stages_before[stage] for stage, seconds in stage_seconds().items()}
    return run


@contextmanager
def counting(target: Sink, n_messages: int) -> Iterator[dict[str, int]]:
    """There are figures only if every row is sent and every message has reached the sink once."""
    before = target.count()
    count = {"bytes_before": before.body_bytes, "bytes": 0}
    yield count
    n_taken, n_sent = target.count().messages - before.messages, common.execute(DONE)[0][0]
    assert n_taken == n_sent == n_messages, f"{n_messages} due, {n_sent} recorded as sent, {n_taken} at the sink"
    count["bytes"] = count_bytes(target, count)


def count_bytes(target: Sink, count: dict[str, int]) -> int:
    return target.count().body_bytes - count["bytes_before"]


def cpu_of(target: Sink) -> float:
    return common.process_cpu_seconds(target.pid)


# --- What others reach ------------------------------------------------------------------------------------------


def sample(account: "Account") -> "list[Outgoing]":
    """The messages of one batch, as the engine makes them."""
    from dripstone.engine import claim, plan, render

    common.make_due(account, SAMPLE)
    plan.everything_due(datetime.now(UTC))
    now = datetime.now(UTC)
    return render.messages(claim.take("sample", now), now).messages


def others(target: Sink, messages: "list[Outgoing]", n_messages: int) -> list[common.Figures]:
    """Our sender without the rest of the path, and another library's, with the same messages."""
    repeated = [messages] * max(1, n_messages // len(messages))
    fewer = repeated[: len(repeated) // 4 + 1]
    return [
        taken(target, "our SMTP sender alone, one process", lambda: bare_sender(target, repeated)),
        taken(target, "aiosmtplib, one connection", lambda: asyncio.run(one_by_one(target, fewer))),
    ]


def smtp_source(target: Sink, messages: "list[Outgoing]", n_messages: int) -> list[common.Figures]:
    """Postfix's load generator with messages of our size: a connection for each, and (-d) kept ones, as we do. Nothing
    when it is not installed."""
    program = shutil.which("smtp-source")
    if program is None:
        return []
    size = sum(len(message.data) for message in messages) // len(messages)
    command = [program, "-s", "20", "-l", str(size), "-m", str(n_messages)]
    return [
        taken(target, " ".join(["smtp-source", *kept]), partial(_run, [*command, *kept, f"127.0.0.1:{target.port}"]))
        for kept in ([], ["-d"])
    ]


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True)


def taken(target: Sink, what: str, run: Callable[[], object]) -> common.Figures:
    before, sink_cpu, began = target.count(), cpu_of(target), time.perf_counter()
    run()
    seconds, after = time.perf_counter() - began, target.count()
    n_messages = after.messages - before.messages
    return {
        "what": what,
        "messages/s": n_messages / seconds,
        "messages": n_messages,
        "bytes each": round((after.body_bytes - before.body_bytes) / n_messages),
        "sink's CPU %": 100 * (cpu_of(target) - sink_cpu) / seconds,
    }


def bare_sender(target: Sink, batches: "list[list[Outgoing]]") -> None:
    """Batch after batch with a fresh attempt number each, without a flight log."""
    from dripstone.senders.ways import sender_for

    sender = sender_for(f"smtp://127.0.0.1:{target.port}")
    for batch in batches:
        kinds = collections.Counter(answer.kind for answers in sender.hand_over(batch) for answer in answers)
        assert kinds == {"sent": len(batch)}, kinds
    sender.close()


async def one_by_one(target: Sink, batches: "list[list[Outgoing]]") -> None:
    import aiosmtplib

    async with aiosmtplib.SMTP(hostname="127.0.0.1", port=target.port, start_tls=False) as client:
        for batch in batches:
            for message in batch:
                await client.sendmail(message.mail_from, [message.rcpt_to], message.data)


# --- The tables -------------------------------------------------------------------------------------------------


def rate(row: common.Figures) -> float:
    return float(row["messages/s"] or 0)


def figures(run: Run, references: list[common.Figures]) -> common.Figures:
    """Shares are of the better of two measurements."""
    best = {one["what"]: max(rate(other) for other in references if other["what"] == one["what"]) for one in references}
    return {
        "run": run.name,
        "messages/s": run.n_messages / run.seconds,
        **{f"of {what}": run.n_messages / run.seconds / reached for what, reached in best.items()},
        "planning s": run.plan_seconds,
        "all s": run.seconds,
        "bytes each": round(run.message_bytes),
        "peak MB": run.peak_mb,
        "MB after 1st batch": max(worker.first_mb for worker in run.workers) if run.workers else None,
    }


def steps(run: Run) -> common.Figures:
    spent = {stage.replace("_", " "): seconds / run.n_messages * 1e6 for stage, seconds in run.stages.items()}
    return {"run": run.name, **spent}


def cpu(run: Run) -> common.Figures:
    per = 1e6 / run.n_messages
    main = sum(worker.cpu_main for worker in run.workers) * per if run.workers else None
    others_ = sum(worker.cpu_others for worker in run.workers) * per if run.workers else None
    every = run.cpu_workers + run.cpu_server + run.cpu_sink
    return {
        "run": run.name,
        "workers": run.cpu_workers * per,
        "of it main thread": main,
        "SMTP thread": others_,
        "PostgreSQL": run.cpu_server * per,
        "sink": run.cpu_sink * per,
        "cores busy": every / run.seconds,
        "cores": os.cpu_count(),
    }


if __name__ == "__main__":
    main()
