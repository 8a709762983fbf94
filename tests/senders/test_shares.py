"""Connections of all workers together."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from dripstone.senders import shares
from dripstone.senders.models import Share
from tests.factories import MONDAY_9

NOW = MONDAY_9


def renew(worker: str, in_all: int = 20, wanted: int = 10, after: float = 0) -> int:
    return shares.renew("smtp://h:25", worker, in_all, wanted, NOW + timedelta(seconds=after))


@pytest.mark.django_db
def test_a_worker_alone_has_what_it_wants() -> None:
    assert renew("a") == 10
    assert renew("a", in_all=4) == 4


@pytest.mark.django_db
def test_those_who_have_more_than_their_part_come_down_for_who_joins() -> None:
    assert [renew("a"), renew("b"), renew("c")] == [10, 10, 0]
    assert [renew("a"), renew("b"), renew("c")] == [6, 6, 6]


@pytest.mark.django_db
def test_a_dead_workers_share_comes_back() -> None:
    assert [renew("a"), renew("b"), renew("c")] == [10, 10, 0]
    later = shares.KEPT.total_seconds()
    assert renew("c", after=later) == 10


@pytest.mark.django_db
def test_a_worker_that_stops_gives_its_share_back() -> None:
    assert [renew("a"), renew("b"), renew("c")] == [10, 10, 0]
    shares.give_back("a")
    assert renew("c") == 10


class TestNeverTooMany(TestCase):
    @given(
        st.integers(1, 12),
        st.lists(st.tuples(st.sampled_from("abcde"), st.integers(1, 10), st.floats(0, 40)), max_size=30),
    )
    @settings(max_examples=25)
    def test_all_shares_together_never_exceed_the_number(
        self, in_all: int, steps: list[tuple[str, int, float]]
    ) -> None:
        seconds = 0.0
        for worker, wanted, wait in steps:
            seconds += wait
            renew(worker, in_all, wanted, seconds)
            assert sum(Share.objects.values_list("n_connections", flat=True)) <= in_all
