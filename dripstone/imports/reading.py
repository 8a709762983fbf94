"""Reads the file: its bytes → rows to be done, and rows that are rejected, each with the reason.

Takes       an import in `reading`: the bytes, how to read them, what its columns mean
Leaves      a row for each person of the file, a rejected row for each that names nobody, and what it would do, counted
A crash here means the batch at hand was not read: its rows and the place in the file are one transaction.

A batch is copied into a table of its own and put into the rows from there by one statement. Of rows about the same
person the later ones add to the first: what they say where they say something, and their tags.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection

from dripstone.imports import files
from dripstone.imports.columns import Target, value_columns
from dripstone.imports.models import Import, Rejected
from dripstone.imports.records import Broken, Records
from dripstone.imports.rows import UNIT, Person, Plan, address_of
from dripstone.subscribers import remembered
from dripstone.subscribers.models import Remembered

BATCH = 5_000  # rows
BATCH_BYTES = 4_000_000
CLEARED = 20_000  # rows of an earlier reading

_TABLE = """
CREATE TEMPORARY TABLE IF NOT EXISTS imports_read (
    number bigint, email_address text, first_name text, cells text, tags text, created_at timestamptz
) ON COMMIT DELETE ROWS
"""
_COPY = "COPY imports_read FROM STDIN"
# Purpose: put a batch to the rows, and count what is new in the file. Its addresses differ from one another. By
# import_row_of_address; people on file by subscriber_address_of_account.
_PUT = """
WITH put AS (
    INSERT INTO imports_row AS r (of_import_id, number, email_address, first_name, values, tags, created_at)
    SELECT %(import)s, number, email_address, first_name, {values},
           string_to_array(tags, E'\\x1f'), created_at
    FROM imports_read ORDER BY number
    ON CONFLICT (of_import_id, email_address) DO UPDATE SET
        first_name = COALESCE(EXCLUDED.first_name, r.first_name), values = {merged},
        tags = r.tags || ARRAY(SELECT tag FROM unnest(EXCLUDED.tags) tag WHERE tag <> ALL (r.tags)),
        created_at = COALESCE(EXCLUDED.created_at, r.created_at)
    RETURNING email_address, xmax = 0 AS is_first)
SELECT count(*) FILTER (WHERE NOT is_first), count(*) FILTER (WHERE is_first AND s.id IS NULL), count(s.id),
       count(*) FILTER (WHERE s.state IN ('cancelled', 'bounced', 'complained'))
FROM put LEFT JOIN subscribers_subscriber s
  ON is_first AND s.account_id = %(account)s AND s.email_address = put.email_address
"""
# Purpose: who of a batch is on file by nobody's name. Primary key of the rows, by number.
_NOT_ON_FILE = """
SELECT r.email_address FROM imports_row r
WHERE r.of_import_id = %(import)s AND r.number >= %(first)s
  AND NOT EXISTS (SELECT FROM subscribers_subscriber s
                  WHERE s.account_id = %(account)s AND s.email_address = r.email_address)
"""
_N_REMEMBERED = "SELECT count(*) FROM subscribers_remembered WHERE account_id = %s AND digest = ANY(%s)"
# Passes over rows in the hands of a batch that does not know yet that its import was stopped: it may wait for the
# import, which the caller has locked.
_CLEAR = """
DELETE FROM {table} WHERE of_import_id = %(import)s AND number IN (
    SELECT number FROM {table} WHERE of_import_id = %(import)s ORDER BY number LIMIT %(most)s FOR UPDATE SKIP LOCKED)
