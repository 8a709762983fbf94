"""How many people are where in sequences: kept counts, read by one query each."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from django.db import connection

from dripstone.engine.models import Enrollment
from dripstone.stats.people import EVERY_STATE
from dripstone.tallies import verbs as tallies
from dripstone.tallies.models import Kind

# Purpose: people whose next email is due before each of some instants, the one before it excluded. Index-only, by a
# range of enrollment_due per sequence and instant: 0.07 µs a person.
_DUE = """
SELECT COALESCE(sum(n), 0)::bigint FROM unnest(%(begins)s::timestamptz[], %(ends)s::timestamptz[])
    WITH ORDINALITY AS span (begins, ends, number)
LEFT JOIN LATERAL (
    SELECT (SELECT count(*) FROM engine_enrollment e
            WHERE e.sequence_id = s.id AND e.due_at >= span.begins AND e.due_at < span.ends) AS n
    FROM sequences_sequence s WHERE s.account_id = %(account)s AND s.active AND s.deleted_at IS NULL) due ON true
GROUP BY span.number ORDER BY span.number
"""
# Purpose: places of an account by status, over all its sequences that are there. By tally_of_subject, a probe each.
_OF_ACCOUNT = """
SELECT t.label, sum(t.n)::bigint FROM sequences_sequence s
JOIN tallies_tally t ON t.kind = 'places' AND t.subject_id = s.id
WHERE s.account_id = %s AND s.deleted_at IS NULL GROUP BY 1
"""

# Purpose: the first date of each of some sequences. A probe of enrollment_due each.
_FIRST_DUE = """
SELECT s.id, (SELECT e.due_at FROM engine_enrollment e
              WHERE e.sequence_id = s.id AND e.due_at IS NOT NULL ORDER BY e.due_at LIMIT 1)
FROM unnest(%s::bigint[]) s (id)
"""
_EVER = datetime.min.replace(year=1970, tzinfo=UTC)

# Purpose: the first date of each email, among the first dates of a sequence. By enrollment_due, in its order; 3 ms for
# the most it reads, however many people wait.
_FIRST_DATES = """
SELECT next_email_id, min(due_at), max(due_at), count(*) FROM (
    SELECT next_email_id, due_at FROM engine_enrollment
    WHERE sequence_id = %(sequence)s AND due_at IS NOT NULL ORDER BY due_at LIMIT %(most)s) first
GROUP BY 1
"""
MOST_DATES = 2_000


class Dates(NamedTuple):
    """first        email id → when the next person gets it
    seen_until   dates up to here were looked at: no person gets an email that is not in `first` before that. None: all
                 dates were
    """

    first: Mapping[int, datetime]
    seen_until: datetime | None


def by_status(sequence_ids: Iterable[int]) -> Counter[tuple[int, str]]:
    """(sequence id, status) → places."""
    return tallies.of(Kind.PLACES, sequence_ids)


def of_account(account_id: int) -> Counter[str]:
    """Status → places, over all sequences of the account but the deleted ones."""
    with connection.cursor() as cursor:
        cursor.execute(_OF_ACCOUNT, [account_id])
        return Counter(dict(cursor.fetchall()))


def first_due(sequence_ids: Collection[int]) -> dict[int, datetime]:
    """Sequence id → the date of the next email that has one; without those where nobody's has."""
    with connection.cursor() as cursor:
        cursor.execute(_FIRST_DUE, [list(sequence_ids)])
        return {pk: at for pk, at in cursor.fetchall() if at is not None}


def waiting_for(email_ids: Collection[int]) -> Counter[int]:
    """Email id → active people whose next email it is, with or without a date."""
    waiting = tallies.of(Kind.WAITING, email_ids)
    return Counter({pk: waiting[pk, Enrollment.Status.ACTIVE] for pk in email_ids})


def n_waiting_for(email_ids: Collection[int]) -> int:
    """All of them together."""
    return sum(
        n for (_, status), n in tallies.of(Kind.WAITING, email_ids).items() if status == Enrollment.Status.ACTIVE
    )


def listed(sequence_id: int, state: str = EVERY_STATE) -> int:
    """People whom the list of a sequence shows, of one state or of all: nobody who was taken out
    (engine.models.Entry)."""
    counts = tallies.of(Kind.LISTED, [sequence_id])
    return counts.total() if state == EVERY_STATE else counts[sequence_id, state]


def due_until(account_id: int, ends: Sequence[datetime]) -> list[int]:
    """Per span of time, in sequences that send, how many people's next email is due in it: before the first of `ends`,
    late ones included; from there before the second; and so on."""
    with connection.cursor() as cursor:
        cursor.execute(_DUE, {"account": account_id, "begins": [_EVER, *ends[:-1]], "ends": list(ends)})
        return [n for (n,) in cursor.fetchall()]


def next_dates(sequence_id: int) -> Dates:
    with connection.cursor() as cursor:
        cursor.execute(_FIRST_DATES, {"sequence": sequence_id, "most": MOST_DATES})
        rows = cursor.fetchall()
    has_seen_all = sum(n for *_, n in rows) < MOST_DATES
    return Dates({pk: first for pk, first, *_ in rows}, None if has_seen_all else max(last for _, _, last, _ in rows))
