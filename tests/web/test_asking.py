"""Acts that touch people ask first, in the world that was told about."""

from datetime import datetime

import pytest
from django.test import Client

from dripstone.accounts.models import Account
from dripstone.engine.models import Enrollment
from dripstone.sequences.models import Sequence
from tests.conftest import VirtualClock
from tests.factories import make_enrollment, make_sequence, make_subscriber
from tests.web.reading import hidden_members


@pytest.fixture
def sequence(account: Account) -> Sequence:
    return make_sequence(account, {"delay_value": 1}, {"delay_value": 2}, name="Caves")


@pytest.fixture
def bob(sequence: Sequence, account: Account, now: datetime) -> Enrollment:
    bob = make_subscriber(account, email_address="bob@example.org", first_name="Bob")
    return make_enrollment(sequence, bob, now)


def test_it_is_done_at_once_when_it_touches_nobody(alice: Client, sequence: Sequence) -> None:
    answer = alice.post(f"/sequences/{sequence.pk}/activity", {"active": "false"})
    assert answer.status_code == 302
    assert not Sequence.objects.get().active


def test_it_says_how_many_and_who_before_it_does_it(alice: Client, sequence: Sequence, bob: Enrollment) -> None:
    page = alice.post(f"/sequences/{sequence.pk}/activity", {"active": "false"})
    assert page.status_code == 200
    assert Sequence.objects.get().active
    text = page.content.decode()
    assert "Pause “Caves”?" in text
    assert "keeps their place" in text
    assert "Bob" in text


def test_it_names_emails_as_people_read_them(
    alice: Client, account: Account, clock: VirtualClock, now: datetime
) -> None:
    subject = "{% if subscriber.first_name != blank %}{{ subscriber.first_name }}, look{% endif %}"
    sequence = make_sequence(account, {"delay_value": 1, "subject": subject})
    make_enrollment(sequence, make_subscriber(account), now)
    email = sequence.emails.get()
    text = alice.post(f"/sequences/{sequence.pk}/emails/{email.pk}/skipping").content.decode()
    assert "gets “[first name], look” right away" in text
    assert "{%" not in text


def test_the_answer_does_what_was_asked(alice: Client, sequence: Sequence, bob: Enrollment) -> None:
    page = alice.post(f"/sequences/{sequence.pk}/activity", {"active": "false"})
    answer = alice.post(f"/sequences/{sequence.pk}/activity", hidden_members(page))
    assert answer.status_code == 302
    assert not Sequence.objects.get().active


def test_it_asks_again_when_the_world_has_moved_and_marks_what_is_different(
    alice: Client, account: Account, sequence: Sequence, bob: Enrollment, now: datetime
) -> None:
    page = alice.post(f"/sequences/{sequence.pk}/activity", {"active": "false"})
    carol = make_subscriber(account, email_address="carol@example.org", first_name="Carol")
    make_enrollment(sequence, carol, now)
    again = alice.post(f"/sequences/{sequence.pk}/activity", hidden_members(page))
    assert again.status_code == 200
    assert Sequence.objects.get().active
    text = again.content.decode()
    assert "Things have moved" in text
    assert 'class="is-new"' in text
    assert "<s>1 person keeps their place" in text
    assert alice.post(f"/sequences/{sequence.pk}/activity", hidden_members(again)).status_code == 302
    assert not Sequence.objects.get().active


def test_htmx_gets_the_question_alone_and_then_a_page_to_go_to(
    alice: Client, sequence: Sequence, bob: Enrollment
) -> None:
    asked = {"HX-Request": "true", "HX-Target": "ask"}
    page = alice.post(f"/sequences/{sequence.pk}/activity", {"active": "false"}, headers=asked)
    assert "<html" not in page.content.decode()
    answer = alice.post(f"/sequences/{sequence.pk}/activity", hidden_members(page), headers=asked)
    assert answer.headers["HX-Redirect"] == f"/sequences/{sequence.pk}"


def test_it_loads_the_page_again_when_one_stays_on_it(alice: Client, bob: Enrollment) -> None:
    place = f"/enrollments/{bob.pk}/pausing"
    asked = {
        "HX-Request": "true",
        "HX-Target": "ask",
        "HX-Current-URL": f"http://testserver/people/{bob.subscriber_id}",
    }
    question = alice.post(place, headers=asked)
    answer = alice.post(place, hidden_members(question), headers=asked)
    assert answer.headers["HX-Refresh"] == "true"
    elsewhere = asked | {"HX-Current-URL": "http://testserver/"}
    question = alice.post(f"/enrollments/{bob.pk}/resumption", headers=elsewhere)
    answer = alice.post(f"/enrollments/{bob.pk}/resumption", hidden_members(question), headers=elsewhere)
    assert answer.headers["HX-Redirect"] == f"/people/{bob.subscriber_id}#place-{bob.pk}"


def test_what_is_refused_is_said_on_the_page_it_came_from(alice: Client, sequence: Sequence) -> None:
    page = alice.post(f"/sequences/{sequence.pk}/activity", {"active": "perhaps"}, follow=True)
    assert "active must be true or false." in page.content.decode()


def test_the_engine_follows_an_act_that_was_asked_about(
    alice: Client, sequence: Sequence, bob: Enrollment, now: datetime
) -> None:
    page = alice.post(f"/sequences/{sequence.pk}/activity", {"active": "false"})
    alice.post(f"/sequences/{sequence.pk}/activity", hidden_members(page))
    edited = Sequence.objects.get()
    assert edited.edits == edited.edits_done + 1
