"""Random stories, played to the engine and to the model of reference.py: after every step both must tell the same.

What is real here: the database, the verbs everybody uses, the engine under the virtual clock. Only the mail servers are
played: what they answer is part of the story.
"""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import hypothesis
import pytest
from django.db import transaction
from hypothesis import HealthCheck
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from dripstone.accounts.models import Account
from dripstone.engine import edits, enroll, forecast, send, transitions, virtual
from dripstone.engine.models import Delivery, Enrollment
from dripstone.errors import Invalid
from dripstone.senders.base import Answer, Outgoing
from dripstone.sequences.models import WEEKDAYS, Sequence, SequenceEmail
from dripstone.subscribers import forms, tags
from dripstone.subscribers.models import Form, Subscriber, Tag
from tests.engine.driving import Engine
from tests.factories import make_account, make_subscriber, make_tag
from tests.model import reference
from tests.model.reference import Course, Email, Person, Place, World

ZONES = ["UTC", "America/New_York", "Europe/Berlin", "Asia/Kathmandu", "Pacific/Chatham", "Australia/Lord_Howe"]
CLOCK_CHANGES = [  # a few days before one, in New York, Berlin, and the two islands
    datetime(2026, 3, 6, tzinfo=UTC),
    datetime(2026, 10, 30, tzinfo=UTC),
    datetime(2026, 3, 27, tzinfo=UTC),
    datetime(2026, 10, 23, tzinfo=UTC),
    datetime(2026, 4, 2, tzinfo=UTC),
    datetime(2026, 9, 24, tzinfo=UTC),
    datetime(2026, 10, 1, tzinfo=UTC),
]
MOST_EMAILS, MOST_COURSES, MOST_PEOPLE = 8, 2, 5
QUARTER = timedelta(minutes=15)  # as finely as a forecast tells
SECOND = timedelta(seconds=1)  # publishing and resuming do not happen at the same instant: which came last decides
MINUTES = st.integers(0, 4 * 24 * 60)

hours = st.one_of(st.sampled_from([0, 1, 2, 3, 9]), st.integers(0, 23))
days = st.one_of(st.just(list(range(7))), st.lists(st.integers(0, 6), min_size=1, unique=True).map(sorted))
delays = st.one_of(
    st.tuples(st.integers(1, 3), st.just("days")),
    st.tuples(st.sampled_from([1, 5, 24, 30]), st.just("hours")),
    st.just((0, "days")),
)
places_in_row = st.one_of(st.none(), st.integers(0, 6))
indices = st.integers(0, 7)  # of whatever there is, modulo how many there are
sources = st.sampled_from(["api", "form", "rule", "automation", "bulk", "import"])
weathers = st.sampled_from(["sent", "sent", "temporary", "permanent", "bounce", "unknown"])
moments = st.tuples(st.sampled_from(CLOCK_CHANGES), MINUTES).map(lambda pair: pair[0] + timedelta(minutes=pair[1]))


