"""Says what an edit would do to the people in a sequence, before it is made.

Takes       a proposal: one of the verbs of sequences/verbs.py or drafts.py, with its arguments
Leaves      nothing. The verb runs in a transaction that is rolled back at once, to learn what the sequence and its
            emails would be; the code that moves people then says, per crowd (crowds.py), where they would stand
            (follow.place_after, advance.place_after_end)
A crash here means there is no answer; nothing was to be kept.

The sequence is locked for the verb alone, a few milliseconds. People are read after that, in one statement and without
locks. Somebody who moves meanwhile is counted where we saw them; the token, taken earlier, no longer matches.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import lru_cache
from itertools import zip_longest
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from django.db import connection, transaction

from dripstone.accounts.models import Account
from dripstone.engine import advance, audience, filters, follow, reasons
from dripstone.engine.advance import Place, Standing
from dripstone.engine.follow import Following
from dripstone.engine.models import Delivery, Enrollment
from dripstone.errors import PreconditionFailed
from dripstone.foresight import crowds, timetable
from dripstone.foresight.crowds import Crowd, Question
from dripstone.foresight.timetable import Itinerary
from dripstone.grammar import Condition
from dripstone.sequences import drafts, verbs
from dripstone.sequences.models import Sequence, SequenceEmail
from dripstone.sequences.verbs import Edit

# What can be proposed: an edit, carried out and undone.
update_sequence = verbs.update_sequence
delete_sequence = verbs.delete_sequence
create_email = verbs.create_email
update_email = verbs.update_email
publish_email = drafts.publish
publish_all = drafts.publish_all
delete_email = verbs.delete_email
reschedule = verbs.reschedule
hold_email = verbs.hold_email
release_email = verbs.release_email
skip_wait = verbs.skip_wait
filter_email = verbs.filter_email

EXAMPLES = 10
SOME = 200  # people looked at one by one if there are fewer crowds than examples

Proposal = Callable[[], Edit]
Sieve = Literal["", "kept_from", "let_through"]
Kind = Literal["right_away", "skipped", "completed", "removed", "paused", "waiting", "dated", "unconfirmed", "on_wire"]

# People an edit can concern.
_INSIDE = "e.status IN ('unconfirmed', 'active')"

# One figure for a sequence, its emails and all places in it. Sums do not depend on the order of rows.
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


class Where(NamedTuple):
    """A person's place. `at`: when the email goes, if there is a date."""

    status: str
    email_id: int | None
    at: datetime | None
    in_flight: bool


class Person(NamedTuple):
    enrollment_id: int
    before: Where
    after: Where
    kind: Kind  # what happens to them: each person is of one kind
    paused: bool  # this person alone
    is_affected: bool  # something is different with the edit
    skipped_id: int | None = None  # an email that is not sent to them …
    reason: str = ""  # … and why
    let_go_id: int | None = None  # a draft or deleted email they no longer wait for
    sieve: Sieve = ""  # when its turn comes, they skip the email whose filter is edited, or no longer do

    @property
    def is_moved(self) -> bool:
        """They get another email, or another date. A planned email that must not go for now is no move: the person
        keeps their place."""
        stays = self.after.status == _ACTIVE and (self.after.at is not None or not self.after.in_flight)
        return stays and self.before[1:3] != self.after[1:3]


@dataclass
class Impact:
    """All counts are numbers of people."""

    world: str  # see world()
    before: Sequence
    done: Edit  # rolled back by now; a created email has an id that is never used again
    is_new: bool  # the edit creates its email
    emails: dict[int, SequenceEmail]
    were_held: frozenset[int]  # emails on hold before the edit
    waits_skipped: frozenset[int]  # emails
    people: int = 0  # inside before the edit
    unchanged: int = 0
    moved: int = 0
    kinds: Counter[Kind] = field(default_factory=Counter)
    kinds_moved: Counter[Kind] = field(default_factory=Counter)  # of people who are moved
    kinds_kept: Counter[Kind] = field(default_factory=Counter)  # of people who are unchanged
    right_away: Counter[int] = field(default_factory=Counter)  # by email
    skipped: Counter[tuple[int, str]] = field(default_factory=Counter)  # by email and reason
    let_go: Counter[int] = field(default_factory=Counter)  # by email
    kept_from: int = 0  # people who will skip the email whose filter is edited (R21) …
    let_through: int = 0  # … and who no longer will, by what is known of them now
    moved_from: Counter[date | None] = field(default_factory=Counter)  # by day in the sequence's zone; None: no date
    moved_to: Counter[date | None] = field(default_factory=Counter)
    examples: list[Person] = field(default_factory=list)
    names: reasons.Named = field(default_factory=dict)  # of what excludes people
    readers: Mapping[int, str] = field(default_factory=dict)  # by email that has a filter: to whom it goes

    @property
    def affected(self) -> int:
        return self.people - self.unchanged

    def by_position(self, counts: Counter[int]) -> list[tuple[int, int]]:
        """Counts by email, in the order of the emails."""
        return sorted(counts.items(), key=lambda pair: self.emails[pair[0]].position)


