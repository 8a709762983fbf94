"""The rules of a sequence once more, as plainly as they can be said: one person after the other, lists and datetimes.

Written from docs/reference/rules.md and docs/decisions, not from the engine, and sharing nothing with it: where the two
disagree, one of them is wrong. test_model.py plays the same random story to both.

Where the rules leave room, this is how they are read here:

- A deleted email keeps its position beside the others: it is still an anchor for whoever had it (R2), and moves along
  when an insertion shifts what follows (R10). "After the last" looks only at emails that are still there.
- Moving the email somebody waits for leaves their date alone, as long as it stays their next one.
- Somebody sent aside by an insertion (R7) goes on by R1 afterwards: drafts are passed over, even one they had
  waited for, and so is a deleted one.
- Whatever delivery was begun counts as had (R1), so whoever is taken out while an email is being retried goes on after
  it when added again (R12).
- A retry that was stopped goes as anything late does (R4): after a pause hours at once and days at the next slot,
  after unpublishing and publishing at once. An email deleted during retries is skipped there and then (R9).
- Giving waiting people new dates (R11) asks what date they would be given today: the spacing of no-bursts.md and the
  slots after a pause hold as ever.
- Temporary refusals are retried after 1, 2, 4 … minutes, at most 4 hours, each up to a quarter longer, for three days
  from the first attempt and at least ten times (docs/decisions/breaker.md).
- Everything that is due at one instant leaves together, before any answer is recorded.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Literal
from zoneinfo import ZoneInfo

Weather = Literal["sent", "temporary", "permanent", "bounce", "unknown"]
GIVE_UP = timedelta(days=3)
LEAST_TRIES = 10
LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)


# When (R3)


@cache
def at_wall(day: date, hour: int, zone: str) -> datetime:
    """The first instant at which a clock on the wall shows this hour or a later one. Found by looking at the clock
    every quarter of an hour: all zones of today change on one."""
    instant = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(hours=hour - 16)
    wanted = datetime(day.year, day.month, day.day, hour, tzinfo=UTC).replace(tzinfo=None)
    while instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None) < wanted:
        instant += timedelta(minutes=15)
    return instant


@dataclass(eq=False)
class Email:
    subject: str
    position: int
    value: int
    unit: str
    days: list[int] | None
    published: bool
    deleted: bool = False

    @property
    def by_day(self) -> bool:
        return self.unit == "days" and self.value > 0


@dataclass(eq=False)
class Course:
    """A sequence. `without`: people with one of these marks, ("tag", 1), are not sent to (R14)."""

    zone: str
    hour: int
    days: list[int]
    emails: list[Email] = field(default_factory=list)
    active: bool = True
    repeat: bool = False
    hold: bool = False
    without: list[tuple[str, int]] = field(default_factory=list)
    number: int = 0
    deleted: bool = False
    resumed_at: datetime = LONG_AGO

    def slots(self, first: date, email: Email) -> Iterator[datetime]:
        """Every moment from a local date on at which this day-email may go."""
        allowed = self.days if email.days is None or len(email.days) == 7 else email.days
        for n in range(1000):
            day = first + timedelta(days=n)
            if day.weekday() in allowed:
                yield at_wall(day, self.hour, self.zone)

    def local_date(self, instant: datetime) -> date:
        return instant.astimezone(ZoneInfo(self.zone)).date()

    def due(self, email: Email, anchor: datetime) -> datetime:
        if email.unit == "hours":
            return anchor + timedelta(seconds=3600 * email.value)
        if email.value == 0:
            return anchor
        return next(self.slots(self.local_date(anchor) + timedelta(days=email.value), email))

    def next_slot(self, email: Email, now: datetime) -> datetime:
        return next(slot for slot in self.slots(self.local_date(now), email) if slot >= now)

    def live(self) -> list[Email]:
        return sorted((email for email in self.emails if not email.deleted), key=lambda email: email.position)


# Who


@dataclass(eq=False)
class Person:
    name: str
    state: str
    marks: set[tuple[str, int]] = field(default_factory=set)  # tags and forms
    weather: Weather = "sent"  # what their mail server answers


@dataclass(eq=False)
class Delivery:
    email: Email
    run: int
    status: str
    planned_at: datetime
    ended_at: datetime | None = None
    attempt: int = 0
    ready_at: datetime | None = None  # None while it must not go
    stopped_by: str = ""  # "pause" or "draft"

    def end(self, status: str, now: datetime) -> None:
        self.status, self.ended_at, self.ready_at, self.stopped_by = status, now, None, ""


@dataclass(eq=False)
class Place:
    person: Person
    course: Course
    status: str = ""
    run: int = 1
    anchored_at: datetime = LONG_AGO
    waits_for: Email | None = None
    due: datetime | None = None
    deliveries: list[Delivery] = field(default_factory=list)

    def in_run(self) -> list[Delivery]:
        return [delivery for delivery in self.deliveries if delivery.run == self.run]

    def flight(self) -> Delivery | None:
        flying = [delivery for delivery in self.deliveries if delivery.status == "planned"]
        assert len(flying) <= 1, "R5"
        return flying[0] if flying else None

    def next_email(self) -> Email | None:
        """R1."""
        had = [delivery.email for delivery in self.in_run()]
        return next((email for email in self.course.live() if email.published and email not in had), None)

    def anchor(self, email: Email) -> datetime:
        """R2."""
        before = [d for d in self.in_run() if d.ended_at is not None and d.email.position < email.position]
        if not before:
            return self.anchored_at
        closest = max(before, key=lambda d: (d.email.position, d.ended_at))
        assert closest.ended_at is not None
        return max(self.anchored_at, closest.ended_at)

    def last_ended(self) -> datetime | None:
        return max((d.ended_at for d in self.in_run() if d.ended_at is not None), default=None)

    def wait(self, email: Email | None, due: datetime | None) -> None:
        self.waits_for, self.due = email, due

    def end_or_wait(self) -> None:
        """R6: nothing comes next."""
        self.wait(None, None)
        something = any(email.published for email in self.course.live())
        if something and not self.course.hold and self.last_ended() is not None:
            self.status = "completed"

    def go_on(self, now: datetime) -> None:
        """Just entered, or an email has just ended."""
        email = self.next_email()
        if email is None:
            self.end_or_wait()
        else:
            self.wait(email, max(self.date(email, now), now))

    def date(self, email: Email, now: datetime) -> datetime:
        anchor, last = self.anchor(email), self.last_ended()
        due = self.course.due(email, anchor)
        if due <= now and last is not None and last > anchor:
            return self.course.due(email, last)  # docs/decisions/no-bursts.md
        return due

    def give_anew(self, email: Email, now: datetime) -> None:
        """R11's other half: the date they would be given today, which is no way around what a pause made late (R4)."""
        due = self.date(email, now)
        if due < self.course.resumed_at and email.by_day:
            due = self.course.next_slot(email, self.course.resumed_at)
        self.wait(email, max(due, now))

    def give(self, email: Email, now: datetime) -> None:
        """R4: past because of publishing, inserting, moving means right away."""
        self.wait(email, max(self.course.due(email, self.anchor(email)), now))

    def leave(self, now: datetime) -> None:
        if self.status != "removed":
            self.status = "removed"
            self.skip_flight(now)
            self.wait(None, None)

    def skip_flight(self, now: datetime) -> None:
        flying = self.flight()
        if flying is not None:
            flying.end("skipped", now)

    def enter(self, now: datetime) -> None:
        self.status = {"active": "active", "inactive": "unconfirmed"}.get(self.person.state, "removed")
        self.anchored_at = now
        self.wait(None, None)
        if self.status == "active":
            self.go_on(now)


