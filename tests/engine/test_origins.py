"""A delivery has exactly one origin, and the database says so."""

from typing import Any

import pytest
from django.db import IntegrityError, transaction

from dripstone.accounts.models import Account
from dripstone.engine import notices
from dripstone.engine.models import Delivery, Enrollment
from tests.factories import MONDAY_9, make_account, make_broadcast, make_enrollment, make_sequence, make_subscriber

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice() -> Account:
    return make_account("Alice")


@pytest.fixture
def place(alice: Account) -> Enrollment:
    return make_enrollment(make_sequence(alice, {}), make_subscriber(alice))


def is_refused(**values: Any) -> bool:
    try:
        with transaction.atomic():
            Delivery.objects.create(**{"status": "planned", "planned_at": MONDAY_9} | values)
    except IntegrityError:
        return True
    return False


def of_sequence(place: Enrollment) -> dict[str, Any]:
    return {
        "account_id": place.account_id,
        "sequence_id": place.sequence_id,
        "subscriber_id": place.subscriber_id,
        "enrollment": place,
        "run": 1,
        "email": place.sequence.emails.get(),
        "ready_at": MONDAY_9,
    }


def test_a_delivery_of_nothing_is_refused(alice: Account) -> None:
    assert is_refused(account=alice, subscriber=make_subscriber(alice), ready_at=MONDAY_9)


@pytest.mark.parametrize(
    "second", [{"broadcast_id": 1}, {"notice_id": 1, "ready_at": None, "notice_ready_at": MONDAY_9}]
)
def test_two_origins_are_refused(place: Enrollment, second: dict[str, Any]) -> None:
    assert is_refused(**of_sequence(place) | second)


@pytest.mark.parametrize("name", ["enrollment", "run", "email", "sequence_id", "subscriber_id"])
def test_an_email_of_a_sequence_needs_all_of_it(place: Enrollment, name: str) -> None:
    assert is_refused(**of_sequence(place) | {name: None})
    assert not is_refused(**of_sequence(place))


def test_a_broadcast_goes_to_each_person_once(alice: Account) -> None:
    bob, carol = make_subscriber(alice), make_subscriber(alice)
    make_broadcast(bob, broadcast_id=1)
    assert is_refused(account=alice, subscriber=bob, broadcast_id=1, ready_at=MONDAY_9)
    assert not is_refused(account=alice, subscriber=carol, broadcast_id=1, ready_at=MONDAY_9)
    assert not is_refused(account=alice, subscriber=bob, broadcast_id=2, ready_at=MONDAY_9)


def test_a_broadcast_is_to_somebody(alice: Account) -> None:
    assert is_refused(account=alice, broadcast_id=1, ready_at=MONDAY_9)


def test_a_notice_goes_once_and_waits_in_a_line_of_its_own(alice: Account) -> None:
    row = notices.confirmation(make_subscriber(alice, state="inactive").pk, MONDAY_9)
    assert is_refused(account=alice, notice_id=row.notice_id, notice_ready_at=MONDAY_9), "a second time"
    assert is_refused(account=alice, notice_id=(row.notice_id or 0) + 1, ready_at=MONDAY_9), "where old workers look"
    assert is_refused(account=alice, subscriber=make_subscriber(alice), broadcast_id=1, notice_ready_at=MONDAY_9)