"""


@dataclass(slots=True)
class _Batch:
    """What was read; people by address."""

    people: dict[str, Person] = field(default_factory=dict)
    rejected: list[Rejected] = field(default_factory=list)
    n_rows: int = 0
    n_twice: int = 0
    n_records: int = 0
    read_to: int = 0
    is_last: bool = True


def step(import_: Import, now: datetime) -> None:
    """The next batch; the last one makes the import ready. The caller has locked it."""
    if import_.is_stale:
        import_.is_stale = clear_rows(import_) or clear_rejected(import_)
        import_.save(update_fields=["is_stale"])
        return
    batch = _read(import_, now)
    if batch.people:
        _put(import_, list(batch.people.values()))
    Rejected.objects.bulk_create(batch.rejected)
    import_.read_to, import_.n_records = batch.read_to, import_.n_records + batch.n_records
    import_.n_rows += batch.n_rows
    import_.n_twice += batch.n_twice
    import_.n_rejected += len(batch.rejected)
    if batch.is_last:
        import_.state, import_.ready_at = Import.State.READY, now
    import_.save()


def clear_rows(import_: Import) -> bool:
    """Some of the rows that wait go. Whether there may be more."""
    return _clear(import_, "imports_row")


def clear_rejected(import_: Import) -> bool:
    """The same for those that were rejected."""
    return _clear(import_, "imports_rejected")


def _clear(import_: Import, table: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(_CLEAR.format(table=table), {"import": import_.pk, "most": CLEARED})
        return bool(cursor.rowcount >= CLEARED)


# --- Reading ------------------------------------------------------------------------------------------------------


def _read(import_: Import, now: datetime) -> _Batch:
    start, number = import_.read_to, import_.n_records
    records = Records(files.read(import_, start), import_.encoding, import_.separator, start)
    plan = Plan([Target.of(one) for one in import_.columns], now)
    batch = _Batch(read_to=start)
    awaits_header = import_.has_header and import_.n_rows == 0 and import_.n_header == 0
    for cells in records:
        number += 1
        batch.read_to = records.position
        if not isinstance(cells, Broken) and not any(cell.strip() for cell in cells):
            continue
        if awaits_header and not isinstance(cells, Broken):
            awaits_header = False
            import_.n_header = number
            continue
        batch.n_rows += 1
        _take(batch, import_, plan, number, cells)
        if batch.n_rows >= BATCH or batch.read_to - start > BATCH_BYTES:
            batch.is_last = False
            break
    batch.n_records = number - import_.n_records
    return batch


def _take(batch: _Batch, import_: Import, plan: Plan, number: int, cells: list[str] | Broken) -> None:
    if isinstance(cells, Broken):
        _reject(batch, import_, number, [cells.text], cells.reason)
        return
    person = plan.person(number, cells)
    if isinstance(person, str):
        _reject(batch, import_, number, cells, person)
    elif (first := batch.people.get(person.address)) is not None:
        first.take(person)
        batch.n_twice += 1
    else:
        batch.people[person.address] = person


def _reject(batch: _Batch, import_: Import, number: int, cells: list[str], reason: str) -> None:
    batch.rejected.append(
        Rejected(
            of_import_id=import_.pk,
            number=number,
            email_address=next(filter(None, map(address_of, cells)), None),
            cells=json.dumps(cells),
            reason=reason,
        )
    )


# --- Putting away -------------------------------------------------------------------------------------------------


def _put(import_: Import, people: list[Person]) -> None:
    n_values = len(value_columns(Target.of(one) for one in import_.columns))
    values: dict[str, Any] = {"import": import_.pk, "account": import_.account_id, "first": people[0].number}
    with connection.cursor() as cursor:
        cursor.execute(_TABLE)
        cursor.execute("DELETE FROM imports_read")
        with cursor.copy(_COPY) as copy:
            copy.write(_copied(people).encode())
        cursor.execute(_PUT.format(values=_values(n_values), merged=_merged(n_values)), values)
        n_twice, n_new, n_existing, n_unmailable = cursor.fetchone()
        import_.n_twice += n_twice
        import_.n_new += n_new
        import_.n_existing += n_existing
        import_.n_unmailable += n_unmailable
        if n_new and Remembered.objects.filter(account_id=import_.account_id).exists():
            cursor.execute(_NOT_ON_FILE, values)
            digests = [remembered.digest_of(import_.account_id, address) for (address,) in cursor.fetchall()]
            cursor.execute(_N_REMEMBERED, [import_.account_id, digests])
            import_.n_unmailable += cursor.fetchone()[0]


def _values(n_values: int) -> str:
    """An array with each value of a row, nulls for blanks."""
    if n_values > 1:
        return "string_to_array(cells, E'\\x1f', '')"
    return "ARRAY[NULLIF(cells, '')]" if n_values else "'{}'::text[]"


def _merged(n_values: int) -> str:
    """An array with each value of the later row, where it has one."""
    each = ", ".join(f"COALESCE(EXCLUDED.values[{n}], r.values[{n}])" for n in range(1, n_values + 1))
    return f"ARRAY[{each}]::text[]"


def _copied(people: Iterable[Person]) -> str:
    """As COPY reads it: tabs between columns, \\N for null."""
    return "".join(
        f"{one.number}\t{_cell(one.address)}\t{_cell(one.first_name)}\t"
        f"{_cell(UNIT.join([value or '' for value in one.values]))}\t"
        f"{_cell(UNIT.join(one.tags))}\t{one.created_at.isoformat() if one.created_at else _NULL}\n"
        for one in people
    )


_NULL = "\\N"
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def _cell(text: str | None) -> str:
    if text is None:
        return _NULL
    return text if text.isprintable() and "\\" not in text else text.translate(_ESCAPES)
