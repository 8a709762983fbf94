"""Are the promises kept when workers are killed and PostgreSQL is restarted during sending?

Two `dripstone worker` processes send to an SMTP server that writes down each message and its recipient before it
answers. After every second of mail one of them, at random, gets SIGKILL and is started again at once; a third and two
thirds of the way PostgreSQL is restarted, first with `pg_ctl -m fast`, then with `-m immediate` (a crash). Once under
DRIPSTONE_UNKNOWN=hold, once under resend. At the end the rows are compared with what the server wrote down; when a
promise is broken there are no figures, and the exit code is 1.

    python -m benchmarks.chaos [--small] [--messages N] [--seed N] [--json FILE]
"""

import argparse
import collections
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import psycopg

from benchmarks import common, sink

if TYPE_CHECKING:
    from dripstone.accounts.models import Account

N_WORKERS = 2
CONNECTIONS = 10  # per worker: what smtp:// has when it does not say
MODES = ("fast", "immediate")  # of the restarts of PostgreSQL
SECONDS_BETWEEN_KILLS = 1.0
SECONDS_BETWEEN_LOOKS = 0.1
SECONDS_WITHOUT_PROGRESS = 90  # then whatever has not ended counts as lost
DELAY_MS = 20  # of the server's answer: there is always a body in the air

STANDING = "SELECT count(*) FROM engine_delivery WHERE ended_at IS NOT NULL"
HELD = "SELECT split_part(worker, '-', -2)::int, count(*) FROM engine_delivery WHERE status = 'sending' GROUP BY 1"
# Under resend an unknown delivery is sent again after 1, 2, 4 … minutes; here at once, while workers are being killed.
SOONER = """
UPDATE engine_delivery SET ready_at = now() WHERE status = 'planned' AND ready_at > now() RETURNING id
"""
ENDS = """
SELECT d.id, s.email_address, d.status, d.reason, d.attempt
FROM subscribers_subscriber s LEFT JOIN engine_delivery d ON d.subscriber_id = s.id
"""


def main() -> None:
    parser = common.arguments("What SIGKILL of workers and restarts of PostgreSQL do to 50,000 due messages.")
    parser.add_argument("--messages", type=int, help="per run (default 50,000)")
    parser.add_argument("--seed", type=int, default=1, help="of the random choice of the worker to kill")
    options = parser.parse_args()
    n_messages = options.messages or (2_000 if options.small else 50_000)
    report = common.Report("chaos")
    with common.database():
        account = common.make_account()
        runs = [chaos(account, policy, n_messages, options) for policy in ("hold", "resend")]
    broken = [f"{run.policy}: {sentence}" for run in runs for sentence in run.broken()]
    if broken:
        common.out.print(
            "\n".join(line for run in runs for line in run.said.splitlines()[-20:]), style="dim", markup=False
        )
        sys.exit("\n".join(["A promise is broken.", *broken]))
    report.table(f"{n_messages:,} due messages under fire", [run.fire() for run in runs])
    report.table("What became of them", [run.ends() for run in runs])
    report.table("Seconds from a kill until its rows moved again", [run.latency() for run in runs])
    report.save(options.json)


# --- One run ----------------------------------------------------------------------------------------------------


@dataclass
class Kill:
    pid: int
    at: float  # time.monotonic
    n_held: int
    moved_after: float | None = None  # seconds; None: not yet


