"""Where somebody stands: their next email and when it is due (R1 to R3, R6). Every caller that moves people
goes through here.

Takes       enrollments locked by the caller, inside its transaction
Leaves      each with next_email and due_at, or completed, or waiting without a date
A crash here means the caller's transaction never happened.
"""

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from collections.abc import Sequence as Series
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from django.db import connection

from dripstone.engine import queries, schedule
from dripstone.engine.models import Enrollment
from dripstone.engine.schedule import Delay, Schedule
from dripstone.events import causes, types
from dripstone.events.causes import Cause
from dripstone.events.models import Event
from dripstone.events.record import event, record
from dripstone.postgresql import prepared
from dripstone.sequences.models import Sequence, SequenceEmail
from dripstone.tallies import verbs as tallies
from dripstone.tallies.models import Kind, left, left_in_week

FEW = 10  # places; planning NEXT_EMAILS takes 0.7 ms, and running it for one person 0.15

_ACTIVE, _COMPLETED = Enrollment.Status.ACTIVE.value, Enrollment.Status.COMPLETED.value


class Standing(NamedTuple):
    """A row of queries.NEXT_EMAILS: where a person is (`current_*`) and what R1 says comes next (`next_*`)."""

    enrollment_id: int
    account_id: int
    subscriber_id: int
    sequence_id: int
    current_id: int | None
    due_at: datetime | None  # also the one that is kept
    is_paused: bool  # this person
    is_kept: bool  # the date: they are paused, or were told to wait at an email on hold
    current_position: int | None
    current_published: bool | None
    current_deleted: bool | None
    current_held: bool
    current_released_at: datetime | None
    current_value: int | None
    current_unit: schedule.Unit | None
    current_days: list[int] | None
    next_id: int | None
    next_position: int | None
    next_held: bool
    next_value: int | None
    next_unit: schedule.Unit | None
    next_days: list[int] | None
    anchor: datetime
    last_ended_at: datetime | None
    hold: bool
    send_days: list[int]
    send_hour: int
    time_zone: str
    resumed_at: datetime | None
    sequence_publishes: bool = True
    current_anchor: datetime | None = None  # only for people who wait without a date for a deleted email

    def next_due(self) -> datetime:
        return schedule.next_due(self.anchor, self.next_delay(), self.schedule(self.next_days))

    def next_delay(self) -> Delay:
        assert self.next_value is not None and self.next_unit is not None
        return Delay(self.next_value, self.next_unit)

    def current_delay(self) -> Delay:
        assert self.current_value is not None and self.current_unit is not None
        return Delay(self.current_value, self.current_unit)

    def keeps_date(self, place: "Place") -> bool:
        """Whether the place's date is only kept, since they are paused or the email is on hold (R22)."""
        return place.due_at is not None and (self.is_paused or self.is_held_at(place))

    def is_held_at(self, place: "Place") -> bool:
        return self.next_held if place.next_email_id == self.next_id else self.current_held

    def shown_date(self) -> datetime | None:
        """For people: no date while it is kept for a held email. Paused people see the one that is kept for them."""
        return None if self.is_kept and not self.is_paused else self.due_at

    def shown_date_at(self, place: "Place") -> datetime | None:
        return None if self.keeps_date(place) and not self.is_paused else place.due_at

    def schedule(self, own_days: list[int] | None) -> Schedule:
        return _schedule(
            tuple(self.send_days), self.send_hour, self.time_zone, None if own_days is None else tuple(own_days)
        )


@dataclass(frozen=True, slots=True)
class Place:
    """A person's new place. At most one of `due_at` and `completed_at` is set. If they are paused, or the email is on
    hold, the date is only kept."""

    enrollment_id: int
    next_email_id: int | None
    due_at: datetime | None
    completed_at: datetime | None = None


def advance(enrollment_ids: Series[int], now: datetime, cause: Cause = causes.NONE) -> list[Place]:
    """Give each active enrollment its next email and date; complete those for whom nothing is left."""
    standings = standings_of(enrollment_ids)
    places = [place_after_end(standing, now) for standing in standings]
    write(standings, places, now, cause)
    return places


def place_after_end(standing: Standing, now: datetime) -> Place:
    """The place of somebody who has just entered, or whose last email has just ended."""
    if standing.next_id is None:
        return end_of_sequence(standing, now)
    return Place(standing.enrollment_id, standing.next_id, max(date_after_end(standing, now), now))


def date_after_end(standing: Standing, now: datetime) -> datetime:
    """The date of the next email; it may lie in the past."""
    due = standing.next_due()
    if due <= now and standing.last_ended_at is not None and standing.last_ended_at > standing.anchor:
        # An email inserted behind this person's place went first, and this one's own date passed long ago. Two at
        # once would be a burst (R4), so its delay counts from the one that has just gone.
        late = standing._replace(anchor=standing.last_ended_at)
        due = late.next_due()
    return due