@dataclass(frozen=True, slots=True)
class _World:
    """The sequence as the edit leaves it."""

    sequence: Sequence
    itinerary: Itinerary
    now: datetime
    was_active: bool
    edit: Following | None  # what people have to follow: this edit, and those not followed yet
    moved_draft: int | None
    deleted: int | None  # the email this edit deletes
    filtered: int | None  # the published email whose filter this edit changes
    filter_before: Condition | None
    exclusions: list[str]

    def question(self) -> Question:
        before = self.filter_before
        return Question(self.itinerary, self.now, self.now, _INSIDE, self.edit, goes_on=False, filter_before=before)


def of(account: Account, sequence_id: int, proposal: Proposal, now: datetime) -> Impact:
    """What the proposal would do. Raises whatever the proposal raises, and NotFound."""
    impact, edited = _carried_out_and_undone(account, sequence_id, proposal, now)
    told = _count(impact, edited, crowds.of(edited.question(), edited.sequence))
    impact.examples = _examples(told, edited)
    impact.names = audience.names_of([reason for _, reason in impact.skipped], account.pk)
    impact.readers = filters.readers(filters.of(impact.emails.values()), account.pk)
    return impact


def person_by_person(
    account: Account, sequence_id: int, proposal: Proposal, now: datetime
) -> tuple[Impact, list[Person]]:
    """The same, counted person by person: tests compare the crowds with it."""
    impact, edited = _carried_out_and_undone(account, sequence_id, proposal, now)
    everybody = list(crowds.each(edited.question(), edited.sequence))
    _count(impact, edited, everybody)
    return impact, [_person(edited, one) for one in everybody]


def world(sequence_id: int) -> str:
    """Changes whenever the sequence, one of its emails or a place in it does."""
    with connection.cursor() as cursor:
        cursor.execute(_WORLD, {"sequence": sequence_id})
        row = cursor.fetchone()
    return "/".join(part or "" for part in row or ())


def figure(world: str) -> str:
    """A world as 20 characters: what callers and pages bring back to say which one they were told about."""
    return hashlib.sha256(world.encode()).hexdigest()[:20]


@contextmanager
def unchanged(account: Account, sequence_id: int, seen: str) -> Iterator[None]:
    """Around an edit: only in the world that was seen, which nobody else can edit or plan in until the edit is written.

    seen  its figure
    Raises PreconditionFailed in another one, and NotFound.
    """
    with transaction.atomic():
        verbs.lock(account, sequence_id)
        if figure(world(sequence_id)) != seen:
            raise PreconditionFailed
        yield


def _carried_out_and_undone(
    account: Account, sequence_id: int, proposal: Proposal, now: datetime
) -> tuple[Impact, _World]:
    known = world(sequence_id)  # before anything else is read: any later change makes the token void
    with transaction.atomic():
        before = verbs.lock(account, sequence_id)
        ids = set(before.emails.values_list("pk", flat=True))
        held = frozenset(before.emails.filter(held_at__isnull=False).values_list("pk", flat=True))
        conditions = filters.of(before.emails.filter(filter__isnull=False).only("filter"))
        done = proposal()
        emails = before.emails.in_bulk()
        edited = _edited(before, done, emails, conditions, now)
        transaction.set_rollback(True)
    is_new = done.email is not None and done.email.pk not in ids
    skips = edited.edit.skips if edited.edit is not None else ()
    skipped = frozenset(skip.email_id for skip in skips if skip.email_id is not None)
    return Impact(known, before, done, is_new, emails, held, skipped), edited


def _edited(
    before: Sequence, done: Edit, emails: dict[int, SequenceEmail], conditions: dict[int, Condition], now: datetime
) -> _World:
    """`conditions`: of the emails that had a filter before."""
    after = Sequence.objects.get(pk=before.pk)
    email = done.email
    filtered = email.pk if email is not None and done.is_filtered and email.published else None
    return _World(
        after,
        timetable.itinerary(after, emails.values()),
        now,
        was_active=before.active,
        edit=follow.edit_to_follow(before.pk),
        moved_draft=email.pk if email is not None and done.moved_draft else None,
        deleted=email.pk if email is not None and email.deleted_at is not None else None,
        filtered=filtered,
        filter_before=None if filtered is None else conditions.get(filtered),
        exclusions=[reason for reason, _ in audience.sources(after, now)],
    )


