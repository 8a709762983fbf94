"""What owners do: edits of a sequence (R7 to R11, R13, R16, R21) and verbs on one person. Part of reference.py.

An edit stops what may not go any more at once. The people follow when everything that is due next is done
(World.settle), or one of them before the others, when somebody acts on them.
"""

from datetime import datetime
from typing import Any

from tests.model.when import Course, Email
from tests.model.where import Person, Place


class Changes:
    now: datetime
    places: list[Place]
    courses: list[Course]
    segments: dict[int, tuple[str, list[tuple[str, int, bool]]]]
    gone: set[int]

    def of(self, course: Course) -> list[Place]:
        return [place for place in self.places if place.course is course]

    # Edits

    def edited(self, course: Course) -> None:
        course.is_edited = True
        for place in self.of(course):
            flying = place.flight()
            may_go = course.active and not course.deleted
            if flying is not None and not (may_go and flying.email.goes()):
                flying.ready_at = None

    def follow(self, course: Course) -> None:
        """Everybody stands where the rules now say."""
        for place in self.of(course):
            if course.deleted and place.status in ("active", "unconfirmed"):
                place.leave(self.now)
            elif not course.deleted:
                self._let_go(place)
                self._bring_in_line(place)
        course.is_edited, course.anew_at, course.hurried = False, None, []

    def _bring_in_line(self, place: Place) -> None:
        anew_at = place.course.anew_at
        place.follow(anew_at or self.now, anew=anew_at is not None)

    def _let_go(self, place: Place) -> None:
        """What was stopped while it was being retried. Held by a pause: hours at once, days at their next slot (R4).
        Published again: right away. Deleted: skipped there and then (R9)."""
        flying, course = place.flight(), place.course
        if flying is None:
            return
        if flying.email.deleted:
            flying.end("skipped", self.now)
            place.go_on(self.now)
        elif place.may_go() and flying.email.goes():
            if flying.ready_at is None:
                by_slot = flying.email.by_day and flying.email.published_at <= course.let_go_at(flying.email)
                flying.go_again(course.next_slot(flying.email, self.now) if by_slot else self.now, self.now)
            assert flying.ready_at is not None
            flying.ready_at = min([flying.ready_at, *(at for email, at in course.hurried if email is flying.email)])

    def switch(self, course: Course, active: bool) -> None:
        course.active = active
        course.resumed_at = self.now if active else course.resumed_at
        self.edited(course)

    def set_hold(self, course: Course, hold: bool) -> None:
        course.hold = hold
        self.edited(course)

    def reschedule(self, course: Course) -> None:
        course.anew_at = self.now
        self.edited(course)

    def delete_course(self, course: Course) -> None:
        course.deleted = True
        self.edited(course)

    def create_email(self, course: Course, email: Email, position: int | None) -> bool:
        """False: refused (R10)."""
        live = course.live()
        if position is None:
            position = live[-1].position + 1 if live else 0
        if not self._place(course, email, position):
            return False
        course.emails.append(email)
        self.edited(course)
        return True

    def move(self, course: Course, email: Email, position: int) -> bool:
        if position == email.position:
            return True
        waiting = [place for place in self.of(course) if place.waits_for is email and place.flight() is None]
        sides = [{id(one.email) for one in place.before(email)} for place in waiting]
        if not self._place(course, email, position):
            return False
        for place, side in zip(waiting, sides, strict=True):
            if not email.published:  # R8: the wait for it is over
                place.wait(None, None)
            place.crossed ^= side ^ {id(one.email) for one in place.before(email)}
        self.edited(course)
        return True

    def _place(self, course: Course, email: Email, position: int) -> bool:
        """R10. A taken position makes room; at the end there is room, and whatever was deleted stands before it."""
        before = [(other, other.position) for other in [*course.emails, email]]
        others = [other for other in course.live() if other is not email]
        if all(other.position < position for other in others):
            for other in course.emails:
                other.position = min(other.position, position) if other.deleted else other.position
        elif any(other.position == position for other in others):
            for other in course.emails:
                other.position += 1 if other.order >= (position, True) else 0
        email.position = position
        following = sorted([*others, email], key=lambda one: one.order)[1:]
        if any(one.unit == "days" and one.value == 0 for one in following):
            for other, old in before:
                other.position = old
            return False
        return True

    def set_delay(self, course: Course, email: Email, value: int, unit: str) -> bool:
        """R11: moves nobody."""
        if unit == "days" and value == 0 and course.live()[0] is not email:
            return False
        email.value, email.unit = value, unit
        email.days = None if unit == "hours" else email.days
        return True

    def publish(self, course: Course, email: Email, published: bool) -> None:
        email.published = published
        email.published_at = self.now if published else email.published_at
        self.edited(course)

    def delete_email(self, course: Course, email: Email) -> None:
        email.deleted = True
        if email.on_hold:
            email.on_hold, email.released_at = False, self.now
        self.edited(course)

    def set_on_hold(self, course: Course, email: Email, on_hold: bool) -> None:
        """R22. A second time changes nothing."""
        if email.on_hold is not on_hold:
            email.on_hold = on_hold
            email.released_at = email.released_at if on_hold else self.now
            self.edited(course)

    def skip_wait(self, course: Course, email: Email) -> bool:
        """False: nobody could get it."""
        if not course.active or not email.goes():
            return False
        course.hurried.append((email, self.now))
        self.edited(course)
        return True

    # One person. False: it can't be done, and nothing changes

    def act(self, verb: str, place: Place, target: Email | None = None) -> bool:
        """The verb looks at where the edits so far leave this person."""
        if place.course.is_edited:
            self._bring_in_line(place)
        if verb == "restart":
            return self._restart(place)
        if verb == "remove":
            is_in = place.status != "removed"
            place.leave(self.now)
            return is_in
        if verb == "move":
            assert target is not None
            return self._move_to(place, target)
        if place.status != "active":
            return False
        done: bool = getattr(self, f"_{verb}")(place)
        return done

    def _pause(self, place: Place) -> bool:
        if place.is_paused:
            return False
        place.is_paused = True
        if (flying := place.flight()) is not None:
            flying.ready_at = None
        return True

    def _resume(self, place: Place) -> bool:
        """What fell due meanwhile: hours right away, days at the next slot."""
        if not place.is_paused:
            return False
        place.is_paused = False
        email = place.waits_for
        if email is None:
            return True
        late = place.course.next_slot(email, self.now) if email.by_day else self.now
        if place.due is not None and place.due < self.now and not email.on_hold:
            place.due = late
        flying = place.flight()
        if flying is not None and place.course.active and email.goes():
            flying.go_again(late, self.now)
        return True

    def _skip(self, place: Place) -> bool:
        if place.waits_for is None:
            return False
        place.skip_flight(self.now)
        place.skip(place.waits_for, self.now)
        place.go_on(self.now)
        return True

    def _send_now(self, place: Place) -> bool:
        email = place.waits_for
        if email is None or not email.goes() or not place.may_go():
            return False
        if self.is_excluded(place) or not self.is_for(email, place.person):
            return False
        if (flying := place.flight()) is not None:
            flying.ready_at = self.now
        else:
            place.begin(self.now)
        return True

    def _move_to(self, place: Place, target: Email) -> bool:
        if place.status not in ("active", "completed") or place.person.state != "active" or not target.published:
            return False
        place.skip_flight(self.now)
        place.run += 1 if place.had(target) else 0
        place.status, place.anchored_at = "active", self.now
        for email in place.course.live():
            if email.published and email.position < target.position:
                place.skip(email, self.now)
        place.go_on(self.now)
        return True

    def _restart(self, place: Place) -> bool:
        if place.person.state not in ("active", "inactive"):
            return False
        place.skip_flight(self.now)
        place.run += 1
        place.enter(self.now)
        return True

    # Exclusions and filters

    def is_for(self, email: Email, person: Person) -> bool:
        """R21. What names a tag that is gone is for nobody, whatever else it says."""
        if email.only_to is None:
            return True
        return self.gone.isdisjoint(tags_in(email.only_to)) and meets(person, email.only_to)

    def is_excluded(self, place: Place) -> bool:
        """R14."""
        return any(self._excludes(place.person, kind, number) for kind, number in place.course.without)

    def _excludes(self, person: Person, kind: str, number: int) -> bool:
        """What is gone excludes everybody, and so does a segment that names what is gone."""
        named = self.segments[number][1] if kind == "segment" else [(kind, number, True)]
        if any(one_kind == "sequence" and self._is_deleted(one) for one_kind, one, _ in named):
            return True
        return self._belongs(person, kind, number)

    def _is_deleted(self, number: int) -> bool:
        return any(course.number == number and course.deleted for course in self.courses)

    def _belongs(self, person: Person, kind: str, number: int) -> bool:
        if kind != "segment":
            return member(person, kind, number, self.places)
        match, conditions = self.segments[number]
        answers = [member(person, kind, number, self.places) == wanted for kind, number, wanted in conditions]
        return all(answers) if match == "all" else any(answers)


def member(person: Person, kind: str, number: int, places: list[Place]) -> bool:
    """Whether somebody belongs to a tag, a form or a sequence (R14)."""
    if kind != "sequence":
        return (kind, number) in person.marks
    statuses = {place.status for place in places if place.person is person and place.course.number == number}
    return not statuses.isdisjoint({"unconfirmed", "active", "completed"})


def tags_in(condition: dict[str, Any]) -> list[int]:
    ids: list[int] = condition.get("ids", [])
    parts = [*condition.get("all", []), *condition.get("any", []), *([condition["not"]] if "not" in condition else [])]
    return [*ids, *(tag for part in parts for tag in tags_in(part))]


def meets(person: Person, condition: dict[str, Any]) -> bool:
    match condition:
        case {"all": parts}:
            return all(meets(person, part) for part in parts)
        case {"any": parts}:
            return any(meets(person, part) for part in parts)
        case {"not": part}:
            return not meets(person, part)
    has = [("tag", tag) in person.marks for tag in condition["ids"]]
    return all(has) if condition.get("has") == "all" else any(has)
