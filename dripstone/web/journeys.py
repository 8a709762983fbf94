"""One person's way through a sequence as a page draws it: what was above a line for now, what comes below it.

Dates and reasons are those of explain/journey.py, in the words of journey_words.py.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from dripstone import words
from dripstone.engine.models import Delivery, Enrollment, Note
from dripstone.explain import journey, journey_words
from dripstone.explain.journey import ENDED, Facts, Journey, Step
from dripstone.sequences.models import Sequence, SequenceEmail

MOST_RUNS = 3
MOST = 40  # entries above the line, and below it; the page of the place alone shows all

# How an entry is marked on the line, beside the words that say the same.
_MARKS = {"sent": "", "skipped": "skip", "failed": "bad", "unknown": "doubt", "next": "next", "later": "next"}
_MARKS |= {"sending": "next", "waiting": "wait", "draft": "skip", "none": "skip"}


@dataclass(frozen=True, slots=True)
class Entry:
    """day       on the wall clock of the sequence: `Today`, `Sat 28 Nov`; "" if it has none
    number    of the email in its sequence; None: it is deleted, or this is about no email
    delivery  of an email that ended; its page shows the mail as it was
    is_next   the email that they wait for
    can_come  they may be put there: it would come next
    """

    day: str
    mark: str
    why: str
    email: SequenceEmail | None = None
    number: int | None = None
    delivery: Delivery | None = None
    is_next: bool = False
    can_come: bool = False

    @property
    def is_undecided(self) -> bool:
        return self.mark == "doubt"

    @property
    def has_failed(self) -> bool:
        return self.mark == "bad"


@dataclass(frozen=True, slots=True)
class Way:
    """says      where they stand, in a sentence or two
    standing  the same in three words: "email 2 of 5 comes next"
    runs      the last ones before this, a sentence each; n_runs_before: how many came before them
    zone      of the times, if it is not the account's
    acts      what may be done: see `_acts`
    n_hidden  entries above and below that only the page of the place shows
    """

    place: Enrollment
    sequence: Sequence
    says: str
    standing: str
    runs: list[str]
    n_runs_before: int
    past: list[Entry]
    future: list[Entry]
    zone: str
    now: str
    acts: frozenset[str]
    n_hidden: int
    next_title: str


def of(place: Enrollment, now: datetime, zone: str, most: int = MOST) -> Way:
    """place   with sequence and subscriber
    zone    of the account
    """
    told = journey.of(place, now)
    facts = told.facts
    facts.is_brief = True
    coming = _coming(told)
    sight = _Sight(facts, _numbers(facts), coming, frozenset(_acts(told, coming)))
    past = _past(told, sight)
    future = [_email(step, sight) for step in told.steps if step.outcome not in ENDED]
    return Way(
        place,
        facts.sequence,
        says=journey_words.journey(told),
        standing=_standing(sight),
        runs=[journey_words.earlier_run(run, facts) for run in told.earlier_runs[-MOST_RUNS:]],
        n_runs_before=max(0, len(told.earlier_runs) - MOST_RUNS),
        past=past[-most:],
        future=future[:most],
        zone="" if facts.sequence.time_zone == zone else words.zone(facts.sequence.time_zone),
        now=words.by_date(now, facts.sequence.time_zone),
        acts=sight.acts,
        n_hidden=max(0, len(past) - most) + max(0, len(future) - most),
        next_title=journey_words.title_of(coming) if coming is not None else "",
    )


@dataclass(frozen=True, slots=True)
class _Sight:
    """What each entry is drawn by. coming: the email they wait for."""

    facts: Facts
    numbers: Mapping[int, int]
    coming: SequenceEmail | None
    acts: frozenset[str]


def _numbers(facts: Facts) -> dict[int, int]:
    """As the page of the sequence counts them."""
    living = [email for email in facts.emails.values() if email.deleted_at is None]
    return {email.pk: number for number, email in enumerate(living, 1)}


def _coming(told: Journey) -> SequenceEmail | None:
    first = next((step.email for step in told.steps if step.outcome in ("sending", "next")), None)
    return first or (told.facts.next_email if told.facts.row.status == Enrollment.Status.ACTIVE else None)


def _standing(sight: _Sight) -> str:
    if sight.facts.row.status != Enrollment.Status.ACTIVE or sight.coming is None:
        return ""
    number = sight.numbers.get(sight.coming.pk)
    return f"email {number} of {len(sight.numbers)} comes next" if number else ""


def _past(told: Journey, sight: _Sight) -> list[Entry]:
    """Emails that ended, and what was done to the place, by time."""
    ended = [(step.at, _email(step, sight)) for step in told.steps if step.outcome in ENDED and step.at]
    done = [(note.at, _note(note, sight.facts)) for note in told.notes]
    return [entry for _, entry in sorted([*ended, *done], key=lambda pair: pair[0])]


def _email(step: Step, sight: _Sight) -> Entry:
    facts, email = sight.facts, step.email
    is_next = email == sight.coming
    may_come = email.published and email.deleted_at is None and not is_next and "move" in sight.acts
    is_excluded = step.coming is not None and bool(step.coming.excluded)
    return Entry(
        _day(step.at, facts) if step.at is not None else "",
        "skip" if is_excluded else _MARKS[step.outcome],
        journey_words.sentence(step, facts),
        email,
        sight.numbers.get(email.pk),
        step.delivery if step.outcome in ENDED else None,
        is_next,
        may_come,
    )


def _note(note: Note, facts: Facts) -> Entry:
    return Entry(_day(note.at, facts), "note", journey_words.note(note, facts))


def _day(at: datetime, facts: Facts) -> str:
    zone = ZoneInfo(facts.sequence.time_zone)
    return words.short_day(at.astimezone(zone).date(), facts.now.astimezone(zone).date())


def _acts(told: Journey, coming: SequenceEmail | None) -> Iterator[str]:
    """What makes sense now. Whether it can be done, the verb says (engine/acts/places.py)."""
    row, sequence = told.facts.row, told.facts.sequence
    if sequence.deleted_at is not None:
        return
    if row.status == Enrollment.Status.ACTIVE:
        yield "resume" if row.paused_at is not None else "pause"
        if coming is not None:
            yield "skip"
            if row.paused_at is None:
                yield "send"
    if row.status in (Enrollment.Status.ACTIVE, Enrollment.Status.COMPLETED):
        yield "move"
    if row.status != Enrollment.Status.UNCONFIRMED:
        yield "restart"
    if row.status != Enrollment.Status.REMOVED:
        yield "remove"
