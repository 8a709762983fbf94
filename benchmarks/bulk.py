"""What does an entry of a bulk call cost, does it matter how many there are, and what do others feel of 100,000?

First each operation in this process, without a rest between batches: a job of 10,000 entries and one of 100,000, and
beside it bare SQL that writes the same rows and nothing else, 500 to a statement. Then the real thing: `dripstone web`
and a `dripstone worker`, a call with 100,000 entries, and meanwhile another account's calls ten times a second, its
job of 101 entries, and its mail, twenty people due each second. Once more, with the worker killed half-way.

There are no figures unless every entry was done exactly once.

    python -m benchmarks.bulk [--small] [--json FILE]
"""

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from benchmarks import common, sink
from benchmarks.calls import HOST, Client, Web, free_port, request, served
from benchmarks.unfinished import beside, calls, watched

if TYPE_CHECKING:
    from dripstone.accounts.models import Account
    from dripstone.bulk.outcomes import Operation

DUE_EACH_SECOND = 20
BARE = 500  # rows in a statement

_BARE_PEOPLE = """
INSERT INTO subscribers_subscriber (account_id, email_address, first_name, state, fields, created_at, updated_at)
SELECT %(account)s, one->>'email_address', one->>'first_name', 'active', '{}', now(), now()
FROM json_array_elements(%(rows)s) one
"""
_BARE_TAGGINGS = """
INSERT INTO subscribers_tagging (tag_id, subscriber_id, tagged_at)
SELECT (one->>'tag_id')::bigint, (one->>'subscriber_id')::bigint, now() FROM json_array_elements(%(rows)s) one
"""


