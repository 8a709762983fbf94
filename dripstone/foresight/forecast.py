"""What will go out to the people who are inside a sequence, and to those whom automations bring there by a way that is
decided (walkers.py), if nothing is edited and nobody else comes or goes.

Takes       a sequence, an instant, and how far to look
Leaves      nothing: it only reads
A crash here means there is no answer.

People are counted in crowds (crowds.py), and then carried through the emails in order of position as counters of
people by instant (and by the filters they do not meet, where emails have some): the cost depends on the emails and the
days, not on the number of people. Nobody gets past an email on hold.
People who had emails out of order (one was inserted behind them, somebody moved them) are followed hop by hop until
they are in order again. All dates come from the engine's own functions (timetable.Itinerary). If an edit has not been
followed yet, each crowd is first put where follow.py will put it. See docs/decisions/forecast.md.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from django.db.models import Exists, F, OuterRef, Q, QuerySet, Subquery

from dripstone.engine import follow, queries
from dripstone.engine.models import Delivery, Enrollment
from dripstone.foresight import crowds, timetable, walkers
from dripstone.foresight.crowds import Crowd, Question
from dripstone.foresight.timetable import Itinerary
from dripstone.foresight.walkers import Coming, Way
from dripstone.sequences.models import Sequence, SequenceEmail
from dripstone.stats import places

Sends = dict[int, Counter[datetime]]
"""Email id → instant (some instant of the right quarter of an hour) → messages."""

# People who may be sent to. When no edit waits, only those with a date in time.
_INSIDE = "e.status = 'active' AND e.paused_at IS NULL"
_DUE = _INSIDE + " AND (e.in_flight OR e.due_at <= %(until)s)"


def of_sequence(sequence: Sequence, now: datetime, until: datetime, ways: Collection[Way] | None = None) -> Sends:
    """Messages per email and instant, from `now` up to and including `until` (both aware).

    ways   by which automations bring people into it; looked up if they are left out
    """
    if not sequence.active or sequence.deleted_at is not None:
        return {}
    itinerary = timetable.itinerary(sequence, sequence.emails.all())
    ways = walkers.ways_into(sequence) if ways is None else ways
    coming = walkers.into(sequence, itinerary, ways, now, until)
    return of_stops(itinerary, stops(sequence, itinerary, now, until), until, coming)


def of_stops(itinerary: Itinerary, starts: Iterable["Stop"], until: datetime, coming: Iterable[Coming] = ()) -> Sends:
    """The same for people who start here, and those who are to enter: the forecast of several is the sum of theirs."""
    ahead = _Ahead(itinerary, until)
    for stop in starts:
        ahead.start(stop)
    for one in coming:
        ahead.enter(one)
    ahead.carry()
    return ahead.sends


def of_sequences(sequences: QuerySet[Sequence], now: datetime, until: datetime) -> Sends:
    """The same for several sequences. One in which nobody has a date costs a probe of an index."""
    sends: Sends = {}
    ways = walkers.ways(sequences)
    for sequence in with_mail(sequences, until, ways):
        sends |= of_sequence(sequence, now, until, ways.get(sequence.pk, ()))
    return sends


def with_mail(sequences: QuerySet[Sequence], until: datetime, ways: Collection[int] = ()) -> QuerySet[Sequence]:
    """Sequences in which a person has a date in time, has mail on its way, or will be moved by an edit; and those into
    which `ways` lead. (It reads the first date: with EXISTS for a date in time, PostgreSQL plans every sequence as an
    average one, and reads all places.)"""
    dates = Enrollment.objects.filter(sequence=OuterRef("pk"), due_at__isnull=False).order_by("due_at")
    planned, sending = (Delivery.objects.filter(status=status) for status in ("planned", "sending"))
    on_its_way = Q(pk__in=planned.values("sequence")) | Q(pk__in=sending.values("sequence"))
    rows = sequences.annotate(first_date=Subquery(dates.values("due_at")[:1]))
    goes = Q(first_date__lte=until) | on_its_way | ~Q(edits=F("edits_done")) | Q(pk__in=list(ways))
    return rows.filter(goes).order_by("pk")


def people(sequences: QuerySet[Sequence]) -> int:
    """How many people are inside any of them: those of the largest by its kept count, and whoever is only in others."""
    ids = list(sequences.values_list("pk", flat=True))
    counts = {pk: n for (pk, status), n in places.by_status(ids).items() if status == Enrollment.Status.ACTIVE and n}
    if not counts:
        return 0
    largest = max(counts, key=counts.__getitem__)
    inside = Enrollment.objects.filter(status=Enrollment.Status.ACTIVE)
    others = inside.filter(sequence__in=[pk for pk in counts if pk != largest])
    only_in_others = others.filter(~Exists(inside.filter(sequence=largest, subscriber=OuterRef("subscriber"))))
    return counts[largest] + only_in_others.values("subscriber_id").distinct().count()


# --- Where everybody starts -------------------------------------------------------------------------------------


class Stop(NamedTuple):
    """A crowd and the email it gets next."""

    crowd: Crowd
    email: SequenceEmail
    at: datetime
    is_sent: bool  # False: it is skipped, being deleted, or because they do not meet its filter


class Arrival(NamedTuple):
    """People who are due for an email at an instant. `unmet`: emails whose filter they do not meet."""

    at: datetime
    unmet: frozenset[int]


def stops(
    sequence: Sequence, itinerary: Itinerary, now: datetime, until: datetime, among: Collection[int] | None = None
) -> Iterator[Stop]:
    """Of all people, in crowds; `among`: of these places only, each a crowd of its own."""
    edit, only = follow.edit_to_follow(sequence.pk), ""
    if among is not None:
        only = f" AND e.id = ANY('{queries.ids(among)}'::bigint[])"
    if edit is None:
        question = Question(itinerary, now, until, _DUE + only, goes_by_order=True, drops_excluded=True)
    else:
        question = Question(itinerary, now, until, _INSIDE + only, edit, drops_passed=True, drops_excluded=True)
    for crowd in (crowds.of if among is None else crowds.each)(question, sequence):
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


@dataclass(slots=True)
class _Ahead:
    """The run through the emails."""

    itinerary: Itinerary
    until: datetime
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
        if following is not None and not following.is_held and at <= self.until:
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
            if following is None or following.is_held:
                return
            anchor = crowds.anchor_of(following, ends, self.itinerary)
            assert anchor is not None
            due = self.itinerary.due(following, anchor, last_ended_at, at)
            if self._is_in_line(following, had):
                self.arrivals[following.pk][Arrival(due, frozenset(crowd.unmet) - had)] += crowd.n_people
                return
            email, at, is_sent = following, due, following.pk not in crowd.unmet
