"""What comes next for each of the people on a page, in a few words: "email 2 today, 11:00", "waits for confirmation
since Friday", "unsubscribed after email 4, 24 Nov". A fixed number of queries, whoever they are.

Dates are those in the rows. A person's own page reckons further (explain/journey.py).
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.db import connection

from dripstone import words
from dripstone.engine.models import Delivery, Enrollment
from dripstone.events import types
from dripstone.sequences.models import Sequence, SequenceEmail
from dripstone.subscribers.models import State, Subscriber

ONE_WEEK = timedelta(days=6)

# Purpose: when people were refused or complained, and from which delivery that came. By event_by_subscriber, from the
# newest event of each back to it.
_ENDED = """
SELECT person.id, ended.occurred_at, ended.subject_id FROM unnest(%(ids)s::bigint[]) person (id)
CROSS JOIN LATERAL (
    SELECT occurred_at, subject_id FROM events_event e
    WHERE e.subscriber_id = person.id AND e.type = ANY(%(types)s) ORDER BY e.id DESC LIMIT 1) ended
"""

# Purpose: the places of some people. A probe of enrollment_once for each person and each sequence that anybody is or
# was in.
_PLACES = """
SELECT e.* FROM sequences_sequence s
CROSS JOIN LATERAL (
    SELECT * FROM engine_enrollment e WHERE e.sequence_id = s.id AND e.subscriber_id = ANY(%(people)s::bigint[])) e
WHERE s.account_id = %(account)s AND s.deleted_at IS NULL
    AND EXISTS (SELECT FROM tallies_tally t WHERE t.kind = 'places' AND t.subject_id = s.id)
