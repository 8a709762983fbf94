import smtplib
from collections.abc import Iterator
from datetime import datetime
from email.message import EmailMessage

import pytest
from django.test import override_settings

from dripstone.accounts.models import Account, SendingAddress
from dripstone.accounts.verbs import create_key
from dripstone.senders import inbox, inbox_server
from dripstone.senders.checks import mail_url_can_be_read
from dripstone.senders.models import CapturedMessage
from tests.conftest import VirtualClock
from tests.senders.helpers import free_port, outgoing


def make_account(now: datetime, name: str = "Alice", address: str = "alice@ck.lol") -> Account:
    account = Account.objects.create(name=name, primary_email_address=address, created_at=now)
    SendingAddress.objects.create(account=account, email_address=address, is_default=True, created_at=now)
    return account


def make_message(**headers: str) -> bytes:
    message = EmailMessage()
    message["From"] = "Álice Ångström <alice@ck.lol>"
    message["To"] = "bob@mail.example"
    message["Subject"] = "Grüße aus München, " + "sehr lang " * 12
    message["Message-ID"] = "<1.abc@ck.lol>"
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    message.set_content("Hallo Bob\n")
    message.add_alternative("<p>Hallo Bob 🎉</p>\n", subtype="html")
    return message.as_bytes().replace(b"\n", b"\r\n")


def test_a_captured_message_is_shown_decoded(clock: VirtualClock, now: datetime) -> None:
    account = make_account(now)
    data = make_message(List_Unsubscribe="<https://x.example/u/abc>")
    list(inbox.InboxSender().hand_over([outgoing(1, account_id=account.pk, rcpt_to="bob@mail.example", data=data)]))
    (message,) = inbox.messages(account.pk)
    shape = inbox.shape(message)
    assert list(shape) == ["id", "to", "from", "subject", "sent_at", "message_id", "headers", "text", "html"]
    assert shape["to"] == "bob@mail.example"
    assert shape["from"] == "alice@ck.lol"
    assert shape["subject"].startswith("Grüße aus München, sehr lang sehr lang")
    assert shape["sent_at"] == "2026-11-23T09:00:00Z"
    assert shape["message_id"] == "<1.abc@ck.lol>"
    assert shape["headers"]["List-Unsubscribe"] == "<https://x.example/u/abc>"
    assert shape["headers"]["From"] == "Álice Ångström <alice@ck.lol>"
    assert shape["text"] == "Hallo Bob\n"
    assert shape["html"] == "<p>Hallo Bob 🎉</p>\n"


@pytest.mark.django_db
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe\0",
        b"no headers at all",
        b"Subject: =?nonsense?q?x?=\r\n\r\nx",
        b"Content-Type: text/plain; charset=klingon\r\n\r\nqapla\xff",
    ],
)
def test_any_bytes_can_be_captured_and_shown(data: bytes, now: datetime) -> None:
    account = make_account(now)
    answers = list(inbox.InboxSender().hand_over([outgoing(1, account_id=account.pk, data=data)]))
    assert [a.kind for a in answers] == ["sent"]
    assert inbox.shape(inbox.messages(account.pk).get())["to"] == "person1@mail.example"


@pytest.mark.django_db
def test_messages_come_oldest_first_and_only_the_accounts_own(now: datetime) -> None:
    alice, mallory = make_account(now), make_account(now, "Mallory", "mallory@evil.example")
    sender = inbox.InboxSender()
    batch = [outgoing(n, account_id=alice.pk) for n in range(3)] + [outgoing(9, account_id=mallory.pk)]
    list(sender.hand_over(batch))
    assert [m.to for m in inbox.messages(alice.pk)] == [f"person{n}@mail.example" for n in range(3)]
    assert [m.to for m in inbox.messages(alice.pk, to="Person1@mail.example")] == ["person1@mail.example"]
    assert [m.to for m in inbox.messages(mallory.pk)] == ["person9@mail.example"]


@pytest.mark.django_db(transaction=True)
def test_a_batch_that_cannot_be_stored_is_temporary_and_stores_nothing(now: datetime) -> None:
    account = make_account(now)
    batch = [outgoing(1, account_id=account.pk), outgoing(2, account_id=account.pk + 1000)]
    answers = list(inbox.InboxSender().hand_over(batch))
    assert {(a.kind, a.reason) for a in answers} == {("temporary", "inbox_not_writable")}
    assert not CapturedMessage.objects.exists()


@pytest.mark.parametrize("url", ["smtp://", "mailto:x", ""])
def test_a_wrong_mail_url_stops_the_start(url: str) -> None:
    with override_settings(DRIPSTONE_MAIL_URL=url):
        (problem,) = mail_url_can_be_read()
    assert problem.id == "dripstone.senders.E001"


@pytest.fixture
def door(transactional_db: None) -> Iterator[int]:
    controller = inbox_server.run("127.0.0.1", free_port())
    yield controller.port
    controller.stop()


def send_through(port: int, mail_from: str, key: str | None = None) -> None:
    with smtplib.SMTP("127.0.0.1", port) as client:
        if key is not None:
            client.login("anything", key)
        client.sendmail(mail_from, ["bob@mail.example", "carol@mail.example"], make_message())


def test_the_only_account_gets_what_comes_through_the_door(door: int, now: datetime) -> None:
    account = make_account(now)
    send_through(door, "someone@else.example")
    assert [m.to for m in inbox.messages(account.pk)] == ["bob@mail.example", "carol@mail.example"]


def test_of_two_accounts_the_key_decides(door: int, now: datetime) -> None:
    make_account(now)
    mallory = make_account(now, "Mallory", "mallory@evil.example")
    _, key = create_key(mallory, "test", now)
    send_through(door, "alice@ck.lol", key)
    assert inbox.messages(mallory.pk).count() == CapturedMessage.objects.count() == 2


def test_without_a_key_the_sending_address_decides(door: int, now: datetime) -> None:
    alice = make_account(now)
    make_account(now, "Mallory", "mallory@evil.example")
    send_through(door, "alice@ck.lol")
    assert inbox.messages(alice.pk).count() == CapturedMessage.objects.count() == 2


def test_nobody_guesses_between_two_accounts(door: int, now: datetime) -> None:
    make_account(now)
    make_account(now, "Mallory", "alice@ck.lol")
    with pytest.raises(smtplib.SMTPDataError, match="Which account"):
        send_through(door, "alice@ck.lol")
    assert not CapturedMessage.objects.exists()


def test_a_wrong_key_is_refused(door: int, now: datetime) -> None:
    make_account(now)
    with pytest.raises(smtplib.SMTPAuthenticationError):
        send_through(door, "alice@ck.lol", "kit_wrong")
