"""How many steps a second do people take through automations, does a tick cost what is due or who is inside, and is a
date kept by a hundred thousand beside a thousand messages a second?

First alone: people whose waits are over go on, through a short graph (a tag, and the next wait) and a long one (forty
nodes with forks that join, acts and a split); in one process and in two. A step is one person's way from a place that
waits to the next, with its row of the log; each person must have taken one, and be where it leads.

Then an idle tick, and one with a hundred due, while ever more people wait; and entries: people get a tag that lets them
in. Last, beside sending: a `date` pulls everybody at once, while people become due one after the other for `dripstone
worker` and an SMTP sink.

    python -m benchmarks.automations [--small] [--people N] [--rate N] [--json FILE]
"""

import multiprocessing
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import django

from benchmarks import common, sink
from benchmarks.webhooks import late, make_due, n_sent, workers

if TYPE_CHECKING:
    from multiprocessing.synchronize import Barrier

    from dripstone.accounts.models import Account
    from dripstone.automations.models import Automation

Node = dict[str, Any]
BEFORE = timedelta(days=1)
SECONDS_TO_MOVE = 20


def main() -> None:
    parser = common.arguments(__doc__.partition("\n")[0])
    parser.add_argument("--people", type=int, help="inside an automation (default 100,000)")
    parser.add_argument("--rate", type=int, help="messages a second (default 1000)")
    options = parser.parse_args()
    n = options.people or (1_000 if options.small else 100_000)
    rate = options.rate or (50 if options.small else 1_000)
    report = common.Report("automations")
    with sink.running() as mail, common.database(DRIPSTONE_MAIL_URL=f"smtp://127.0.0.1:{mail.port}"):
        account = common.make_account()
        graphs = {"short": short(account), "long": long(account)}
        rows = [steps(what, account, graph, n, k) for what, graph in graphs.items() for k in (1, 2)]
        report.table(f"{n:,} people whose waits are over", rows)
        report.table("Entries", [entries(account, n // 5)])
        counts = [n // 10, n, n * 10]
        report.table("A tick while others wait", [idle(account, waiting) for waiting in counts])
        report.table(f"A date for {n:,} beside {rate:,} messages a second", [dated(account, n, rate)])
    report.save(options.json)


# --- Graphs and people ----------------------------------------------------------------------------------------------


def tag(account: "Account", name: str) -> int:
    from dripstone.subscribers.models import Tag

    stamps = {"account": account, "created_at": datetime.now(UTC)}
    return Tag.objects.get_or_create(account=account, name=name, defaults=stamps)[0].pk


def wait(key: str, to: str | None = None) -> Node:
    return {"id": key, "kind": "wait", "for": {"days": 3}, "next": to}


def short(account: "Account") -> list[Node]:
    return [wait("from", "t"), {"id": "t", "kind": "tag", "tag_id": tag(account, "short"), "next": "to"}, wait("to")]


def long(account: "Account") -> list[Node]:
    """Ten times: a fork that joins again, a split by shares, and an act."""
    nodes = [wait("from", "c0")]
    for n in range(10):
        after = f"c{n + 1}" if n < 9 else "to"
        has = {"type": "tags", "ids": [tag(account, f"long {n}")]}
        halves = [{"percent": 50, "next": f"a{n}"}, {"percent": 50, "next": f"a{n}"}]
        city = {"custom_field_id": account.custom_fields.get().pk, "value": f"City {n}"}
        nodes += [
            {"id": f"c{n}", "kind": "condition", "if": has, "yes": f"s{n}", "no": f"t{n}"},
            {"id": f"t{n}", "kind": "tag", "tag_id": tag(account, f"long {n}"), "next": f"s{n}"},
            {"id": f"s{n}", "kind": "split", "branches": halves},
            {"id": f"a{n}", "kind": "field", **city, "next": after},
        ]
    return [*nodes, wait("to")]


def automation(account: "Account", nodes: list[Node], entries: Any = ()) -> "Automation":
    from dripstone.automations import switching, verbs
    from dripstone.automations.models import Automation

    Automation.objects.all().delete()
    common.execute("TRUNCATE automations_walk, automations_step, triggers_dateddue, triggers_datedtrigger CASCADE")
    given = {"name": "Course", "entries": list(entries), "start": nodes[0]["id"], "nodes": nodes}
    made = verbs.create(account, given, datetime.now(UTC))
    return switching.activate(made, datetime.now(UTC))


def stand(one: "Automation", node: str, lowest: int, n: int, due: str) -> None:
    """So many people wait there, begun. due   SQL"""
    common.execute(
        f"""
        INSERT INTO automations_walk (account_id, automation_id, subscriber_id, run, entry, cause, is_from_outside,
            entered_at, node, arrived_at, is_begun, due_at, ends_at, called_to, acted, is_ours, after_event,
            left_because, is_completed)
        SELECT %(account)s, %(automation)s, %(lowest)s + i, 1, 'a', '{{api}}', true, %(at)s, %(node)s, %(at)s, true,
               {due}, {due}, '', ARRAY[%(node)s], false, 0, '', false
        FROM generate_series(0, %(n)s - 1) i
        """,
        {
            "account": one.account_id,
            "automation": one.pk,
            "lowest": lowest,
            "n": n,
            "node": node,
            "at": datetime.now(UTC) - 2 * BEFORE,
        },
    )


def n_at(node: str) -> int:
    count: int = common.execute("SELECT count(*) FROM automations_walk WHERE node = %(node)s", {"node": node})[0][0]
    return count


# --- Alone ----------------------------------------------------------------------------------------------------------


def steps(what: str, account: "Account", nodes: list[Node], n: int, n_processes: int) -> dict[str, Any]:
    common.out.print(f"{what}, {n_processes} …", style="dim")
    common.empty()
    lowest = common.add_people(account, n)
    one = automation(account, nodes)
    stand(one, "from", lowest, n, "now() - interval '1 minute'")
    common.settle()
    if n_processes == 1:
        with common.measured() as cost:
            ticks()
        seconds = cost.wall
    else:
        seconds = together(n_processes)
    assert n_at("to") == n, "each is where the graph leads"
    assert common.execute("SELECT count(*) FROM automations_step")[0][0] == n, "each took one step"
    row = {"graph": what, "nodes": len(nodes), "processes": n_processes, "steps/s": n / seconds}
    if n_processes == 1:
        row |= {"µs a step": cost.python / n * 1e6, "PostgreSQL's": cost.server / n * 1e6}
    return row | {"peak MB": common.peak_memory_mb()}


def ticks() -> int:
    from dripstone.automations import tick
    from dripstone.automations.book import Book

    book, n_done = Book(), 0
    while (passed := tick.some(datetime.now(UTC), book)).is_more:
        n_done += passed.n_done
    return n_done


def together(n_processes: int) -> float:
    """Seconds for several processes that tick at the same time. Their start is not counted."""
    spawn = multiprocessing.get_context("spawn")
    start, done = spawn.Barrier(n_processes + 1), spawn.Queue()
    processes = [spawn.Process(target=tick_in_process, args=(start, done)) for _ in range(n_processes)]
    with common.stopping(processes):
        for process in processes:
            process.start()
        start.wait(common.PATIENCE_SECONDS)
        began = time.perf_counter()
        for _ in processes:
            done.get(timeout=common.PATIENCE_SECONDS)
        return time.perf_counter() - began


def tick_in_process(start: "Barrier", done: Any) -> None:
    django.setup()
    from django.db import connection

    connection.ensure_connection()
    start.wait(common.PATIENCE_SECONDS)
    while n_at("from"):
        ticks()
    done.put(True)


def entries(account: "Account", n: int) -> dict[str, Any]:
    from dripstone.automations import run
    from dripstone.events import causes, types
    from dripstone.events.record import event, record

    common.out.print("entries …", style="dim")
    common.empty()
    lowest = common.add_people(account, n)
    heard = tag(account, "heard")
    automation(account, [wait("to")], [{"id": "a", "trigger": "tag_added", "tag_id": heard}])
    about: Any = {"cause": causes.API, "subject_id": heard}
    now = datetime.now(UTC)
    record(event(types.TAG_ADDED, account.pk, now, subscriber_id=lowest + i, **about) for i in range(n))
    common.settle()
    with common.measured() as cost:
        run.until_idle(lambda: datetime.now(UTC))
    assert n_at("to") == n
    return {"people": n, "entries/s": n / cost.wall, "µs": cost.python / n * 1e6, "PostgreSQL's": cost.server / n * 1e6}


def idle(account: "Account", n_waiting: int) -> dict[str, Any]:
    common.out.print(f"{n_waiting:,} wait …", style="dim")
    common.empty()
    n_due = 100
    lowest = common.add_people(account, n_waiting + n_due)
    one = automation(account, short(account))
    stand(one, "from", lowest, n_waiting, "now() + interval '1 day' + i * interval '1 second'")
    common.settle()
    nothing = sorted(_seconds() for _ in range(50))
    stand(one, "from", lowest + n_waiting, n_due, "now() - interval '1 minute'")
    some = _seconds()
    assert n_at("to") == n_due
    return {"waiting": n_waiting, "nothing due, ms": nothing[25] * 1e3, f"{n_due} due, ms": some * 1e3}


def _seconds() -> float:
    began = time.monotonic()
    ticks()
    return time.monotonic() - began


# --- Beside sending -------------------------------------------------------------------------------------------------


def dated(account: "Account", n: int, rate: int) -> dict[str, Any]:
    """People become due from some seconds before the date until after everybody should have moved."""
    common.out.print("a date …", style="dim")
    seconds = SECONDS_TO_MOVE + 10
    begins = make_due(account, rate * seconds, rate)
    lowest = common.add_people(account, n, "walker")
    at = max(begins, datetime.now(UTC)) + timedelta(seconds=5)
    launch = {"id": "e", "kind": "event", "trigger": "date", "at": at.isoformat(), "next": "to"}
    one = automation(account, [wait("from", "e"), launch, wait("to")])
    stand(one, "from", lowest, n, "now() + interval '3 days'")
    with workers() as processes:
        common.until(lambda: n_at("to") == n)
        moved_after = (datetime.now(UTC) - at).total_seconds()
        common.until(lambda: n_sent() == rate * seconds)
        cpu = sum(common.process_cpu_seconds(process.pid) for process in processes)
    lateness = late(begins, rate)
    return {
        "people": n,
        "all moved after, s": moved_after,
        "mail late, median s": lateness[len(lateness) // 2],
        "latest": lateness[-1],
        "60 s late": sum(one > 60 for one in lateness),
        "workers' CPU, s": cpu,
    }


if __name__ == "__main__":
    main()
