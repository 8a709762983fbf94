"""Somebody is put into a sequence from its page, and it says what happens to them."""

from datetime import datetime

import pytest
from django.test import Client

from dripstone.accounts.models import Account
from dripstone.engine.models import Enrollment
from dripstone.events.models import Event
from dripstone.sequences.models import Sequence
from dripstone.subscribers.models import Subscriber
from tests.conftest import VirtualClock
from tests.factories import MONDAY_9, make_enrollment, make_sequence, make_subscriber

BOB = {"email_address": "Bob@Example.org", "first_name": "Bob"}


@pytest.fixture
def sequence(account: Account, clock: VirtualClock) -> Sequence:
    return make_sequence(account, {"delay_value": 0, "subject": "Welcome"}, {"subject": "Second"}, name="Caves")


def said(answer: object) -> str:
    return " ".join(str(one) for one in answer.context["messages"])  # type: ignore[attr-defined]


def add(browser: Client, sequence: Sequence, **given: str) -> str:
    return said(browser.post(f"/sequences/{sequence.pk}/people/new", BOB | given, follow=True))


def test_it_says_before_what_somebody_would_get_and_when(alice: Client, sequence: Sequence) -> None:
    page = alice.get(f"/sequences/{sequence.pk}/people/new").content.decode()
    assert page.index("Welcome") < page.index("within a minute") < page.index("Second") < page.index("Tomorrow, 09:00")


def test_it_puts_a_new_person_on_file_and_in(alice: Client, sequence: Sequence, now: datetime) -> None:
    assert add(alice, sequence) == "Bob is in. “Welcome” goes to them within a minute."
    place = Enrollment.objects.select_related("subscriber").get()
    assert (place.subscriber.email_address, place.status, place.source) == ("bob@example.org", "active", "owner")
    assert place.due_at == now
    events = Event.objects.filter(subscriber_id=place.subscriber_id)
    assert {tuple(cause) for cause in events.values_list("cause", flat=True)} == {("owner",)}


def test_it_names_the_day_when_the_first_email_waits(alice: Client, account: Account, clock: VirtualClock) -> None:
    assert (
        add(alice, make_sequence(account, {"subject": "Later"})) == "Bob is in. “Later” goes to them tomorrow, 09:00."
    )


def test_somebody_on_file_is_taken_as_they_are(alice: Client, account: Account, sequence: Sequence) -> None:
    make_subscriber(account, email_address="bob@example.org", first_name="Robert")
    assert add(alice, sequence, first_name="").startswith("Robert is in.")
    assert Subscriber.objects.count() == 1


def test_adding_again_changes_nothing_and_says_so(alice: Client, sequence: Sequence) -> None:
    add(alice, sequence)
    assert add(alice, sequence) == "Bob was in it already, and nothing has changed."


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        ("cancelled", "Nothing is sent to Bob, because they unsubscribed."),
        ("inactive", "Bob is in. They have yet to confirm their address; the first email counts from then."),
    ],
)
def test_who_may_not_be_mailed_is_not_mailed(
    alice: Client, account: Account, sequence: Sequence, state: str, sentence: str
) -> None:
    left = MONDAY_9 if state == "cancelled" else None
    make_subscriber(account, email_address="bob@example.org", first_name="Bob", state=state, canceled_at=left)
    assert add(alice, sequence) == sentence
    assert Enrollment.objects.get().due_at is None


def test_in_a_paused_sequence_they_wait(alice: Client, account: Account, clock: VirtualClock) -> None:
    paused = make_sequence(account, {}, active=False)
    assert "they wait until it runs again" in alice.get(f"/sequences/{paused.pk}/people/new").content.decode()
    assert add(alice, paused) == "Bob is in. The sequence is paused: they wait until it runs again."


def test_with_nothing_published_they_wait_for_the_first(alice: Client, account: Account, clock: VirtualClock) -> None:
    drafts = make_sequence(account, {"published": False})
    assert add(alice, drafts) == "Bob is in. Nothing is published yet: they get the first email when it is."


def test_a_wrong_address_is_refused_and_still_there(alice: Client, sequence: Sequence) -> None:
    answer = alice.post(f"/sequences/{sequence.pk}/people/new", {"email_address": "bob@", "first_name": "Bob"})
    assert answer.status_code == 422
    assert '<a href="#f-email_address">Email address is invalid' in answer.content.decode()
    assert 'value="bob@"' in answer.content.decode()
    assert not Subscriber.objects.exists()


def test_it_goes_back_only_to_pages_it_knows(alice: Client, sequence: Sequence) -> None:
    address = f"/sequences/{sequence.pk}/people/new"
    assert alice.post(address, BOB | {"from": "first_run"})["Location"] == "/first-run"
    elsewhere = alice.post(address, BOB | {"from": "//evil.example"})
    assert elsewhere["Location"] == f"/sequences/{sequence.pk}"


def test_nobody_is_in_a_sequence_twice(alice: Client, account: Account, sequence: Sequence, now: datetime) -> None:
    bob = make_subscriber(account, email_address="bob@example.org")
    make_enrollment(sequence, bob, now)
    add(alice, sequence)
    assert Enrollment.objects.count() == 1
