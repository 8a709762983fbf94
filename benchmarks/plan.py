"""How many due rows are planned per second, and does it matter how many others wait?

Per size: a few sequences in which some are due and many wait, the due ones scattered among them as in real life.
Measured: `plan.everything_due`, by one process and by two at once (as a tick that finds more than a batch calls for
help); beside it, for as many rows of the same tables, one bare SQL statement per 2,000 (insert the delivery, update the
enrollment, commit): about the least any planner must do. Each right after a checkpoint too. Also what a tick costs that
finds nothing due, before and after; and what it costs to look at the filter of an email (R21).

    python -m benchmarks.plan [--small] [--large] [--json FILE]
"""

import multiprocessing
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import django

from benchmarks import common

if TYPE_CHECKING:
    from multiprocessing.synchronize import Barrier

    from dripstone.accounts.models import Account

N_SEQUENCES = 4
N_IDLE_TICKS = 50
BATCH = 2000  # rows per statement of the reference, as in ours

# The reference: what planning comes down to, without rules, exclusions, late days and jobs.
BARE = """
WITH due AS (
    SELECT id, account_id, sequence_id, subscriber_id, run, next_email_id FROM engine_enrollment
    WHERE sequence_id = %(sequence)s AND due_at <= %(now)s ORDER BY due_at LIMIT %(limit)s
    FOR NO KEY UPDATE SKIP LOCKED),
made AS (
    INSERT INTO engine_delivery (account_id, sequence_id, subscriber_id, enrollment_id, run, email_id, status, reason,
                                 attempt, planned_at, ready_at, worker, provider_id)
    SELECT account_id, sequence_id, subscriber_id, id, run, next_email_id, 'planned', '', 0, %(now)s, %(now)s, '', ''
    FROM due ON CONFLICT (enrollment_id, run, email_id) DO NOTHING RETURNING enrollment_id),
moved AS (
    UPDATE engine_enrollment e SET due_at = NULL, in_flight = true FROM made WHERE e.id = made.enrollment_id
    RETURNING e.id)
SELECT count(*) FROM moved
"""


def main() -> None:
    parser = common.arguments("Due rows planned per second.")
    parser.add_argument("--large", action="store_true", help="also with 2 million waiting rows")
    parser.add_argument("--due", type=int, help="due rows (default 50,000)")
    options = parser.parse_args()
    n_due = options.due or (2_000 if options.small else 50_000)
    sizes = [10_000, 50_000] if options.small else [100_000, 1_000_000, *([2_000_000] if options.large else [])]
    report = common.Report("plan")
    with common.database():
        account = common.make_account()
        warm_up(account)
        rows = [measure(account, n_due, n_waiting) for n_waiting in sizes]
        filtered = measure_filters(account, n_due, sizes[0])
    report.table(f"{n_due:,} due rows planned", rows)
    report.table(f"{n_due:,} due rows, {sizes[0]:,} waiting, with a filter on the email", filtered)

    def ratio(name: str) -> float:
        return float(rows[-1][name] / rows[0][name])

    report.table(
        "Does it matter how many wait? The last line, as a multiple of the first",
        [
            {
                "waiting": f"{sizes[0]:,} → {sizes[-1]:,}",
                "rows/s": ratio("rows/s"),
                "by two": ratio("by two"),
                "bare SQL": ratio("bare SQL"),
                "idle tick ms": ratio("idle tick ms"),
            }
        ],
    )
    report.save(options.json)


def warm_up(account: "Account") -> None:
    """Imports, prepared plans, caches: not what is measured."""
    measure(account, 200, 1_000)


def measure(account: "Account", n_due: int, n_waiting: int) -> dict[str, Any]:
    """Three times `n_due` rows are planned by us and twice as many by the reference: the first right after a
    checkpoint, when every page is written to the log whole as it is first touched, the others without one between."""
    starts_at = datetime.now(UTC) + timedelta(hours=1)
    common.out.print(f"{n_waiting:,} waiting …", style="dim")
    active, paused = seed(account, n_due, n_waiting, starts_at)
    idle_ms = idle_tick_ms()
    first, second, third = (starts_at + timedelta(hours=hour) for hour in (1, 2, 3))
    common.checkpoint()
    ours_first, ours = plan_all(first, n_due), plan_all(second, n_due)
    together = plan_together(third, n_due)
    common.checkpoint()
    bare_first, bare = plan_barely(paused, first, n_due), plan_barely(paused, second, n_due)
    check(active, 3 * n_due)
    per = 1e6 / n_due
    return {
        "waiting": n_waiting,
        "rows/s": n_due / ours.wall,
        "by two": n_due / together,
        "bare SQL": n_due / bare.wall,
        "of bare": bare.wall / ours.wall,
        "after a checkpoint": n_due / ours_first.wall,
        "bare SQL then": n_due / bare_first.wall,
        "Python µs per row": ours.python * per,
        "PostgreSQL µs": ours.server * per,
        "bare SQL µs": bare.server * per,
        "idle tick ms": idle_ms,
        "after planning": idle_tick_ms(),
    }