def end_of_sequence(standing: Standing, now: datetime) -> Place:
    """R6: nothing comes next. People who got nothing yet wait for the first publication, and so do all while nothing is
    published. The others complete, unless `hold` keeps them."""
    waits = standing.hold or standing.last_ended_at is None or not standing.sequence_publishes
    return Place(standing.enrollment_id, None, None, completed_at=None if waits else now)


def standings_of(enrollment_ids: Series[int]) -> list[Standing]:
    if not enrollment_ids:
        return []
    values = {"enrollments": queries.ids(enrollment_ids)}
    if len(enrollment_ids) <= FEW:
        return [Standing._make(row) for row in prepared.rows(queries.NEXT_EMAILS, values)]
    with connection.cursor() as cursor:
        cursor.execute(queries.NEXT_EMAILS, values)
        return [Standing._make(row) for row in cursor.fetchall()]


def write(standings: Series[Standing], places: Series[Place], now: datetime, cause: Cause = causes.NONE) -> None:
    """Save places and tell who completed."""
    if not places:
        return
    rows = [(one.enrollment_id, one.next_email_id, one.due_at, one.completed_at) for one in places]
    values = {
        "places": queries.rows(("id", "next_email_id", "due_at", "completed_at"), rows),
        "held": queries.ids(_held(standings, places)),
    }
    written = dict(prepared.rows(queries.SET_PLACES, values))  # without people who were taken out meanwhile
    _count([pair for pair in zip(standings, places, strict=True) if pair[1].enrollment_id in written], written)
    record(_ends(standings, places, written, now, cause))


def _ends(
    standings: Series[Standing], places: Series[Place], written: Container[int], now: datetime, cause: Cause
) -> Iterator[Event]:
    """Who has come to the end of a sequence: out of it, or to stay there."""
    for standing, place in zip(standings, places, strict=True):
        if place.enrollment_id not in written:
            continue
        if place.completed_at is not None:
            yield _end(types.SEQUENCE_COMPLETED, standing, now, cause)
        elif _stays_at_end(standing, place):
            yield _end(types.SEQUENCE_END_REACHED, standing, now, cause)


def _stays_at_end(standing: Standing, place: Place) -> bool:
    """They have got to the end just now, and `hold` keeps them (R6)."""
    is_at_end = place.next_email_id is None and place.completed_at is None
    had_emails = standing.last_ended_at is not None and standing.sequence_publishes
    return is_at_end and standing.hold and had_emails and standing.current_id is not None


def _held(standings: Series[Standing], places: Series[Place]) -> Iterable[int]:
    """The places whose next email is on hold."""
    pairs = zip(standings, places, strict=True)
    return (place.enrollment_id for standing, place in pairs if standing.is_held_at(place))


def _count(moved: Series[tuple[Standing, Place]], left_after: Mapping[int, int | None]) -> None:
    """Count who waits for which email, and who completed after which. All of them were active."""
    waiting = Counter(place.next_email_id for _, place in moved)
    waiting.subtract(Counter(standing.current_id for standing, _ in moved))
    done = [
        (standing.sequence_id, left_after[place.enrollment_id], place.completed_at.astimezone(UTC).date())
        for standing, place in moved
        if place.completed_at is not None
    ]
    completed = Counter(sequence_id for sequence_id, _, _ in done)
    left_counts = Counter((Kind.LEFT, sequence_id, left(email_id, _COMPLETED)) for sequence_id, email_id, _ in done)
    in_week = Counter((Kind.LEFT_IN_WEEK, sequence_id, left_in_week(day, _COMPLETED)) for sequence_id, _, day in done)
    tallies.add(
        {
            **{(Kind.WAITING, email_id, _ACTIVE): n for email_id, n in waiting.items() if email_id is not None},
            **{(Kind.PLACES, sequence_id, _ACTIVE): -n for sequence_id, n in completed.items()},
            **{(Kind.PLACES, sequence_id, _COMPLETED): n for sequence_id, n in completed.items()},
            **left_counts,
            **in_week,
        }
    )


def _end(kind: str, standing: Standing, now: datetime, cause: Cause) -> Event:
    return event(
        kind,
        standing.account_id,
        now,
        cause=cause,
        subscriber_id=standing.subscriber_id,
        subject_id=standing.sequence_id,
    )


def delay_of(email: SequenceEmail) -> Delay:
    return Delay(email.delay_value, "hours" if email.delay_unit == SequenceEmail.Unit.HOURS else "days")


def schedule_of(sequence: Sequence, email: SequenceEmail) -> Schedule:
    """The email's own: its days, where it has some, at the sequence's hour."""
    own_days = None if email.send_days is None else tuple(email.send_days)
    return _schedule(tuple(sequence.send_days), sequence.send_hour, sequence.time_zone, own_days)


@lru_cache(maxsize=1024)
def _schedule(send_days: tuple[int, ...], hour: int, zone: str, own_days: tuple[int, ...] | None) -> Schedule:
    return Schedule(frozenset(send_days), hour, zone).for_email(own_days)