"""


@dataclass(frozen=True, slots=True)
class Coming:
    """sequence   whose email it is, None where it is about none
    text       `email 2 today, 11:00`
    n_others   in how many more sequences they are
    """

    text: str
    sequence: Sequence | None = None
    n_others: int = 0


@dataclass(frozen=True, slots=True)
class _Facts:
    places: Mapping[int, list[Enrollment]]  # by person
    sequences: Mapping[int, Sequence]
    numbers: Mapping[int, int]  # of the emails that are there: 1 for the first of its sequence
    unsent: Mapping[int, str]  # of those that go to nobody: why
    publishing: Collection[int]  # sequences that have a published email
    ended: Mapping[int, tuple[datetime, int | None]]  # by person: when, and from which delivery that came
    deliveries: Mapping[int, Delivery]
    zone: str
    now: datetime


def of(people: Collection[Subscriber], account_id: int, zone: str, now: datetime) -> dict[int, Coming]:
    """By their ids."""
    facts = _read(people, account_id, zone, now)
    return {person.pk: _of(person, facts) for person in people}


def _read(people: Collection[Subscriber], account_id: int, zone: str, now: datetime) -> _Facts:
    going = [one.pk for one in people if one.state == State.ACTIVE]
    places = list(Enrollment.objects.raw(_PLACES, {"people": going, "account": account_id})) if going else []
    ended = _ended(people)
    left = {pk for _, pk in ended.values() if pk is not None}
    deliveries = Delivery.objects.filter(account=account_id).in_bulk(left) if left else {}
    sequence_ids = {place.sequence_id for place in places} | {one.sequence_id for one in deliveries.values()} - {None}
    sequences = Sequence.objects.in_bulk(sequence_ids)
    emails = SequenceEmail.objects.filter(sequence__in=sequences, deleted_at=None).order_by("sequence", "position")
    listed = list(emails.values_list("sequence", "pk", "published", "held_at"))
    return _Facts(
        places=_by_person(places),
        sequences=sequences,
        numbers=_numbers(listed),
        unsent={pk: "on hold" if held else "a draft" for _, pk, published, held in listed if held or not published},
        publishing={sequence_id for sequence_id, _, published, _ in listed if published},
        ended=ended,
        deliveries=deliveries,
        zone=zone,
        now=now,
    )


def _by_person(places: Iterable[Enrollment]) -> dict[int, list[Enrollment]]:
    found: dict[int, list[Enrollment]] = defaultdict(list)
    for place in places:
        found[place.subscriber_id].append(place)
    return found


def _numbers(listed: Iterable[tuple[int, int, bool, datetime | None]]) -> dict[int, int]:
    """As the page of their sequence counts them."""
    counted: dict[int, int] = defaultdict(int)
    numbers = {}
    for sequence_id, email_id, *_ in listed:
        counted[sequence_id] += 1
        numbers[email_id] = counted[sequence_id]
    return numbers


def _ended(people: Iterable[Subscriber]) -> dict[int, tuple[datetime, int | None]]:
    """Whoever cancelled has it in their row."""
    found = {
        one.pk: (one.canceled_at, one.left_through)
        for one in people
        if one.state == State.CANCELLED and one.canceled_at is not None
    }
    others = [one.pk for one in people if one.state in (State.BOUNCED, State.COMPLAINED)]
    if others:
        kinds = [types.SUBSCRIBER_BOUNCED, types.SUBSCRIBER_COMPLAINED]
        with connection.cursor() as cursor:
            cursor.execute(_ENDED, {"ids": others, "types": kinds})
            found |= {pk: (at, delivery_id) for pk, at, delivery_id in cursor.fetchall()}
    return found


# --- In words -----------------------------------------------------------------------------------------------------


def _of(person: Subscriber, facts: _Facts) -> Coming:
    match person.state:
        case State.INACTIVE:
            return Coming(f"waits for confirmation since {_since(person.created_at, facts)}")
        case State.CANCELLED:
            return _ending(person, "unsubscribed", facts)
        case State.BOUNCED:
            return _ending(person, "refused at delivery", facts)
        case State.COMPLAINED:
            return _ending(person, "reported an email as spam", facts)
    return _going(facts.places.get(person.pk, []), facts)


def _ending(person: Subscriber, what: str, facts: _Facts) -> Coming:
    """`unsubscribed after email 4, 24 Nov`."""
    at, delivery_id = facts.ended.get(person.pk, (person.updated_at, None))
    delivery = facts.deliveries.get(delivery_id or 0)
    sequence = facts.sequences.get(delivery.sequence_id or 0) if delivery else None
    number = _numbered(delivery.email_id, facts) if delivery and delivery.email_id else ""
    after = f" after {number}" if number else ""
    return Coming(f"{what}{after}, {_day(at, facts)}", sequence)


def _numbered(email_id: int, facts: _Facts) -> str:
    number = facts.numbers.get(email_id)
    return f"email {number}" if number else ""


def _going(places: list[Enrollment], facts: _Facts) -> Coming:
    """The place that has the next date, else one that waits, else the one completed last."""
    if not places:
        return Coming("is in no sequence")
    first = min(places, key=_rank)
    active = sum(place.status == Enrollment.Status.ACTIVE for place in places)
    is_active = first.status == Enrollment.Status.ACTIVE
    sequence = facts.sequences[first.sequence_id]
    return Coming(" ".join(_place(first, sequence, facts)), sequence, active - 1 if is_active else 0)


def _rank(place: Enrollment) -> tuple[int, float]:
    if place.status != Enrollment.Status.ACTIVE:
        ended = place.completed_at or place.removed_at or place.entered_at
        return 4, -ended.timestamp()
    if place.in_flight:
        return 0, 0
    if place.due_at is not None:
        return 1, place.due_at.timestamp()
    return (2 if place.next_email_id else 3), 0


def _place(place: Enrollment, sequence: Sequence, facts: _Facts) -> Iterator[str]:
    match place.status:
        case Enrollment.Status.COMPLETED:
            yield f"completed {_day(place.completed_at, facts)}" if place.completed_at else "completed"
            return
        case Enrollment.Status.REMOVED:
            yield f"left {_day(place.removed_at, facts)}" if place.removed_at else "left"
            return
    if place.next_email_id is None:
        yield "waits at the end" if sequence.pk in facts.publishing else "waits until something is published"
        return
    yield _numbered(place.next_email_id, facts) or "an email that was deleted"
    if place.in_flight:
        yield "is on its way"
    elif place.paused_at is not None:
        yield "waits: paused for this person"
    elif not sequence.active:
        yield "waits: the sequence is paused"
    elif place.due_at is not None:
        yield _unbroken(words.soon(place.due_at, facts.zone, facts.now)) if place.due_at > facts.now else "right away"
    else:
        why = facts.unsent.get(place.next_email_id, "")
        yield f"is {why}, so they wait" if why else "without a date yet"


def _day(at: datetime, facts: _Facts) -> str:
    """`yesterday`, `Tue 24 Nov`."""
    return _unbroken(words.soon(at, facts.zone, facts.now).rpartition(",")[0])


def _unbroken(text: str) -> str:
    """On one line, in a narrow column too."""
    return text.replace(" ", "\u00a0")


def _since(at: datetime, facts: _Facts) -> str:
    """`today`, `Friday`, `24 Nov`."""
    zone = ZoneInfo(facts.zone)
    day, today = at.astimezone(zone).date(), facts.now.astimezone(zone).date()
    is_near = timedelta(days=1) < today - day <= ONE_WEEK
    return f"{day:%A}" if is_near else _day(at, facts)
