"""1  entry → enrollment: the one door for API, forms, rules, automations, bulk actions and imports (R12, R13, R15).

Takes       a sequence, subscribers of its account, the door they came through
Leaves      one enrollment per person with its next email and date, an event per entry, the engine woken if due now
A crash here means no person entered: it is all one transaction.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from django.db import transaction

from dripstone.engine import advance, queries, transitions, wake
from dripstone.engine.models import Enrollment
from dripstone.errors import NotFound
from dripstone.events import causes, types
from dripstone.events.causes import Cause
from dripstone.events.record import event, record
from dripstone.postgresql import prepared
from dripstone.postgresql.compiled import Among, Compiled, Parameter, insert
from dripstone.sequences.models import Sequence
from dripstone.subscribers.models import State, Subscriber

Source = Literal["owner", "api", "form", "rule", "automation", "bulk", "import"]
RESTARTING: frozenset[Source] = frozenset({"rule", "automation", "bulk", "import"})  # restart people under way (R12)

_PEOPLE = Compiled(
    lambda: (
        Subscriber.objects.select_for_update(no_key=True)
        .filter(Among("id", Parameter("ids")), account=Parameter("account"))
        .order_by("id")
    )
)
_PLACES = Compiled(
    lambda: (
        Enrollment.objects.select_for_update(no_key=True)
        .filter(Among("subscriber_id", Parameter("ids")), sequence=Parameter("sequence"))
        .order_by("id")
    )
)

Change = Literal["enter", "restart", "continue", "nothing"]


@dataclass(frozen=True, slots=True)
class Entry:
    enrollment: Enrollment
    person: Subscriber
    added: bool  # False: they were in it already (Kit's 200 instead of 201)
    moved: bool  # they entered, started again or went on


@transaction.atomic
def add(
    sequence: Sequence,
    subscriber_ids: Iterable[int],
    source: Source,
    now: datetime,
    *,
    cause: Cause = causes.NONE,
    door: str = "",
) -> dict[int, Entry]:
    """Put people into a sequence, each by R12. Ids that are not subscribers of the account are passed over.

    cause  the source alone unless given; a form, an import, a rule … names itself (events/causes.py)

    door   "form 2", of a source that the cause does not name

    Returns an Entry per subscriber id. Adding the same people again changes nothing unless R12 says so.
    Raises NotFound when the sequence has been deleted meanwhile.
    """
    _hold(sequence)
    cause = cause or (source,)
    door = door or _named(source, cause)
    people = _lock_people(sequence.account_id, subscriber_ids)
    present = _lock_enrollments(sequence, people)
    entered = _insert(sequence, [person for pk, person in people.items() if pk not in present], source, door, now)
    by_change: dict[Change, list[Enrollment]] = defaultdict(list)
    for subscriber_id, row in present.items():
        if people[subscriber_id].state in (State.ACTIVE, State.INACTIVE):
            by_change[change_for(row.status, sequence.repeat, source)].append(row)
    transitions.reenter(by_change["restart"], people, source, door, now, restart=True)
    transitions.reenter(by_change["continue"], people, source, door, now, restart=False)

    moved = [*entered, *by_change["restart"], *by_change["continue"]]
    active = [row.pk for row in moved if row.status == Enrollment.Status.ACTIVE]
    record_entries(moved, now, cause)
    places = advance.advance(active, now, cause)
    wake.engine_if_due(places, now)
    added = {row.pk for row in [*entered, *by_change["continue"]]}
    has_moved = {row.pk for row in moved if row.status != Enrollment.Status.REMOVED}
    return {
        row.subscriber_id: Entry(row, people[row.subscriber_id], row.pk in added, row.pk in has_moved)
        for row in [*entered, *present.values()]
    }


def _named(source: Source, cause: Cause) -> str:
    """The last of the causes that is such a source, with its number: "rule 7". "": none has one."""
    return next((one for one in reversed(cause) if one.startswith(f"{source} ")), "")


def change_for(status: str, repeat: bool, source: Source) -> Change:
    """R12 for somebody who has been in the sequence before."""
    match status, repeat:
        case "removed", False:
            return "continue"
        case (("removed" | "completed"), True):
            return "restart"
        case (("active" | "unconfirmed"), True) if source in RESTARTING:
            return "restart"
    return "nothing"


def _hold(sequence: Sequence) -> None:
    """Locks the sequence. A deletion at the same moment would leave people in a sequence that is gone."""
    if not prepared.rows(queries.HOLD_SEQUENCE, {"sequence": sequence.pk}):
        raise NotFound


def _lock_people(account_id: int, subscriber_ids: Iterable[int]) -> dict[int, Subscriber]:
    """Locks the people: until the transaction ends their state stays, and no other process enrolls them."""
    rows = _PEOPLE.all(account=account_id, ids=list(set(subscriber_ids)))
    return {row.pk: row for row in rows}


def _lock_enrollments(sequence: Sequence, subscriber_ids: Iterable[int]) -> dict[int, Enrollment]:
    rows = _PLACES.all(sequence=sequence.pk, ids=list(subscriber_ids))
    return {row.subscriber_id: row for row in rows}


def _insert(sequence: Sequence, people: list[Subscriber], source: Source, door: str, now: datetime) -> list[Enrollment]:
    return insert(transitions.new_enrollment(sequence, person, source, door, now) for person in people)


def record_entries(rows: Iterable[Enrollment], now: datetime, cause: Cause) -> None:
    """An event per entry. People who may not be mailed did not enter."""
    record(
        event(
            types.ADDED_TO_SEQUENCE,
            row.account_id,
            now,
            cause=cause,
            subscriber_id=row.subscriber_id,
            subject_id=row.sequence_id,
            run=row.run,
            source=row.source,
        )
        for row in rows
        if row.status != Enrollment.Status.REMOVED
    )
