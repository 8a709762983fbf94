from typing import Any

import pytest
from django.test import Client

from dripstone.accounts.models import Account
from dripstone.senders.models import CapturedMessage
from tests.web.making import make_message


def test_it_lists_captured_mail_newest_first(alice: Client, account: Account) -> None:
    older, newer = make_message(account, subject="Older"), make_message(account, subject="Newer")
    answer = alice.get("/inbox")
    assert [row.pk for row in answer.context["messages_page"].rows] == [newer.pk, older.pk]


def test_it_says_what_to_do_when_there_is_no_mail(alice: Client) -> None:
    assert "No mail yet" in alice.get("/inbox").content.decode()


@pytest.mark.parametrize("asked", ["BOB@example.org", "bob", " bob "])
def test_it_filters_by_a_part_of_the_address(alice: Client, account: Account, asked: str) -> None:
    make_message(account, to="bob@example.org")
    make_message(account, to="carol@example.org")
    rows = alice.get("/inbox", {"to": asked}).context["messages_page"].rows
    assert [row.to for row in rows] == ["bob@example.org"]


@pytest.mark.parametrize("asked", ["%", "_", "\0", "'; --", "<script>", "é" * 500])
def test_it_takes_any_text_as_a_filter(alice: Client, account: Account, asked: str) -> None:
    make_message(account)
    answer = alice.get("/inbox", {"to": asked})
    assert answer.status_code == 200
    assert "<script>" not in answer.content.decode().replace("<script ", "")


def test_it_answers_htmx_with_the_rows_alone(alice: Client, account: Account) -> None:
    make_message(account)
    part = alice.get("/inbox", headers={"HX-Request": "true", "HX-Target": "messages"}).content.decode()
    assert "<html" not in part
    assert "bob@example.org" in part


def test_it_shows_a_message_with_its_parts(alice: Client, account: Account) -> None:
    message = make_message(account, subject="Grüße & <b>")
    page = alice.get(f"/inbox/{message.pk}").content.decode()
    assert "Ada Stone &lt;ada@example.com&gt;" in page
    assert "Grüße &amp; &lt;b&gt;" in page
    assert f'src="/inbox/{message.pk}/body"' in page
    assert "in plain words" in alice.get(f"/inbox/{message.pk}?view=text").content.decode()
    assert "X-Trial" in alice.get(f"/inbox/{message.pk}?view=headers").content.decode()


def test_it_shows_the_text_of_a_message_without_html(alice: Client, account: Account) -> None:
    message = make_message(account, html=None)
    assert "in plain words" in alice.get(f"/inbox/{message.pk}").content.decode()
    assert "has no HTML part" in alice.get(f"/inbox/{message.pk}?view=html").content.decode()


def test_it_serves_the_html_part_in_a_sandbox(alice: Client, account: Account) -> None:
    answer = alice.get(f"/inbox/{make_message(account).pk}/body")
    policy = answer["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "sandbox" in policy
    assert "allow-scripts" not in policy
    assert "allow-same-origin" not in policy
    assert answer["X-Frame-Options"] == "SAMEORIGIN"
    assert answer["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize(
    ("html", "served"),
    [
        ("<p>x", '<base target="_blank"><p>x'),
        ("<!DOCTYPE html><html><head><title>", '<!DOCTYPE html><html><head><base target="_blank"><title>'),
        (
            '<!doctype html>\n<html lang="en">\n<body>',
            '<!doctype html>\n<html lang="en">\n<base target="_blank"><body>',
        ),
    ],
)
def test_it_opens_links_of_a_message_in_a_tab_of_their_own(
    alice: Client, account: Account, html: str, served: str
) -> None:
    answer = alice.get(f"/inbox/{make_message(account, html=html).pk}/body")
    assert answer.content.decode().rstrip("\n") == served


def test_it_hands_out_the_raw_source_byte_for_byte(alice: Client, account: Account) -> None:
    message = make_message(account)
    answer = alice.get(f"/inbox/{message.pk}/raw")
    assert answer.content == bytes(message.raw)
    assert answer["Content-Type"] == "message/rfc822"
    assert answer["Content-Disposition"].startswith("attachment")
    assert answer["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"no header at all",
        b"Subject: =?x-unknown?Q?=FF?=\r\n\r\n\xff\x00",
        b"\r\n\r\n\xfe",
        b"Content-Type: text/html; charset=unicode_escape\r\n\r\n\\ud800",
        b"Content-Type: message/rfc822\r\n\r\n" * 2000,
        b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(1500)),
    ],
)
@pytest.mark.parametrize("view", ["", "/body", "/raw", "?view=text", "?view=headers"])
def test_it_shows_even_what_is_hardly_a_message(alice: Client, account: Account, raw: bytes, view: str) -> None:
    message = make_message(account)
    CapturedMessage.objects.filter(pk=message.pk).update(raw=raw, subject="")
    assert alice.get(f"/inbox/{message.pk}{view}").status_code == 200


def test_it_asks_before_it_empties_the_inbox(alice: Client, account: Account, mallory: Client) -> None:
    make_message(account)
    assert "Delete 1 message" in alice.get("/inbox/emptying").content.decode()
    assert mallory.post("/inbox/emptying").status_code == 302
    assert CapturedMessage.objects.count() == 1
    emptied = alice.post("/inbox/emptying", follow=True)
    assert "The inbox is empty." in emptied.content.decode()
    assert CapturedMessage.objects.count() == 0


def test_it_lets_no_other_site_empty_the_inbox(alice: Client, account: Account) -> None:
    make_message(account)
    strict: Any = Client(enforce_csrf_checks=True)
    strict.cookies = alice.cookies
    assert strict.post("/inbox/emptying").status_code == 403
    assert CapturedMessage.objects.count() == 1