class Story(RuleBasedStateMachine):
    engine: Engine  # set by the test: Hypothesis makes the machines

    def __init__(self) -> None:
        super().__init__()
        self.undone = transaction.atomic()
        self.undone.__enter__()

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.undone.__exit__(None, None, None)

    @initialize(
        now=moments,
        zone=st.sampled_from(ZONES),
        hour=hours,
        shape=st.lists(delays, min_size=4, max_size=6),
        weather=weathers,
    )
    def begin(
        self, now: datetime, zone: str, hour: int, shape: list[tuple[int, str]], weather: reference.Weather
    ) -> None:
        self.engine.clock.set(now)
        self.account: Account = make_account("Alice")
        self.rows: dict[object, Any] = {}  # what of the model → row in the database
        self.model = World(now, self.patience)
        self.engine.mail.answer = self.answer
        self.sent: Counter[tuple[int, int]] = Counter()
        self.marks: list[tuple[str, Tag | Form]] = [
            ("tag", make_tag(self.account)),
            ("form", forms.create(self.account.pk, "Footer", now)),
        ]
        self.new_course(zone, hour, list(range(7)))
        for delay in shape:
            self.new_email(0, delay, True, None, None)
        self.new_person("active", 0)
        self.model.people[0].weather = weather
        self.new_person("active", 0)

    @property
    def now(self) -> datetime:
        return self.model.now

    # The mail servers

    def answer(self, message: Outgoing) -> Answer:
        person = next(person for person in self.model.people if person.name == message.rcpt_to)
        self.sent[message.delivery_id, message.attempt] += 1
        kind: Any = "permanent" if person.weather == "bounce" else person.weather
        return Answer(message.delivery_id, kind, "said so", hard_bounce=person.weather == "bounce")

    def patience(self, place: Place, delivery: reference.Delivery) -> timedelta:
        """How long a refused delivery waits is a hash of its row; the model is told, and sees that it is in bounds."""
        row = Delivery.objects.get(
            enrollment__subscriber=self.rows[place.person], email=self.rows[delivery.email], run=delivery.run
        )
        waits = send.backoff(row.pk, delivery.attempt)
        exact = min(timedelta(minutes=2 ** (delivery.attempt - 1)), timedelta(hours=4))
        assert exact <= waits <= exact * 1.25
        return waits

    # Picking

    def course(self, index: int) -> Course | None:
        there = [course for course in self.model.courses if not course.deleted]
        return there[index % len(there)] if there else None

    def email(self, index: int, email: int) -> tuple[Course, Email] | None:
        course = self.course(index)
        there = course.live() if course else []
        return (course, there[email % len(there)]) if course and there else None

    def person(self, index: int) -> Person:
        return self.model.people[index % len(self.model.people)]

    def after(self) -> None:
        """Both do what is due now: edits are followed, what goes right away goes."""
        virtual.advance_to(self.now, self.account.pk)
        self.model.settle()

    # Edits

    @precondition(lambda self: len(self.model.courses) < MOST_COURSES)
    @rule(zone=st.sampled_from(ZONES), hour=hours, days=days)
    def new_course(self, zone: str, hour: int, days: list[int]) -> None:
        given = {"name": "Course", "time_zone": zone, "send_hour": hour, "send_days": [WEEKDAYS[day] for day in days]}
        row = edits.create_sequence(self.account, given, self.now).sequence
        course = Course(zone, hour, days, number=row.pk)
        self.model.courses.append(course)
        self.rows[course] = row

    @rule(index=indices, delay=delays, published=st.booleans(), position=places_in_row, own=st.none() | days)
    def new_email(
        self, index: int, delay: tuple[int, str], published: bool, position: int | None, own: list[int] | None
    ) -> None:
        course = self.course(index)
        if course is None or len(course.emails) >= MOST_EMAILS:
            return
        value, unit = delay
        own = None if unit == "hours" else own
        subject = f"{len(self.model.courses)}.{len(course.emails)}"
        email = Email(subject, 0, value, unit, own, published)
        given: dict[str, Any] = {"subject": subject, "content": "<p>Hello</p>", "delay_value": value}
        given |= {"delay_unit": unit, "published": published, "position": position}
        given["send_days"] = None if own is None else [WEEKDAYS[day] for day in own]
        row = self.rows[course]
        try:
            made = edits.create_email(self.account, row.pk, given, self.now).email
        except Invalid:
            assert not self.model.create_email(course, email, position)
        else:
            self.rows[email] = made
            assert self.model.create_email(course, email, position)
        self.after()

    def update_email(self, course: Course, email: Email, **given: Any) -> bool:
        try:
            edits.update_email(self.account, self.rows[course].pk, self.rows[email].pk, given, self.now)
        except Invalid:
            return False
        return True

    @rule(index=indices, email=indices)
    def publish_or_unpublish(self, index: int, email: int) -> None:
        if found := self.email(index, email):
            was = found[1].published
            self.let_pass(SECOND)
            assert self.update_email(*found, published=not was)
            (self.model.unpublish if was else self.model.publish)(*found)
            self.after()

    @rule(index=indices, email=indices, position=st.integers(0, 7))
    def move(self, index: int, email: int, position: int) -> None:
        if found := self.email(index, email):
            assert self.update_email(*found, position=position) == self.model.move(*found, position)
            self.after()

    @rule(index=indices, email=indices, sure=st.booleans())
    def delete_email(self, index: int, email: int, sure: bool) -> None:
        found = self.email(index, email)
        if found and sure:
            edits.delete_email(self.account, self.rows[found[0]].pk, self.rows[found[1]].pk, self.now)
            self.model.delete_email(*found)
            self.after()

    def update_course(self, course: Course, **given: Any) -> None:
        edits.update_sequence(self.account, self.rows[course].pk, given, self.now)

    @rule(index=indices)
    def pause_or_resume(self, index: int) -> None:
        if course := self.course(index):
            was = course.active
            self.let_pass(SECOND)
            self.update_course(course, active=not was)
            (self.model.pause if was else self.model.resume)(course)
            self.after()

    @rule(index=indices, what=st.sampled_from(["hold", "repeat"]))
    def switch(self, index: int, what: str) -> None:
        course = self.course(index)
        if course and what == "hold":
            self.update_course(course, hold=not course.hold)
            self.model.set_hold(course, not course.hold)
            self.after()
        elif course:
            self.update_course(course, repeat=not course.repeat)
            course.repeat = not course.repeat

    @rule(
        index=indices,
        email=indices,
        delay=delays,
        zone=st.sampled_from(ZONES),
        hour=hours,
        days=days,
        anew=st.booleans(),
    )
    def change_dates(
        self, index: int, email: int, delay: tuple[int, str], zone: str, hour: int, days: list[int], anew: bool
    ) -> None:
        """A new delay and a new schedule; neither moves anybody, unless asked to."""
        found = self.email(index, email)
        if not found:
            return
        course, (value, unit) = found[0], delay
        assert self.update_email(*found, delay_value=value, delay_unit=unit) == self.model.set_delay(
            *found, value, unit
        )
        self.update_course(course, time_zone=zone, send_hour=hour, send_days=[WEEKDAYS[day] for day in days])
        course.zone, course.hour, course.days = zone, hour, days
        if anew:
            edits.reschedule(self.account, self.rows[course].pk, self.now)
            self.model.reschedule(course)
        self.after()

    @rule(index=indices, which=st.sets(st.sampled_from(["tag", "form", "sequence"])))
    def exclude(self, index: int, which: set[str]) -> None:
        if course := self.course(index):
            others = [("sequence", other.number) for other in self.model.courses if other is not course]
            course.without = [
                (kind, number)
                for kind, number in [*((kind, mark.pk) for kind, mark in self.marks), *others]
                if kind in which and not self.is_gone(kind, number, course)
            ]
            self.update_course(
                course, exclude_subscriber_sources=[{"type": kind, "ids": [n]} for kind, n in course.without]
            )

    def is_gone(self, kind: str, number: int, course: Course) -> bool:
        gone = [other.number for other in self.model.courses if other.deleted]
        return kind == "sequence" and number in gone and ("sequence", number) not in course.without

    @precondition(lambda self: len(self.model.courses) == MOST_COURSES)
    @rule(index=indices, sure=st.integers(0, 3))
    def delete_course(self, index: int, sure: int) -> None:
        course = self.course(index)
        if course and sure == 0:
            edits.delete_sequence(self.account, self.rows[course].pk, self.now)
            self.model.delete_course(course)
            self.after()

    # People

    @precondition(lambda self: len(self.model.people) < MOST_PEOPLE)
    @rule(state=st.sampled_from(["active", "active", "inactive"]), index=indices)
    def new_person(self, state: str, index: int) -> None:
        row = make_subscriber(self.account, state=state)
        person = Person(row.email_address, state)
        self.model.people.append(person)
        self.rows[person] = row
        self.add(index, len(self.model.people) - 1, "form")

    @rule(index=indices, who=indices, source=sources)
    def add(self, index: int, who: int, source: enroll.Source) -> None:
        course, person = self.course(index), self.person(who)
        if course is None or (source == "api" and not course.active):
            return  # the call refuses it (R13)
        row = self.rows[person]
        entries = enroll.add(Sequence.objects.get(pk=self.rows[course].pk), [row.pk], source, self.now)
        assert entries[row.pk].added == self.model.add(person, course, source)
        self.after()

    @rule(index=indices, who=indices)
    def remove(self, index: int, who: int) -> None:
        course, person = self.course(index), self.person(who)
        place = course and self.model.place(person, course)
        if place:
            ids = Enrollment.objects.filter(sequence=self.rows[course], subscriber=self.rows[person])
            transitions.remove(list(ids.values_list("pk", flat=True)), "asked for it", self.now)
            place.leave(self.now)

    @rule(who=indices, act=st.sampled_from(["cancel", "bounce", "complain", "confirm", "confirm", "resubscribe"]))
    def change_state(self, who: int, act: str) -> None:
        person = self.person(who)
        getattr(transitions, act)(self.rows[person].pk, self.now)
        match act:
            case "confirm":
                self.model.confirm(person)
            case "resubscribe":
                self.model.resubscribe(person)
            case _:
                states = {"cancel": "cancelled", "bounce": "bounced", "complain": "complained"}
                self.model.end_person(person, states[act])
        self.after()

    @rule(who=indices, which=st.sampled_from([0, 1]))
    def mark(self, who: int, which: int) -> None:
        person, (kind, row) = self.person(who), self.marks[which]
        if isinstance(row, Form):
            forms.add(row, self.rows[person], None, self.now)
        elif (kind, row.pk) in person.marks:
            tags.remove(row, self.rows[person], self.now)
            person.marks.discard((kind, row.pk))
            return
        else:
            tags.add(row, self.rows[person], self.now)
        person.marks.add((kind, row.pk))

    @rule(who=indices, weather=weathers)
    def change_weather(self, who: int, weather: reference.Weather) -> None:
        self.person(who).weather = weather

    # Time

    @rule(n=st.integers(1, 90))
    def let_minutes_pass(self, n: int) -> None:
        self.let_pass(timedelta(minutes=n))

    @rule(n=st.integers(1, 30))
    def let_hours_pass(self, n: int) -> None:
        self.let_pass(timedelta(hours=n))

    @rule(n=st.integers(1, 2))
    def let_days_pass(self, n: int) -> None:
        self.let_pass(timedelta(days=n))

    def let_pass(self, duration: timedelta) -> None:
        target, foretold = self.now + duration, self.foretold(self.now + duration)
        virtual.advance_to(target, self.account.pk)
        if all(person.weather in ("sent", "permanent", "unknown") for person in self.model.people):
            assert self.happened(self.now, target) == foretold
        self.model.let_pass(target)

    def foretold(self, until: datetime) -> Counter[tuple[int, int]]:
        """Messages by email and quarter of an hour, counted back from `until`."""
        courses = [course for course in self.model.courses if not course.deleted]
        rows = Sequence.objects.filter(pk__in=[self.rows[course].pk for course in courses])
        told: Counter[tuple[int, int]] = Counter()
        for row in rows:
            for email_id, instants in forecast.of_sequence(row, self.now, until).items():
                for instant, n in instants.items():
                    told[email_id, (until - instant) // QUARTER] += n
        return told

    def happened(self, since: datetime, until: datetime) -> Counter[tuple[int, int]]:
        rows = Delivery.objects.filter(attempt__gt=0, ended_at__gt=since, ended_at__lte=until)
        ended = rows.exclude(status="skipped").values_list("email_id", "ended_at")
        return Counter((email_id, (until - at) // QUARTER) for email_id, at in ended if at is not None)

    @rule(n=st.integers(1, 36))
    def be_down(self, n: int) -> None:
        """Nobody works meanwhile."""
        self.model.now += timedelta(hours=n)
        self.engine.clock.set(self.now)
        self.after()

    # What must hold

    @invariant()
    def both_tell_the_same(self) -> None:
        told = {
            (self.rows[place.person].pk, self.rows[place.course].pk): self.told_by_model(place)
            for place in self.model.places
        }
        assert self.told_by_database() == told

    def told_by_model(self, place: Place) -> list[Any]:
        waits = place.waits_for.subject if place.waits_for else None
        here = (place.status, place.run, waits, stamp(place.due), place.status == "active" and bool(place.flight()))
        return [
            here,
            *((d.email.subject, d.run, d.status, stamp(d.ended_at), stamp(d.ready_at)) for d in place.deliveries),
        ]

    def told_by_database(self) -> dict[tuple[int, int], list[Any]]:
        told: dict[tuple[int, int], list[Any]] = {}
        for row in Enrollment.objects.select_related("next_email"):
            waits = row.next_email.subject if row.next_email else None
            here = (row.status, row.run, waits, stamp(row.due_at), row.in_flight)
            told[row.subscriber_id, row.sequence_id] = [here]
        for delivery in Delivery.objects.select_related("email").order_by("pk"):
            ready = delivery.ready_at if delivery.ready_at and delivery.ready_at.year < 9999 else None
            told[delivery.subscriber_id, delivery.sequence_id].append(
                (delivery.email.subject, delivery.run, delivery.status, stamp(delivery.ended_at), stamp(ready))
            )
        return told

    @invariant()
    def positions_are_the_same(self) -> None:
        rows = {row.pk: (row.position, row.deleted_at is not None) for row in SequenceEmail.objects.all()}
        emails = [email for course in self.model.courses for email in course.emails]
        assert rows == {self.rows[email].pk: (email.position, email.deleted) for email in emails}

    @invariant()
    def states_are_the_same(self) -> None:
        states = dict(Subscriber.objects.values_list("email_address", "state"))
        assert states == {person.name: person.state for person in self.model.people}

    @invariant()
    def nothing_is_sent_twice(self) -> None:
        assert all(n == 1 for n in self.sent.values())


def stamp(instant: datetime | None) -> str | None:
    return instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S") if instant else None


@pytest.mark.django_db
def test_the_engine_does_what_the_rules_say(engine: Engine) -> None:
    """A few dozen stories; `script/test --deep` tells fifty times as many, and longer ones."""
    Story.engine = engine
    profile = hypothesis.settings.get_profile(hypothesis.settings.get_current_profile_name())
    stories = hypothesis.settings(
        profile,
        max_examples=max(1, profile.max_examples * 3 // 10),
        stateful_step_count=30 if profile.max_examples <= 100 else 50,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Story, settings=stories)
