"""What does an action on many people cost a person, and is mail late beside one on 100,000?

First each action in this process, without a rest between batches, on a tenth of them and on all. Then the real thing:
two `dripstone worker` processes and an SMTP sink, a thousand messages a second due of one account, and meanwhile an
action on 100,000 people of another: shown are the seconds until it was done, and how late the mail was. Everybody who
is deleted has a place and a tag.

There are no figures unless everybody was acted on exactly once.

    python -m benchmarks.bulk_actions [--small] [--people N] [--seconds N] [--rate N] [--json FILE]
"""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from benchmarks import common, sink
from benchmarks.webhooks import late, make_due, n_sent, workers

if TYPE_CHECKING:
    from dripstone.accounts.models import Account
    from dripstone.bulk.models import BulkAction
    from dripstone.subscribers.models import Tag

Act = dict[str, Any]
Make = Callable[["Account", "Tag"], Act]
FAR = "now() + interval '90 days'"


def main() -> None:
    parser = common.arguments(__doc__.partition("\n")[0])
    parser.add_argument("--people", type=int, help="that an action is about (default 100,000)")
    parser.add_argument("--seconds", type=float, help="of mail beside each action (default 60)")
    parser.add_argument("--rate", type=int, help="messages a second (default 1000)")
    options = parser.parse_args()
    n_people = options.people or (2_000 if options.small else 100_000)
    seconds = options.seconds or (4.0 if options.small else 60.0)
    rate = options.rate or (50 if options.small else 1_000)
    report = common.Report("bulk_actions")
    with (
        sink.running() as mail,
        common.database(DRIPSTONE_MAIL_URL=f"smtp://127.0.0.1:{mail.port}", DRIPSTONE_LOG_LEVEL="error"),
    ):
        alice, bob = common.make_account(), common.make_account()
        alone = [row for n in (n_people // 10, n_people) for row in each_action(alice, n)]
        report.table("One process, without rests; µs per person", alone)
        rows = [beside(name, make, alice, bob, n_people, rate, seconds) for name, make in ACTIONS.items()]
        report.table(f"{n_people:,} people beside {rate:,} messages a second, for {seconds:.0f} seconds", rows)
    report.save(options.json)


def _enter(account: "Account", tag: "Tag") -> Act:
    """A sequence that is paused: its mail is another benchmark's affair."""
    return {"kind": "enter_sequence", "sequence_id": common.make_sequence(account, "Next", active=False).pk}


ACTIONS: dict[str, Make] = {
    "tag": lambda account, tag: {"kind": "tag", "tag_id": tag.pk},
    "enter a sequence": _enter,
    "delete": lambda account, tag: {"kind": "delete"},
}


def people(account: "Account", n: int) -> "Tag":
    """Each with a place and a tag. Returns another tag, which nobody has."""
    from dripstone.subscribers import tags

    now = datetime.now(UTC)
    prefix = f"many{time.time_ns()}-"
    lowest = common.add_people(account, n, prefix)
    common.enroll_everybody(account, lowest, str(common.make_sequence(account, "Course", active=False).pk), FAR)
    had, other = (tags.create(account.pk, {"name": f"{prefix}{k}"}, now, cause=("owner",))[0] for k in range(2))
    common.execute(
        "INSERT INTO subscribers_tagging (tag_id, subscriber_id, tagged_at)"
        " SELECT %(tag)s, id, now() FROM subscribers_subscriber WHERE account_id = %(account)s AND id >= %(lowest)s",
        {"tag": had.pk, "account": account.pk, "lowest": lowest},
    )
    return other


def begin(account: "Account", act: Act) -> "BulkAction":
    from dripstone.bulk import actions

    everybody: dict[str, Any] = {"filter": {"all": []}}
    return actions.begin(account, everybody, [act], "a benchmark", datetime.now(UTC), fire_rules=True)


def must_be_done(row: "BulkAction", n: int) -> None:
    row.refresh_from_db()
    assert (row.state, row.n_met, row.n_failed) == ("done", n, 0), row
    assert row.report == [{"changed": n, "passed": {}}], row.report


# --- One process --------------------------------------------------------------------------------------------------


def each_action(account: "Account", n: int) -> Iterator[common.Figures]:
    from dripstone.bulk import operations, runner

    common.empty()
    tag = people(account, n)
    common.settle()
    for name, make in ACTIONS.items():
        row = begin(account, make(account, tag))
        with common.measured() as cost:
            runner.finish(operations.ALL, account.pk, lambda: datetime.now(UTC))
        must_be_done(row, n)
        yield {
            "what": name,
            "people": n,
            "people/s": n / cost.wall,
            "Python": 1e6 * cost.python / n,
            "PostgreSQL": 1e6 * cost.server / n,
            "peak MB": common.peak_memory_mb(),
        }


# --- Beside mail --------------------------------------------------------------------------------------------------


def beside(
    name: str, make: Make, account: "Account", other: "Account", n_people: int, rate: int, seconds: float
) -> common.Figures:
    common.out.print(f"{name} …", style="dim")
    n_messages = int(rate * seconds)
    begins = make_due(other, n_messages, rate)
    tag = people(account, n_people)
    act = make(account, tag)
    with workers():
        time.sleep(max(0.0, (begins + timedelta(seconds=1) - datetime.now(UTC)).total_seconds()))
        begun = time.monotonic()
        row = begin(account, act)
        common.until(lambda: _is_over(row))
        took = time.monotonic() - begun
        common.until(lambda: n_sent() == n_messages)
    must_be_done(row, n_people)
    lateness = late(begins, rate)
    return {
        "what": name,
        "done s": took,
        "mail late, median s": lateness[len(lateness) // 2],
        "latest": lateness[-1],
        "60 s late": sum(one > 60 for one in lateness),
    }


def _is_over(row: "BulkAction") -> bool:
    row.refresh_from_db()
    return not row.waits


if __name__ == "__main__":
    main()
