"""The rules of a sequence once more, as plainly as they can be said: one person after the other, lists and datetimes.

Written from docs/reference/rules.md and docs/decisions, not from the engine, and sharing nothing with it: where the two
disagree, one of them is wrong. test_model.py plays the same random story to both. when.py says when an email goes,
where.py where a person stands, changes.py what owners do, and this file what happens as time goes by.

Where the rules leave room, this is how they are read here:

- Somebody sent aside by an insertion (R7) goes on by R1 afterwards: drafts are passed over, even one they had
  waited for, and so is a deleted one.
- Whatever delivery was begun counts as had (R1), so whoever is taken out while an email is being retried goes on after
  it when added again (R12).
- A retry that was stopped goes as anything late does (R4): after a pause hours at once and days at the next slot,
  after unpublishing and publishing at once. An email deleted during retries is skipped there and then (R9).
- Giving waiting people new dates (R11) asks what date they would be given today: the spacing of no-bursts.md and the
  slots after a pause hold as ever.
- Temporary refusals are retried after 1, 2, 4 … minutes, at most 4 hours, each up to a quarter longer, for three days
  from the first attempt, or from when a stopped retry was let go, and never before the tenth attempt.
- Everything that is due at one instant leaves together, before any answer is recorded.
- Several edits at once are followed as one: what counts is where they leave the sequence. When new dates are among what
  was asked for, they are followed as of when that was.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from tests.model.changes import Changes
from tests.model.when import Course, Email
from tests.model.where import GIVE_UP, LEAST_TRIES, Delivery, Person, Place

__all__ = ["Course", "Delivery", "Email", "Person", "Place", "World"]


class World(Changes):
    """Everything there is. `patience(place, delivery)` says how long a refused delivery waits: that is drawn by lot."""

    def __init__(self, now: datetime, patience: Callable[[Place, Delivery], timedelta]) -> None:
        self.now = now
        self.patience = patience
        self.courses: list[Course] = []
        self.people: list[Person] = []
        self.places: list[Place] = []
        # By number: all or any of these, each a kind and number of which one is to be a member, or not to be
        self.segments: dict[int, tuple[str, list[tuple[str, int, bool]]]] = {}
        self.gone: set[int] = set()  # tags that were deleted

    def place(self, person: Person, course: Course) -> Place | None:
        return next((p for p in self.places if p.person is person and p.course is course), None)

    # Time

    def let_pass(self, until: datetime) -> None:
        """Up to `until`, each thing at its own instant."""
        self.settle()
        while (instant := self.next_instant()) is not None and instant <= until:
            self.now = max(instant, self.now)
            self.settle()
        self.now = until

    def next_instant(self) -> datetime | None:
        dates = [place.due for place in self.places if place.due is not None and place.may_go()]
        retries = [flying.ready_at for place in self.places if (flying := place.flight()) and flying.ready_at]
        return min([*dates, *retries], default=None)

    def settle(self) -> None:
        """Everything due now."""
        for course in self.courses:
            if course.is_edited:
                self.follow(course)
        while True:
            due = [place for place in self.places if place.is_due(self.now)]
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
        delivery = place.begin(self.now)
        if email.deleted or self.is_excluded(place) or not self.is_for(email, place.person):
            delivery.end("skipped", self.now)
            place.go_on(self.now)

    def _answer(self, place: Place, delivery: Delivery) -> None:
        delivery.attempt += 1
        match place.person.weather:
            case "temporary" if self.now - delivery.begun_at < GIVE_UP or delivery.attempt < LEAST_TRIES:
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

    def come_back(self, person: Person) -> None:
        """Their own click in a confirmation that a form sent (R20)."""
        self.confirm(person)
        if person.state in ("cancelled", "bounced"):
            person.state = "active"
