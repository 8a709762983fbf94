"""Says what an act on one person's places would do, before it is done.

Takes       a proposal: a verb of engine/acts (places, undecided), of enroll or transitions, with its arguments
Leaves      nothing. The verb runs in a transaction, its caller looks at what came of it, and all of it is rolled back:
            notes, events, kept counts, jobs and what was to be woken
A crash here means there is no answer; nothing was to be kept.

One person's places are a few rows, so this needs no crowds (impact.py): whoever asks looks at the rows themselves, by
the code that shows them anyway. The locks of the verb are held for that long, some milliseconds.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from django.db import connection, transaction

from dripstone.engine import queries
from dripstone.engine.models import Enrollment
from dripstone.errors import NotFound, PreconditionFailed
from dripstone.foresight import impact
from dripstone.subscribers.models import locked

T = TypeVar("T")

Proposal = Callable[[], object]

# One figure for a person, their place in one sequence, its current deliveries, and the sequence with its emails.
# Primary keys, enrollment_once and delivery_once; a row per email and delivery.
_WORLD = """
SELECT (SELECT p.state FROM subscribers_subscriber p WHERE p.id = %(person)s),
       hash_record_extended(s, 0)::text,
       (SELECT sum(hash_record_extended(m, 0)::numeric)::text FROM sequences_sequenceemail m
        WHERE m.sequence_id = s.id),
       hash_record_extended(e, 0)::text,
       (SELECT sum(hash_record_extended(ROW(d.id, d.status, d.ready_at), 0)::numeric)::text FROM engine_delivery d
        WHERE d.enrollment_id = e.id AND d.run = e.run)
FROM sequences_sequence s
LEFT JOIN engine_enrollment e ON e.sequence_id = s.id AND e.subscriber_id = %(person)s
WHERE s.id = %(sequence)s
"""


def carried_out_and_undone(proposal: Proposal, look: Callable[[], T]) -> T:
    """What `look` sees when the proposal is done. Raises whatever the proposal raises."""
    with transaction.atomic():
        proposal()
        seen = look()
        transaction.set_rollback(True)
    return seen


def world(sequence_id: int, subscriber_id: int) -> str:
    """A figure that changes whenever the person's place in this sequence does, or something it depends on; also of a
    place that is not there yet. Tags and the clock are no part of it (docs/decisions/impact.md)."""
    with connection.cursor() as cursor:
        cursor.execute(_WORLD, {"sequence": sequence_id, "person": subscriber_id})
        row = cursor.fetchone()
    return impact.figure("/".join(part or "" for part in row or ()))


@contextmanager
def unchanged(sequence_id: int, subscriber_id: int, seen: str) -> Iterator[None]:
    """Around an act: only in the world that was seen, in which nothing is planned or edited until it is done.

    seen  its figure
    Raises PreconditionFailed in another one, and NotFound.
    """
    with transaction.atomic():
        hold(sequence_id, subscriber_id)
        if world(sequence_id, subscriber_id) != seen:
            raise PreconditionFailed
        yield


def hold(sequence_id: int, subscriber_id: int) -> None:
    """Until the transaction ends, this place stays as it is. In the lock order (queries.py). Raises NotFound."""
    with connection.cursor() as cursor:
        cursor.execute(queries.HOLD_SEQUENCE, {"sequence": sequence_id})
        if cursor.fetchone() is None:
            raise NotFound
    locked(subscriber_id)
    places = Enrollment.objects.filter(sequence=sequence_id, subscriber=subscriber_id)
    places.select_for_update(no_key=True).first()
