"""Count, read, put together, compare with the rows, mend.

All of it may run at any time, on any machine, and beside itself, since counting only adds rows.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from django.db import connection, transaction

from dripstone.postgresql import prepared
from dripstone.tallies.models import Kind
from dripstone.tallies.truth import LEDGER, TRUTH

Counts = Counter[tuple[int, str]]
"""(subject id, label) → how many; 0 for what was never counted."""

_LOCK = 0x7461_6C6C  # the advisory lock of the fold: "tall"

# Purpose: count. Three rows take 0.2 ms, once per batch of 500 messages.
_ADD = """
INSERT INTO tallies_tally (kind, subject_id, label, n) SELECT kind, subject_id, label, n
FROM json_to_recordset(%s) AS change (kind text, subject_id bigint, label text, n bigint)
"""

# Purpose: the counts of some objects. From tally_of_subject alone; by the ORM it takes 0.5 ms more, in every call.
_OF = """
SELECT subject_id, label, sum(n)::bigint FROM tallies_tally
WHERE kind = %s AND subject_id = ANY(%s::bigint[]) AND label >= %s GROUP BY 1, 2
"""

# Purpose: one row per key that has got new ones. By tally_unfolded, then tally_of_subject: the cost follows what was
# counted since the last fold, not what there is. 20,000 new rows of 400 keys take 0.1 s.
_FOLD = """
WITH fresh AS (SELECT DISTINCT kind, subject_id, label FROM tallies_tally WHERE NOT is_folded),
gone AS (
    DELETE FROM tallies_tally t USING fresh
    WHERE t.kind = fresh.kind AND t.subject_id = fresh.subject_id AND t.label = fresh.label
    RETURNING t.kind, t.subject_id, t.label, t.n),
folded AS (
    INSERT INTO tallies_tally (kind, subject_id, label, n, is_folded)
    SELECT kind, subject_id, label, sum(n), true FROM gone GROUP BY 1, 2, 3 HAVING sum(n) <> 0)
SELECT count(*) FROM gone
"""

# Purpose: counts that are not what they must be. One statement, so one snapshot: changes made meanwhile are in both
# sides or in neither.
_DIFFERENCES = """
SELECT subject_id, label, COALESCE(kept.n, 0), COALESCE(rows.n, 0)
FROM (SELECT subject_id, label, sum(n)::bigint AS n FROM tallies_tally WHERE kind = %(kind)s GROUP BY 1, 2) kept
FULL JOIN (
    SELECT subject_id, label, sum(n)::bigint AS n FROM (
        ({truth}) UNION ALL (SELECT subject_id, label, n FROM tallies_tally WHERE kind = %(ledger)s)
    ) counted (subject_id, label, n) GROUP BY 1, 2) rows USING (subject_id, label)
WHERE COALESCE(kept.n, 0) <> COALESCE(rows.n, 0)
"""
_REPAIR = """
WITH differences (subject_id, label, kept, true_n) AS ({differences}),
mended AS (
    INSERT INTO tallies_tally (kind, subject_id, label, n)
    SELECT %(kind)s, subject_id, label, true_n - kept FROM differences)
SELECT subject_id, label, kept, true_n FROM differences ORDER BY subject_id, label
"""


class Difference(NamedTuple):
    """A count that is not what the rows and the ledger say."""

    kind: Kind
    subject_id: int
    label: str
    kept: int
    counted: int


def add(changes: Mapping[tuple[Kind, int, str], int]) -> None:
    """Count, in the transaction that makes the change: (kind, subject id, label) → how many more."""
    rows = [
        {"kind": kind.value, "subject_id": subject_id, "label": label, "n": n}
        for (kind, subject_id, label), n in changes.items()
        if n
    ]
    if rows:
        prepared.put(_ADD, [json.dumps(rows)])


def of(kind: Kind, subject_ids: Iterable[int], *, from_label: str = "") -> Counts:
    """The counts of some objects, by one query: all, or those with labels from the given one on."""
    with connection.cursor() as cursor:
        cursor.execute(_OF, [kind.value, list(subject_ids), from_label])
        return Counter({(subject_id, label): n for subject_id, label, n in cursor.fetchall() if n})


@transaction.atomic
def fold() -> int:
    """Replace the rows of every key that was counted since the last fold by one. Returns how many rows went; 0 while
    another process does it: two could lock the same rows in different orders."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
        if not cursor.fetchone()[0]:
            return 0
        cursor.execute(_FOLD)
        n_gone: int = cursor.fetchone()[0]
    return n_gone


def differences(*, repair: bool = False) -> list[Difference]:
    """Every count that is not what it must be. `repair` mends it by a row with the difference: no lock, and nothing of
    the ledger is touched, so history stays. Scans the tables: seconds per million rows."""
    return [one for kind in TRUTH for one in _differences_of(kind, repair=repair)]


def _differences_of(kind: Kind, *, repair: bool) -> list[Difference]:
    query = _DIFFERENCES.format(truth=TRUTH[kind])
    with connection.cursor() as cursor:
        cursor.execute(
            _REPAIR.format(differences=query) if repair else f"{query} ORDER BY 1, 2",
            {"kind": kind.value, "ledger": LEDGER.get(kind, "")},
        )
        return [Difference(kind, *row) for row in cursor.fetchall()]
