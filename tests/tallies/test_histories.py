"""After any story of tests/model the kept counts are what the rows say, and what was deleted is still in them."""

from datetime import timedelta
from typing import Any

import hypothesis
import pytest
from hypothesis import HealthCheck
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule, run_state_machine_as_test

from dripstone.api.v4.sequence_subscribers import LISTED
from dripstone.engine.acts import forget
from dripstone.engine.models import Delivery, Enrollment, Entry
from dripstone.ops import prune
from dripstone.stats import deliveries
from dripstone.subscribers.models import Subscriber
from dripstone.tallies import verbs as tallies
from dripstone.tallies.models import Kind
from tests.driving import Engine
from tests.model.test_model import AnyStory


class CountedStory(AnyStory):
    """Everything that can happen, with old deliveries pruned and counts folded in between; then people are deleted."""

    def both_tell_the_same(self) -> None:
        """Not here: the model forgets nothing."""

    @invariant()
    def counts_are_what_the_rows_say(self) -> None:
        assert tallies.differences() == []
        if hasattr(self, "account"):
            n_rows = Delivery.objects.filter(account=self.account).count()
            assert deliveries.of_account(self.account.pk) == n_rows
            shown = Enrollment.objects.filter(LISTED).values_list("pk", "subscriber__state")
            assert set(Entry.objects.exclude(listed_as="").values_list("pk", "listed_as")) == set(shown)

    @rule()
    def prune(self) -> None:
        before = tallies.of(Kind.DELIVERIES, self.email_ids())
        prune.everything(self.now + timedelta(days=3))
        assert tallies.of(Kind.DELIVERIES, self.email_ids()) == before

    @rule()
    def fold(self) -> None:
        before = tallies.of(Kind.PLACES, self.sequence_ids())
        tallies.fold()
        assert tallies.of(Kind.PLACES, self.sequence_ids()) == before

    @rule(n=st.integers(1, 3))
    def finish_early(self, n: int) -> None:
        """More people who have completed, and may yet cancel or come back."""
        self.let_pass(timedelta(days=5 * n))

    def email_ids(self) -> list[int]:
        return [self.rows[email].pk for course in self.model.courses for email in course.emails]

    def sequence_ids(self) -> list[int]:
        return [self.rows[course].pk for course in self.model.courses]

    def teardown(self) -> None:
        if hasattr(self, "account"):
            for person in Subscriber.objects.filter(account=self.account).order_by("pk")[:2]:
                before = tallies.of(Kind.DELIVERIES, self.email_ids())
                done = forget.forget(self.account, person.pk, "owner", self.now)
                after = tallies.of(Kind.DELIVERIES, self.email_ids())
                assert after.total() == before.total() + done.n_planned
                self.counts_are_what_the_rows_say()
            for _, row in self.marks:
                row.delete()
            Subscriber.objects.filter(account=self.account).delete()
            self.counts_are_what_the_rows_say()
        super().teardown()


@pytest.mark.django_db
def test_counts_are_true_after_any_history(engine: Engine, settings: Any) -> None:
    settings.DRIPSTONE_KEEP_DELIVERIES_DAYS = settings.DRIPSTONE_KEEP_EVENTS_DAYS = 1
    CountedStory.engine = engine
    profile = hypothesis.settings.get_profile(hypothesis.settings.get_current_profile_name())
    stories = hypothesis.settings(
        profile,
        max_examples=max(1, profile.max_examples // 3),
        stateful_step_count=25,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(CountedStory, settings=stories)
