"""An email before it goes, over HTTP: what one person would get, and a test to the account's own users."""

import re
from email import message_from_bytes, policy
from typing import Any

import pytest
from django.test import Client

from dripstone.content.models import EmailTemplate
from dripstone.engine import identity, life, process
from dripstone.engine.models import Delivery, Notice
from dripstone.events.models import Event
from dripstone.sequences.models import Sequence, SequenceEmail
from dripstone.subscribers.models import Subscriber
from tests import factories
from tests.api.caller import Caller
from tests.api.test_isolation import everything

CONTENT = (
    "<p>Dear {{ subscriber.first_name }} in {{ subscriber.city }}, it is {{ 'now' | date: '%H:%M %Z' }}.</p>"
    "<p><a href='https://x.example/?a=1&amp;b=2'>Read</a> {{ unsubscribe_link }}</p>"
)


@pytest.fixture
def email(alice: Caller) -> SequenceEmail:
    alice.post("/v4/custom_fields", {"label": "City"})
    alice.account.postal_address = "Cave & Co\n1 Main St"
    alice.account.save()
    sequence = factories.make_sequence(alice.account, {"delay_value": 0}, time_zone="America/New_York")
    row = sequence.emails.get()
    row.subject, row.preview_text, row.content = (
        "For {{ subscriber.first_name }}",
        "Soon, {{ subscriber.city }}",
        CONTENT,
    )
    row.save()
    return row


@pytest.fixture
def bob(alice: Caller, email: SequenceEmail) -> Subscriber:
    body = {"email_address": "bob@example.org", "first_name": "Bob", "fields": {"city": "New York"}}
    return Subscriber.objects.get(pk=alice.post("/v4/subscribers", body)[1]["subscriber"]["id"])


def path(email: SequenceEmail, act: str = "preview") -> str:
    return f"/ext/v1/sequences/{email.sequence_id}/emails/{email.pk}/{act}"


def preview(caller: Caller, email: SequenceEmail, **members: Any) -> dict[str, Any]:
    status, answer = caller.post(path(email), members)
    assert status == 200, answer
    shape: dict[str, Any] = answer["preview"]
    return shape


def inbox(caller: Caller) -> list[dict[str, Any]]:
    life.until_idle()
    process.close()
    messages: list[dict[str, Any]] = caller.get("/ext/v1/inbox")[1]["messages"]
    return messages


# --- Preview ------------------------------------------------------------------------------------------------------


def test_it_shows_what_this_person_would_get(alice: Caller, email: SequenceEmail, bob: Subscriber) -> None:
    """The preview and the mail differ in what belongs to a delivery: its id, its date and its link."""
    shown = preview(alice, email, subscriber_id=bob.pk)
    alice.post(f"/v4/sequences/{email.sequence_id}/subscribers", {"email_address": bob.email_address})
    [mail] = inbox(alice)
    [delivery] = Delivery.objects.all()
    real, example = identity.unsubscribe_url(delivery.pk), identity.example_unsubscribe_url()
    for name in ("subject", "html", "text"):
        assert shown[name] == mail[name].replace(real, example)
    assert shown["subject"] == "For Bob"
    assert shown["preview_text"] == "Soon, New York"
    assert "Dear Bob in New York, it is 04:00 EST." in shown["text"]
    assert "Read <https://x.example/?a=1&b=2>" in shown["text"]
    assert shown["warnings"] == []
    assert set(shown) == {"subject", "preview_text", "html", "text", "headers", "size", "warnings"}
    differing = {name for name in mail["headers"] if mail["headers"][name] != shown["headers"][name]}
    assert set(shown["headers"]) == set(mail["headers"])
    assert differing == {"Message-ID", "List-Unsubscribe"}


