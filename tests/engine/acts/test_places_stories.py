"""Any series of an owner's acts and of the engine's steps sends nothing twice and forgets nobody."""

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dripstone.engine import claim, enroll, plan, record
from dripstone.engine.acts import edits, places
from dripstone.engine.attempts import Outcome
from dripstone.engine.models import Delivery, Enrollment
from dripstone.errors import DripstoneError
from dripstone.sequences.models import Sequence
from tests.driving import Engine
from tests.factories import make_account, make_enrollment, make_sequence, make_subscriber

pytestmark = pytest.mark.django_db


VERBS = ["pause", "resume", "skip", "send_now", "restart", "remove"]
STEPS = st.one_of(
    st.sampled_from(VERBS),
    st.tuples(st.just("move_to"), st.integers(0, 3)),
    st.tuples(st.just("publish"), st.integers(0, 3), st.booleans()),
    st.tuples(st.just("delete"), st.integers(0, 3)),
    st.tuples(st.just("active"), st.booleans()),
    st.tuples(st.just("hold"), st.booleans()),
    st.sampled_from(["reschedule", "re-add", "plan", "claim", "sent", "refused", "run"]),
    st.tuples(st.just("run for"), st.sampled_from([1, 5, 24, 50])),
)


class Story:
    """One person, one sequence, and whatever happens to them."""

    def __init__(self, engine: Engine, *, repeat: bool) -> None:
        account = make_account()
        self.engine = engine
        self.claimed: list[claim.Claimed] = []
        self.taken: list[int] = []  # deliveries, by a server of the story's own
        self.sequence = make_sequence(
            account,
            {"subject": "0", "delay_value": 0},
            {"subject": "1", "delay_value": 2, "delay_unit": "hours"},
            {"subject": "2"},
            {"subject": "3", "published": False},
            repeat=repeat,
        )
        self.emails = list(self.sequence.emails.order_by("position"))
        self.place = make_enrollment(self.sequence, make_subscriber(account), self.now)

    @property
    def now(self) -> datetime:
        return self.engine.clock.now()

    def step(self, step: Any) -> None:
        name, *values = step if isinstance(step, tuple) else (step,)
        with suppress(DripstoneError):  # a refusal changes nothing
            self._act(name, values)

    def _act(self, name: str, values: list[Any]) -> None:
        account, pk = self.sequence.account, self.sequence.pk
        match name:
            case "move_to":
                places.move_to(self.place.pk, self.emails[values[0]].pk, "owner", "", self.now)
            case "publish":
                edits.update_email(account, pk, self.emails[values[0]].pk, {"published": values[1]}, self.now)
            case "delete":
                edits.delete_email(account, pk, self.emails[values[0]].pk, self.now)
            case "active" | "hold":
                edits.update_sequence(account, pk, {name: values[0]}, self.now)
            case "reschedule":
                edits.reschedule(account, pk, self.now)
            case "re-add":
                enroll.add(self.sequence, [self.place.subscriber_id], "rule", self.now)
            case "plan":
                plan.everything_due(self.now)
            case "claim":
                self.claimed += claim.take("worker-1", self.now)
            case "sent" | "refused":
                self._answer("sent" if name == "sent" else "planned")
            case "run" | "run for":
                self._answer("sent")
                self.engine.run_until(self.now + timedelta(hours=values[0] if values else 0))
            case verb:
                getattr(places, verb)(self.place.pk, "owner", "", self.now)

    def _answer(self, kind: str) -> None:
        """To everything on the wire."""
        on_the_wire, self.claimed = self.claimed, []
        retry_in = timedelta(minutes=1) if kind == "planned" else None
        self.taken += [row.delivery_id for row in on_the_wire if kind == "sent"]
        for row in on_the_wire:
            record.outcomes([Outcome(row.delivery_id, row.attempt, kind, retry_in=retry_in)], self.now)

    def check(self) -> None:
        place = Enrollment.objects.get(pk=self.place.pk)
        flying = Delivery.objects.filter(enrollment=place, run=place.run, status__in=["planned", "sending"])
        assert flying.count() <= 1  # R5
        assert flying.exists() or not place.in_flight
        unexpected = Delivery.objects.filter(status="planned").exclude(enrollment=place, run=place.run)
        assert not unexpected.exists()
        assert place.in_flight or not flying.filter(status="planned").exists()

    def check_at_rest(self) -> None:
        """Idle: nobody is forgotten."""
        place, sequence = Enrollment.objects.get(pk=self.place.pk), Sequence.objects.get(pk=self.sequence.pk)
        had = Delivery.objects.filter(enrollment=place, run=place.run).values("email_id")
        missing = sequence.emails.filter(published=True, deleted_at=None).exclude(pk__in=had)
        waits_for_draft = place.next_email is not None and not place.next_email.published
        if place.status == "active" and place.paused_at is None and sequence.active and missing.exists():
            assert place.due_at is not None or place.in_flight or waits_for_draft
        if place.status == "active" and place.in_flight and place.paused_at is None and sequence.active:
            ready = Delivery.objects.get(enrollment=place, run=place.run, status="planned").ready_at
            assert waits_for_draft or ready < self.now + timedelta(days=9)  # type: ignore[operator]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, max_size=25), repeat=st.booleans())
def test_no_series_of_acts_sends_twice_or_forgets_anybody(engine: Engine, steps: list[Any], repeat: bool) -> None:
    engine.mail.messages.clear()
    with transaction.atomic():
        story = Story(engine, repeat=repeat)
        for step in steps:
            story.step(step)
            story.check()
        story.step("run")
        story.check_at_rest()
        sent = story.taken + [message.delivery_id for message in engine.mail.messages]
        assert len(sent) == len(set(sent))
        transaction.set_rollback(True)  # each story begins in an empty database