def main() -> None:
    options = common.arguments(__doc__.partition("\n")[0]).parse_args()
    n_entries = 2_000 if options.small else 100_000
    report = common.Report("bulk")
    settings = {"DRIPSTONE_RATE_LIMITS": "off", "DRIPSTONE_PORT": str(free_port()), "DRIPSTONE_LOG_LEVEL": "error"}
    with sink.running() as target, common.database(DRIPSTONE_MAIL_URL=f"smtp://{HOST}:{target.port}", **settings):
        rows = [row for n in (n_entries // 10, n_entries) for row in each_operation(n)]
        report.table("One process, without rests; µs per entry", with_growth(rows))
        rows_beside = beside_others(n_entries, int(settings["DRIPSTONE_PORT"]))
        report.table(f"{n_entries:,} subscribers in one call", rows_beside)
    report.save(options.json)


# --- One process --------------------------------------------------------------------------------------------------


def each_operation(n: int) -> Iterator[dict[str, Any]]:
    from dripstone.bulk import operations
    from dripstone.subscribers import fields, forms, tags

    account, twin = common.make_account(), common.make_account()
    now, cause = datetime.now(UTC), ("api",)
    tag = tags.create(account.pk, {"name": "Reader"}, now, cause=cause)[0].pk
    bare_tag = tags.create(twin.pk, {"name": "Reader"}, now, cause=cause)[0].pk
    field = fields.create(account.pk, {"label": "Town"}, now, cause=cause)[0].pk
    form = forms.create(account.pk, {"name": "Footer", "opt_in": "single"}, now).pk

    people = new_people(n)
    yield figures("bare SQL: people", n, bare(_BARE_PEOPLE, twin, people))
    yield figures("create subscribers", n, job(operations.SUBSCRIBERS, account, people))
    yield figures("the same again", n, job(operations.SUBSCRIBERS, account, people))
    ids = [pk for (pk,) in common.execute(_IDS, {"account": account.pk})]
    bare_ids = [pk for (pk,) in common.execute(_IDS, {"account": twin.pk})]
    bare_taggings = [{"tag_id": bare_tag, "subscriber_id": pk} for pk in bare_ids]
    yield figures("bare SQL: taggings", n, bare(_BARE_TAGGINGS, twin, bare_taggings))
    taggings = [{"tag_id": tag, "subscriber_id": pk} for pk in ids]
    yield figures("tag subscribers", n, job(operations.TAGGINGS, account, taggings))
    yield figures("remove tags", n, job(operations.REMOVED_TAGGINGS, account, taggings))
    values = [{"subscriber_id": pk, "subscriber_custom_field_id": field, "value": f"Town {pk % 99}"} for pk in ids]
    yield figures("write values", n, job(operations.VALUES, account, values))
    additions = [{"form_id": form, "subscriber_id": pk, "referrer": "https://example.com/?utm_source=x"} for pk in ids]
    yield figures("add to forms", n, job(operations.ADDITIONS, account, additions))
    failing = [{"subscriber_id": pk} for pk in ids]
    yield figures("nothing but failures", n, job(operations.TAGGINGS, account, failing, n_failed=n))
    common.empty()
    common.execute("TRUNCATE bulk_job CASCADE")


_IDS = "SELECT id FROM subscribers_subscriber WHERE account_id = %(account)s ORDER BY id"


def new_people(n: int, prefix: str = "new") -> list[dict[str, Any]]:
    return [{"email_address": f"{prefix}{number}@example.org", "first_name": "Ana"} for number in range(n)]


def bare(sql: str, account: "Account", rows: Sequence[Any]) -> common.Cost:
    with common.measured() as cost:
        for first in range(0, len(rows), BARE):
            common.execute(sql, {"account": account.pk, "rows": json.dumps(rows[first : first + BARE])})
    return cost


def job(operation: "Operation", account: "Account", entries: Sequence[Any], n_failed: int = 0) -> common.Cost:
    """The call's part, and the worker's."""
    from dripstone.bulk import jobs, operations, runner

    now = datetime.now(UTC)
    with common.measured() as cost:
        url = "https://example.com/done"
        made = jobs.keep(operation, account.pk, entries, url, now, n_bytes=len(entries), asked_by="a benchmark")
        runner.finish(operations.ALL, account.pk, lambda: datetime.now(UTC))
    made.refresh_from_db()
    assert (made.n_done, made.n_failed, made.callback) == (len(entries), n_failed, "queued"), made
    return cost


def figures(what: str, n: int, cost: common.Cost) -> dict[str, Any]:
    return {
        "what": what,
        "entries": n,
        "entries/s": n / cost.wall,
        "Python": 1e6 * cost.python / n,
        "PostgreSQL": 1e6 * cost.server / n,
        "peak MB": common.peak_memory_mb(),
    }


def with_growth(rows: Sequence[dict[str, Any]]) -> list[common.Figures]:
    """`of bare`: CPU, of the bare statement's above. `growth`: CPU per entry, of the smaller job's."""
    firsts: dict[str, float] = {}
    shown: list[common.Figures] = []
    bare_cpu = 0.0
    for row in rows:
        cpu = row["Python"] + row["PostgreSQL"]
        bare_cpu = cpu if row["what"].startswith("bare") else bare_cpu
        first = firsts.setdefault(row["what"], cpu)
        shown.append({**row, "of bare": cpu / bare_cpu, "growth": cpu / first})
    return shown


# --- Beside others ------------------------------------------------------------------------------------------------


def beside_others(n_entries: int, port: int) -> list[common.Figures]:
    from django.db import connections

    from dripstone.accounts.verbs import create_key

    alice, bob = common.make_account(), common.make_account()
    keys = [create_key(one, "benchmark", datetime.now(UTC), has_full_access=True)[1] for one in (alice, bob)]
    sequence = common.make_sequence(bob, "Course")
    connections.close_all()
    with served(["-m", "dripstone", "web"], port) as web:
        calls(web, keys[1], 2)  # it has begun
        return [
            meanwhile("nothing", web, alice, bob, keys, sequence.pk, []),
            meanwhile("the call", web, alice, bob, keys, sequence.pk, new_people(n_entries, "call")),
            meanwhile(
                "the worker is killed", web, alice, bob, keys, sequence.pk, new_people(n_entries, "kill"), kill=True
            ),
        ]


def meanwhile(
    what: str,
    web: Web,
    alice: "Account",
    bob: "Account",
    keys: Sequence[str],
    sequence: int,
    entries: Sequence[Any],
    *,
    kill: bool = False,
) -> common.Figures:
    lowest = common.execute("SELECT COALESCE(max(id), 0) FROM subscribers_subscriber")[0][0]
    seconds: dict[str, float] = {}
    with worker() as begin_again, beside(lambda stop: make_due(stop, bob, sequence)), watched(web) as memory:
        latencies: list[float] = []
        small = threading.Thread(target=lambda: latencies.extend(calls(web, keys[1], 5 if not entries else 15)))
        small.start()
        if entries:
            begun = time.perf_counter()
            post(web, keys[0], "/v4/bulk/subscribers", {"subscribers": entries})
            seconds["answered"] = time.perf_counter() - begun
            post(web, keys[1], "/v4/bulk/tags", {"tags": [{"name": f"tag {n}"} for n in range(101)]})
            common.until(lambda: not waiting(bob))
            seconds["the other's job"] = time.perf_counter() - begun - seconds["answered"]
            if kill:
                common.until(lambda: n_people(alice, entries) > len(entries) // 2)
                begin_again()
            common.until(lambda: not waiting(alice))
            seconds["done"] = time.perf_counter() - begun
        small.join()
    with worker():
        common.until(lambda: not late(lowest)[1])
    assert n_people(alice, entries) == len(entries), "somebody is missing"
    assert n_events(alice) == n_all(alice), "somebody was created twice, or without a word"
    latencies.sort()
    return {
        "meanwhile": what,
        "answered s": seconds.get("answered"),
        "done s": seconds.get("done"),
        "other job s": seconds.get("the other's job"),
        "calls p50 ms": 1000 * latencies[len(latencies) // 2],
        "slowest ms": 1000 * latencies[-1],
        "mail late, worst s": late(lowest)[0],
        "web peak MB": max(memory, default=0) / 1e6,
        "worker peak MB": worker_peaks.pop(),
    }


worker_peaks: list[float] = []


@contextmanager
def worker() -> Iterator[Callable[[], None]]:
    """A worker; yields what kills it and begins another."""
    command = [sys.executable, "-m", "dripstone", "worker"]
    running = [subprocess.Popen(command)]

    def again() -> None:
        running[-1].kill()
        running[-1].wait()
        running.append(subprocess.Popen(command))

    with common.stopping(running):
        common.until(lambda: common.n_listening() > 0)
        yield again
        worker_peaks.append(common.peak_memory_mb_of(running[-1].pid))


def make_due(stop: threading.Event, bob: "Account", sequence: int) -> None:
    """People of his who are due now, each second."""
    from django.db import connection

    while not stop.wait(1):
        values = {"account": bob.pk, "sequence": sequence, "n": DUE_EACH_SECOND, "prefix": f"due{time.time_ns()}-"}
        common.execute(_DUE, values)
    connection.close()


_DUE = """
WITH people AS (
    INSERT INTO subscribers_subscriber (account_id, email_address, first_name, state, fields, created_at, updated_at)
    SELECT %(account)s, %(prefix)s || n || '@example.org', 'Ana', 'active', '{}', now(), now()
    FROM generate_series(1, %(n)s) n RETURNING id)
INSERT INTO engine_enrollment (account_id, sequence_id, subscriber_id, status, run, source, entered_at, anchored_at,
                               next_email_id, due_at, in_flight, removed_reason)
SELECT %(account)s, %(sequence)s, people.id, 'active', 1, 'api', now(), now(), e.id, now(), false, ''
FROM people JOIN sequences_sequenceemail e ON e.sequence_id = %(sequence)s AND e.position = 0
"""
_LATE = """
SELECT max(extract(epoch FROM d.sent_at - e.entered_at)), count(*) FILTER (WHERE d.sent_at IS NULL)
FROM engine_enrollment e LEFT JOIN engine_delivery d ON d.enrollment_id = e.id AND d.run = 1
WHERE e.subscriber_id > %(lowest)s
"""


def late(lowest: int) -> tuple[float, int]:
    """The longest that somebody due waited until the mail server had it, and how many still wait."""
    [(worst, n_left)] = common.execute(_LATE, {"lowest": lowest})
    return float(worst or 0), n_left


def post(web: Web, key: str, path: str, body: dict[str, Any]) -> None:
    with socket.create_connection((HOST, web.port), timeout=120) as connection:
        client = Client(connection)
        client.ask(request(key, "POST", path, body))
        while not client.hear():
            pass
    assert client.status() == 202, client.answer[:1000]


def waiting(account: "Account") -> bool:
    return bool(
        common.execute(
            "SELECT 1 FROM bulk_job WHERE account_id = %(account)s AND ended_at IS NULL", {"account": account.pk}
        )
    )


def n_people(account: "Account", entries: Sequence[Any]) -> int:
    prefix = entries[0]["email_address"][:4] if entries else "-"
    sql = "SELECT count(*) FROM subscribers_subscriber WHERE account_id = %(account)s AND email_address LIKE %(like)s"
    return int(common.execute(sql, {"account": account.pk, "like": f"{prefix}%"})[0][0])


def n_all(account: "Account") -> int:
    sql = "SELECT count(*) FROM subscribers_subscriber WHERE account_id = %(account)s"
    return int(common.execute(sql, {"account": account.pk})[0][0])


def n_events(account: "Account") -> int:
    sql = "SELECT count(*) FROM events_event WHERE account_id = %(account)s AND type = 'subscriber.created'"
    return int(common.execute(sql, {"account": account.pk})[0][0])


if __name__ == "__main__":
    main()
