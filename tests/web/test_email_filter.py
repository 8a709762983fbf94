"""Who alone gets an email (R21): the page with its condition, and what the page of the sequence says of it."""

import json
from typing import Any

import pytest
from django.test import Client

from dripstone.accounts.models import Account
from dripstone.engine.models import Enrollment
from dripstone.sequences.models import Sequence, SequenceEmail
from dripstone.subscribers.models import Tag
from tests.conftest import VirtualClock
from tests.factories import make_enrollment, make_sequence, make_subscriber, make_tag
from tests.web.reading import hidden_members

pytestmark = pytest.mark.usefixtures("clock")


@pytest.fixture
def sequence(account: Account) -> Sequence:
    return make_sequence(account, {"subject": "Welcome"}, {"subject": "Offer"}, name="Caves")


@pytest.fixture
def offer(sequence: Sequence) -> SequenceEmail:
    return sequence.emails.get(subject="Offer")


@pytest.fixture
def customer(account: Account) -> Tag:
    return make_tag(account, name="Customer")


@pytest.fixture
def bob(sequence: Sequence, account: Account, clock: VirtualClock) -> Enrollment:
    """Waits for the email before the offer, and is no customer."""
    return make_enrollment(sequence, make_subscriber(account, first_name="Bob"), clock.now())


def url(email: SequenceEmail) -> str:
    return f"/sequences/{email.sequence_id}/emails/{email.pk}/filter"


def having(tag: Tag) -> dict[str, Any]:
    return {"type": "tags", "ids": [tag.pk]}


def save(client: Client, email: SequenceEmail, condition: dict[str, Any] | None, **more: Any) -> Any:
    text = "" if condition is None else json.dumps(condition)
    return client.post(url(email), {"filter": text, **more})


def only_to(email: SequenceEmail, condition: dict[str, Any]) -> None:
    SequenceEmail.objects.filter(pk=email.pk).update(filter=condition)


def test_the_page_of_the_sequence_leads_there_and_says_to_whom_it_goes(
    alice: Client, offer: SequenceEmail, customer: Tag
) -> None:
    page = alice.get(f"/sequences/{offer.sequence_id}").content.decode()
    assert page.count("Send only to some people…") == 2
    assert "Only to" not in page
    only_to(offer, having(customer))
    page = alice.get(f"/sequences/{offer.sequence_id}").content.decode()
    assert f'Only to <a href="{url(offer)}">people who have the tag “Customer”</a>' in page
    assert page.count("Change who gets it…") == page.count("Send only to some people…") == 1


def test_the_editor_and_the_way_of_a_new_person_say_it_too(alice: Client, offer: SequenceEmail, customer: Tag) -> None:
    only_to(offer, having(customer))
    editor = alice.get(f"/sequences/{offer.sequence_id}/emails/{offer.pk}").content.decode()
    assert "every day, only to people who have the tag “Customer”" in editor
    ahead = alice.get(f"/sequences/{offer.sequence_id}/people/new").content.decode()
    assert ", only to people who have the tag “Customer”" in ahead


def test_a_condition_that_keeps_nobody_inside_is_saved_at_once(
    alice: Client, offer: SequenceEmail, customer: Tag, bob: Enrollment
) -> None:
    answer = save(alice, offer, {"not": having(customer)})
    assert answer["Location"] == f"/sequences/{offer.sequence_id}#e{offer.pk}"
    offer.refresh_from_db()
    assert offer.filter == {"not": having(customer)}
    assert "“Offer” goes only to some people now." in alice.get(answer["Location"]).content.decode()


def test_it_asks_when_somebody_will_skip_the_email(
    alice: Client, offer: SequenceEmail, customer: Tag, bob: Enrollment
) -> None:
    question = save(alice, offer, having(customer))
    text = question.content.decode()
    assert "Send “Offer” only to these people?" in text
    assert "skips “Offer” when its turn comes (it goes only to people who have the tag “Customer”)" in text
    assert ">Bob<" in text
    assert f'href="{url(offer)}?filter=' in text  # not doing it loses nothing
    offer.refresh_from_db()
    assert offer.filter is None
    alice.post(url(offer), hidden_members(question))
    offer.refresh_from_db()
    assert offer.filter == having(customer)


def test_it_goes_to_everybody_again(alice: Client, offer: SequenceEmail, customer: Tag, bob: Enrollment) -> None:
    only_to(offer, having(customer))
    page = alice.get(url(offer)).content.decode()
    assert "Send it to everybody" in page
    assert ">Save<" not in page  # nothing is changed
    question = save(alice, offer, None)
    text = question.content.decode()
    assert "Send “Offer” to everybody?" in text
    assert "gets “Offer”, and would have skipped it" in text
    alice.post(url(offer), hidden_members(question))
    offer.refresh_from_db()
    assert offer.filter is None


def test_what_is_not_saved_yet_stands_in_the_address(alice: Client, offer: SequenceEmail, customer: Tag) -> None:
    answer = alice.get(url(offer), {"filter": json.dumps(having(customer))})
    page = answer.content.decode()
    assert "have the tag “Customer”" in page
    assert [json.loads(text) for text in set(hidden_members(answer)["filter"])] == [having(customer)]
    assert ">Save<" in page
    offer.refresh_from_db()
    assert offer.filter is None


def test_it_counts_whom_of_those_inside_it_means_today(
    alice: Client, account: Account, offer: SequenceEmail, customer: Tag, bob: Enrollment
) -> None:
    customer.taggings.create(subscriber=make_subscriber(account), tagged_at=customer.created_at)  # not inside
    asked = {"filter": json.dumps({"not": having(customer)})}
    part = alice.get(f"{url(offer)}/count", asked, headers={"HX-Request": "true", "HX-Target": "count"})
    assert " ".join(part.content.decode().split()) == (
        '<p id="count" role="status"><b>1</b> of the 1 person inside today</p>'
    )
    page = alice.get(f"{url(offer)}/count", {"filter": json.dumps(having(customer))}).content.decode()
    assert "<b>0</b> of the 1 person" in page
    assert "People who have the tag “Customer”" in page


def test_what_cannot_be_read_is_not_saved(alice: Client, offer: SequenceEmail, customer: Tag) -> None:
    only_to(offer, having(customer))
    page = alice.get(url(offer), {"filter": "{"}).content.decode()
    assert "can’t be read" in page
    assert ">Save<" not in page
    refused = alice.post(url(offer), {"filter": "{"}, follow=True).content.decode()
    assert "must be an object" in refused
    offer.refresh_from_db()
    assert offer.filter == having(customer)


def test_a_check_leads_to_a_filter_that_names_what_is_gone(
    alice: Client, offer: SequenceEmail, customer: Tag, bob: Enrollment
) -> None:
    only_to(offer, having(customer))
    customer.delete()
    checks = alice.get(f"/sequences/{offer.sequence_id}/checks").content.decode()
    assert "Everybody skips “Offer”" in checks
    assert f'href="{url(offer)}">Say who gets it' in checks
    assert "is gone" in alice.get(url(offer)).content.decode()


def test_viewers_read_it(viewer: Client, offer: SequenceEmail, customer: Tag) -> None:
    only_to(offer, having(customer))
    assert "Send it to everybody" not in viewer.get(url(offer)).content.decode()
    assert save(viewer, offer, None).status_code == 403
    offer.refresh_from_db()
    assert offer.filter == having(customer)
