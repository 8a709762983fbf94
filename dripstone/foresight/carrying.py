"""People of a sequence, carried through its emails: what they get, and when they are through.

Takes       an itinerary; people who are inside (stops), and those who are to enter
Leaves      nothing: it only reads
A crash here means there is no answer.

People are counted in crowds (crowds.py), and then carried through the emails in order of position as counters of
people by instant (and by the filters they do not meet, where emails have some): the cost depends on the emails and the
days, not on the number of people. Nobody gets past an email on hold.
People who had emails out of order (one was inserted behind them, somebody moved them) are followed hop by hop until
they are in order again. All dates come from the engine's own functions (timetable.Itinerary). If an edit has not been
followed yet, each crowd is first put where follow.py will put it.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from dripstone.engine import follow, queries
from dripstone.foresight import crowds
from dripstone.foresight.crowds import Crowd, Question
from dripstone.foresight.timetable import Itinerary
from dripstone.sequences.models import Sequence, SequenceEmail

Sends = dict[int, Counter[datetime]]
"""Email id → instant (some instant of the right quarter of an hour) → messages."""

# People who may be sent to. When no edit waits, only those with a date in time.
_INSIDE = "e.status = 'active' AND e.paused_at IS NULL"
_DUE = _INSIDE + " AND (e.in_flight OR e.due_at <= %(until)s)"

# --- Where everybody starts -------------------------------------------------------------------------------------


class Stop(NamedTuple):
    """A crowd and the email it gets next."""

    crowd: Crowd
    email: SequenceEmail
    at: datetime
    is_sent: bool  # False: it is skipped, being deleted, or because they do not meet its filter


class Coming(NamedTuple):
    """People who enter a sequence at an instant. email_id: the one they get first; unmet: emails whose filter they do
    not meet"""

    at: datetime
    email_id: int
    unmet: frozenset[int]
    n_people: int


class Arrival(NamedTuple):
    """People who are due for an email at an instant. `unmet`: emails whose filter they do not meet."""

    at: datetime
    unmet: frozenset[int]


def stops(
    sequence: Sequence,
    itinerary: Itinerary,
    now: datetime,
    until: datetime,
    among: Collection[int] | None = None,
    *,
    each: bool = False,
    drops_excluded: bool = True,
) -> Iterator[Stop]:
    """Of all people, or of these places only (`among`), in crowds; or `each` a crowd of their own."""
    edit, only = follow.edit_to_follow(sequence.pk), ""
    if among is not None:
        only = f" AND e.id = ANY('{queries.ids(among)}'::bigint[])"
    if edit is None:
        question = Question(itinerary, now, until, _DUE + only, goes_by_order=True, drops_excluded=drops_excluded)
    else:
        inside = _INSIDE + only
        question = Question(itinerary, now, until, inside, edit, drops_passed=True, drops_excluded=drops_excluded)
    for crowd in (crowds.each if each else crowds.of)(question, sequence):
        stop = _flying(crowd, sequence, question) if crowd.in_flight else _waiting(crowd, question)
        if stop is not None:
            yield stop


def _flying(crowd: Crowd, sequence: Sequence, question: Question) -> Stop:
    """Planned mail goes as follow.unpark leaves it; mail on the wire goes now."""
    assert crowd.current_id is not None
    now, edit, email, at = question.now, question.edit, question.itinerary.emails[crowd.current_id], crowd.at
    is_skipped = at is not None and email.deleted_at is not None
    if at is None or is_skipped:
        at = now
    elif edit is not None and follow.may_go(sequence, email):
        at = follow.ready_after(edit, sequence, email, at, now)
    return Stop(crowd, email, max(at, now), not is_skipped)


def _waiting(crowd: Crowd, question: Question) -> Stop | None:
    """At their date; if that is late, at what planning makes of it (R4); after an edit, where it will put them."""
    itinerary, email_id, due = question.itinerary, crowd.current_id, crowd.at
    if question.edit is not None:
        place = crowds.place_after_edit(question, crowds.standing(itinerary, crowd), crowd)
        email_id, due = place.next_email_id, place.due_at
    if email_id is None or due is None:
        return None
    email, at = itinerary.emails[email_id], itinerary.due_when_late(email_id, due, question.now)
    if email.is_held:
        return None
    is_sent = email.deleted_at is None and email.pk not in crowd.unmet  # R9, R21
    return Stop(crowd, email, max(at, question.now), is_sent)


# --- What follows -----------------------------------------------------------------------------------------------


def of_stops(itinerary: Itinerary, starts: Iterable[Stop], until: datetime, coming: Iterable[Coming] = ()) -> Sends:
    """What people get who start here, and those who are to enter: the forecast of several is the sum of theirs."""
    return _carried(itinerary, starts, until, coming).sends


def ends(itinerary: Itinerary, starts: Iterable[Stop], until: datetime) -> Counter[datetime]:
    """How many of them are through with the last email when. Excluded people go through it without (R14)."""
    through = (stop._replace(crowd=stop.crowd._replace(excluded=0)) for stop in starts)
    return _carried(itinerary, through, until).ends


def _carried(itinerary: Itinerary, starts: Iterable[Stop], until: datetime, coming: Iterable[Coming] = ()) -> "_Ahead":
    ahead = _Ahead(itinerary, until)
    for stop in starts:
        ahead.start(stop)
    for one in coming:
        ahead.enter(one)
    ahead.carry()
    return ahead


@dataclass(slots=True)
class _Ahead:
    """The run through the emails."""

    itinerary: Itinerary
    until: datetime
    ends: Counter[datetime] = field(default_factory=Counter)  # of those who are through with all
    sends: Sends = field(default_factory=lambda: defaultdict(Counter))
    arrivals: dict[int, Counter[Arrival]] = field(default_factory=lambda: defaultdict(Counter))  # people, by email id

    def start(self, stop: Stop) -> None:
        crowd, email, at, is_sent = stop
        if crowd.excluded:  # planned all the same
            self._count(email, at, crowd.n_people)
        elif self._is_in_line(email, crowd.had):
            self._leave(email, Arrival(at, frozenset(crowd.unmet)), crowd.n_people, is_sent=is_sent)
        else:
            self._back_in_line(stop)

    def enter(self, coming: Coming) -> None:
        """Their first email has its date from when they enter."""
        email = self.itinerary.emails[coming.email_id]
        if not email.is_held:
            due = self.itinerary.due(email, coming.at, None, coming.at)
            self.arrivals[email.pk][Arrival(due, coming.unmet)] += coming.n_people

    def carry(self) -> None:
        """From the first email to the last. People who have got one arrive at the next; equal instants become one."""
        for email in self.itinerary.live:
            for arrival, n_people in self.arrivals.pop(email.pk, Counter()).items():
                self._leave(email, arrival, n_people, is_sent=email.pk not in arrival.unmet)

    def _is_in_line(self, email: SequenceEmail, had: Iterable[int]) -> bool:
        """They had the emails before it and none behind, so the rest follows in order of position."""
        had, before = frozenset(had) - {crowds.ENTRY}, self.itinerary.before[email.pk]
        return had <= before and before & self.itinerary.published <= had

    def _leave(self, email: SequenceEmail, arrival: Arrival, n_people: int, *, is_sent: bool) -> None:
        """What they do not meet behind them tells them from others no more."""
        at, unmet = arrival
        self._count(email, at, n_people if is_sent else 0)
        following = self.itinerary.after[email.pk]
        if following is None and at <= self.until:
            self.ends[at] += n_people
        elif following is not None and not following.is_held and at <= self.until:
            due = self.itinerary.due(following, at, at, at)
            self.arrivals[following.pk][Arrival(due, unmet - {email.pk})] += n_people

    def _count(self, email: SequenceEmail, at: datetime, n_people: int) -> None:
        if n_people and at <= self.until:
            self.sends[email.pk][at] += n_people

    def _back_in_line(self, stop: Stop) -> None:
        """Follow people who had emails out of order until everything they had comes before their next email."""
        crowd, email, at, is_sent = stop
        had, ends, last_ended_at = set(crowd.had), dict(zip(crowd.lows, crowd.ends, strict=True)), crowd.last_ended_at
        while at <= self.until:
            if email.pk not in had:  # planning writes no second delivery of an email (delivery_once)
                self._count(email, at, crowd.n_people if is_sent else 0)
                had.add(email.pk)
                ends[email.pk] = last_ended_at = at
            following = next((one for one in self.itinerary.live if one.pk not in had), None)
            if following is None:
                self.ends[at] += crowd.n_people
                return
            if following.is_held:
                return
            anchor = crowds.anchor_of(following, ends, self.itinerary)
            assert anchor is not None
            due = self.itinerary.due(following, anchor, last_ended_at, at)
            if self._is_in_line(following, had):
                self.arrivals[following.pk][Arrival(due, frozenset(crowd.unmet) - had)] += crowd.n_people
                return
            email, at, is_sent = following, due, following.pk not in crowd.unmet