def test_it_shows_what_is_not_saved_and_saves_nothing(alice: Caller, email: SequenceEmail, bob: Subscriber) -> None:
    template = alice.post("/ext/v1/email_templates", {"name": "T", "html": "<h1>Top</h1>{{ message_content }}"})[1]
    before = everything()
    shown = preview(
        alice,
        email,
        subscriber_id=bob.pk,
        subject="Hello {{ subscriber.first_name }}",
        preview_text=None,
        content="<p>New, {{ subscriber.city }}{{ subscriber.shoe }}</p>",
        email_template_id=template["email_template"]["id"],
    )
    assert everything() == before
    assert (shown["subject"], shown["preview_text"]) == ("Hello Bob", "")
    assert shown["text"].startswith("Top\n\nNew, New York\n\n--------------------\nUnsubscribe <")
    assert shown["warnings"] == ["subscriber.shoe is empty or unknown"]
    assert shown["size"] > len(shown["html"]) + len(shown["text"])
    assert preview(alice, email, content=None)["text"].startswith("Dear Robin")


def test_without_a_person_it_is_somebody_of_whom_everything_is_known(alice: Caller, email: SequenceEmail) -> None:
    shown = preview(alice, email)
    assert alice.post(path(email)) == (200, {"preview": shown})
    assert "Dear Robin in [City]," in shown["text"]
    assert shown["headers"]["To"] == "robin@example.com"
    assert shown["warnings"] == []
    assert not Subscriber.objects.exists()


def test_it_warns_of_what_gmail_would_hide(alice: Caller, email: SequenceEmail) -> None:
    [warning] = preview(alice, email, content=f"<p>{'x ' * 400}</p>" * 200)["warnings"]
    assert re.fullmatch(r"The HTML has \d{3} KB: Gmail hides what comes after the first 100", warning)


@pytest.mark.parametrize("act", ["preview", "test"])
@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        ({"subject": ""}, "subject can't be blank"),
        ({"subject": "{{ oops"}, "Invalid Liquid in subject: '{{ oops' is never closed, line 1"),
        ({"preview_text": 7}, "preview_text must be a string"),
        ({"content": "{% if %}"}, "Invalid Liquid in content"),
        ({"email_template_id": 2**40}, "Email template not found"),
        ({"subscriber_id": "x"}, "subscriber_id must be an id"),
    ],
)
def test_what_could_not_be_saved_is_refused_as_when_saving(
    alice: Caller, email: SequenceEmail, act: str, members: dict[str, Any], sentence: str
) -> None:
    before = everything()
    status, answer = alice.post(path(email, act), members)
    assert status == 422
    assert answer["errors"][0].startswith(sentence)
    if "subscriber_id" not in members:
        assert alice.put(f"/v4/sequences/{email.sequence_id}/emails/{email.pk}", members) == (422, answer)
    assert everything() == before


@pytest.mark.parametrize("act", ["preview", "test"])
def test_a_person_who_is_not_there_is_not_found(alice: Caller, email: SequenceEmail, act: str) -> None:
    factories.make_user(alice.account)
    assert alice.post(path(email, act), {"subscriber_id": 2**40})[0] == 404


def test_its_link_takes_nobody_out_of_anything(alice: Caller, email: SequenceEmail, bob: Subscriber) -> None:
    shown = preview(alice, email, subscriber_id=bob.pk)
    [link] = set(re.findall(r"https?://[^/\s]+(/u/[^\s\"<>]+)", shown["text"] + shown["html"]))
    before = everything()
    for answer in (Client().get(link), Client().post(link), Client().post(link, {"List-Unsubscribe": "One-Click"})):
        assert answer.status_code == 200
        assert "Nobody is unsubscribed" in answer.content.decode()
    assert Client().post(f"{link}/resubscription").status_code == 404
    assert everything() == before


# --- Test ---------------------------------------------------------------------------------------------------------


