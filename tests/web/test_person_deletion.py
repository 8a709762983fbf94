"""The page that asks about a deletion, the file with all that is kept, and what old links do afterwards."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from dripstone import signing
from dripstone.accounts.models import Account
from dripstone.engine import claim, plan, transitions
from dripstone.engine.acts import forget
from dripstone.engine.models import Delivery
from dripstone.events.models import Event
from dripstone.shapes import person_file
from dripstone.subscribers.models import Subscriber
from tests.factories import MONDAY_9, make_enrollment, make_sequence, make_subscriber, make_tag
from tests.web.reading import hidden_members


@pytest.fixture
def bob(account: Account, clock: Any) -> Subscriber:
    """He waits for an email."""
    person = make_subscriber(account, email_address="bob@example.org", first_name="Bob")
    make_tag(account, person)
    make_enrollment(make_sequence(account, {"subject": "Second thoughts"}, name="Write better emails"), person)
    return person


def text(answer: Any) -> str:
    return " ".join(answer.content.decode().split())


def question(bob: Subscriber) -> str:
    return f"/people/{bob.pk}/deletion"


def test_it_says_what_goes_and_what_stays_and_changes_nothing(alice: Client, bob: Subscriber) -> None:
    page = text(alice.get(question(bob)))
    assert "Delete Bob?" in page
    assert "their name and address, 1 tag, 1 place in a sequence and 1 event" in page
    assert "“Second thoughts” is not sent: it was to go tomorrow, 09:00" in page
    assert "Write better emails" in page
    assert "Nothing of the address: added again, they are somebody new" in page
    assert Subscriber.objects.filter(pk=bob.pk).exists()


@pytest.mark.parametrize(
    ("end_them", "why"),
    [
        (transitions.cancel, "because they unsubscribed"),
        (transitions.bounce, "because it does not take mail any more"),
        (transitions.complain, "because they reported an email as spam"),
    ],
)
def test_it_says_that_a_hash_stays_and_why(alice: Client, bob: Subscriber, end_them: Any, why: str) -> None:
    end_them(bob.pk, MONDAY_9)
    assert why in text(alice.get(question(bob)))


def test_it_deletes_when_it_was_asked_about(alice: Client, bob: Subscriber) -> None:
    page = alice.get(question(bob))
    answer = alice.post(question(bob), hidden_members(page), follow=True)
    assert "bob@example.org is deleted." in text(answer)
    assert not Subscriber.objects.filter(pk=bob.pk).exists()
    assert Event.objects.get().cause == ["owner"]


def test_it_asks_again_when_things_have_moved(alice: Client, account: Account, bob: Subscriber) -> None:
    """Also of somebody who was not asked at all."""
    page = alice.get(question(bob))
    make_enrollment(make_sequence(account, {"subject": "Another"}), bob)
    for members in (hidden_members(page), {}):
        answer = alice.post(question(bob), members)
        assert answer.status_code == 409
        assert "nothing was deleted yet" in text(answer)
        assert "“Another” is not sent" in text(answer)
    assert Subscriber.objects.filter(pk=bob.pk).exists()
    assert alice.post(question(bob), hidden_members(answer)).status_code == 302
    assert not Subscriber.objects.filter(pk=bob.pk).exists()


def test_it_says_that_a_mail_is_leaving_at_this_moment(alice: Client, bob: Subscriber) -> None:
    later = MONDAY_9 + timedelta(days=1, hours=5)
    plan.everything_due(later)
    claim.take("worker/1", later)
    page = alice.get(question(bob))
    assert "1 email may be leaving at this moment, and arrives all the same" in text(page)
    answer = alice.post(question(bob), hidden_members(page), follow=True)
    assert "1 email may have been leaving at that moment and may still arrive." in text(answer)


def test_a_viewer_is_told_and_has_no_button(viewer: Client, bob: Subscriber) -> None:
    page = text(viewer.get(question(bob)))
    assert "What goes" in page
    assert "Delete Bob</button>" not in page


def test_names_are_written_as_text(alice: Client, account: Account) -> None:
    person = make_subscriber(account, first_name="<script>alert(1)</script>")
    assert "<script>alert(1)" not in text(alice.get(question(person)))


def test_the_file_is_a_download(alice: Client, bob: Subscriber) -> None:
    answer: Any = alice.get(f"/people/{bob.pk}/file")
    assert answer["Content-Disposition"] == f'attachment; filename="person-{bob.pk}.json"'
    assert answer["Cache-Control"] == "no-store"
    file = json.loads(b"".join(answer.streaming_content))["file"]
    assert file["subscriber"]["email_address"] == "bob@example.org"
    assert [place["sequence_name"] for place in file["enrollments"]] == ["Write better emails"]


def test_the_file_is_written_piece_by_piece(bob: Subscriber) -> None:
    pieces = list(person_file.pieces(bob, MONDAY_9))
    assert json.loads(b"".join(pieces))["file"] == person_file.person_file(bob, MONDAY_9)
    assert len(pieces) > 20


@pytest.mark.parametrize("method", ["get", "post"])
def test_an_old_unsubscribe_link_says_that_it_is_over(
    client: Client, account: Account, delivery: Delivery, method: str
) -> None:
    link = f"/u/{signing.make('unsubscribe', delivery.pk)}"
    forget.forget(account, delivery.subscriber_id or 0, "owner", MONDAY_9)
    for path in (link, f"{link}/resubscription") if method == "post" else (link,):
        answer = getattr(client, method)(path)
        assert answer.status_code == 404
        assert "This email is not on record any more" in text(answer)
