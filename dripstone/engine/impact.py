"""What an edit would do to everybody in a sequence, told before it is done.

Takes       a proposal: one of the verbs of sequences/edit.py, with its arguments
Leaves      nothing. The verb is carried out in a transaction that is always rolled back; where people would stand is
            asked of the code that moves them (reevaluate.place_after_edit, advance.place_after_end, audience.excluded)
A crash here means nothing: there was nothing to keep.

The verb locks the sequence, so nothing of it is planned meanwhile. No person is locked, and no mail but what an email's
deletion would skip: whoever moves in the same second is told as seen.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Sequence as Series
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import zip_longest
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from django.db import connection, transaction

from dripstone.accounts.models import Account
from dripstone.engine import advance, audience, reevaluate, schedule, transitions
from dripstone.engine.advance import Place, Standing
from dripstone.engine.models import Delivery, Enrollment
from dripstone.sequences import edit
from dripstone.sequences.edit import Edit
from dripstone.sequences.models import Sequence, SequenceEmail

BATCH = 5000  # people per round: nobody is locked, so it may be longer than an edit's own
EXAMPLES = 10
DELETED = "email deleted"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Proposal = Callable[[], Edit]
Kind = Literal["right_away", "skipped", "completed", "removed", "paused", "waiting", "dated", "unconfirmed", "on_wire"]

# Those an edit can concern, a batch at a time. For somebody in flight, when the planned email goes. In microseconds:
# reading a timestamp costs five times as much, and there are a hundred thousand of them.
_PEOPLE = """
SELECT e.id, e.subscriber_id, e.status, e.in_flight, e.paused_at IS NOT NULL, e.next_email_id,
       (EXTRACT(EPOCH FROM CASE WHEN e.in_flight THEN d.ready_at ELSE COALESCE(e.due_at, e.held_due_at) END)
        * 1000000)::bigint
FROM engine_enrollment e
LEFT JOIN engine_delivery d ON e.in_flight AND d.enrollment_id = e.id AND d.run = e.run
     AND d.email_id = e.next_email_id AND d.status = 'planned'
WHERE e.sequence_id = %(sequence)s AND e.status IN ('unconfirmed', 'active') AND e.subscriber_id > %(after)s
ORDER BY e.subscriber_id LIMIT %(limit)s
"""

# One figure for a sequence, its emails and everybody's place in it. Sums do not depend on the order of rows.
_WORLD = """
SELECT hash_record_extended(s, 0)::text,
       (SELECT sum(hash_record_extended(m, 0)::numeric)::text FROM sequences_sequenceemail m
        WHERE m.sequence_id = s.id),
       (SELECT count(*) || ':' || sum(hash_record_extended(ROW(e.id, e.status, e.run, e.anchored_at, e.next_email_id,
            e.due_at, e.in_flight, e.paused_at, e.held_due_at), 0)::numeric)
        FROM engine_enrollment e WHERE e.sequence_id = s.id)
FROM sequences_sequence s WHERE s.id = %(sequence)s
"""


_ACTIVE: str = Enrollment.Status.ACTIVE.value
_KINDS: Mapping[str, Kind] = {"removed": "removed", "completed": "completed", "unconfirmed": "unconfirmed"}


class Stand(NamedTuple):
    """A person's place. `at`: when the email goes, as far as there is a date."""

    status: str
    email_id: int | None
    at: datetime | None
    in_flight: bool


class Person(NamedTuple):
    enrollment_id: int
    subscriber_id: int
    before: Stand
    after: Stand
    kind: Kind  # what comes of them: each person is of one kind
    paused: bool  # this person alone
    is_affected: bool  # something is different with the edit
    skipped_id: int | None = None  # an email that is not sent to them …
    reason: str = ""  # … and why

    @property
    def is_moved(self) -> bool:
        """Another email, or another date."""
        stays = self.after.status == _ACTIVE and not self.after.in_flight
        return stays and self.before[1:3] != self.after[1:3]


