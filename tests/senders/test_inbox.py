import smtplib
import ssl
from base64 import b64encode
from collections.abc import Iterator
from datetime import datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from django.test import override_settings

from dripstone.accounts.models import Account, SendingAddress
from dripstone.accounts.verbs import create_key
from dripstone.senders import inbox, inbox_server
from dripstone.senders.checks import inbox_door_is_locked, mail_url_can_be_read
from dripstone.senders.models import CapturedMessage
from tests.conftest import VirtualClock
from tests.senders.helpers import free_port, handed_over, outgoing


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
    list(handed_over(inbox.InboxSender(), [outgoing(1, account_id=account.pk, rcpt_to="bob@mail.example", data=data)]))
    (message,) = inbox.messages(account.pk)
    (shape,) = inbox.shapes([message])
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
    answers = list(handed_over(inbox.InboxSender(), [outgoing(1, account_id=account.pk, data=data)]))
    assert [a.kind for a in answers] == ["sent"]
    assert [shape["to"] for shape in inbox.shapes(list(inbox.messages(account.pk)))] == ["person1@mail.example"]


@pytest.mark.django_db
def test_messages_come_oldest_first_and_only_the_accounts_own(now: datetime) -> None:
    alice, mallory = make_account(now), make_account(now, "Mallory", "mallory@evil.example")
    sender = inbox.InboxSender()
    batch = [outgoing(n, account_id=alice.pk) for n in range(3)] + [outgoing(9, account_id=mallory.pk)]
    list(handed_over(sender, batch))
    assert [m.to for m in inbox.messages(alice.pk)] == [f"person{n}@mail.example" for n in range(3)]
    assert [m.to for m in inbox.messages(alice.pk, to="Person1@mail.example")] == ["person1@mail.example"]
    assert [m.to for m in inbox.messages(mallory.pk)] == ["person9@mail.example"]


@pytest.mark.django_db(transaction=True)
def test_a_batch_that_cannot_be_stored_is_temporary_and_stores_nothing(now: datetime) -> None:
    account = make_account(now)
    batch = [outgoing(1, account_id=account.pk), outgoing(2, account_id=account.pk + 1000)]
    answers = list(handed_over(inbox.InboxSender(), batch))
    assert {(a.kind, a.reason) for a in answers} == {("temporary", "inbox_not_writable")}
    assert not CapturedMessage.objects.exists()


@pytest.mark.parametrize("url", ["smtp://", "mailto:x", ""])
def test_a_wrong_mail_url_stops_the_start(url: str) -> None:
    with override_settings(DRIPSTONE_MAIL_URL=url):
        (problem,) = mail_url_can_be_read()
    assert problem.id == "dripstone.senders.E001"


# --- The SMTP door -----------------------------------------------------------------------------------------------


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
    mallory = make_account(now, "Mallory", "alice@ck.lol")
    _, key = create_key(mallory, "test", now)
    send_through(door, "Alice@CK.lol", key)
    assert inbox.messages(mallory.pk).count() == CapturedMessage.objects.count() == 2


def test_an_address_that_somebody_only_claims_takes_nobodys_mail(door: int, now: datetime) -> None:
    alice, mallory = make_account(now), make_account(now, "Mallory", "m@evil.example")
    SendingAddress.objects.create(account=mallory, email_address="alice@ck.lol", is_verified=False, created_at=now)
    send_through(door, "alice@ck.lol")
    assert inbox.messages(alice.pk).count() == CapturedMessage.objects.count() == 2


@pytest.mark.parametrize(("mail_from", "from_header"), [("alice@ck.lol", "m@evil.example"), ("m@evil.example", "")])
def test_whoever_signed_in_sends_only_from_their_own_addresses(
    door: int, now: datetime, mail_from: str, from_header: str
) -> None:
    make_account(now)
    _, key = create_key(make_account(now, "Mallory", "m@evil.example"), "test", now)
    data = b"From: %b\r\n\r\nHi" % (from_header or "alice@ck.lol").encode()
    with smtplib.SMTP("127.0.0.1", door) as client:
        client.login("anything", key)
        with pytest.raises(smtplib.SMTPDataError, match=r"<alice@ck\.lol> is no sending address"):
            client.sendmail(mail_from, ["bob@mail.example"], data)
    assert not CapturedMessage.objects.exists()


def test_a_message_to_many_is_stored_once(door: int, now: datetime) -> None:
    """Thirty recipients of 20 MB took 3.6 GB."""
    account = make_account(now)
    with smtplib.SMTP("127.0.0.1", door) as client:
        client.sendmail("alice@ck.lol", [f"p{n}@mail.example" for n in range(50)], make_message())
    found = list(inbox.messages(account.pk))
    assert [len(bytes(row.raw)) > 0 for row in found] == [True] + [False] * 49
    shapes = list(inbox.shapes(found))
    assert {shape["text"] for shape in shapes} == {"Hallo Bob\n"}
    assert {shape["subject"] for shape in shapes} == {found[0].subject}
    inbox.messages(account.pk).delete()
    assert not CapturedMessage.objects.exists()


def test_a_message_has_at_most_fifty_recipients(door: int, now: datetime) -> None:
    account = make_account(now)
    with smtplib.SMTP("127.0.0.1", door) as client:
        refused = client.sendmail("alice@ck.lol", [f"p{n}@mail.example" for n in range(52)], make_message())
    assert {code for code, _ in refused.values()} == {452}
    assert inbox.messages(account.pk).count() == 50


