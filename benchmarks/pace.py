"""How exactly a limit is kept at the wire, and what it costs: `dripstone worker` processes, more due than may go.

The mail server writes down when it took each message; that is what a limit is about. The rows' sent_at is when the
outcome was recorded, a batch at a time, and says little about a second.

    python -m benchmarks.pace [--small] [--json FILE]
"""

import bisect
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import common, send, sink
from benchmarks.sink import Sink

if TYPE_CHECKING:
    from dripstone.accounts.models import Account

NEVER_BITES = "per_second=100000&per_day=1000000000"


@dataclass(frozen=True)
class Run:
    n_workers: int
    taken: list[float]  # when the mail server took each message, seconds since 1970
    recorded: list[float]  # the same by the rows' sent_at
    seconds: float  # from due to the last outcome
    claims: float  # per message
    cpu_workers: float
    cpu_server: float


def main() -> None:
    options = common.arguments("How exactly limits are kept, and what they cost.").parse_args()
    rates, seconds, n_unlimited = ([100], 5, 600) if options.small else ([100, 500], 10, 5000)
    report = common.Report("pace")
    with tempfile.TemporaryDirectory() as folder, sink.running("--log", str(Path(folder) / "taken")) as target:
        url = f"smtp://127.0.0.1:{target.port}"
        with common.database(DRIPSTONE_MAIL_URL=url):
            bench = Bench(common.make_account(), target, Path(folder) / "taken")
            kept = []
            for rate in rates:
                server = {"DRIPSTONE_MAIL_URL": f"{url}?per_second={rate}"}
                domain = {"DRIPSTONE_DOMAIN_LIMITS": f"*={rate}/s"}
                for what, n_workers, limits in (("server", 1, server), ("server", 2, server), ("domain", 2, domain)):
                    kept.append(exactness(f"{what} {rate}/s", rate, bench.run(n_workers, rate * seconds, limits)))
            cost = [
                price(what, bench.run(n_workers, n_unlimited, limits))
                for n_workers in (1, 2)
                for what, limits in (
                    ("no limit", {}),
                    ("server, never bites", {"DRIPSTONE_MAIL_URL": f"{url}?{NEVER_BITES}"}),
                    ("domain, never bites", {"DRIPSTONE_DOMAIN_LIMITS": "*=100000/s"}),
                )
            ]
    report.table(f"How exactly a limit is kept, {seconds} seconds' worth due", kept)
    report.table(f"What asking costs, {n_unlimited:,} due", cost)
    report.save(options.json)


@dataclass(frozen=True)
class Bench:
    account: "Account"
    target: Sink
    log: Path

    def run(self, n_workers: int, n_messages: int, limits: dict[str, str]) -> Run:
        from django.db import transaction

        from dripstone.engine import wake

        common.empty()
        common.execute("TRUNCATE senders_meter")
        self.log.write_bytes(b"")
        command = [sys.executable, "-m", "dripstone", "worker"]
        processes = [subprocess.Popen(command, env=os.environ | limits) for _ in range(n_workers)]
        with send.counting(self.target, n_messages), common.stopping(processes):
            common.until(lambda: common.n_listening() >= n_workers)
            cpu, server_cpu = cpu_of(processes), common.server_cpu_seconds()
            with transaction.atomic():
                common.make_due(self.account, n_messages)
                wake.engine()
            began = time.perf_counter()
            common.until(lambda: common.execute(send.DONE)[0][0] >= n_messages)
            seconds = time.perf_counter() - began
            cpu, server_cpu = cpu_of(processes) - cpu, common.server_cpu_seconds() - server_cpu
        rows = common.execute("SELECT extract(epoch FROM sent_at)::float8, attempt FROM engine_delivery")
        return Run(
            n_workers,
            sorted(float(line.split()[2]) for line in self.log.read_text().splitlines()),
            sorted(sent_at for sent_at, _ in rows),
            seconds,
            sum(attempt for _, attempt in rows) / n_messages,
            cpu,
            server_cpu,
        )


def cpu_of(processes: Sequence["subprocess.Popen[bytes]"]) -> float:
    return sum(common.process_cpu_seconds(process.pid) for process in processes)


def most_within(instants: Sequence[float], seconds: float) -> int:
    """The most of them (sorted) in any window of that length."""
    return max(bisect.bisect_left(instants, begin + seconds) - i for i, begin in enumerate(instants))


def exactness(limit: str, rate: int, run: Run) -> common.Figures:
    return {
        "limit": limit,
        "workers": run.n_workers,
        # Without the first second, which has what was saved up, and the last, which is not whole.
        "reached/s": rate_between(run.taken, run.taken[0] + 1, run.taken[-1] - 1),
        "most in 1 s": most_within(run.taken, 1),
        "of the limit": most_within(run.taken, 1) / rate,
        "most in 10 s": most_within(run.taken, 10),
        "most in 1 s by sent_at": most_within(run.recorded, 1),
        "claims each": run.claims,
    }


def rate_between(instants: Sequence[float], begin: float, end: float) -> float:
    return (bisect.bisect_left(instants, end) - bisect.bisect_left(instants, begin)) / (end - begin)


def price(limit: str, run: Run) -> common.Figures:
    n_messages = len(run.taken)
    return {
        "limit": limit,
        "workers": run.n_workers,
        "messages/s": n_messages / run.seconds,
        "workers' CPU µs each": 1e6 * run.cpu_workers / n_messages,
        "PostgreSQL µs each": 1e6 * run.cpu_server / n_messages,
    }


if __name__ == "__main__":
    main()
