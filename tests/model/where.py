"""Where one person stands in a sequence (R1, R2, R4, R6). Part of reference.py."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from tests.model.when import LONG_AGO, Course, Email

Weather = Literal["sent", "temporary", "permanent", "bounce", "unknown"]
GIVE_UP = timedelta(days=3)
LEAST_TRIES = 10


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
    begun_at: datetime  # three days of refusals count from here
    ended_at: datetime | None = None
    attempt: int = 0
    ready_at: datetime | None = None  # None while it must not go

    def end(self, status: str, now: datetime) -> None:
        self.status, self.ended_at, self.ready_at = status, now, None

    def go_again(self, at: datetime, now: datetime) -> None:
        self.ready_at, self.begun_at = at, now


@dataclass(eq=False)
class Place:
    person: Person
    course: Course
    status: str = ""
    run: int = 1
    anchored_at: datetime = LONG_AGO
    waits_for: Email | None = None
    due: datetime | None = None
    is_paused: bool = False  # this person alone; the date is kept
    crossed: frozenset[int] = frozenset()  # emails they have had that `waits_for` was moved past since it got its date
    deliveries: list[Delivery] = field(default_factory=list)

    def in_run(self) -> list[Delivery]:
        return [delivery for delivery in self.deliveries if delivery.run == self.run]

    def had(self, email: Email) -> bool:
        return any(delivery.email is email for delivery in self.in_run())

    def flight(self) -> Delivery | None:
        flying = [delivery for delivery in self.deliveries if delivery.status == "planned"]
        assert len(flying) <= 1, "R5"
        return flying[0] if flying else None

    def is_due(self, now: datetime) -> bool:
        return self.due is not None and self.due <= now and self.may_go()

    def may_go(self) -> bool:
        return self.course.active and not self.is_paused and not (self.waits_for and self.waits_for.on_hold)

    def next_email(self) -> Email | None:
        """R1."""
        return next((email for email in self.course.live() if email.published and not self.had(email)), None)

    def before(self, email: Email) -> list[Delivery]:
        """What they have had that stands before an email, in that order."""
        ended = [one for one in self.in_run() if one.ended_at is not None and one.email is not email]
        before = [one for one in ended if one.email.order <= email.order]
        return sorted(before, key=lambda one: (one.email.order, one.ended_at))

    def anchor(self, email: Email) -> datetime:
        """R2."""
        closest = [one.ended_at for one in self.before(email)[-1:] if one.ended_at is not None]
        return max([self.anchored_at, *closest])

    def last_ended(self) -> datetime | None:
        return max((one.ended_at for one in self.in_run() if one.ended_at is not None), default=None)

    def wait(self, email: Email | None, due: datetime | None) -> None:
        self.waits_for, self.due, self.crossed = email, due, frozenset()

    def end_or_wait(self) -> None:
        """R6: nothing comes next."""
        self.wait(None, None)
        something = any(email.published for email in self.course.live())
        if something and not self.course.hold and self.last_ended() is not None:
            self.status, self.is_paused = "completed", False

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

    def give(self, email: Email, now: datetime) -> None:
        """R4: past because of publishing, inserting, moving means right away."""
        self.wait(email, max(self.course.due(email, self.anchor(email)), now))

    def give_anew(self, email: Email, now: datetime) -> None:
        """R11's other half: the date they would be given today, which is no way around what a pause made late (R4)."""
        self.wait(email, max(self.after_pause(email, self.date(email, now)), now))

    def after_pause(self, email: Email, due: datetime) -> datetime:
        """R4: what fell due while the sequence was paused, or the email on hold (R22)."""
        let_go_at = self.course.let_go_at(email)
        if due < let_go_at and email.by_day:
            return self.course.next_slot(email, let_go_at)
        return due

    def follow(self, now: datetime, *, anew: bool = False) -> None:
        """The sequence was edited: stand where the rules now say (R7 to R11)."""
        if self.status != "active" or self.flight() is not None:
            return
        before = self.waits_for
        self._follow(now, anew=anew)
        if self.waits_for is before is not None:
            self._hurry(before)

    def _hurry(self, email: Email) -> None:
        """The wait for their email was skipped for everybody who waited for it then."""
        if self.due is None or self.is_paused or email.on_hold or email.deleted or not email.published:
            return
        came_at = max([self.anchored_at, *filter(None, [self.last_ended()])])
        asked_at = [at for hurried, at in self.course.hurried if hurried is email and came_at <= at]
        self.due = min([self.due, *asked_at])

    def _follow(self, now: datetime, *, anew: bool) -> None:
        current, following = self.waits_for, self.next_email()
        if current is not None and current.published and not current.deleted and self.crossed:
            current = None  # R2: the delay counts from another email now
        if current is None and following is None:
            self.end_or_wait()
        elif following is not None and (current is None or following.order < current.order):
            self.give(following, now)  # R7
        elif current is not None and not current.published and not current.deleted:
            self.due = None  # R8
        elif current is not None and anew and not current.deleted:
            self.give_anew(current, now)
        elif current is not None and self.due is None:
            self.give(current, now)  # R8, R9: those who had no date
        elif current is not None and self.due is not None and current.deleted and self.due < current.released_at:
            self.due = current.released_at  # R22: deleted while on hold, when their turn had come
        elif current is not None and current.on_hold:
            pass  # R22: the date is kept as it is
        elif current is not None and self.due is not None:
            self.due = self.after_pause(current, self.due)

    def leave(self, now: datetime) -> None:
        if self.status != "removed":
            self.status, self.is_paused = "removed", False
            self.skip_flight(now)
            self.wait(None, None)

    def skip_flight(self, now: datetime) -> None:
        flying = self.flight()
        if flying is not None:
            flying.end("skipped", now)

    def begin(self, now: datetime) -> Delivery:
        """The email they wait for is on its way."""
        assert self.waits_for is not None
        self.due = None
        self.deliveries.append(Delivery(self.waits_for, self.run, "planned", now, ready_at=now))
        return self.deliveries[-1]

    def skip(self, email: Email, now: datetime) -> None:
        if not self.had(email):
            self.deliveries.append(Delivery(email, self.run, "skipped", now, ended_at=now))

    def enter(self, now: datetime) -> None:
        self.status = {"active": "active", "inactive": "unconfirmed"}.get(self.person.state, "removed")
        self.anchored_at, self.is_paused = now, False
        self.wait(None, None)
        if self.status == "active":
            self.go_on(now)