class World:
    """Everything there is. `patience(place, delivery)` says how long a refused delivery waits: that is drawn by lot."""

    def __init__(self, now: datetime, patience: Callable[[Place, Delivery], timedelta]) -> None:
        self.now = now
        self.patience = patience
        self.courses: list[Course] = []
        self.people: list[Person] = []
        self.places: list[Place] = []

    def place(self, person: Person, course: Course) -> Place | None:
        return next((p for p in self.places if p.person is person and p.course is course), None)

    def of(self, course: Course) -> list[Place]:
        return [place for place in self.places if place.course is course]

    # Time

    def let_pass(self, until: datetime) -> None:
        """Up to `until`, each thing at its own instant."""
        self.settle()
        while (instant := self._next_instant()) is not None and instant <= until:
            self.now = max(instant, self.now)
            self.settle()
        self.now = until

    def _next_instant(self) -> datetime | None:
        dates = [place.due for place in self.places if place.due is not None and place.course.active]
        retries = [flying.ready_at for place in self.places if (flying := place.flight()) and flying.ready_at]
        return min([*dates, *retries], default=None)

    def settle(self) -> None:
        """Everything due now."""
        while True:
            due = [p for p in self.places if p.due is not None and p.due <= self.now and p.course.active]
            for place in due:
                self._plan(place)
            flying = [(place, flight) for place in self.places if (flight := place.flight())]
            leaving = [(place, flight) for place, flight in flying if flight.ready_at and flight.ready_at <= self.now]
            for place, flight in leaving:
                self._answer(place, flight)
            for place, flight in leaving:
                if place.person.weather == "bounce" and flight.status == "failed":
                    self.end_person(place.person, "bounced")
            if not due and not leaving:
                return

    def _plan(self, place: Place) -> None:
        email, due = place.waits_for, place.due
        assert email is not None and due is not None
        if email.by_day and self.now - due > timedelta(hours=6):  # R4: the engine was down
            slot = place.course.next_slot(email, self.now)
            if slot > self.now:
                place.due = slot
                return
        place.due = None
        delivery = Delivery(email, place.run, "planned", self.now, ready_at=self.now)
        place.deliveries.append(delivery)
        if email.deleted or self.is_excluded(place):
            delivery.end("skipped", self.now)
            place.go_on(self.now)

    def is_excluded(self, place: Place) -> bool:
        """R14."""
        inside = {
            ("sequence", other.course.number)
            for other in self.places
            if other.person is place.person and other.status in ("unconfirmed", "active", "completed")
        }
        return not (place.person.marks | inside).isdisjoint(place.course.without)

    def _answer(self, place: Place, delivery: Delivery) -> None:
        delivery.attempt += 1
        match place.person.weather:
            case "temporary" if self.now - delivery.planned_at < GIVE_UP or delivery.attempt < LEAST_TRIES:
                delivery.ready_at = self.now + self.patience(place, delivery)
                return
            case "sent":
                delivery.end("sent", self.now)
            case "unknown":
                delivery.end("unknown", self.now)
            case _:
                delivery.end("failed", self.now)
        if place.status == "active" and place.run == delivery.run:
            place.go_on(self.now)

    # People (R12, R15, R17)

    def add(self, person: Person, course: Course, source: str) -> bool:
        """Whether they were not in it before."""
        place = self.place(person, course)
        if place is None:
            place = Place(person, course)
            self.places.append(place)
            place.enter(self.now)
            return True
        if person.state not in ("active", "inactive"):
            return False
        if place.status == "removed" and not course.repeat:
            place.enter(self.now)
            return True
        on_the_way = place.status in ("active", "unconfirmed")
        if not course.repeat or (on_the_way and source in ("api", "form")):
            return False
        place.skip_flight(self.now)
        place.run += 1
        place.enter(self.now)
        return False

    def end_person(self, person: Person, state: str) -> None:
        """cancelled, bounced or complained; the graver one stays."""
        gravity = ["active", "inactive", "bounced", "cancelled", "complained"]
        if gravity.index(person.state) >= gravity.index(state):
            return
        person.state = state
        for place in self.places:
            if place.person is person and place.status in ("unconfirmed", "active"):
                place.leave(self.now)

    def confirm(self, person: Person) -> None:
        if person.state == "inactive":
            person.state = "active"
            for place in self.places:
                if place.person is person and place.status == "unconfirmed":
                    place.enter(self.now)

    def resubscribe(self, person: Person) -> None:
        if person.state == "cancelled":
            person.state = "active"

    # Edits (R7 to R11, R13, R16)

    def pause(self, course: Course) -> None:
        course.active = False
        for place in self.of(course):
            self._stop(place, "pause")
        self.follow(course)

    def resume(self, course: Course) -> None:
        course.active = True
        course.resumed_at = self.now
        for place in self.of(course):
            flying = place.flight()
            if flying is not None and flying.email.published:
                self._go_again(place, flying)
            elif place.waits_for and place.waits_for.by_day and place.due and place.due < self.now:
                place.due = course.next_slot(place.waits_for, self.now)
        self.follow(course)

    def set_hold(self, course: Course, hold: bool) -> None:
        course.hold = hold
        self.follow(course)

    def reschedule(self, course: Course) -> None:
        self.follow(course, anew=True)

    def delete_course(self, course: Course) -> None:
        course.deleted = True
        for place in self.of(course):
            if place.status in ("active", "unconfirmed"):
                place.leave(self.now)

    def create_email(self, course: Course, email: Email, position: int | None) -> bool:
        """False: refused (R10)."""
        live = course.live()
        email.position = position if position is not None else live[-1].position + 1 if live else 0
        return self._write(course, email, email.position, is_new=True)

    def move(self, course: Course, email: Email, position: int) -> bool:
        if position == email.position:
            return True
        was_draft = not email.published
        if not self._write(course, email, position, is_new=False):
            return False
        if was_draft:  # R8: the wait for it is over
            for place in self.of(course):
                if place.waits_for is email and place.flight() is None:
                    place.wait(None, None)
        self.follow(course)
        return True

    def _write(self, course: Course, email: Email, position: int, *, is_new: bool) -> bool:
        before = [(other, other.position) for other in [*course.emails, email]]
        if any(other is not email and other.position == position for other in course.live()):
            for other in course.emails:
                other.position += 1 if other.position >= position else 0
        elif course.live() and course.live()[-1].position < position:
            last = course.live()[-1].position
            for other in course.emails:  # the end: whoever waits for a deleted one there is not passed by
                other.position = last if other.deleted and other.position >= position else other.position
        email.position = position
        after = sorted([*course.live(), *([email] if is_new else [])], key=lambda one: one.position)
        if any(one.unit == "days" and one.value == 0 for one in after[1:]):
            for other, old in before:
                other.position = old
            return False
        if is_new:
            course.emails.append(email)
            self.follow(course)
        return True

    def set_delay(self, course: Course, email: Email, value: int, unit: str) -> bool:
        """R11: moves nobody."""
        if unit == "days" and value == 0 and course.live()[0] is not email:
            return False
        email.value, email.unit = value, unit
        email.days = None if unit == "hours" else email.days
        return True

    def publish(self, course: Course, email: Email) -> None:
        email.published = True
        for place in self.of(course):
            flying = place.flight()
            if flying is not None and flying.email is email and course.active:
                self._go_again(place, flying)
        self.follow(course)

    def unpublish(self, course: Course, email: Email) -> None:
        email.published = False
        for place in self.of(course):
            if (flying := place.flight()) is not None and flying.email is email:
                self._stop(place, "draft")
        self.follow(course)

    def delete_email(self, course: Course, email: Email) -> None:
        email.deleted = True
        for place in self.of(course):
            flying = place.flight()
            if flying is not None and flying.email is email:
                flying.end("skipped", self.now)
                place.go_on(self.now)
        self.follow(course)

    def _stop(self, place: Place, why: str) -> None:
        flying = place.flight()
        if flying is not None:
            flying.ready_at = None
            flying.stopped_by = why

    def _go_again(self, place: Place, flying: Delivery) -> None:
        if flying.stopped_by == "pause" and flying.email.by_day:
            flying.ready_at = place.course.next_slot(flying.email, self.now)
        elif flying.stopped_by:
            flying.ready_at = self.now
        flying.stopped_by = ""

    def follow(self, course: Course, *, anew: bool = False) -> None:
        """Everybody on the way and not in flight stands where the rules now say."""
        for place in self.of(course):
            if place.status == "active" and place.flight() is None:
                self._follow(place, anew=anew)

    def _follow(self, place: Place, *, anew: bool) -> None:
        current, following = place.waits_for, place.next_email()
        if current is None:
            if following is None:
                place.end_or_wait()
            else:
                place.give(following, self.now)
        elif following is not None and following.position < current.position:
            place.give(following, self.now)  # R7
        elif current.deleted:
            if place.due is None:
                place.give(current, self.now)  # R9, for those who had no date
        elif not current.published:
            place.due = None  # R8
        elif anew:
            place.give_anew(current, self.now)
        elif place.due is None:
            place.give(current, self.now)