@dataclass
class Run:
    policy: str
    n_messages: int
    seconds: float = 0.0
    kills: list[Kill] = field(default_factory=list)
    restarts: list[str] = field(default_factory=list)
    exits: list[int] = field(default_factory=list)  # codes of workers that ended by themselves
    rows: list[tuple[Any, ...]] = field(default_factory=list)  # as ENDS
    said: str = ""  # by the workers
    taken: dict[str, list[str]] = field(default_factory=dict)  # recipient → Message-IDs the server took, in order

    def broken(self) -> Iterator[str]:
        """A sentence for every promise that was not kept."""
        by_status = self.by_status()
        if not self.kills or len(self.restarts) < len(MODES):
            yield f"{len(self.kills)} kills and {len(self.restarts)} restarts: nothing was tried"
        if lost := self.lost():
            kinds = collections.Counter(status for _, status in lost)
            yield f"{len(lost)} people have no ended delivery ({dict(kinds)}), such as {lost[0][0]}"
        if len(self.rows) != self.n_messages or sum(by_status.values()) != self.n_messages:
            yield f"{self.n_messages} were due, {len(self.rows)} rows are there: {dict(by_status)}"
        if by_status["failed"] or by_status["skipped"]:
            reasons = collections.Counter(row[3] for row in self.rows if row[2] in ("failed", "skipped"))
            yield f"nothing here may fail or be skipped: {dict(reasons)}"
        untrue = [address for _, address, status, *_ in self.rows if status == "sent" and address not in self.taken]
        if untrue:
            yield f"{len(untrue)} are recorded as sent and were never taken, such as {untrue[0]}"
        unsaid = [address for _, address, status, *_ in self.rows if status == "failed" and address in self.taken]
        if unsaid:
            yield f"{len(unsaid)} were taken and are recorded as failed, such as {unsaid[0]}"
        if self.policy == "hold" and (twice := self.duplicates()):
            yield f"{len(twice)} were taken twice under hold, such as {twice[0]}"
        if by_status["unknown"] > self.most_unknown:
            yield f"{by_status['unknown']} unknown, but at most {self.most_unknown} bodies can have been on the wire"
        if differing := [address for address, ids in self.taken.items() if len(set(ids)) > 1]:
            yield f"{len(differing)} got copies with different Message-IDs, such as {differing[0]}"

    @property
    def most_unknown(self) -> int:
        return CONNECTIONS * len(self.kills) if self.policy == "hold" else 0

    def by_status(self) -> "collections.Counter[str]":
        return collections.Counter(str(status) for _, _, status, *_ in self.rows)

    def lost(self) -> list[tuple[str, str | None]]:
        """Address and status of all people without a delivery that has ended."""
        return [(address, status) for _, address, status, *_ in self.rows if status in (None, "planned", "sending")]

    def duplicates(self) -> list[str]:
        return [address for address, ids in self.taken.items() if len(ids) > 1]

    def fire(self) -> common.Figures:
        return {
            "run": self.policy,
            "kills": len(self.kills),
            "PostgreSQL restarts": ", ".join(self.restarts),
            "workers that ended by themselves": len(self.exits),
            "seconds": self.seconds,
            "messages/s": self.n_messages / self.seconds,
        }

    def ends(self) -> common.Figures:
        by_status = self.by_status()
        unknown = [address for _, address, status, *_ in self.rows if status == "unknown"]
        duplicates = self.duplicates()
        return {
            "run": self.policy,
            "due": self.n_messages,
            "sent": by_status["sent"],
            "failed": by_status["failed"],
            "skipped": by_status["skipped"],
            "unknown": len(unknown),
            "of them taken": sum(address in self.taken for address in unknown),
            "bodies on the wire at kills, at most": CONNECTIONS * len(self.kills),
            "duplicates": len(duplicates),
            "with another Message-ID": sum(len(set(self.taken[address])) > 1 for address in duplicates),
            "lost": len(self.lost()),
        }

    def latency(self) -> common.Figures:
        seconds = sorted(kill.moved_after for kill in self.kills if kill.moved_after is not None)
        return {
            "run": self.policy,
            "rows held at a kill, median": statistics.median(kill.n_held for kill in self.kills),
            "median": statistics.median(seconds) if seconds else None,
            "90 %": seconds[len(seconds) * 9 // 10] if seconds else None,
            "longest": seconds[-1] if seconds else None,
            "kills whose rows were not seen to move": len(self.kills) - len(seconds),
        }


def chaos(account: "Account", policy: str, n_messages: int, options: argparse.Namespace) -> Run:
    from django.db import connection, transaction

    from dripstone.engine import wake

    run = Run(policy, n_messages)
    common.empty()
    with tempfile.TemporaryDirectory(prefix="dripstone-chaos-") as name:
        folder = Path(name)
        log = folder / "taken"
        with sink.running("--log", str(log), "--delay", str(DELAY_MS)) as target:
            os.environ |= {"DRIPSTONE_UNKNOWN": policy, "DRIPSTONE_MAIL_URL": f"smtp://127.0.0.1:{target.port}"}
            with transaction.atomic():
                common.make_due(account, n_messages)
                wake.engine()
            connection.close()  # it would not survive the restarts
            with crew(run, random.Random(options.seed), folder) as workers:
                run.seconds = workers.fire_until_done()
            run.said = (folder / "workers.log").read_text(errors="replace")
            run.rows = common.execute(ENDS)
        run.taken = read_log(log)
    return run


def read_log(log: Path) -> dict[str, list[str]]:
    taken: dict[str, list[str]] = collections.defaultdict(list)
    for line in log.read_text().splitlines() if log.exists() else ():
        recipient, message_id, _ = line.split(" ")
        taken[recipient].append(message_id)
    return dict(taken)


# --- The workers, and what is done to them ----------------------------------------------------------------------


@contextmanager
def crew(run: Run, lot: random.Random, folder: Path) -> Iterator["Crew"]:
    with (folder / "workers.log").open("ab") as log:
        workers = Crew(run, lot, log, folder / "taken")
        try:
            yield workers
        finally:
            workers.stop()


class Crew:
    """Worker processes under a service manager that starts them again at once."""

    def __init__(self, run: Run, lot: random.Random, log: BinaryIO, taken: Path) -> None:
        self.run, self.lot, self.log, self.taken = run, lot, log, taken
        self.processes = [self.start() for _ in range(N_WORKERS)]
        self.database = Database()
        self.restarting: threading.Thread | None = None

    def start(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen([sys.executable, "-m", "dripstone", "worker"], stderr=self.log)

    def fire_until_done(self) -> float:
        """Seconds until every row has ended, or until nothing has moved for SECONDS_WITHOUT_PROGRESS."""
        began = last_progress = time.monotonic()
        seconds_of_mail, next_kill, n_ended, size = 0.0, self.pause(), 0, 0
        while n_ended < self.run.n_messages and time.monotonic() - last_progress < SECONDS_WITHOUT_PROGRESS:
            looked = time.monotonic()
            time.sleep(SECONDS_BETWEEN_LOOKS)
            self.start_the_ended()
            held = self.database.ask(HELD)
            if held is not None:
                self.watch_the_killed(dict(held))
            size_before, size = size, self.taken.stat().st_size
            seconds_of_mail += time.monotonic() - looked if size > size_before else 0.0
            if held and seconds_of_mail >= next_kill and self.kill_one(dict(held)):
                next_kill = seconds_of_mail + self.pause()
            if (found := self.database.ask(STANDING)) and found[0][0] != n_ended:
                n_ended, last_progress = found[0][0], time.monotonic()
            self.restart_postgres(n_ended)
            self.database.ask(SOONER)
        return last_progress - began

    def pause(self) -> float:
        return SECONDS_BETWEEN_KILLS * self.lot.uniform(0.5, 1.5)

    def start_the_ended(self) -> None:
        for number, process in enumerate(self.processes):
            if process.poll() is not None:
                if process.returncode != -signal.SIGKILL:
                    self.run.exits.append(process.returncode)
                self.processes[number] = self.start()

    def kill_one(self, held: Mapping[int, int]) -> bool:
        """One that is at work; False while none is (they need a second to start)."""
        at_work = [process for process in self.processes if process.pid in held]
        if not at_work:
            return False
        process = self.lot.choice(at_work)
        process.kill()
        self.run.kills.append(Kill(process.pid, time.monotonic(), held[process.pid]))
        process.wait()
        return True

    def watch_the_killed(self, held: Mapping[int, int]) -> None:
        for kill in self.run.kills:
            if kill.moved_after is None and kill.pid not in held:
                kill.moved_after = time.monotonic() - kill.at

    def restart_postgres(self, n_ended: int) -> None:
        n_restarts = len(self.run.restarts)
        is_time = n_restarts < len(MODES) and n_ended >= self.run.n_messages * (n_restarts + 1) // 3
        if is_time and (self.restarting is None or not self.restarting.is_alive()):
            self.run.restarts.append(MODES[n_restarts])
            self.restarting = threading.Thread(target=common.restart_server, args=[MODES[n_restarts]])
            self.restarting.start()

    def stop(self) -> None:
        if self.restarting is not None:
            self.restarting.join()
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(30)
        self.database.close()


class Database:
    """A connection of the benchmark's own that comes back after a restart of the server."""

    def __init__(self) -> None:
        self.connection: psycopg.Connection[Any] | None = None

    def ask(self, query: str) -> Sequence[tuple[Any, ...]] | None:
        """None: the server is away."""
        try:
            if self.connection is None:
                self.connection = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True, connect_timeout=5)
            return self.connection.execute(query.encode()).fetchall()
        except psycopg.OperationalError:
            self.close()
            return None

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
        self.connection = None


if __name__ == "__main__":
    main()
