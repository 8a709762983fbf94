"""Do rules keep up with a thousand events a second beside a thousand messages a second, and what does one cost that
does not match?

First alone, in this process: people get one of twenty tags, a rule hears of each tag and adds another. What is the cost
of an event, beside no other rules, twenty, and a thousand that hear of something else; with ten times as many events;
and where all twenty rules hear of each event? Each rule must have fired once for each of its events.

Then beside sending: two `dripstone worker` processes and an SMTP sink. People become due one after the other, and
meanwhile events are recorded at the same rate, in transactions of 50. Shown are how long after its event a rule had
fired, and how late the mail was, with rules and without.

    python -m benchmarks.rules [--small] [--seconds N] [--rate N] [--json FILE]
"""

import threading
import time
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from benchmarks import common, sink
from benchmarks.webhooks import AT_ONCE, late, make_due, n_sent, workers

if TYPE_CHECKING:
    from dripstone.accounts.models import Account
    from dripstone.rules.models import Rule
    from dripstone.subscribers.models import Tag

N_RULES = 20
N_OTHERS = (0, 20, 1_000)


def main() -> None:
    parser = common.arguments(__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, help="per row beside sending (default 60)")
    parser.add_argument("--rate", type=int, help="messages and events a second (default 1000)")
    options = parser.parse_args()
    seconds = options.seconds or (2.0 if options.small else 60.0)
    rate = options.rate or (50 if options.small else 1_000)
    n = 400 if options.small else 10_000
    report = common.Report("rules")
    with sink.running() as mail, common.database(DRIPSTONE_MAIL_URL=f"smtp://127.0.0.1:{mail.port}"):
        account = common.make_account()
        rows = [alone(f"{others:,} others", account, n, others) for others in N_OTHERS]
        rows.append(alone("ten times as many events", account, n * 10, N_OTHERS[1]))
        rows.append(alone("all twenty hear of each", account, n // 5, 0, each_hears_all=True))
        report.table(f"{n:,} events, {N_RULES} rules that hear of them, in one process", rows)
        beside = [run("no rule", account, rate, seconds, n_others=None)]
        beside += [run(f"{N_RULES} rules, {others:,} others", account, rate, seconds, others) for others in (0, 1_000)]
        report.table(f"{rate:,} events and {rate:,} messages a second, for {seconds:.0f} seconds", beside)
    report.save(options.json)


# --- Rules, people and events -------------------------------------------------------------------------------------


@contextmanager
def on(account: "Account", n_others: int, *, each_hears_all: bool = False) -> Iterator[list["Tag"]]:
    """Twenty rules that are on, and others that hear of something that does not happen. The tags to add."""
    from dripstone.rules.models import Rule

    tags = make_tags(account, "heard", N_RULES)
    given = make_tags(account, "given", N_RULES)
    (never,) = make_tags(account, "never", 1)
    for number in range(N_RULES):
        make_rule(account, tags[0 if each_hears_all else number], given[number])
    made = make_rule(account, never, given[0])
    others = (Rule(**{name: getattr(made, name) for name in _COPIED}) for _ in range(n_others))
    Rule.objects.bulk_create(others, batch_size=500)
    made.delete()
    yield tags[:1] if each_hears_all else tags
    Rule.objects.all().delete()
    common.execute("TRUNCATE rules_firing")


_COPIED = ("account_id", "name", "triggers", "actions", "is_on", "listens_after", "made_at", "changed_at")


def make_tags(account: "Account", name: str, n: int) -> list["Tag"]:
    from dripstone.subscribers.models import Tag

    stamps = {"account": account, "created_at": datetime.now(UTC)}
    return [Tag.objects.get_or_create(account=account, name=f"{name} {i}", defaults=stamps)[0] for i in range(n)]


def make_rule(account: "Account", heard: "Tag", given: "Tag") -> "Rule":
    from dripstone.rules import verbs

    trigger = {"trigger": "tag_added", "tag_id": heard.pk}
    action = {"kind": "tag", "tag_id": given.pk}
    members = {"name": "Rule", "triggers": [trigger], "actions": [action], "active": True}
    return verbs.create(account, members, datetime.now(UTC))


def tell(account: "Account", tags: list["Tag"], lowest: int, n: int, begins: datetime, rate: int) -> dict[int, float]:
    """Each person gets a tag, as far as events say, at that rate. When each person's event was committed."""
    from django.db import transaction

    from dripstone.events import causes, types
    from dripstone.events.record import event, record

    told_at: dict[int, float] = {}
    for start in range(0, n, AT_ONCE):
        at = begins + timedelta(seconds=start / rate)
        time.sleep(max(0.0, (at - datetime.now(UTC)).total_seconds()))
        ids = range(lowest + start, lowest + min(start + AT_ONCE, n))
        with transaction.atomic():
            record(
                event(types.TAG_ADDED, account.pk, at, cause=causes.API, subscriber_id=one,
                      subject_id=tags[one % len(tags)].pk)
                for one in ids
            )  # fmt: skip
        told_at |= dict.fromkeys(ids, time.time())
    return told_at


def n_fired() -> int:
    count: int = common.execute("SELECT count(*) FROM rules_firing WHERE outcome = 'fired'")[0][0]
    return count


# --- Alone --------------------------------------------------------------------------------------------------------


def alone(
    what: str, account: "Account", n: int, n_others: int, *, each_hears_all: bool = False
) -> dict[str, float | str | None]:
    from dripstone.automations import run

    common.out.print(f"{what} …", style="dim")
    common.empty()
    lowest = common.add_people(account, n + 1)
    with on(account, n_others, each_hears_all=each_hears_all) as tags:
        a_day_ago = datetime.now(UTC) - timedelta(days=1)
        tell(account, tags, lowest, 1, a_day_ago, 1_000)
        run.until_idle(lambda: datetime.now(UTC))  # rules are loaded when they have changed: not what an event costs
        tell(account, tags, lowest + 1, n, a_day_ago, 1_000)
        common.settle()
        with common.measured() as cost:
            run.until_idle(lambda: datetime.now(UTC))
        n_of_event = N_RULES if each_hears_all else 1
        n_firings = n * n_of_event
        assert n_fired() == n_firings + n_of_event, "each rule once for each of its events"
        taggings = common.execute("SELECT count(*) FROM subscribers_tagging")[0][0]
        assert taggings == n_firings + n_of_event, "each did what it says"
    return {
        "what": what,
        "events": n,
        "firings": n_firings,
        "events/s": n / cost.wall,
        "µs an event": cost.python / n * 1e6,
        "PostgreSQL's": cost.server / n * 1e6,
        "µs a firing, both": (cost.python + cost.server) / n_firings * 1e6,
        "peak MB": common.peak_memory_mb(),
    }


# --- Beside sending -----------------------------------------------------------------------------------------------


def run(what: str, account: "Account", rate: int, seconds: float, n_others: int | None) -> dict[str, Any]:
    """n_others None: no rule is on"""
    common.out.print(f"{what} …", style="dim")
    n = int(rate * seconds)
    with on(account, n_others or 0) as tags:
        if n_others is None:
            common.execute("DELETE FROM rules_rule")
        begins = make_due(account, n, rate)
        lowest: int = common.execute("SELECT min(id) FROM subscribers_subscriber")[0][0]
        with workers() as processes, sampled() as samples:
            told_at = tell(account, tags, lowest, n, begins, rate)
            common.until(lambda: n_sent() == n)
            if n_others is not None:
                common.until(lambda: n_fired() == n)
            time.sleep(2 * SAMPLE_EVERY)
            cpu = sum(common.process_cpu_seconds(process.pid) for process in processes)
        waited = waits(samples, told_at) if n_others is not None else []
    lateness = late(begins, rate)
    return {
        "what": what,
        "fired": len(waited),
        "event to firing, median s": waited[len(waited) // 2] if waited else None,
        "99 %": waited[len(waited) * 99 // 100] if waited else None,
        "longest": waited[-1] if waited else None,
        "mail late, median s": lateness[len(lateness) // 2],
        "latest": lateness[-1],
        "60 s late": sum(one > 60 for one in lateness),
        "workers' CPU, s": cpu,
    }


SAMPLE_EVERY = 0.1  # seconds


@contextmanager
def sampled() -> Iterator[list[tuple[float, int]]]:
    """When the rules' cursor stood where. It moves in the transactions of the firings."""
    found: list[tuple[float, int]] = []
    is_over = threading.Event()

    def look() -> None:
        from django.db import connection

        while not is_over.wait(SAMPLE_EVERY):
            rows = common.execute("SELECT number FROM events_reader WHERE name = 'triggers'")
            found.append((time.time(), rows[0][0] if rows else 0))
        connection.close()

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        is_over.set()
        thread.join()


def waits(samples: list[tuple[float, int]], told_at: dict[int, float]) -> list[float]:
    """Seconds from the commit of each event until what it fires was committed, the longest last."""
    cursors = [cursor for _, cursor in samples]
    numbers = common.execute(
        "SELECT e.subscriber_id, n.id FROM events_number n JOIN events_event e ON e.id = n.event_id"
        " WHERE e.cause = '{api}' AND e.type = 'subscriber.tag_added'"
    )
    return sorted(samples[bisect_left(cursors, number)][0] - told_at[person] for person, number in numbers)


if __name__ == "__main__":
    main()
