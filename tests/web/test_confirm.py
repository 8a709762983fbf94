import pytest
from django.test import Client

from dripstone import signing
from dripstone.accounts.models import Account
from dripstone.engine.acts import forget
from dripstone.engine.models import Enrollment
from dripstone.subscribers.models import Subscriber
from tests.factories import MONDAY_9, make_enrollment, make_sequence, make_subscriber


@pytest.fixture
def bob(account: Account) -> Subscriber:
    person = make_subscriber(account, email_address="bob@example.org", state="inactive")
    make_enrollment(make_sequence(account, {"delay_value": 2}), person)
    return person


def path(person: Subscriber) -> str:
    return f"/c/{signing.make('confirm', person.pk)}"


def test_it_asks_first_and_changes_nothing(client: Client, bob: Subscriber) -> None:
    page = client.get(path(bob)).content.decode()
    assert "b•••@example.org" in page
    bob.refresh_from_db()
    assert bob.state == "inactive"


def test_it_confirms_on_a_post_without_cookies_and_starts_their_sequences(bob: Subscriber) -> None:
    answer = Client(enforce_csrf_checks=True).post(path(bob), follow=True)
    assert "You are subscribed" in answer.content.decode()
    bob.refresh_from_db()
    assert bob.state == "active"
    place = Enrollment.objects.get(subscriber=bob)
    assert place.status == "active"
    assert place.due_at is not None


def test_it_may_be_pressed_twice(client: Client, bob: Subscriber) -> None:
    client.post(path(bob))
    assert "You are subscribed" in client.post(path(bob), follow=True).content.decode()


def test_it_does_not_bring_back_who_left(client: Client, bob: Subscriber) -> None:
    Subscriber.objects.update(state="bounced")
    assert "Not subscribed" in client.post(path(bob), follow=True).content.decode()
    bob.refresh_from_db()
    assert bob.state == "bounced"


def test_it_is_kind_about_a_broken_link(client: Client, bob: Subscriber) -> None:
    for token in ("abc", signing.make("unsubscribe", bob.pk)):
        answer = client.post(f"/c/{token}")
        assert answer.status_code == 404
        assert "This link does not work" in answer.content.decode()


@pytest.mark.parametrize("method", ["get", "post"])
def test_it_is_kind_to_somebody_who_was_deleted(client: Client, account: Account, bob: Subscriber, method: str) -> None:
    link = path(bob)
    forget.forget(account, bob.pk, "owner", MONDAY_9)
    answer = getattr(client, method)(link)
    assert answer.status_code == 404
    assert "You are not on this list" in answer.content.decode()
