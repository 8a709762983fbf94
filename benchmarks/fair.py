"""Does it matter how many are due at one instant, and who waits for whom?

First one list, all of it due at the same second: what planning, claiming and recording cost per message, and the last
tenth of the claims beside all of them. No message is made or sent. Then a huge list that is being sent by two
`dripstone worker` processes, while nine other accounts have a few people due now: how long until their mail has been
taken, without a limit, under one, with a slow mail server, and with refused mail of the huge list standing in the
queue. Nobody wakes the engine for them: they wait for the next tick, five seconds at most.

    python -m benchmarks.fair [--small] [--sizes 20000,200000] [--json FILE]
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from benchmarks import common, sink

if TYPE_CHECKING:
    from dripstone.accounts.models import Account
    from dripstone.sequences.models import Sequence

N_OTHERS = 9  # accounts
N_EACH = 10  # people of each of them
SLOW_MS = 50  # of a mail server: ten connections then take 200 messages a second


def main() -> None:
    parser = common.arguments("What a message costs when many are due at once, and who waits for whom.")
    parser.add_argument("--sizes", default="20000,200000,1000000", help="lists (default 20000,200000,1000000)")
    options = parser.parse_args()
    sizes = [2_000, 6_000] if options.small else [int(text) for text in options.sizes.split(",")]
    n_huge = 20_000 if options.small else 100_000
    report = common.Report("fair")
    with sink.running() as quick, sink.running("--delay", str(SLOW_MS)) as slow:
        urls = [f"smtp://127.0.0.1:{target.port}" for target in (quick, slow)]
        with common.database(DRIPSTONE_MAIL_URL=urls[0]):
            alice = common.make_account()
            report.table("One list, due at one instant: CPU per message, µs", [cost(alice, n) for n in sizes])
            others = [common.make_account() for _ in range(N_OTHERS)]
            table = [wait("200 a second", alice, others, n_huge, f"{urls[0]}?per_second=200")]
            if not options.small:
                table += [
                    wait("no limit", alice, others, n_huge, urls[0]),
                    wait(f"a server that takes {SLOW_MS} ms", alice, others, n_huge, urls[1]),
                    wait("refused mail in the queue", alice, others, n_huge, urls[0], refused=True),
                ]
    report.table(f"{n_huge:,} due, and {N_EACH} of each of {N_OTHERS} others: seconds until theirs were taken", table)
    report.save(options.json)


# --- What it costs ----------------------------------------------------------------------------------------------


def cost(account: "Account", n_due: int) -> dict[str, Any]:
    from dripstone.engine import plan

    common.out.print(f"{n_due:,} due …", style="dim")
    common.empty()
    make_due_at_once(account, n_due)
    common.settle()
    with common.measured() as planning:
        assert plan.everything_due(datetime.now(UTC)) == n_due
    claiming, recording = claim_and_record(n_due)
    last = claiming[-max(1, len(claiming) // 10) :]
    return {
        "due": n_due,
        "plan": per_message([planning], n_due),
        "claim": per_message(claiming, n_due),
        "the last tenth": per_message(last, n_due * len(last) // len(claiming)),
        "record": per_message(recording, n_due),
        "all": per_message([planning, *claiming, *recording], n_due),
        "PostgreSQL of it": sum(one.server for one in [planning, *claiming, *recording]) / n_due * 1e6,
    }


def claim_and_record(n_due: int) -> tuple[list[common.Cost], list[common.Cost]]:
    """Twenty claims to a figure: PostgreSQL's CPU is counted in hundredths of a second."""
    from dripstone.engine import claim, record
    from dripstone.engine.attempts import Outcome

    claiming, recording, n_ended = [], [], 0
    while n_ended < n_due:
        with common.measured() as claims:
            batches = [rows for _ in range(20) if (rows := claim.take("bench", datetime.now(UTC)))]
        with common.measured() as records:
            for rows in batches:
                ended = [Outcome(row.delivery_id, row.attempt, "sent", "250 OK") for row in rows]
                n_ended += sum(record.outcomes(ended, datetime.now(UTC)).values())
        claiming.append(claims)
        recording.append(records)
    return claiming, recording


def per_message(costs: list[common.Cost], n_messages: int) -> float:
    return sum(one.python + one.server for one in costs) / n_messages * 1e6


# --- Who waits --------------------------------------------------------------------------------------------------


def wait(
    what: str, alice: "Account", others: "list[Account]", n_huge: int, url: str, *, refused: bool = False
) -> dict[str, Any]:
    """Seconds from the instant the others' people are due, once the huge list has been going for a while."""
    from dripstone.sequences.models import Sequence

    common.empty()
    common.execute("TRUNCATE senders_meter, senders_breaker")
    Sequence.objects.update(active=False)
    make_due_at_once(alice, n_huge)
    if refused:
        plan_and_refuse()
    sequences = [common.make_sequence(account, "Course") for account in others]
    with workers(url):
        common.until(lambda: n_sent() > n_huge // 50)
        lowest = common.execute("SELECT max(id) FROM subscribers_subscriber")[0][0]
        due_at = datetime.now(UTC)
        for account, sequence in zip(others, sequences, strict=True):
            make_people_due(account, sequence, N_EACH)
        waited = until_taken(lowest, due_at)
        n_meanwhile = n_sent() - N_OTHERS * N_EACH
    assert n_meanwhile < n_huge, "the huge list was through before the others: nothing was measured"
    return {
        "what": what,
        "median": statistics.median(waited),
        "the last": max(waited),
        "of the list by then": n_meanwhile,
    }


def until_taken(lowest: int, due_at: datetime) -> list[float]:
    """By the rows' sent_at, of everybody with a higher id."""
    sql = "SELECT sent_at FROM engine_delivery WHERE subscriber_id > %(lowest)s AND status = 'sent'"
    common.until(lambda: len(common.execute(sql, {"lowest": lowest})) == N_OTHERS * N_EACH)
    return [(sent_at - due_at).total_seconds() for (sent_at,) in common.execute(sql, {"lowest": lowest})]


def plan_and_refuse() -> None:
    """Everybody of the list was tried and refused, and is to be tried again now: the oldest that is ready."""
    from dripstone.engine import plan

    plan.everything_due(datetime.now(UTC))
    common.execute("UPDATE engine_delivery SET attempt = 1, reason = 'deferred', ready_at = now() - interval '1 hour'")


@contextmanager
def workers(url: str) -> Iterator[None]:
    command, environment = [sys.executable, "-m", "dripstone", "worker"], os.environ | {"DRIPSTONE_MAIL_URL": url}
    processes = [subprocess.Popen(command, env=environment) for _ in range(2)]
    with common.stopping(processes):
        yield
    time.sleep(0.1)


def n_sent() -> int:
    count: int = common.execute("SELECT count(*) FROM engine_delivery WHERE status = 'sent'")[0][0]
    return count


# --- Rows -------------------------------------------------------------------------------------------------------


def make_due_at_once(account: "Account", n_people: int) -> None:
    from dripstone.sequences.models import Sequence

    Sequence.objects.update(active=False)
    make_people_due(account, common.make_sequence(account, "Course"), n_people)


def make_people_due(account: "Account", sequence: "Sequence", n_people: int) -> None:
    at = datetime.now(UTC) - timedelta(milliseconds=1)
    lowest = common.add_people(account, n_people, prefix=f"reader{sequence.pk}-")
    common.enroll_everybody(account, lowest, str(sequence.pk), f"timestamptz '{at.isoformat()}'")


if __name__ == "__main__":
    main()
