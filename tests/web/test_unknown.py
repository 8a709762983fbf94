import pytest
from django.test import Client

from dripstone.accounts.models import Account
from dripstone.engine import notices
from dripstone.engine.models import Delivery, Enrollment, Note
from tests.conftest import VirtualClock
from tests.factories import MONDAY_9, make_enrollment, make_sequence, make_subscriber
from tests.web.making import make_delivery
from tests.web.reading import hidden_members


@pytest.fixture
def lost(account: Account, clock: VirtualClock) -> Delivery:
    bob = make_subscriber(account, email_address="bob@example.org")
    sequence = make_sequence(account, {"delay_value": 0, "subject": "Stone"}, {"delay_value": 2}, name="Caves")
    place = make_enrollment(sequence, bob, MONDAY_9)
    row = make_delivery(place, "unknown")
    second = sequence.emails.get(position=1)
    Enrollment.objects.update(next_email=second, due_at=MONDAY_9)
    return row


def test_home_asks_about_emails_nobody_answered_for(alice: Client, lost: Delivery) -> None:
    page = alice.get("/").content.decode()
    assert "Did these arrive?" in page
    assert f'action="/deliveries/{lost.pk}/resending"' in page
    lost.delete()
    assert "Did these arrive?" not in alice.get("/").content.decode()


def answered(alice: Client, path: str) -> str:
    """After the question, which is asked first."""
    return alice.post(path, hidden_members(alice.post(path)), follow=True).content.decode()


def test_it_says_first_what_a_decision_does_to_the_persons_place(alice: Client, lost: Delivery) -> None:
    question = alice.post(f"/deliveries/{lost.pk}/resending").content.decode()
    assert "Send “Stone” again?" in question
    assert "“Stone” goes again <b>right away</b>" in question
    assert "Send it again, mail 1 now" in question
    lost.refresh_from_db()
    assert lost.status == "unknown"
    assert "“Stone” counts as sent" in alice.post(f"/deliveries/{lost.pk}/acceptance").content.decode()


def test_one_button_sends_it_again(alice: Client, lost: Delivery) -> None:
    page = answered(alice, f"/deliveries/{lost.pk}/resending")
    assert "The email is being sent again." in page
    lost.refresh_from_db()
    assert lost.status == "planned"
    assert Note.objects.get().actor == "alice@example.com"


def test_the_other_treats_it_as_sent(alice: Client, lost: Delivery) -> None:
    page = answered(alice, f"/deliveries/{lost.pk}/acceptance")
    assert "The email counts as sent." in page
    lost.refresh_from_db()
    assert (lost.status, lost.sent_at) == ("sent", MONDAY_9)


def test_what_cannot_be_done_is_told_in_a_sentence(alice: Client, lost: Delivery) -> None:
    Enrollment.objects.update(due_at=None, in_flight=True)
    page = alice.post(f"/deliveries/{lost.pk}/resending", follow=True).content.decode()
    assert "Another email is on its way to this person" in page


def test_a_notice_nobody_answered_for_is_asked_about_too(alice: Client, lost: Delivery, account: Account) -> None:
    row = notices.confirmation(make_subscriber(account, email_address="eve@example.org", state="inactive").pk, MONDAY_9)
    Delivery.objects.filter(pk=row.pk).update(status="unknown", notice_ready_at=None, ended_at=MONDAY_9)
    page = alice.get("/").content.decode()
    assert "Did these arrive?" in page
    assert page.count("Please confirm your subscription to") == 2, "there, and among what was sent last"
    assert "eve@example.org" in page
    alice.post(f"/deliveries/{row.pk}/resending")
    row.refresh_from_db()
    assert row.status == "planned"


def test_a_notice_is_in_no_statistics(alice: Client, lost: Delivery, account: Account) -> None:
    notices.confirmation(make_subscriber(account, state="inactive").pk, MONDAY_9)
    Delivery.objects.filter(enrollment=None).update(
        status="sent", notice_ready_at=None, sent_at=MONDAY_9, ended_at=MONDAY_9
    )
    [row] = alice.get("/").context["rows"]
    assert row.sent == 0
