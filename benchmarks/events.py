"""What does it cost to record, number and read an event, and does it cost more when there are many?

    script/bench events

Events are recorded 100 at a time, as an entry of a hundred people does it, and read 500 at a time with one cursor. Each
round is measured on an empty table and on one that holds ten times as many. Microseconds of CPU per event, Python and
PostgreSQL. The last table is a pass while a transaction that has written stays open: each pass looks again at all that
was numbered since, so this must stay small.
"""

from datetime import UTC, datetime

from benchmarks import common

N_EVENTS = 100_000
BATCH = 100
READ = 500


def main() -> None:
    options = common.arguments(__doc__ or "").parse_args()
    n_events = 5_000 if options.small else N_EVENTS
    report = common.Report("events")
    with common.database():
        rows = [_round(0, n_events)]
        _fill(10 * n_events - n_events)
        rows.append(_round(10 * n_events, n_events))
        report.table(f"{n_events:,} events", rows)
        report.table("a pass while a transaction stays open", [_late(n) for n in (n_events // 50, n_events // 5)])
    report.save(options.json)


def _round(n_before: int, n_events: int) -> common.Figures:
    with common.measured() as recording:
        _record(n_events)
    with common.measured() as numbering:
        _number()
    with common.measured() as reading:
        n_read = _read_all()
    assert n_read == n_events, f"{n_read} of {n_events} were read"
    row: dict[str, float | int] = {"events before": n_before}
    for name, cost in (("recorded", recording), ("numbered", numbering), ("read", reading)):
        row[f"{name}/s"] = n_events / cost.wall
        row[f"{name}: Python µs"] = cost.python / n_events * 1e6
        row[f"{name}: PostgreSQL µs"] = cost.server / n_events * 1e6
    return row


def _record(n_events: int) -> None:
    from dripstone.events import causes, types
    from dripstone.events.record import event, record

    now = datetime.now(UTC)
    for first in range(0, n_events, BATCH):
        record(
            event(
                types.ADDED_TO_SEQUENCE, 1, now, cause=causes.API, subscriber_id=pk, subject_id=1, run=1, source="api"
            )
            for pk in range(first, first + BATCH)
        )


def _number() -> None:
    from dripstone.events import reading

    reading.number_visible()


def _read_all() -> int:
    from dripstone.events import reading

    n_read = 0
    while True:
        with reading.following("benchmark", READ, start="first") as events:
            n_read += len(events)
        if not events:
            return n_read


def _fill(n_events: int) -> None:
    """Events that have happened, been numbered and been read."""
    common.execute(
        "INSERT INTO events_event (account_id, type, subscriber_id, subject_id, cause, data, occurred_at)"
        " SELECT 1, 'subscriber.added_to_sequence', i, 1, '{api}', '{\"run\": 1, \"source\": \"api\"}', now()"
        " FROM generate_series(1, %(n)s) i",
        {"n": n_events},
    )
    _number()
    common.execute("UPDATE events_reader SET number = (SELECT last FROM events_numbering)")
    common.execute("VACUUM (ANALYZE) events_event, events_number")
    common.checkpoint()


def _late(n_since: int) -> common.Figures:
    import os

    import psycopg

    with psycopg.connect(os.environ["DATABASE_URL"]) as writer:
        writer.execute("INSERT INTO events_event (account_id, type, data, occurred_at) VALUES (1, 'late', '{}', now())")
        _record(n_since)
        _number()
        with common.measured() as cost:
            _number()
        writer.commit()
    assert _read_all() == n_since + 1
    return {"events since": n_since, "ms": cost.wall * 1000}


if __name__ == "__main__":
    main()