def measure_filters(account: "Account", n_due: int, n_waiting: int) -> list[dict[str, Any]]:
    """The due rows of three hours: without a filter, with one that all of them meet, with one that half of them meet.
    The others skip the email, which costs more than asking: their next place is found at once. Some of them are due
    again an hour later."""
    from dripstone.engine import plan
    from dripstone.sequences.models import SequenceEmail

    starts_at = datetime.now(UTC) + timedelta(hours=1)
    seed(account, n_due, n_waiting, starts_at)
    tag = tag_half(account)
    filters: dict[str, dict[str, Any] | None] = {
        "none": None,
        "a state that all of them have": {"type": "subscriber_state", "states": ["active"]},
        "a tag that half of them have": {"type": "tags", "ids": [tag]},
    }
    rows = []
    for hour, (name, condition) in enumerate(filters.items(), 1):
        SequenceEmail.objects.update(filter=condition)
        with common.measured() as cost:
            planned = plan.everything_due(starts_at + timedelta(hours=hour))
        assert planned >= n_due, f"{planned} planned, {n_due} were due"
        per = 1e6 / planned
        rows.append(
            {
                "filter": name,
                "rows/s": planned / cost.wall,
                "Python µs per row": cost.python * per,
                "PostgreSQL µs": cost.server * per,
            }
        )
    return rows


def tag_half(account: "Account") -> int:
    """The id of a tag that every second person has."""
    from dripstone.subscribers.models import Tag

    tag = Tag.objects.create(account=account, name="Half", created_at=datetime.now(UTC))
    common.execute(
        "INSERT INTO subscribers_tagging (tag_id, subscriber_id, tagged_at)"
        " SELECT %(tag)s, id, now() FROM subscribers_subscriber WHERE id %% 2 = 0 RETURNING 1",
        {"tag": tag.pk},
    )
    common.settle()
    return tag.pk


def seed(account: "Account", n_due: int, n_waiting: int, starts_at: datetime) -> tuple[list[int], int]:
    """Four active sequences and a paused one for the reference, each with its due rows. Returns their ids."""
    from dripstone.sequences.models import Sequence

    common.empty()
    active = [common.make_sequence(account, f"Course {number}").pk for number in range(N_SEQUENCES)]
    paused = common.make_sequence(account, "Reference", active=False).pk
    Sequence.objects.exclude(pk__in=[*active, paused]).update(active=False)
    n_people = 6 * n_due + n_waiting
    every = n_people // (3 * n_due)  # of so many, one is due, one is the reference's, the others wait
    last = 3 * n_due * every
    with common.without_key_checks():
        lowest = common.add_people(account, n_people)
        common.enroll_everybody(
            account,
            lowest,
            sequence=f"CASE WHEN p.n % {every} = 1 AND p.n < {last} THEN {paused} "
            f"ELSE (ARRAY{active})[1 + (p.n / {every}) % {N_SEQUENCES}] END",
            due=f"timestamptz '{starts_at.isoformat()}' + CASE WHEN p.n % {every} < 2 AND p.n < {last} "
            f"THEN (0.01 + 0.98 * random() + p.n / {every} / {N_SEQUENCES} % 3) * interval '1 hour' "
            "ELSE interval '1 day' + random() * interval '90 days' END",
            position=1,
        )
    common.settle()
    return active, paused


def plan_all(now: datetime, n_due: int) -> common.Cost:
    from dripstone.engine import plan

    with common.measured() as cost:
        planned = plan.everything_due(now)
    assert planned == n_due, f"{planned} planned, {n_due} were due"
    return cost


def plan_together(now: datetime, n_due: int, n_processes: int = 2) -> float:
    """Seconds for two processes that plan the same sequences at the same time. Their start is not counted."""
    spawn = multiprocessing.get_context("spawn")
    start, planned = spawn.Barrier(n_processes + 1), spawn.Queue()
    processes = [spawn.Process(target=plan_in_process, args=(now, start, planned)) for _ in range(n_processes)]
    with common.stopping(processes):
        for process in processes:
            process.start()
        start.wait(common.PATIENCE_SECONDS)
        began = time.perf_counter()
        counts = [planned.get(timeout=common.PATIENCE_SECONDS) for _ in processes]
        seconds = time.perf_counter() - began
    assert sum(counts) == n_due, f"{counts} planned, {n_due} were due"
    return seconds


def plan_in_process(now: datetime, start: "Barrier", planned: Any) -> None:
    django.setup()
    from django.db import connection

    from dripstone.engine import plan

    connection.ensure_connection()
    start.wait(common.PATIENCE_SECONDS)
    planned.put(plan.everything_due(now))


def plan_barely(sequence_id: int, now: datetime, n_due: int) -> common.Cost:
    total = 0
    with common.measured() as cost:
        while n_rows := common.execute(BARE, {"sequence": sequence_id, "now": now, "limit": BATCH})[0][0]:
            total += n_rows
    assert total == n_due, f"{total} planned, {n_due} were due"
    return cost


def idle_tick_ms() -> float:
    """A tick that finds nothing due: the middle one of many."""
    from dripstone.engine import tasks

    tick: Callable[[], None] = tasks._tick
    times = []
    for _ in range(N_IDLE_TICKS):
        began = time.perf_counter()
        tick()
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000


def check(active: list[int], n_due: int) -> None:
    """The figures count only if every person has exactly one delivery and is in flight."""
    n_deliveries, n_in_flight = common.execute(
        "SELECT (SELECT count(*) FROM engine_delivery WHERE sequence_id = ANY(%(active)s) AND status = 'planned'),"
        " (SELECT count(*) FROM engine_enrollment WHERE sequence_id = ANY(%(active)s) AND in_flight)",
        {"active": active},
    )[0]
    assert (n_deliveries, n_in_flight) == (n_due, n_due), (n_deliveries, n_in_flight)


if __name__ == "__main__":
    main()
