"""What a limit costs, and how exactly it is kept: two `dripstone worker` processes, more due than the limit lets go.

The rate is measured at the rows' sent_at, the middle of the run without its first and last second. Every message is
counted at the sink.

    python -m benchmarks.pace [--small] [--json FILE]
"""

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from benchmarks import common, send, sink
from benchmarks.sink import Sink

if TYPE_CHECKING:
    from dripstone.accounts.models import Account

N_WORKERS = 2
PER_SECOND = """
SELECT floor(extract(epoch FROM sent_at - min(sent_at) OVER ()))::int AS second, count(*) OVER (
           ORDER BY sent_at RANGE BETWEEN CURRENT ROW AND interval '999 milliseconds' FOLLOWING) AS ahead
FROM engine_delivery WHERE status = 'sent'
"""


def main() -> None:
    options = common.arguments("How exactly limits are kept, and what they cost.").parse_args()
    rate, seconds = (100, 6) if options.small else (500, 20)
    report = common.Report("pace")
    with sink.running() as target, common.database(DRIPSTONE_MAIL_URL=f"smtp://127.0.0.1:{target.port}"):
        account = common.make_account()
        url = f"smtp://127.0.0.1:{target.port}"
        runs = [
            run(account, target, "no limit", rate * seconds, DRIPSTONE_MAIL_URL=url),
            run(account, target, f"server {rate}/s", rate * seconds, DRIPSTONE_MAIL_URL=f"{url}?per_second={rate}"),
            run(account, target, f"domain {rate}/s", rate * seconds, DRIPSTONE_DOMAIN_LIMITS=f"*={rate}/s"),
        ]
    report.table(f"{rate * seconds:,} due, {N_WORKERS} × dripstone worker", runs)
    report.save(options.json)


def run(account: "Account", target: Sink, what: str, n_messages: int, **environment: str) -> common.Figures:
    from django.db import transaction

    from dripstone.engine import wake

    common.empty()
    command = [sys.executable, "-m", "dripstone", "worker"]
    processes = [subprocess.Popen(command, env=os.environ | environment) for _ in range(N_WORKERS)]
    with send.counting(target, n_messages), common.stopping(processes):
        common.until(lambda: common.n_listening() >= N_WORKERS)
        cpu, server_cpu = cpu_of(processes), common.server_cpu_seconds()
        with transaction.atomic():
            common.make_due(account, n_messages)
            wake.engine()
        began = time.perf_counter()
        common.until(lambda: common.execute(send.DONE)[0][0] >= n_messages)
        ended = time.perf_counter()
        cpu, server_cpu = cpu_of(processes) - cpu, common.server_cpu_seconds() - server_cpu
    rows = common.execute(PER_SECOND)
    last = max(second for second, _ in rows)
    inside = [second for second, _ in rows if 1 <= second < last]
    return {
        "limit": what,
        "seconds": ended - began,
        "messages/s": len(inside) / (last - 1) if last > 1 else None,
        "most in one second": max(ahead for _, ahead in rows),
        "claims each": float(common.execute("SELECT avg(attempt) FROM engine_delivery")[0][0]),
        "workers' CPU µs each": 1e6 * cpu / n_messages,
        "PostgreSQL µs each": 1e6 * server_cpu / n_messages,
    }


def cpu_of(processes: list[subprocess.Popen[bytes]]) -> float:
    return sum(common.process_cpu_seconds(process.pid) for process in processes)


if __name__ == "__main__":
    main()