@dataclass
class Impact:
    """All counts are of people."""

    world: str  # see world()
    now: datetime
    before: Sequence
    done: Edit  # unsaved by now; a created email has an id nobody else will ever see
    is_new: bool  # the edit creates its email
    emails: dict[int, SequenceEmail]
    people: int = 0  # inside before the edit
    unchanged: int = 0
    moved: int = 0
    kinds: Counter[Kind] = field(default_factory=Counter)
    kinds_moved: Counter[Kind] = field(default_factory=Counter)  # of those who are moved
    kinds_kept: Counter[Kind] = field(default_factory=Counter)  # of those who are unchanged
    right_away: Counter[int] = field(default_factory=Counter)  # by email
    skipped: Counter[tuple[int, str]] = field(default_factory=Counter)  # by email and reason
    moved_from: Counter[date | None] = field(default_factory=Counter)  # by day in the sequence's zone; None: no date
    moved_to: Counter[date | None] = field(default_factory=Counter)
    examples: list[Person] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _World:
    """The sequence as the edit leaves it."""

    sequence: Sequence
    emails: dict[int, SequenceEmail]
    now: datetime
    was_active: bool
    follows: bool  # people are to be brought in line: by this edit, or by one before it that is not followed yet
    as_of: datetime  # when: now, or when dates were asked for anew
    reschedules: bool
    moved_draft: int | None
    deleted: int | None  # the email this edit deletes


class _Row(NamedTuple):
    enrollment_id: int
    subscriber_id: int
    in_flight: bool
    on_wire: bool
    parked: bool
    paused: bool
    before: Stand


def of(account: Account, sequence_id: int, proposal: Proposal, now: datetime) -> Impact:
    """What the proposal would do. Raises whatever the proposal raises, and NotFound."""
    with _undone(account, sequence_id, proposal, now) as (impact, people):
        _count(impact, people)
    return impact


def person_by_person(account: Account, sequence_id: int, proposal: Proposal, now: datetime) -> list[Person]:
    """The same, in full, for tests and small sequences."""
    with _undone(account, sequence_id, proposal, now) as (_, people):
        return list(people)


def world(sequence_id: int) -> str:
    """Changes whenever the sequence, one of its emails or anybody's place in it does."""
    with connection.cursor() as cursor:
        cursor.execute(_WORLD, {"sequence": sequence_id})
        return "/".join(part or "" for part in cursor.fetchone())


@contextmanager
def _undone(
    account: Account, sequence_id: int, proposal: Proposal, now: datetime
) -> Iterator[tuple[Impact, Iterator[Person]]]:
    """The sequence edited as proposed, for as long as the block lasts."""
    with transaction.atomic():
        before = edit.lock(account, sequence_id)
        known = world(sequence_id)
        ids = set(before.emails.values_list("pk", flat=True))
        done = proposal()
        emails = before.emails.in_bulk()
        is_new = done.email is not None and done.email.pk not in ids
        edited = _edited(before, done, emails, now)
        yield Impact(known, now, before, done, is_new, emails), _everybody(edited)
        transaction.set_rollback(True)


def _edited(before: Sequence, done: Edit, emails: dict[int, SequenceEmail], now: datetime) -> _World:
    after = Sequence.objects.get(pk=before.pk)
    following = reevaluate.edit_to_follow(before.pk)
    rescheduled_at = following.rescheduled_at if following is not None else None
    email = done.email
    return _World(
        after,
        emails,
        now,
        was_active=before.active,
        follows=following is not None,
        as_of=rescheduled_at or now,
        reschedules=rescheduled_at is not None,
        moved_draft=email.pk if email is not None and done.moved_draft else None,
        deleted=email.pk if email is not None and email.deleted_at is not None else None,
    )


# --- Where people would stand -----------------------------------------------------------------------------------


def _everybody(edited: _World) -> Iterator[Person]:
    after = 0
    while rows := _rows(edited.sequence.pk, after):
        yield from _batch(edited, rows)
        after = rows[-1].subscriber_id


def _rows(sequence_id: int, after: int) -> list[_Row]:
    with connection.cursor() as cursor:
        cursor.execute(_PEOPLE, {"sequence": sequence_id, "after": after, "limit": BATCH})
        return [_row(*row) for row in cursor.fetchall()]


def _row(
    enrollment_id: int,
    subscriber_id: int,
    status: str,
    in_flight: bool,
    paused: bool,
    email_id: int | None,
    microseconds: int | None,
) -> _Row:
    at = None if microseconds is None else _instant(microseconds)
    parked = at == reevaluate.PARKED
    before = Stand(status, email_id, None if parked else at, in_flight)
    return _Row(enrollment_id, subscriber_id, in_flight, in_flight and at is None, parked, paused, before)