# --- Where people would stand -----------------------------------------------------------------------------------


def _before(crowd: Crowd) -> Where:
    status = "unconfirmed" if crowd.unconfirmed else _ACTIVE
    is_undated = crowd.at == Delivery.PARKED or (crowd.kept and not crowd.paused)
    return Where(status, crowd.current_id, None if is_undated else crowd.at, crowd.in_flight)


def _is_on_wire(crowd: Crowd) -> bool:
    return crowd.in_flight and crowd.at is None


def _after(edited: _World, crowd: Crowd) -> Where:
    if edited.sequence.deleted_at is not None:
        return Where("removed", None, None, False)
    if edited.edit is None or crowd.unconfirmed or _is_on_wire(crowd):
        return _before(crowd)
    if crowd.in_flight:
        return _planned_after(edited, crowd)
    one = crowds.standing(edited.itinerary, crowd)
    # When a draft is moved, the engine ends the wait of people who wait for it (follow.after_edit).
    free = one._replace(current_id=None) if one.current_id == edited.moved_draft else one
    return _where(crowds.place_after_edit(edited.question(), free, crowd), free)


def _where(place: Place, one: Standing) -> Where:
    """`one`: of the person whose place it is."""
    status = _ACTIVE if place.completed_at is None else "completed"
    return Where(status, place.next_email_id, one.shown_date_at(place), False)


def _planned_after(edited: _World, crowd: Crowd) -> Where:
    """What follow.park and unpark do to a planned delivery."""
    assert crowd.current_id is not None
    email, before = edited.itinerary.emails[crowd.current_id], _before(crowd)
    if email.deleted_at is not None:
        return _after_skip(edited, crowd)
    if not follow.may_go(edited.sequence, email):
        return before._replace(at=None)
    if crowd.at is not None and not crowd.paused and edited.edit is not None:
        return before._replace(at=follow.ready_after(edited.edit, edited.sequence, email, crowd.at, edited.now))
    return before


def _after_skip(edited: _World, crowd: Crowd) -> Where:
    """Planned mail of a deleted email is skipped, and its people go on from now."""
    skipped, now = crowd.current_id, edited.now
    assert skipped is not None
    crowd = crowd._replace(
        had=[*crowd.had, skipped], lows=[*crowd.lows, skipped], ends=[*crowd.ends, now], last_ended_at=now
    )
    one = crowds.standing(edited.itinerary, crowd)
    place = advance.place_after_end(one, now)
    if not place.completed_at:
        one = _standing_at(place, one)
        place = crowds.place_after_edit(edited.question(), one, crowd)
    return _where(place, one)


def _standing_at(place: Place, one: Standing) -> Standing:
    """As if that place had been written: the engine then looks at them again with all the others."""
    return one._replace(
        current_id=place.next_email_id,
        due_at=place.due_at,
        is_kept=one.keeps_date(place),
        current_position=one.next_position,
        current_published=True,
        current_deleted=False,
        current_held=one.next_held,
        current_released_at=None,  # longer ago than this date was given
        current_value=one.next_value,
        current_unit=one.next_unit,
        current_days=one.next_days,
    )


# --- What comes of it -------------------------------------------------------------------------------------------


def _person(edited: _World, crowd: Crowd) -> Person:
    before, after = _before(crowd), _after(edited, crowd)
    kind, skipped_id, reason = _outcome(edited, crowd, after)
    stops = kind == "paused" and edited.was_active and not crowd.paused
    sieve = _sieve(edited, crowd)
    is_affected = before != after or bool(reason) or stops or kind == "right_away" or bool(sieve)
    let_go_id = before.email_id if _lets_go(edited, before, after) else None
    return Person(
        crowd.enrollment_id, before, after, kind, crowd.paused, is_affected, skipped_id, reason, let_go_id, sieve
    )


def _outcome(edited: _World, crowd: Crowd, after: Where) -> tuple[Kind, int | None, str]:
    """What happens to them, the email that is skipped, and why."""
    otherwise, obstacle = _kind(edited, crowd, after), _obstacle(edited, crowd, after)
    match _skips_deleted(edited, crowd), _goes_right_away(edited, crowd, after), otherwise:
        case (True, True, _) | (True, _, "dated"):
            return "skipped", edited.deleted, reasons.EMAIL_DELETED
        case True, False, _:
            return otherwise, edited.deleted, reasons.EMAIL_DELETED
        case False, True, _ if obstacle:
            return "skipped", after.email_id, obstacle
        case False, True, _:
            return "right_away", None, ""
        case _:
            return otherwise, None, ""


