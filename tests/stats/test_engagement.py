"""People in the order of what they were sent lately: from anywhere, in both directions, as a plain sort finds them."""

from datetime import datetime, timedelta

import pytest
from django.db import transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from dripstone.engine.models import Delivery, Enrollment
from dripstone.stats.engagement import DAYS, Ranking
from dripstone.subscribers.models import Subscriber
from tests.factories import MONDAY_9, make_account, make_enrollment, make_sequence, make_subscriber
from tests.web.making import make_delivery

pytestmark = pytest.mark.django_db

OLD = MONDAY_9 - timedelta(days=DAYS, seconds=1)


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1), st.booleans()), min_size=1, max_size=6),
    st.booleans(),
    st.booleans(),
    st.integers(1, 3),
)
@settings(max_examples=20)
def test_it_finds_what_a_plain_sort_finds(
    crowd: list[tuple[int, int, bool]], is_descending: bool, or_at: bool, n: int
) -> None:
    """Each was sent so many emails lately, so many before, and is active or not."""
    with transaction.atomic():
        account = make_account()
        sequence = make_sequence(account, {"delay_value": 1})
        keys = []
        for n_sent, n_old, is_active in crowd:
            person = make_subscriber(account)
            _send(make_enrollment(sequence, person), n_sent, n_old)
            if not is_active:
                Subscriber.objects.filter(pk=person.pk).update(state="bounced")
            keys += [(n_sent, person.pk)] if is_active else []
        make_subscriber(make_account("Mallory"))
        people = Subscriber.objects.filter(account=account, state="active")
        ranking = Ranking(people, account.pk, MONDAY_9)
        expected = sorted(keys, reverse=is_descending)
        assert ranking.beyond(None, 10, is_descending=is_descending) == expected
        for place, edge in enumerate(expected):
            behind = expected[place if or_at else place + 1 :][:n]
            assert ranking.beyond(edge, n, is_descending=is_descending, or_at=or_at) == behind
        transaction.set_rollback(True)


def _send(place: Enrollment, n_sent: int, n_old: int) -> None:
    Delivery.objects.filter(enrollment=place).delete()
    ends: list[datetime] = [*[MONDAY_9] * n_sent, *[OLD] * n_old]
    for run, at in enumerate(ends, 1):
        make_delivery(place, run=run, sent_at=at, ended_at=at)
    make_delivery(place, "skipped", run=len(ends) + 1)


def test_nobody_is_found_among_nobody() -> None:
    assert Ranking(Subscriber.objects.none(), 1, MONDAY_9).beyond(None, 5, is_descending=True) == []