@lru_cache(maxsize=4096)
def _instant(microseconds: int) -> datetime:
    return EPOCH + timedelta(microseconds=microseconds)


def _batch(edited: _World, rows: list[_Row]) -> list[Person]:
    stands = _stands_after(edited, rows) if edited.follows else {}
    going = [row for row in rows if _goes_right_away(edited, row, stands.get(row.enrollment_id) or row.before)]
    excluded = audience.excluded(edited.sequence, [row.subscriber_id for row in going]) if going else {}
    right_away = {row.enrollment_id for row in going}
    skipped = _skip_deleted_ids(edited, rows)
    return [
        _person(
            edited,
            row,
            stands.get(row.enrollment_id) or row.before,
            goes=row.enrollment_id in right_away,
            is_deleted=row.enrollment_id in skipped,
            excluded=excluded,
        )
        for row in rows
    ]


def _skip_deleted_ids(edited: _World, rows: list[_Row]) -> set[int]:
    """Those who had a place at the email that is deleted now: they skip it, at once or when it would have gone (R9)."""
    if edited.deleted is None:
        return set()
    return {row.enrollment_id for row in rows if row.before.email_id == edited.deleted and not row.on_wire}


def _stands_after(edited: _World, rows: list[_Row]) -> dict[int, Stand]:
    """By enrollment, for those the edit looks at; the others stand where they stood."""
    if edited.sequence.deleted_at is not None:
        gone = Stand("removed", None, None, False)
        return {row.enrollment_id: gone for row in rows}
    flying = [row for row in rows if row.in_flight and not row.on_wire]
    stopped = [row.enrollment_id for row in flying if _email(edited, row).deleted_at is not None]
    waiting = [row.enrollment_id for row in rows if row.before.status == _ACTIVE and not row.in_flight]
    stands = {row.enrollment_id: _planned_after(edited, row) for row in flying}
    stands |= {place.enrollment_id: _stand_at(place) for place in _skip(edited, stopped)}
    stands |= {place.enrollment_id: _stand_at(place) for place in _waiting_after(edited, waiting)}
    return stands


def _email(edited: _World, row: _Row) -> SequenceEmail:
    assert row.before.email_id is not None
    return edited.emails[row.before.email_id]


def _stand_at(place: Place) -> Stand:
    return Stand(_ACTIVE if place.completed_at is None else "completed", place.next_email_id, place.due_at, False)


def _waiting_after(edited: _World, ids: list[int]) -> Iterator[Place]:
    for one in advance.standings_of(ids):
        # The engine takes a draft that was moved away from those who wait for it (reevaluate.after_edit).
        free = one._replace(current_id=None) if one.current_id == edited.moved_draft else one
        yield _after_edit(edited, free)


def _after_edit(edited: _World, one: Standing) -> Place:
    return reevaluate.place_after_edit(one, edited.as_of, reschedules=edited.reschedules)


def _planned_after(edited: _World, row: _Row) -> Stand:
    """What reevaluate.park and unpark do to a planned delivery whose email stays."""
    email, at = _email(edited, row), row.before.at
    if not edited.sequence.active or not email.published:
        at = None
    elif row.parked and not row.paused:
        at = reevaluate.ready_again(edited.sequence, email, edited.now)
    return row.before._replace(at=at)


def _skip(edited: _World, ids: list[int]) -> Iterator[Place]:
    """Planned mail of a deleted email is skipped, and its people go on from this moment."""
    # Whatever somebody else holds just now is on its way out, and told as it is: nobody waits for us, nor we for them.
    free = Delivery.objects.select_for_update(no_key=True, skip_locked=True)
    planned = free.filter(enrollment_id__in=ids, status=Delivery.Status.PLANNED)
    held = list(planned.values_list("enrollment_id", flat=True)) if ids else []
    transitions.skip_planned(held, DELETED, edited.now)
    for one in advance.standings_of(held):
        place = advance.place_after_end(one, edited.now)
        yield place if place.completed_at else _after_edit(edited, _standing_at(place, one))


