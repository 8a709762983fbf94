"""What a story is played on: an account in the database, the engine under a virtual clock, the model beside it."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction
from hypothesis.stateful import RuleBasedStateMachine

from dripstone.accounts.models import Account
from dripstone.conditions import segments
from dripstone.engine import attempts, virtual
from dripstone.engine.models import Delivery, Enrollment
from dripstone.foresight import forecast
from dripstone.senders.base import Answer, Outgoing
from dripstone.sequences.models import Sequence
from dripstone.subscribers import forms
from dripstone.subscribers.models import Form, Segment, Tag
from tests.driving import Engine
from tests.factories import make_account, make_tag, place_of
from tests.model import reference
from tests.model.reference import Course, Email, Person, Place, World

QUARTER = timedelta(minutes=15)  # as finely as a forecast tells


class Stage(RuleBasedStateMachine):
    engine: Engine  # set by the test: Hypothesis makes the machines

    def __init__(self) -> None:
        super().__init__()
        self.undone = transaction.atomic()
        self.undone.__enter__()

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.undone.__exit__(None, None, None)

    def build(self, now: datetime) -> None:
        self.engine.clock.set(now)
        self.account: Account = make_account("Alice")
        self.rows: dict[object, Any] = {}  # what of the model → row in the database
        self.model = World(now, self.patience)
        self.engine.mail.answer = self.answer
        self.sent: Counter[tuple[int, int]] = Counter()
        self.is_hasty = False  # edits pile up: the engine does not run in between
        self.marks: list[tuple[str, Tag | Form]] = [
            ("tag", make_tag(self.account)),
            ("form", forms.create(self.account.pk, {"name": "Footer"}, now)),
        ]
        self.tags = [make_tag(self.account), make_tag(self.account)]  # that filters name

    def build_segments(self) -> None:
        """One of each kind of filter that R14 can meet; the first sequence is there already."""
        (_, tag), (_, form) = self.marks
        course = self.model.courses[0].number
        self.segments = [
            self.new_segment("any", [("tag", tag.pk, True), ("form", form.pk, True)]),
            self.new_segment("all", [("tag", tag.pk, False), ("form", form.pk, True)]),
            self.new_segment("all", [("sequence", course, True), ("tag", tag.pk, True)]),
            self.new_segment("any", [("sequence", course, False), ("form", form.pk, True)]),
        ]

    def new_segment(self, match: str, conditions: list[tuple[str, int, bool]]) -> Segment:
        given = [
            {"type": kind, "operator": "in" if wanted else "not_in", "ids": [number]}
            for kind, number, wanted in conditions
        ]
        wanted = {"match": match, "conditions": given}
        row = segments.create(self.account.pk, {"name": "Some", "filter": wanted}, self.now)
        self.model.segments[row.pk] = (match, conditions)
        return row

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
        waits = attempts.backoff(row.pk, delivery.attempt)
        exact = min(timedelta(minutes=2 ** (delivery.attempt - 1)), timedelta(hours=4))
        assert exact <= waits <= exact * 1.25
        return waits

    # Picking

    def courses(self) -> list[Course]:
        return [course for course in self.model.courses if not course.deleted]

    def course(self, index: int) -> Course | None:
        there = self.courses()
        return there[index % len(there)] if there else None

    def number(self, course: Course) -> int:
        return self.courses().index(course)

    def email(self, index: int, email: int) -> tuple[Course, Email] | None:
        course = self.course(index)
        there = course.live() if course else []
        return (course, there[email % len(there)]) if course and there else None

    def person(self, index: int) -> Person:
        return self.model.people[index % len(self.model.people)]

    def place(self, index: int) -> Place | None:
        there = [place for place in self.model.places if not place.course.deleted]
        return there[index % len(there)] if there else None

    # Time

    def after(self) -> None:
        """Both do what is due now: edits are followed, what goes right away goes. Unless more is to come first."""
        if self.is_hasty:
            return
        virtual.advance_to(self.now, self.account.pk)
        self.model.settle()

    @contextmanager
    def in_haste(self) -> Iterator[None]:
        was_hasty, self.is_hasty = self.is_hasty, True
        yield
        self.is_hasty = was_hasty

    def tick(self) -> None:
        """A second in which nobody works: publishing and resuming do not happen at the same instant, and which came
        last decides."""
        self.model.now += timedelta(seconds=1)
        self.engine.clock.set(self.now)

    def let_pass(self, duration: timedelta) -> None:
        self.is_hasty = False
        target = self.now + duration
        foretold, before = self.foretold(target), self.ended(target)
        virtual.advance_to(target, self.account.pk)
        if all(person.weather in ("sent", "permanent", "unknown") for person in self.model.people):
            assert self.ended(target) - before == foretold
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

    def ended(self, until: datetime) -> Counter[tuple[int, int]]:
        """What has left so far, counted in the same way."""
        rows = Delivery.objects.filter(attempt__gt=0, ended_at__isnull=False).exclude(status="skipped")
        ended = rows.values_list("email_id", "ended_at")
        return Counter((email_id, (until - at) // QUARTER) for email_id, at in ended if at is not None)

    # What both tell

    def told_by_model(self, place: Place) -> list[Any]:
        waits = place.waits_for.subject if place.waits_for else None
        in_flight = place.status == "active" and bool(place.flight())
        is_kept = place.due is not None and (place.is_paused or bool(place.waits_for and place.waits_for.on_hold))
        here = (place.status, place.run, waits, stamp(place.due), is_kept, in_flight, place.is_paused)
        return [
            here,
            *((d.email.subject, d.run, d.status, stamp(d.ended_at), stamp(d.ready_at)) for d in place.deliveries),
        ]

    def told_by_database(self) -> dict[tuple[int, int], list[Any]]:
        told: dict[tuple[int, int], list[Any]] = {}
        for row in Enrollment.objects.select_related("next_email"):
            waits = row.next_email.subject if row.next_email else None
            due = row.due_at or row.held_due_at
            is_kept = row.held_due_at is not None
            here = (row.status, row.run, waits, stamp(due), is_kept, row.in_flight, row.paused_at is not None)
            told[row.subscriber_id, row.sequence_id] = [here]
        for delivery in Delivery.objects.select_related("email", "enrollment").order_by("pk"):
            place, email = place_of(delivery), delivery.email
            ready = delivery.ready_at if delivery.ready_at and delivery.ready_at.year < 9999 else None
            told[place.subscriber_id, place.sequence_id].append(
                (email and email.subject, delivery.run, delivery.status, stamp(delivery.ended_at), stamp(ready))
            )
        return told


def stamp(instant: datetime | None) -> str | None:
    return instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S") if instant else None