def test_a_test_goes_to_the_owner_as_a_notice(alice: Caller, email: SequenceEmail, bob: Subscriber) -> None:
    owner = factories.make_user(alice.account, "alice@example.com")
    factories.make_user(alice.account, "carol@example.com")
    stats = alice.get(f"/v4/sequences/{email.sequence_id}/emails/{email.pk}?include=stats")
    events = Event.objects.count()
    shown = preview(alice, email, subscriber_id=bob.pk, content="<p>Unsaved, {{ subscriber.first_name }}</p>")
    status, answer = alice.post(
        path(email, "test"), {"subscriber_id": bob.pk, "content": "<p>Unsaved, {{ subscriber.first_name }}</p>"}
    )
    assert status == 201
    [delivery] = answer["deliveries"]
    assert (delivery["sequence_id"], delivery["email_id"], delivery["subscriber_id"]) == (None, None, None)
    [mail] = inbox(alice)
    assert (mail["to"], mail["subject"]) == (owner.email, "[Test] For Bob")
    assert (mail["html"], mail["text"]) == (shown["html"], shown["text"])
    assert mail["message_id"].strip("<>") == delivery["message_id"]
    assert "Unsaved, Bob" in mail["text"]
    assert not [name for name in mail["headers"] if name.startswith("List-")]
    assert mail["headers"]["Auto-Submitted"] == "auto-generated"
    assert alice.get(f"/v4/sequences/{email.sequence_id}/emails/{email.pk}?include=stats") == stats
    assert Event.objects.count() == events
    assert SequenceEmail.objects.get(pk=email.pk).content == CONTENT


def test_a_test_goes_to_the_users_it_names_once_each(alice: Caller, email: SequenceEmail) -> None:
    users = [factories.make_user(alice.account, f"user{number}@example.com").email for number in range(3)]
    status, answer = alice.post(path(email, "test"), {"to": [users[2], users[1].upper(), f" {users[2]} "]})
    assert status == 201
    assert len(answer["deliveries"]) == 2
    assert sorted(mail["to"] for mail in inbox(alice)) == users[1:]
    raw = bytes(Notice.objects.first().message or b"")  # type: ignore[union-attr]
    assert message_from_bytes(raw, policy=policy.default)["Bcc"] is None


@pytest.mark.parametrize(
    ("to", "sentence"),
    [
        ([], "to must have 1 to 10 addresses"),
        ([f"user{number}@example.com" for number in range(11)], "to must have 1 to 10 addresses"),
        ("alice@example.com", "to must be an array of email addresses"),
        ([1], "to must be an array of email addresses"),
        (["alice@example.com", "bob@example.org"], "to must be addresses of users of this account"),
        (["mallory@example.com"], "to must be addresses of users of this account"),
    ],
)
def test_it_goes_to_nobody_else(
    alice: Caller, mallory: Caller, email: SequenceEmail, bob: Subscriber, to: Any, sentence: str
) -> None:
    factories.make_user(alice.account, "alice@example.com")
    factories.make_user(mallory.account, "mallory@example.com")
    assert alice.post(path(email, "test"), {"to": to}) == (422, {"errors": [sentence]})
    assert not Delivery.objects.exists()


def test_without_users_there_is_nobody_to_send_it_to(alice: Caller, email: SequenceEmail) -> None:
    assert alice.post(path(email, "test")) == (422, {"errors": ["to can't be left out: the account has no user"]})


def test_a_test_that_is_too_long_is_refused(alice: Caller, email: SequenceEmail) -> None:
    factories.make_user(alice.account)
    body = {"content": "{% for i in (1..3000) %}" + "x" * 200 + " {% endfor %}"}
    assert alice.post(path(email, "test"), body) == (422, {"errors": ["The message is too long"]})
    assert not Notice.objects.exists()


def test_drafts_and_stopped_sequences_can_be_looked_at(alice: Caller, email: SequenceEmail) -> None:
    factories.make_user(alice.account)
    SequenceEmail.objects.update(published=False)
    Sequence.objects.update(active=False)
    EmailTemplate.objects.all().delete()
    assert preview(alice, email)["subject"] == "For Robin"
    assert alice.post(path(email, "test"))[0] == 201
    assert len(inbox(alice)) == 1
