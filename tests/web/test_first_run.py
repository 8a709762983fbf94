"""From an empty account to a published course, each step done when it is true."""

from typing import Any

import pytest
from django.test import Client

from dripstone.accounts.models import Account, SendingAddress
from dripstone.engine.models import Delivery, Enrollment
from dripstone.sequences.models import Sequence
from tests.conftest import VirtualClock
from tests.factories import make_account, make_enrollment, make_sequence, make_subscriber, make_user
from tests.web.reading import hidden_members

ALL = ["sender", "address", "sequence", "person", "test", "publish"]


@pytest.fixture
def empty(db: None, clock: VirtualClock) -> Account:
    return make_account("Ann", postal_address="")


@pytest.fixture
def ann(empty: Account, client: Client) -> Client:
    client.force_login(make_user(empty, "ann@example.com"))
    return client


def done(browser: Client) -> list[str]:
    steps = browser.get("/first-run").context["steps"]
    return [key for key in ALL if key in steps.done]


def test_an_empty_account_begins_with_it(ann: Client) -> None:
    page = ann.get("/").content.decode()
    assert "Your first course" in page
    assert 'aria-current="step"' in page
    assert "/sequences/new?starter=course" in page
    assert "/v4/sequences" in page  # for developers, folded


def test_each_step_is_checked_off_from_what_is_true(ann: Client, empty: Account) -> None:
    assert done(ann) == ALL[:1]
    SendingAddress.objects.update(is_verified=False)
    assert done(ann) == []
    SendingAddress.objects.update(is_verified=True)
    ann.post("/first-run/postal-address", {"postal_address": "1 Long Lane"})
    assert done(ann) == ALL[:2]
    ann.post("/sequences/new", {"name": "Course", "starter": "course"})
    assert done(ann) == ALL[:3]
    sequence = Sequence.objects.get()
    ann.post(f"/sequences/{sequence.pk}/people/new", {"email_address": "ann@example.com", "from": "first_run"})
    assert done(ann) == ALL[:4]
    assert "of 6 first steps done" in ann.get("/").content.decode()
    ann.post("/first-run/test")
    assert done(ann) == ALL[:5]
    question = ann.post(f"/sequences/{sequence.pk}/publication", {"from": "first_run"})
    assert "Publish 5 drafts?" in question.content.decode()
    assert "Publish, mail 1 now" in question.content.decode()
    assert done(ann) == ALL[:5]
    ann.post(f"/sequences/{sequence.pk}/publication", hidden_members(question))
    assert done(ann) == ALL
    assert "All is set up" in ann.get("/first-run").content.decode()
    assert "first steps done" not in ann.get("/").content.decode()


def test_what_is_undone_is_a_step_again(ann: Client, empty: Account) -> None:
    sequence = make_sequence(empty, {"delay_value": 0})
    assert "sequence" in done(ann)
    sequence.deleted_at = sequence.updated_at
    sequence.save()
    assert done(ann) == ["sender"]


def test_it_is_dismissed_for_good_and_for_everybody_in_the_account(ann: Client, empty: Account) -> None:
    make_sequence(empty, {})
    assert "first steps done" in ann.get("/").content.decode()
    assert ann.post("/first-run/dismissal")["Location"] == "/"
    assert "first steps done" not in ann.get("/").content.decode()
    other = Client()
    other.force_login(make_user(empty, role="editor"))
    assert "first steps done" not in other.get("/").content.decode()
    assert ann.get("/first-run").status_code == 200  # whoever wants to see it finds it


def test_an_account_without_sequences_that_dismissed_it_still_has_its_list(ann: Client) -> None:
    ann.post("/first-run/dismissal")
    page = ann.get("/").content.decode()
    assert "No sequence yet" in page
    assert "/sequences/new" in page


def test_a_postal_address_that_cannot_be_kept_is_refused_and_still_there(ann: Client, empty: Account) -> None:
    answer = ann.post("/first-run/postal-address", {"postal_address": "1 Long\0 Lane"})
    assert answer.status_code == 422
    assert "NUL" in answer.content.decode()
    empty.refresh_from_db()
    assert empty.postal_address == ""


def test_only_an_owner_gives_the_address(empty: Account) -> None:
    editor = Client()
    editor.force_login(make_user(empty, role="editor"))
    assert editor.post("/first-run/postal-address", {"postal_address": "x"}).status_code == 403
    assert "An owner of the account gives it" in editor.get("/first-run").content.decode()


def test_a_test_goes_to_whoever_asks_and_to_nobody_else(ann: Client, empty: Account) -> None:
    make_sequence(empty, {"delay_value": 0, "subject": "Hello"}, {"subject": "Second"})
    answer = ann.post("/first-run/test", follow=True)
    assert "“Hello” is on its way to ann@example.com." in answer.content.decode()
    [sent] = Delivery.objects.select_related("notice")
    assert sent.notice is not None
    assert (sent.notice.kind, sent.notice.email_address) == ("test", "ann@example.com")


def test_without_an_email_there_is_nothing_to_test(ann: Client) -> None:
    assert "There is no email to send yet." in ann.post("/first-run/test", follow=True).content.decode()


def test_publishing_with_nobody_inside_asks_nothing(ann: Client, empty: Account) -> None:
    sequence = make_sequence(empty, {"delay_value": 0, "published": False}, {"published": False})
    answer = ann.post(f"/sequences/{sequence.pk}/publication", {"from": "first_run"}, follow=True)
    assert "2 drafts are published." in answer.content.decode()
    assert sequence.emails.filter(published=True).count() == 2


def test_people_inside_follow_all_that_was_published_at_once(
    ann: Client, empty: Account, clock: VirtualClock, engine: Any
) -> None:
    drafts = [{"published": False, "delay_value": value, "subject": str(value)} for value in (0, 1, 2)]
    sequence = make_sequence(empty, *drafts)
    make_enrollment(sequence, make_subscriber(empty), clock.now())
    question = ann.post(f"/sequences/{sequence.pk}/publication")
    ann.post(f"/sequences/{sequence.pk}/publication", hidden_members(question))
    engine.run()
    assert [row.email.subject for row in Delivery.objects.filter(status="sent") if row.email] == ["0"]
    place = Enrollment.objects.select_related("next_email").get()
    assert place.next_email is not None
    assert place.next_email.subject == "1"


def test_established_accounts_are_not_bothered(alice: Client, delivery: Delivery) -> None:
    assert "first steps done" not in alice.get("/").content.decode()