def _obstacle(edited: _World, crowd: Crowd, after: Where) -> str:
    """Why planning would skip the email they wait for."""
    if after.email_id is not None and edited.itinerary.emails[after.email_id].deleted_at is not None:
        return reasons.EMAIL_DELETED
    if crowd.excluded:
        return edited.exclusions[crowd.excluded - 1]
    return reasons.FILTERED if after.email_id in crowd.unmet else ""


def _sieve(edited: _World, crowd: Crowd) -> Sieve:
    """What a filter set, changed or taken away is for somebody who has the email still to come (R21). What is planned
    already goes; who is excluded skips it either way."""
    is_planned = crowd.in_flight and crowd.current_id == edited.filtered
    if edited.filtered is None or edited.filtered in crowd.had or is_planned or crowd.excluded:
        return ""
    match crowds.BEFORE in crowd.unmet, edited.filtered in crowd.unmet:
        case False, True:
            return "kept_from"
        case True, False:
            return "let_through"
    return ""


def _skips_deleted(edited: _World, crowd: Crowd) -> bool:
    """People whose next email is deleted now skip it, at once or when it would have gone (R9)."""
    return edited.deleted is not None and crowd.current_id == edited.deleted and not _is_on_wire(crowd)


def _lets_go(edited: _World, before: Where, after: Where) -> bool:
    """Whether they no longer wait for a draft or deleted email, because another comes before it now or it was moved: by
    R1 they do not come back to it."""
    if before.email_id in (None, after.email_id) or after.email_id is None or edited.deleted == before.email_id:
        return False
    email = edited.itinerary.emails[before.email_id]
    return email.deleted_at is not None or not email.published


def _goes_right_away(edited: _World, crowd: Crowd, after: Where) -> bool:
    """Because of the edit: people who were due before it do not count."""
    if after.at is None or after.at > edited.now or crowd.paused or not edited.sequence.active:
        return False
    before = _before(crowd)
    was_due = edited.was_active and before.at is not None and before.at <= edited.now
    return not (was_due and before.email_id == after.email_id) and not _is_too_late(edited, after)


def _is_too_late(edited: _World, after: Where) -> bool:
    """A day-email more than six hours late waits for the next slot (R4): the edit itself waited for the engine."""
    if after.at is None or after.in_flight or after.email_id is None:
        return False
    return edited.itinerary.due_when_late(after.email_id, after.at, edited.now) > edited.now


def _kind(edited: _World, crowd: Crowd, after: Where) -> Kind:
    """For a person who gets nothing right away."""
    if after.status != _ACTIVE:
        return _KINDS[after.status]
    if _is_on_wire(crowd):
        return "on_wire"
    stops = crowd.paused or not edited.sequence.active
    if after.at is None and not (after.in_flight and stops):
        return "waiting"
    return "paused" if stops else "dated"


def _count(impact: Impact, edited: _World, everybody: Iterable[Crowd]) -> list[Person]:
    """Returns the people who are affected, one of each crowd."""
    affected, zone = [], ZoneInfo(edited.sequence.time_zone)
    for crowd in everybody:
        person, n_people = _person(edited, crowd), crowd.n_people
        impact.people += n_people
        impact.kinds[person.kind] += n_people
        if not person.is_affected:
            impact.unchanged += n_people
            impact.kinds_kept[person.kind] += n_people
            continue
        affected.append(person)
        if person.is_moved:
            impact.moved += n_people
            impact.kinds_moved[person.kind] += n_people
            impact.moved_from[_day(person.before.at, zone)] += n_people
            impact.moved_to[_day(person.after.at, zone)] += n_people
        if person.kind == "right_away" and person.after.email_id is not None:
            impact.right_away[person.after.email_id] += n_people
        if person.skipped_id is not None:
            impact.skipped[person.skipped_id, person.reason] += n_people
        impact.kept_from += n_people if person.sieve == "kept_from" else 0
        impact.let_through += n_people if person.sieve == "let_through" else 0
        if person.let_go_id is not None:
            impact.let_go[person.let_go_id] += n_people
    return affected


@lru_cache(maxsize=4096)
def _day(at: datetime | None, zone: ZoneInfo) -> date | None:
    return None if at is None else at.astimezone(zone).date()


def _examples(affected: list[Person], edited: _World) -> list[Person]:
    """A few of every kind, rather than ten alike. If there are only a few crowds, more people of each."""
    if 0 < len(affected) < EXAMPLES:
        told = {person.enrollment_id for person in affected}
        some = (_person(edited, one) for one in crowds.each(edited.question(), edited.sequence, SOME))
        affected += [person for person in some if person.is_affected and person.enrollment_id not in told]
    kinds: dict[Kind, list[Person]] = defaultdict(list)
    for person in affected:
        kinds[person.kind].append(person)
    return [person for turn in zip_longest(*kinds.values()) for person in turn if person is not None][:EXAMPLES]
