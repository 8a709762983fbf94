"""An edit stops what is planned in its own transaction; nobody is sent an email that was taken back."""

from typing import Any

import pytest

from dripstone.accounts.models import Account
from dripstone.engine import claim, follow, plan
from dripstone.engine.acts import edits
from dripstone.engine.models import Delivery, Enrollment
from dripstone.sequences.models import Sequence
from tests.factories import MONDAY_9, make_account, make_enrollment, make_sequence, make_subscriber

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice() -> Account:
    return make_account("Alice")


@pytest.fixture
def course(alice: Account) -> Sequence:
    """Somebody's first email is planned and about to go."""
    sequence = make_sequence(alice, {"delay_value": 0}, {"delay_value": 2, "delay_unit": "hours"})
    make_enrollment(sequence, make_subscriber(alice))
    assert plan.everything_due(MONDAY_9) == 1
    return sequence


def claimed() -> int:
    return len(claim.take("worker", MONDAY_9))


def catch_up(sequence: Sequence) -> None:
    follow.everybody(sequence.pk, MONDAY_9)
    sequence.refresh_from_db()
    assert sequence.edits == sequence.edits_done


def test_without_an_edit_it_goes(course: Sequence) -> None:
    assert claimed() == 1


def test_a_pause_stops_what_is_planned_and_resuming_lets_it_go(alice: Account, course: Sequence) -> None:
    edits.update_sequence(alice, course.pk, {"active": False}, MONDAY_9)
    assert claimed() == 0
    catch_up(course)
    assert claimed() == 0
    edits.update_sequence(alice, course.pk, {"active": True}, MONDAY_9)
    catch_up(course)
    assert claimed() == 1


def test_an_unpublished_email_does_not_go(alice: Account, course: Sequence) -> None:
    email = course.emails.get(position=0)
    edits.update_email(alice, course.pk, email.pk, {"published": False}, MONDAY_9)
    assert claimed() == 0
    catch_up(course)
    assert claimed() == 0
    edits.update_email(alice, course.pk, email.pk, {"published": True}, MONDAY_9)
    catch_up(course)
    assert claimed() == 1


def test_a_deleted_email_does_not_go_and_people_move_on(alice: Account, course: Sequence) -> None:
    first, second = course.emails.order_by("position")
    edits.delete_email(alice, course.pk, first.pk, MONDAY_9)
    assert claimed() == 0
    catch_up(course)
    assert claimed() == 0
    delivery, place = Delivery.objects.get(), Enrollment.objects.get()
    assert (delivery.status, delivery.reason) == ("skipped", "email_deleted")
    assert place.next_email == second
    assert place.due_at is not None


def test_nothing_of_a_deleted_sequence_goes(alice: Account, course: Sequence) -> None:
    edits.delete_sequence(alice, course.pk, MONDAY_9)
    assert claimed() == 0
    catch_up(course)
    assert claimed() == 0
    assert (Delivery.objects.get().status, Enrollment.objects.get().status) == ("skipped", "removed")


@pytest.mark.parametrize("values", [{"name": "New"}, {"send_hour": 3, "send_days": ["friday"]}, {"hold": True}])
def test_other_edits_stop_nothing(alice: Account, course: Sequence, values: dict[str, Any]) -> None:
    edits.update_sequence(alice, course.pk, values, MONDAY_9)
    assert claimed() == 1