def _standing_at(place: Place, one: Standing) -> Standing:
    """As if it had been written: the engine looks at them once more with all the others."""
    return one._replace(
        current_id=place.next_email_id,
        due_at=place.due_at,
        current_position=one.next_position,
        current_published=True,
        current_deleted=False,
        current_value=one.next_value,
        current_unit=one.next_unit,
        current_days=one.next_days,
    )


# --- What comes of it -------------------------------------------------------------------------------------------


def _goes_right_away(edited: _World, row: _Row, after: Stand) -> bool:
    """Because of the edit: who was due before it is not meant."""
    if after.at is None or after.at > edited.now or row.paused or not edited.sequence.active:
        return False
    before = row.before
    was_due = edited.was_active and before.at is not None and before.at <= edited.now
    return not (was_due and before.email_id == after.email_id) and not _is_too_late(edited, after)


def _is_too_late(edited: _World, after: Stand) -> bool:
    """A day-email more than six hours late waits for the next slot (R4): the edit itself waited for the engine."""
    assert after.at is not None
    if after.in_flight or after.email_id is None or edited.now - after.at <= schedule.LATE_DAYS:
        return False
    owner, email = edited.sequence, edited.emails[after.email_id]
    own = schedule.Schedule(frozenset(owner.send_days), owner.send_hour, owner.time_zone).for_email(email.send_days)
    delay = schedule.Delay(email.delay_value, "hours" if email.delay_unit == SequenceEmail.Unit.HOURS else "days")
    return schedule.due_when_late(after.at, edited.now, delay, own) > edited.now


def _person(
    edited: _World, row: _Row, after: Stand, *, goes: bool, is_deleted: bool, excluded: Mapping[int, str]
) -> Person:
    before = row.before
    kind: Kind = "right_away" if goes else _kind(edited, row, after)
    skipped_id, reason = (edited.deleted, DELETED) if is_deleted else (None, "")
    if kind == "right_away" and not reason:
        reason = DELETED if _is_deleted(edited, after) else excluded.get(row.subscriber_id, "")
        skipped_id = after.email_id if reason else None
    if kind in ("right_away", "dated") and reason:
        kind = "skipped"
    stops = kind == "paused" and edited.was_active and not row.paused
    is_affected = before != after or bool(reason) or stops or kind == "right_away"
    return Person(
        row.enrollment_id, row.subscriber_id, before, after, kind, row.paused, is_affected, skipped_id, reason
    )


def _is_deleted(edited: _World, after: Stand) -> bool:
    return after.email_id is not None and edited.emails[after.email_id].deleted_at is not None


def _kind(edited: _World, row: _Row, after: Stand) -> Kind:
    """Of somebody who gets nothing right away."""
    if after.status != _ACTIVE:
        return _KINDS[after.status]
    if row.on_wire:
        return "on_wire"
    stops = row.paused or not edited.sequence.active
    if after.at is None and not (after.in_flight and stops):
        return "waiting"
    return "paused" if stops else "dated"


def _count(impact: Impact, people: Iterable[Person]) -> None:
    kept: dict[Kind, list[Person]] = defaultdict(list)
    zone = ZoneInfo(impact.done.sequence.time_zone)
    for person in people:
        impact.people += 1
        impact.kinds[person.kind] += 1
        if not person.is_affected:
            impact.unchanged += 1
            impact.kinds_kept[person.kind] += 1
            continue
        if person.is_moved:
            impact.moved += 1
            impact.kinds_moved[person.kind] += 1
            impact.moved_from[_day(person.before.at, zone)] += 1
            impact.moved_to[_day(person.after.at, zone)] += 1
        if person.kind == "right_away" and person.after.email_id is not None:
            impact.right_away[person.after.email_id] += 1
        if person.skipped_id is not None:
            impact.skipped[person.skipped_id, person.reason] += 1
        if len(kept[person.kind]) < EXAMPLES:
            kept[person.kind].append(person)
    impact.examples = _mixed(list(kept.values()))


@lru_cache(maxsize=4096)
def _day(at: datetime | None, zone: ZoneInfo) -> date | None:
    return None if at is None else at.astimezone(zone).date()


def _mixed(kinds: Series[Series[Person]]) -> list[Person]:
    """A few of every kind, rather than ten alike."""
    rounds = zip_longest(*kinds)
    return [person for turn in rounds for person in turn if person is not None][:EXAMPLES]
