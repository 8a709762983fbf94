"""The emails of a sequence as a line: each in its place, the delay before it in words, who waits for it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from dripstone import words
from dripstone.engine import filters
from dripstone.sequences import drafts
from dripstone.sequences.models import Sequence, SequenceEmail
from dripstone.stats import emails as email_stats
from dripstone.stats import places
from dripstone.stats.places import Dates

State = Literal["published", "changed", "held", "draft"]


@dataclass(frozen=True, slots=True)
class Step:
    """An email in its place.

    state         what its ring says; is_changed: something is written in it that people do not get yet
    delay, days   what stands between it and the one before: `2 days later, at 11:00`, `Monday to Friday`
    next_at       when the next person gets it; None: nobody has a date
    readers       to whom alone it goes, `people who have the tag “VIP”`; "": to everybody
    after         nobody before this instant: the first dates of the sequence are all of other emails
    up, down      the email it goes before when it moves one place, "" for the end; None: it stands there already
    """

    number: int
    email: SequenceEmail
    state: State
    is_changed: bool
    delay: str
    days: str
    sent: int
    waiting: int
    next_at: datetime | None
    after: datetime | None
    readers: str
    up: str | None
    down: str | None

    @property
    def is_immediate(self) -> bool:
        return self.email.delay_value == 0

    @property
    def add_label(self) -> str:
        return f"Add an email before email {self.number}"

    @property
    def can_skip_wait(self) -> bool:
        """Somebody has a date."""
        return self.waiting > 0 and (self.next_at or self.after) is not None


def steps(sequence: Sequence) -> list[Step]:
    emails = list(sequence.emails.filter(deleted_at=None).defer("content").order_by("position"))
    ids = [email.pk for email in emails]
    sent, waiting, dates = email_stats.sent_of(ids), places.waiting_for(ids), _dates(sequence)
    firsts, changed = _counting_from_entry(emails), drafts.changed(sequence)
    readers = filters.readers(filters.of(emails), sequence.account_id)
    return [
        Step(
            number,
            email,
            _state(email, is_changed=email.pk in changed),
            email.pk in changed,
            *gap(sequence, email, is_first=email.pk in firsts),
            sent[email.pk],
            waiting[email.pk],
            dates.first.get(email.pk) if _goes(email) else None,
            dates.seen_until if waiting[email.pk] and _goes(email) else None,
            readers.get(email.pk, ""),
            *_neighbours(emails, number - 1),
        )
        for number, email in enumerate(emails, 1)
    ]


def gap(sequence: Sequence, email: SequenceEmail, *, is_first: bool) -> tuple[str, str]:
    """The delay, and the days on which it may end."""
    value, unit = email.delay_value, email.delay_unit
    if unit == "days" and value == 0:
        return words.later(value, unit, sequence.send_hour, is_first=is_first), ""
    days = "any day, any hour" if unit == "hours" else words.days(email.send_days or sequence.send_days)
    return words.later(value, unit, sequence.send_hour, is_first=is_first), days.replace("Every", "every")


def _dates(sequence: Sequence) -> Dates:
    """A sequence that is paused sends nothing, whatever the dates say."""
    return places.next_dates(sequence.pk) if sequence.active else Dates({}, None)


def _counting_from_entry(emails: list[SequenceEmail]) -> set[int]:
    """The first one, and the first that is published: people pass over the drafts before it. Another draft counts from
    the email before it, as it will when both are published."""
    published = [email for email in emails if email.published]
    return {email.pk for email in [*emails[:1], *published[:1]]}


def _goes(email: SequenceEmail) -> bool:
    """While people are being moved after an edit, some still have the dates they had before."""
    return email.published and not email.is_held


def _state(email: SequenceEmail, *, is_changed: bool) -> State:
    if not email.published:
        return "draft"
    if email.is_held:
        return "held"
    return "changed" if is_changed else "published"


def _neighbours(emails: list[SequenceEmail], index: int) -> Iterator[str | None]:
    """What is sent at once stays the first: nothing moves above it, and it does not move down."""
    stays_first = emails[0].delay_value == 0
    yield str(emails[index - 1].pk) if index > stays_first else None
    match emails[index + 1 : index + 3]:
        case []:
            yield None
        case _ if stays_first and index == 0:
            yield None
        case [_]:
            yield ""
        case [_, after_next]:
            yield str(after_next.pk)
