from email.message import EmailMessage
from email.policy import SMTP
from typing import TYPE_CHECKING, Any

import pytest
from django.test import Client

from dripstone.accounts.models import Account
from dripstone.engine import identity
from dripstone.engine.models import Delivery
from dripstone.senders import inbox
from dripstone.senders.models import CapturedMessage
from tests.factories import make_enrollment, make_sequence, make_subscriber
from tests.web.making import make_message

if TYPE_CHECKING:
    from tests.driving import Engine


def test_it_lists_captured_mail_newest_first(alice: Client, account: Account) -> None:
    older, newer = make_message(account, subject="Older"), make_message(account, subject="Newer")
    answer = alice.get("/inbox")
    assert [row.pk for row in answer.context["listed"].page.rows] == [newer.pk, older.pk]


def test_it_says_what_to_do_when_there_is_no_mail(alice: Client) -> None:
    assert "No mail yet" in alice.get("/inbox").content.decode()


@pytest.mark.parametrize("asked", ["BOB@example.org", "bob", " bob "])
def test_it_filters_by_a_part_of_the_address(alice: Client, account: Account, asked: str) -> None:
    make_message(account, to="bob@example.org")
    make_message(account, to="carol@example.org")
    rows = alice.get("/inbox", {"to": asked}).context["listed"].page.rows
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


# --- A list beside a message ------------------------------------------------------------------------------------------


def shown(browser: Client, path: str) -> list[int]:
    return [row.pk for row in browser.get(path).context["listed"].page.rows]


def test_the_newest_message_stands_beside_the_list(alice: Client, account: Account) -> None:
    make_message(account, subject="Older")
    newest = make_message(account, subject="Newer")
    assert f'src="/inbox/{newest.pk}/body"' in alice.get("/inbox").content.decode()


def test_the_list_beside_an_old_message_has_it(alice: Client, account: Account) -> None:
    rows = [make_message(account) for _ in range(53)]
    ids = shown(alice, f"/inbox/{rows[1].pk}")
    assert ids == [rows[1].pk, rows[0].pk]
    assert f'href="/inbox?after={rows[1].pk}"' in alice.get(f"/inbox/{rows[1].pk}").content.decode()
    assert len(shown(alice, f"/inbox/{rows[52].pk}")) == 50


def test_a_message_leads_to_its_neighbours_within_what_was_looked_for(alice: Client, account: Account) -> None:
    bob, carol, bob_again = (make_message(account, to=f"{name}@example.org") for name in ("bob", "carol", "bob"))
    context = alice.get(f"/inbox/{carol.pk}").context
    assert (context["newer"], context["older"]) == (bob_again.pk, bob.pk)
    context = alice.get(f"/inbox/{bob.pk}?q=bob@").context
    assert (context["newer"], context["older"]) == (bob_again.pk, None)


def test_a_message_alone_is_a_part_with_its_title(alice: Client, account: Account) -> None:
    message = make_message(account, subject="Stone")
    headers = {"HX-Request": "true", "HX-Target": "reading"}
    part = alice.get(f"/inbox/{message.pk}?q=bob", headers=headers).content.decode()
    assert "<html" not in part
    assert "<title>Stone – Inbox – Alice – Dripstone</title>" in part
    assert 'href="/inbox?q=bob"' in part


@pytest.mark.parametrize("asked", ["bob", "STONE", "bob@example.org stone", "plain words", "gruße", "b@exam"])
def test_it_searches_recipients_subjects_and_texts(alice: Client, account: Account, asked: str) -> None:
    wanted = make_message(account, subject="Grüße, stone")
    other = make_message(account, to="carol@example.org", subject="Other", html=None)
    CapturedMessage.objects.filter(pk=other.pk).update(raw=b"Subject: Other\r\n\r\nnothing")
    assert shown(alice, f"/inbox?q={asked}") == [wanted.pk]


def test_pages_of_a_search_go_both_ways(alice: Client, account: Account) -> None:
    rows = [make_message(account, subject=f"Stone {number}") for number in range(120)]
    ids = [row.pk for row in reversed(rows)]
    first = alice.get("/inbox?q=stone").context["listed"].page
    second = alice.get(f"/inbox{first.older}").context["listed"].page
    third = alice.get(f"/inbox{second.older}").context["listed"].page
    assert [row.pk for page in (first, second, third) for row in page.rows] == ids
    assert (first.newer, third.older) == ("", "")
    assert alice.get(f"/inbox{third.newer}").context["listed"].page.rows == second.rows


def test_it_says_attachments_none_or_names_them(alice: Client, account: Account) -> None:
    message = make_message(account)
    assert "<dt>Attachments</dt><dd>none</dd>" in alice.get(f"/inbox/{message.pk}").content.decode()
    mail = EmailMessage(policy=SMTP)
    mail.set_content("See the file")
    mail.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="<cave>.pdf")
    CapturedMessage.objects.filter(pk=message.pk).update(raw=mail.as_bytes())
    page = alice.get(f"/inbox/{message.pk}").content.decode()
    assert "&lt;cave&gt;.pdf (application/pdf)" in page


def test_it_shows_the_source(alice: Client, account: Account) -> None:
    page = alice.get(f"/inbox/{make_message(account, html='<p>&amp;</p>').pk}?view=source").content.decode()
    assert "X-Trial: kept" in page
    assert "&lt;p&gt;&amp;amp;&lt;/p&gt;" in page


def test_it_leads_to_the_email_that_it_was_sent_as(alice: Client, account: Account, engine: "Engine") -> None:
    sequence = make_sequence(account, {"delay_value": 0, "subject": "Hello {{ subscriber.first_name }}"}, name="Caves")
    place = make_enrollment(sequence, make_subscriber(account), engine.clock.now())
    engine.run()
    row = Delivery.objects.get(enrollment=place)
    message = make_message(account, to=place.subscriber.email_address)
    CapturedMessage.objects.update(message_id=f"<{identity.message_id(row.pk)}>")
    page = alice.get(f"/inbox/{message.pk}").content.decode()
    assert f'<a href="/sequences/{sequence.pk}/emails/{row.email_id}">Hello [first name]</a>' in page
    CapturedMessage.objects.update(message_id="<7.forged@elsewhere.example>")
    assert "Sent as" not in alice.get(f"/inbox/{message.pk}").content.decode()


def test_one_message_is_deleted_and_the_next_older_one_follows(alice: Client, account: Account) -> None:
    older, message = make_message(account), make_message(account)
    assert alice.post(f"/inbox/{message.pk}/deletion", {"q": "bob"})["Location"] == f"/inbox/{older.pk}?q=bob"
    assert alice.post(f"/inbox/{older.pk}/deletion")["Location"] == "/inbox"
    assert not CapturedMessage.objects.exists()


def test_a_copy_keeps_the_source_when_the_first_is_deleted(alice: Client, account: Account) -> None:
    row = make_message(account)
    source = bytes(row.raw)
    row.pk = None
    inbox.keep(row, ["a@example.org", "b@example.org", "c@example.org"])
    first, second, third = CapturedMessage.objects.exclude(to="bob@example.org").order_by("pk")
    for gone, left in ((first, second), (second, third)):
        alice.post(f"/inbox/{gone.pk}/deletion")
        assert alice.get(f"/inbox/{left.pk}/raw").content == source
    assert alice.get(f"/inbox/{third.pk}/raw").content == source


def test_a_viewer_deletes_nothing(viewer: Client, account: Account) -> None:
    message = make_message(account)
    assert "deletion" not in viewer.get(f"/inbox/{message.pk}").content.decode()
    assert viewer.post(f"/inbox/{message.pk}/deletion").status_code == 403
