"""Does a receiver hear a thousand events a second while a thousand messages a second are due, and is none of them late?

Two `dripstone worker` processes, an SMTP sink and a receiver on this machine, each a process. People become due one
after the other, a thousand a second, and meanwhile a thousand events a second are recorded, in transactions of 50.
Shown are how long after its event a call came, in how many calls they came, and how late the mail was: for events of
one kind (which share calls), for two kinds in turn (each a call of its own, the dearest there is), without a receiver,
and beside receivers of another account that never answer. All events must have come, in their order.

    python -m benchmarks.webhooks [--small] [--seconds N] [--rate N] [--json FILE]
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice, pairwise
from typing import TYPE_CHECKING, Any

from benchmarks import common, hears, sink

if TYPE_CHECKING:
    from dripstone.accounts.models import Account

AT_ONCE = 50  # events of a transaction
N_STUCK = 20  # receivers that never answer
BEGINS_IN = timedelta(seconds=8)  # by then the workers are there


def main() -> None:
    parser = common.arguments(__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, help="per row (default 60)")
    parser.add_argument("--rate", type=int, help="messages and events a second (default 1000)")
    options = parser.parse_args()
    seconds = options.seconds or (2.0 if options.small else 60.0)
    rate = options.rate or (50 if options.small else 1_000)
    report = common.Report("webhooks")
    one, two = ["subscriber.tag_added"], ["subscriber.tag_added", "subscriber.tag_removed"]
    with sink.running() as mail:
        allowed = {"DRIPSTONE_CALL_HOSTS": "127.0.0.1"}
        with common.database(DRIPSTONE_MAIL_URL=f"smtp://127.0.0.1:{mail.port}", **allowed):
            account, stranger = common.make_account(), common.make_account()
            rows = [run("nobody listens", account, one, rate, seconds, listens=False)]
            rows += [
                run("one kind", account, one, rate, seconds),
                run("two kinds in turn", account, two, rate, seconds),
            ]
            rows.append(run(f"{N_STUCK} others never answer", account, one, rate, seconds, stranger=stranger))
    report.table(f"{rate:,} events and {rate:,} messages a second, for {seconds:.0f} seconds", rows)
    report.save(options.json)


def run(
    what: str,
    account: "Account",
    names: list[str],
    rate: int,
    seconds: float,
    *,
    listens: bool = True,
    stranger: "Account | None" = None,
) -> dict[str, Any]:
    from dripstone.webhooks import endpoints

    common.out.print(f"{what} …", style="dim")
    n = int(rate * seconds)
    begins = make_due(account, n, rate)
    with hears.listening() as url, stuck(stranger) if stranger else nothing():
        made = [endpoints.create(account, {"url": url, "events": names}, begins)[0]] if listens else []
        with workers() as processes:
            told_at = tell(account, names, n, rate, begins)
            common.until(lambda: n_sent() == n)
            if listens:
                common.until(lambda: len(hears.heard(url)["events"]) >= n)
            cpu = sum(common.process_cpu_seconds(process.pid) for process in processes)
        figures = waits(hears.heard(url), told_at, n) if listens else dict.fromkeys(("median", "99 %", "longest"))
        calls = hears.heard(url)["deliveries"] if listens else 0
        for endpoint in made:
            endpoints.delete(endpoint, datetime.now(UTC))
    lateness = late(begins, rate)
    return {
        "what": what,
        "calls": calls,
        "event to call, median s": figures["median"],
        "99 %": figures["99 %"],
        "longest": figures["longest"],
        "mail late, median s": lateness[len(lateness) // 2],
        "latest": lateness[-1],
        "60 s late": sum(one > 60 for one in lateness),
        "workers' CPU, s": cpu,
    }


def make_due(account: "Account", n: int, rate: int) -> datetime:
    """So many people of one sequence, one after the other from a moment on: when that is."""
    from dripstone.sequences.models import Sequence

    common.empty()
    Sequence.objects.update(active=False)
    sequence = common.make_sequence(account, "Course")
    lowest = common.add_people(account, n)
    begins = datetime.now(UTC) + BEGINS_IN + timedelta(seconds=n / 100_000)  # making them takes a while
    due = f"timestamptz '{begins.isoformat()}' + n * interval '{1 / rate:.9f} seconds'"
    common.enroll_everybody(account, lowest, str(sequence.pk), due)
    common.settle()
    return begins


def tell(account: "Account", names: list[str], n: int, rate: int, begins: datetime) -> dict[int, float]:
    """Record the events at their rate. When each person's event was committed."""
    from django.db import transaction

    from dripstone.events import causes
    from dripstone.events.record import event, record

    lowest: int = common.execute("SELECT min(id) FROM subscribers_subscriber")[0][0]
    kinds, told_at = islice(cycle(names), n), dict[int, float]()
    for start in range(0, n, AT_ONCE):
        at = begins + timedelta(seconds=start / rate)
        time.sleep(max(0.0, (at - datetime.now(UTC)).total_seconds()))
        ids = range(lowest + start, lowest + min(start + AT_ONCE, n))
        with transaction.atomic():
            record(
                event(kind, account.pk, at, cause=causes.API, subscriber_id=one, subject_id=1)
                for one, kind in zip(ids, kinds, strict=False)
            )
        told_at |= dict.fromkeys(ids, time.time())
    return told_at


def waits(heard: Any, told_at: dict[int, float], n: int) -> dict[str, float]:
    """Seconds from the commit of an event until it was heard, once and in order."""
    came = [person for person, _ in heard["events"]]
    assert len(came) == n == len(set(came)), "each event once"
    assert all(before < after for before, after in pairwise(came)), "in their order"
    found = sorted(at - told_at[person] for person, at in heard["events"])
    return {"median": found[n // 2], "99 %": found[n * 99 // 100], "longest": found[-1]}


def late(begins: datetime, rate: int) -> list[float]:
    """Of every message: seconds from when it was due until it was taken, the longest last."""
    sql = """
        SELECT extract(epoch FROM sent_at - (%(begins)s + (rank() OVER (ORDER BY subscriber_id) - 1)
                                                          * interval '1 second' / %(rate)s))::float
        FROM engine_delivery WHERE status = 'sent'
    """
    return sorted(row[0] for row in common.execute(sql, {"begins": begins, "rate": rate}))


@contextmanager
def stuck(account: "Account") -> Iterator[None]:
    """Receivers of another account that take calls and never answer, each with some waiting."""
    from dripstone.webhooks import endpoints

    with hears.listening("--delay", "3600000") as url:
        made = [
            endpoints.create(account, {"url": url, "events": ["subscriber.created"]}, datetime.now(UTC))[0]
            for _ in range(N_STUCK)
        ]
        for endpoint in made:
            for _ in range(20):
                endpoints.send_test(endpoint, datetime.now(UTC))
        yield
        for endpoint in made:
            endpoints.delete(endpoint, datetime.now(UTC))


@contextmanager
def nothing() -> Iterator[None]:
    yield


@contextmanager
def workers() -> Iterator[list["subprocess.Popen[bytes]"]]:
    processes = [subprocess.Popen([sys.executable, "-m", "dripstone", "worker"], env=os.environ) for _ in range(2)]
    with common.stopping(processes):
        common.until(lambda: common.n_listening() >= 2)
        yield processes


def n_sent() -> int:
    count: int = common.execute("SELECT count(*) FROM engine_delivery WHERE status = 'sent'")[0][0]
    return count


if __name__ == "__main__":
    main()