def test_a_message_has_at_most_ten_megabytes(door: int, now: datetime) -> None:
    make_account(now)
    with smtplib.SMTP("127.0.0.1", door) as client, pytest.raises(smtplib.SMTPResponseException) as refused:
        client.sendmail("alice@ck.lol", ["bob@mail.example"], b"x\r\n" * 4_000_000)
    assert refused.value.smtp_code == 552
    with smtplib.SMTP("127.0.0.1", door) as client:
        client.ehlo()
        client.mail("alice@ck.lol")
        client.rcpt("bob@mail.example")
        assert client.data(b"x\r\n" * 4_000_000)[0] == 552
    assert not CapturedMessage.objects.exists()


def test_only_so_many_programs_are_talked_to_at_a_time(door: int, now: datetime) -> None:
    make_account(now)
    clients = [smtplib.SMTP("127.0.0.1", door) for _ in range(inbox_server.MAX_CONNECTIONS)]
    with pytest.raises(smtplib.SMTPConnectError, match="421"):
        smtplib.SMTP("127.0.0.1", door)
    for client in clients:
        client.quit()
    send_through(door, "alice@ck.lol")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    path = tmp_path / "door.pem"
    trustme.CA().issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(path)
    return path


@pytest.fixture
def open_door(transactional_db: None, certificate: Path, settings: Any) -> Iterator[int]:
    """One that others can reach."""
    settings.DRIPSTONE_INBOX_CERTIFICATE = str(certificate)
    controller = inbox_server.run("0.0.0.0", free_port())
    yield controller.port
    controller.stop()


def encrypted(client: smtplib.SMTP) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    client.starttls(context=context)


def test_nobody_comes_through_an_open_door_without_a_key(open_door: int, now: datetime) -> None:
    make_account(now)
    with smtplib.SMTP("127.0.0.1", open_door) as client:
        encrypted(client)
        with pytest.raises(smtplib.SMTPSenderRefused, match="Authentication required"):
            client.sendmail("alice@ck.lol", ["bob@mail.example"], make_message())
    assert not CapturedMessage.objects.exists()


def test_no_key_is_taken_in_plain_text_at_an_open_door(open_door: int, now: datetime) -> None:
    _, key = create_key(make_account(now), "test", now)
    with smtplib.SMTP("127.0.0.1", open_door) as client:
        client.ehlo()
        assert not client.has_extn("auth")
        assert client.docmd("AUTH", "PLAIN " + b64encode(b"\0x\0" + key.encode()).decode())[0] == 530


def test_with_key_and_encryption_one_comes_through_an_open_door(open_door: int, now: datetime) -> None:
    account = make_account(now)
    _, key = create_key(account, "test", now)
    for _ in range(inbox_server.MAX_CONNECTIONS + 1):  # each is counted once, and forgotten
        with smtplib.SMTP("127.0.0.1", open_door) as client:
            encrypted(client)
            client.login("anything", key)
            client.sendmail("alice@ck.lol", ["bob@mail.example"], make_message())
    assert inbox.messages(account.pk).count() == inbox_server.MAX_CONNECTIONS + 1


@pytest.mark.parametrize(
    ("host", "port", "problem"),
    [
        ("127.0.0.1", 1025, None),
        ("127.1.2.3", 1025, None),
        ("::1", 1025, None),
        ("localhost", 1025, None),
        ("0.0.0.0", 0, None),
        ("0.0.0.0", 1025, "dripstone.senders.E003"),
        ("::", 1025, "dripstone.senders.E003"),
        ("192.0.2.1", 1025, "dripstone.senders.E003"),
        ("mail.example.com", 1025, "dripstone.senders.E003"),
    ],
)
def test_a_door_that_others_can_reach_needs_a_certificate(
    host: str, port: int, problem: str | None, certificate: Path, settings: Any
) -> None:
    settings.DRIPSTONE_INBOX_HOST, settings.DRIPSTONE_INBOX_PORT = host, port
    assert [each.id for each in inbox_door_is_locked()] == ([problem] if problem else [])
    settings.DRIPSTONE_INBOX_CERTIFICATE = str(certificate)
    assert inbox_door_is_locked() == []


@pytest.mark.parametrize("content", [None, b"", b"no certificate", "key without certificate", "encrypted"])
def test_a_wrong_certificate_stops_the_start(
    content: bytes | str | None, certificate: Path, settings: Any, tmp_path: Path
) -> None:
    settings.DRIPSTONE_INBOX_CERTIFICATE = str(tmp_path / "wrong.pem")
    if content == "key without certificate":
        content = certificate.read_bytes().partition(b"-----BEGIN CERTIFICATE")[0]
    if content == "encrypted":
        content = locked(certificate.read_bytes())
    if isinstance(content, bytes):
        (tmp_path / "wrong.pem").write_bytes(content)
    assert [each.id for each in inbox_door_is_locked()] == ["dripstone.senders.E002"]


def locked(pem: bytes) -> bytes:
    key = serialization.load_pem_private_key(pem, None)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
    return key.private_bytes(*form, serialization.BestAvailableEncryption(b"secret"))


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
