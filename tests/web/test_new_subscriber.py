"""One person is added by hand: what it does is told first, and what is known of somebody stays unless one says so."""

from typing import Any

import pytest
from django.test import Client

from dripstone.accounts.models import Account
from dripstone.engine import transitions
from dripstone.engine.models import Enrollment
from dripstone.events import causes
from dripstone.events.models import Event
from dripstone.sequences.models import Sequence
from dripstone.subscribers.models import CustomField, Subscriber
from tests.conftest import VirtualClock
from tests.factories import MONDAY_9, make_enrollment, make_sequence, make_subscriber, make_tag
from tests.web.reading import hidden_members, text_of

BOB = {"email_address": " Bob@Example.org ", "first_name": "Bob"}


@pytest.fixture
def course(account: Account, clock: VirtualClock) -> Sequence:
    return make_sequence(account, {"delay_value": 0, "subject": "Welcome"}, {"subject": "Second"}, name="Caves")


@pytest.fixture
def city(account: Account) -> CustomField:
    return CustomField.objects.create(account=account, label="City", key="city", name="ck", created_at=MONDAY_9)


def add(client: Client, **given: Any) -> Any:
    return client.post("/people/new", BOB | given, follow=True)


def confirm(client: Client, question: Any, **given: str) -> Any:
    """Press the button of the question."""
    members = {name: values for name, values in hidden_members(question).items() if name != "csrfmiddlewaretoken"}
    return client.post("/people/new", members | given, follow=True)


def said(answer: Any) -> str:
    return " ".join(str(one) for one in answer.context["messages"])


def test_somebody_new_is_on_file_at_once(alice: Client, account: Account) -> None:
    assert said(add(alice)) == "Bob is on file now."
    bob = Subscriber.objects.get(account=account)
    assert (bob.email_address, bob.first_name, bob.state) == ("bob@example.org", "Bob", "active")
    assert [one.cause for one in Event.objects.filter(type="subscriber.created")] == [["owner"]]


def test_what_a_sequence_brings_is_told_first(alice: Client, course: Sequence) -> None:
    question = add(alice, sequence_id=course.pk)
    page = text_of(question)
    assert page.index("They enter “Caves”") < page.index("Welcome within a minute") < page.index("Second Tomorrow")
    assert not Subscriber.objects.exists()
    assert said(confirm(alice, question)) == "Bob is in. “Welcome” goes to them within a minute."
    assert Enrollment.objects.get().source == "owner"


def test_tags_are_ticked_or_named_and_new_ones_are_told(alice: Client, account: Account) -> None:
    course, shop = make_tag(account, name="Course"), make_tag(account, name="Shop")
    question = add(alice, tags=[course.pk], new_tags="SHOP, Reader,")
    assert "“Reader”: a new tag" in text_of(question)
    confirm(alice, question)
    bob = Subscriber.objects.get()
    assert [one.tag.name for one in bob.taggings.select_related("tag").order_by("pk")] == ["Course", "Shop", "Reader"]
    assert account.tags.count() == 3
    assert shop.taggings.count() == 1


def test_fields_are_filled_in(alice: Client, city: CustomField) -> None:
    add(alice, **{f"field-{city.pk}": " Łódź "})
    assert Subscriber.objects.get().fields == {str(city.pk): "Łódź"}


def test_what_is_known_of_somebody_stays_unless_one_says_so(alice: Client, account: Account, city: CustomField) -> None:
    other = CustomField.objects.create(account=account, label="Goal", key="goal", name="ck2", created_at=MONDAY_9)
    bob = make_subscriber(account, email_address="bob@example.org", first_name="Robert", fields={str(city.pk): "Paris"})
    typed = {f"field-{city.pk}": "Rome", f"field-{other.pk}": "Sleep"}
    question = add(alice, **typed)
    page = text_of(question)
    assert "bob@example.org is on file already" in page
    assert "First name Robert Bob" in page
    assert "City Paris Rome" in page
    confirm(alice, question)
    bob.refresh_from_db()
    assert (bob.first_name, bob.fields) == ("Robert", {str(city.pk): "Paris", str(other.pk): "Sleep"})
    confirm(alice, add(alice, **typed), overwrite="on")
    bob.refresh_from_db()
    assert (bob.first_name, bob.fields[str(city.pk)]) == ("Bob", "Rome")


def test_a_blank_takes_nothing_away(alice: Client, account: Account, city: CustomField) -> None:
    bob = make_subscriber(account, email_address="bob@example.org", first_name="Robert", fields={str(city.pk): "Paris"})
    confirm(alice, add(alice, first_name="", **{f"field-{city.pk}": " "}), overwrite="on")
    bob.refresh_from_db()
    assert (bob.first_name, bob.fields) == ("Robert", {str(city.pk): "Paris"})


def test_who_gets_no_mail_stays_so(alice: Client, account: Account, course: Sequence) -> None:
    for leave, told in (
        (transitions.cancel, "They unsubscribed"),
        (transitions.bounce, "Their mail server refused them"),
        (transitions.complain, "They reported an email as spam"),
    ):
        person = make_subscriber(account)
        leave(person.pk, MONDAY_9, cause=causes.OWNER)
        state = Subscriber.objects.get(pk=person.pk).state
        question = add(alice, email_address=person.email_address, sequence_id=course.pk, new_tags="Reader")
        page = text_of(question)
        assert told in page
        assert "They do not enter “Caves”" in page
        assert "What they get" not in page
        assert "Nothing is sent to them" in said(confirm(alice, question))
        person.refresh_from_db()
        assert person.state == state
        assert person.taggings.count() == 1
    assert not Enrollment.objects.exists()


def test_who_is_in_the_sequence_already_stays_where_they_are(alice: Client, account: Account, course: Sequence) -> None:
    bob = make_subscriber(account, email_address="bob@example.org", first_name="Bob")
    make_enrollment(course, bob)
    question = add(alice, sequence_id=course.pk)
    assert "They are or were in “Caves” already, and nothing changes there." in text_of(question)
    assert "was in it already" in said(confirm(alice, question))


def test_if_the_world_moves_it_is_told_again(alice: Client, account: Account, course: Sequence) -> None:
    question = add(alice, sequence_id=course.pk)
    make_subscriber(account, email_address="bob@example.org", first_name="Robert")
    again = confirm(alice, question)
    assert "bob@example.org is on file already" in text_of(again)
    assert not Enrollment.objects.exists()


def test_bad_input_changes_nothing_and_stays_in_the_form(alice: Client, account: Account) -> None:
    answer = add(alice, email_address="nobody", first_name="N" * 300, new_tags="x" * 300, sequence_id="77")
    assert answer.status_code == 422
    page = text_of(answer)
    for sentence in ("is invalid", "is too long", "not there any more"):
        assert sentence in page
    assert "nobody" in answer.content.decode()
    assert not Subscriber.objects.exists()
    assert not account.tags.exists()


def test_things_of_another_account_are_not_there(
    alice: Client, account: Account, course: Sequence, mallory: Client
) -> None:
    tag = make_tag(account)
    assert mallory.post("/people/new", BOB | {"sequence_id": course.pk}).status_code == 422
    mallory.post("/people/new", BOB | {"tags": [tag.pk]})
    assert not tag.taggings.exists()


def test_viewers_add_nobody(viewer: Client) -> None:
    assert viewer.post("/people/new", BOB).status_code == 403
    assert not Subscriber.objects.exists()
