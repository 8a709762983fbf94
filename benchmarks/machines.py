"""Does it scale over machines? `dripstone worker` in network namespaces of their own, against one PostgreSQL.

Each namespace stands for a machine: database, mail server and up to three workers reach each other over a bridge, by
TCP, and share nothing else; each worker has its own DRIPSTONE_DATA. They share this machine's cores, though: with more
workers than cores the rate says nothing about more machines, the sums do. Needs root and `ip` (iproute2), and takes
down what it has set up.

    python -m benchmarks.machines [--small] [--messages N] [--json FILE]
"""

import collections
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import common, sink
from benchmarks.sink import Sink
from dripstone import embedded

if TYPE_CHECKING:
    from dripstone.accounts.models import Account

MOST_WORKERS = 3
DATABASE, MAIL = "10.77.0.1", "10.77.0.2"
INSIDE = "--inside"  # set for the run in the database's namespace
STANDING = "SELECT status, count(*) FROM engine_delivery GROUP BY 1"


def main() -> None:
    parser = common.arguments("Messages per second with 1, 2 and 3 workers on machines of their own.")
    parser.add_argument("--messages", type=int, help="per run (default 20,000)")
    parser.add_argument(INSIDE, metavar="PREFIX", help="of the namespaces; it sets them up by itself when left out")
    options = parser.parse_args()
    if options.inside is None:
        sys.exit(set_up_and_run())
    n_messages = options.messages or (600 if options.small else 20_000)
    report = common.Report("machines")
    with (
        common.database(),
        listening_on_tcp(),
        sink.running(host=MAIL, within=inside(options.inside, "mail")) as target,
    ):
        account = common.make_account()
        counts = [2] if options.small else list(range(1, MOST_WORKERS + 1))
        rows = [run(account, target, options.inside, n_messages, n_workers) for n_workers in counts]
    report.table(f"{n_messages:,} due messages, workers on machines of their own", rows)
    report.save(options.json)


# --- The machines -----------------------------------------------------------------------------------------------


def set_up_and_run() -> int:
    if os.geteuid() != 0 or shutil.which("ip") is None:
        sys.stdout.write("Skipped: it needs root and the command ip (iproute2) to make network namespaces.\n")
        return 0
    prefix = f"dripstone{os.getpid()}"
    with namespaces(prefix):
        command = [*inside(prefix, "database"), sys.executable, "-m", "benchmarks.machines", INSIDE, prefix]
        return subprocess.run([*command, *sys.argv[1:]], check=False).returncode


def inside(prefix: str, machine: str) -> list[str]:
    return ["ip", "netns", "exec", f"{prefix}-{machine}"]


@contextmanager
def namespaces(prefix: str) -> Iterator[None]:
    """One per machine, and one for the bridge between them. Gone after the block, with everything in them."""
    machines = {"database": DATABASE, "mail": MAIL}
    machines |= {f"worker{number}": f"10.77.0.{10 + number}" for number in range(1, MOST_WORKERS + 1)}
    names = [f"{prefix}-{machine}" for machine in ("bridge", *machines)]
    with ExitStack() as stack:
        for name in names:
            ip("netns", "add", name)
            stack.callback(ip, "netns", "del", name)
        ip("-n", names[0], "link", "add", "bridge", "type", "bridge")
        ip("-n", names[0], "link", "set", "bridge", "up")
        for (machine, address), name in zip(machines.items(), names[1:], strict=True):
            ip("-n", names[0], "link", "add", machine, "type", "veth", "peer", "name", "eth0", "netns", name)
            ip("-n", names[0], "link", "set", machine, "master", "bridge", "up")
            ip("-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


@contextmanager
def listening_on_tcp() -> Iterator[None]:
    """The embedded PostgreSQL answers the other machines too; their connections are trusted, here."""
    folder = Path(os.environ["DRIPSTONE_DATA"])
    with (folder / "postgres" / "pg_hba.conf").open("a") as rules:
        rules.write("host all all 10.77.0.0/24 trust\n")
    common.execute(f"ALTER SYSTEM SET listen_addresses = '{DATABASE}'")
    from django.db import connection

    connection.close()
    embedded.restart(folder, "fast")
    os.environ["DATABASE_URL"] = f"postgresql://{embedded.SUPERUSER}@{DATABASE}/{embedded.DATABASE}"
    yield


# --- One run ----------------------------------------------------------------------------------------------------


def run(account: "Account", target: Sink, prefix: str, n_messages: int, n_workers: int) -> common.Figures:
    from django.db import transaction

    from dripstone.engine import wake

    common.empty()
    folders = [
        Path(os.environ["DRIPSTONE_DATA"]) / f"machine{number}-of-{n_workers}" for number in range(1, n_workers + 1)
    ]
    workers = [start(prefix, number, target, folder) for number, folder in enumerate(folders, 1)]
    before = target.count().messages
    with common.stopping(workers):
        common.until(lambda: common.n_listening() >= n_workers)
        with transaction.atomic():
            common.make_due(account, n_messages)
            wake.engine()
        began = time.perf_counter()
        common.until(lambda: n_ended() >= n_messages)
        seconds = time.perf_counter() - began
    taken, by_status = target.count().messages - before, dict(common.execute(STANDING))
    assert by_status == {"sent": n_messages}, by_status
    assert taken == n_messages, f"{n_messages} due, {taken} at the mail server"
    shares = collections.Counter({folder: n_flown(folder) for folder in folders})
    assert sum(shares.values()) == n_messages, f"the flight logs know of {sum(shares.values())}"
    return {
        "workers": n_workers,
        "messages/s": n_messages / seconds,
        "due": n_messages,
        "sent": by_status["sent"],
        "at the mail server": taken,
        **{f"by worker {number}": shares[folder] for number, folder in enumerate(folders, 1)},
        **{f"by worker {number}": None for number in range(n_workers + 1, MOST_WORKERS + 1)},
    }


def start(prefix: str, number: int, target: Sink, folder: Path) -> "subprocess.Popen[bytes]":
    settings = {"DRIPSTONE_MAIL_URL": f"smtp://{target.host}:{target.port}?starttls=0", "DRIPSTONE_DATA": str(folder)}
    command = [*inside(prefix, f"worker{number}"), sys.executable, "-m", "dripstone", "worker"]
    return subprocess.Popen(command, env=os.environ | settings)


def n_ended() -> int:
    n_rows: int = common.execute("SELECT count(*) FROM engine_delivery WHERE ended_at IS NOT NULL")[0][0]
    return n_rows


def n_flown(folder: Path) -> int:
    """How many messages the worker of this machine had a final reply for, by its own log."""
    from dripstone.senders import flight

    return sum(kind == "sent" for kind in flight.read(folder / "flights").flights.values())


if __name__ == "__main__":
    main()
