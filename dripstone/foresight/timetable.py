"""When the emails of a sequence go: for a person who enters at an instant, and, one hop at a time, for the forecast.

Pure: rows in memory and instants in, instants out; nothing is read or written. Every date comes from
advance.place_after_end and schedule.due_when_late, which the engine uses too.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby, takewhile
from types import MappingProxyType
from typing import NamedTuple

from dripstone import words
from dripstone.engine import advance, schedule
from dripstone.engine.advance import Standing
from dripstone.sequences.models import Sequence, SequenceEmail


class Line(NamedTuple):
    """One email of a timetable."""

    email: SequenceEmail
    due: datetime
    rule: str  # the figures that led to the date, as a sentence
    readers: str = ""  # to whom alone it goes, “people who have the tag VIP”; "": to everybody


@dataclass(frozen=True, slots=True)
class Itinerary:
    """A sequence's emails, and what the engine knows when it computes the date of each."""

    emails: dict[int, SequenceEmail]  # drafts and deleted ones too
    live: list[SequenceEmail]  # the published ones, in order of position (R1); sent unless they are on hold (R22)
    after: dict[int, SequenceEmail | None]  # by email id: the live one that follows
    as_next: dict[int, Standing]  # by email id: a person whose next email it is
    at_end: Standing  # a person with no next email
    before: dict[int, frozenset[int]]  # by email id: all that stand before it
    published: frozenset[int]  # the live ones

    def due(self, email: SequenceEmail, anchor: datetime, last_ended: datetime | None, now: datetime) -> datetime:
        """The date of `email` for a person whose last email ended `now`, or who enters (last_ended None)."""
        standing = self.as_next[email.pk]._replace(anchor=anchor, last_ended_at=last_ended)
        due = advance.place_after_end(standing, now).due_at
        assert due is not None
        return due

    def due_when_late(self, email_id: int, due: datetime, now: datetime) -> datetime:
        """What planning does with a date it finds `now` (R4)."""
        standing = self.as_next[email_id]
        return schedule.due_when_late(due, now, standing.next_delay(), standing.schedule(standing.next_days))


def itinerary(sequence: Sequence, emails: Iterable[SequenceEmail]) -> Itinerary:
    """`emails`: all rows of the sequence; people may still wait for a deleted one."""
    rows = sorted(emails, key=lambda email: email.order)
    live = [email for email in rows if email.published and email.deleted_at is None]
    return Itinerary(
        {email.pk: email for email in rows},
        live,
        {email.pk: next((one for one in live if one.order > email.order), None) for email in rows},
        {email.pk: _standing(sequence, email) for email in rows},
        _at_end(sequence)._replace(sequence_publishes=bool(live)),
        _before(rows),
        frozenset(email.pk for email in live),
    )


def of_entry(
    sequence: Sequence,
    emails: Iterable[SequenceEmail],
    entered_at: datetime,
    readers: Mapping[int, str] = MappingProxyType({}),
) -> list[Line]:
    """What a new, active person would get if they entered at `entered_at`, met all filters (R21), and were neither
    excluded nor paused. It ends before an email on hold, where they would wait.

    readers  of emails that have a filter (engine/filters.py)
    """
    plan = itinerary(sequence, emails)
    lines: list[Line] = []
    anchor, last_ended = entered_at, None
    for email in takewhile(lambda email: not email.is_held, plan.live):
        due = plan.due(email, anchor, last_ended, anchor)
        figures = rule(sequence, email, is_first=not lines)
        lines.append(Line(email, due, figures, readers.get(email.pk, "")))
        anchor = last_ended = due
    return lines


def rule(sequence: Sequence, email: SequenceEmail, *, is_first: bool) -> str:
    """`2 days after the email before it, on the first Monday or Friday, at 09:00 America/New_York`."""
    counted_from = "entry" if is_first else "the email before it"
    delay, own = advance.delay_of(email), advance.schedule_of(sequence, email)
    if delay.unit == "hours":
        return f"{words.delay(delay.value, 'hours')} after {counted_from}, any day, any hour"
    if not schedule.follows_schedule(delay):
        return f"at once after {counted_from}, whatever the day and hour"
    days = [name for number, name in enumerate(words.DAY_NAMES) if number in own.send_days]
    on = "" if len(days) == 7 else f", on the first {' or '.join(days)}"
    return f"{words.delay(delay.value, 'days')} after {counted_from}{on}, at {own.send_hour:02}:00 {own.time_zone}"


def _before(rows: Iterable[SequenceEmail]) -> dict[int, frozenset[int]]:
    """`rows`: in order."""
    found: dict[int, frozenset[int]] = {}
    for _, same in groupby(rows, lambda email: email.order):
        earlier = frozenset(found)
        found |= {email.pk: earlier for email in same}
    return found


def _standing(sequence: Sequence, email: SequenceEmail) -> Standing:
    """An imaginary person whose next email is `email`."""
    return _at_end(sequence)._replace(
        next_id=email.pk,
        next_position=email.position,
        next_held=email.is_held,
        next_value=email.delay_value,
        next_unit=advance.delay_of(email).unit,
        next_days=email.send_days,
    )


def _at_end(sequence: Sequence) -> Standing:
    return Standing(
        enrollment_id=0,
        account_id=sequence.account_id,
        subscriber_id=0,
        sequence_id=sequence.pk,
        current_id=None,
        due_at=None,
        is_paused=False,
        is_kept=False,
        current_position=None,
        current_published=None,
        current_deleted=None,
        current_held=False,
        current_released_at=None,
        current_value=None,
        current_unit=None,
        current_days=None,
        next_id=None,
        next_position=None,
        next_held=False,
        next_value=None,
        next_unit=None,
        next_days=None,
        anchor=sequence.created_at,
        last_ended_at=None,
        hold=sequence.hold,
        send_days=sequence.send_days,
        send_hour=sequence.send_hour,
        time_zone=sequence.time_zone,
        resumed_at=sequence.resumed_at,
    )
