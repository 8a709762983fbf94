"""A password changed, or forgotten."""

from typing import Any

import pytest
from django.test import Client

from dripstone.accounts import sign_in
from dripstone.accounts.models import Account, SignInFailure, User
from dripstone.engine.models import Delivery, Notice
from tests.factories import make_user
from tests.web.letters import link_in, sent

OLD, NEW = "correct horse battery", "another long sentence"


@pytest.fixture
def bob(account: Account) -> User:
    return make_user(account, "bob@example.com", OLD, role="viewer")


def signed_in(email: str = "bob@example.com", password: str = OLD, **more: Any) -> Client:
    client = Client(**more)
    assert client.post("/sign-in", {"email": email, "password": password}).status_code == 302
    return client


# --- Forgotten --------------------------------------------------------------------------------------------------------


def ask(client: Client, email: str = "bob@example.com") -> Any:
    return client.post("/passwords/forgotten", {"email_address": email})


def test_a_link_in_a_mail_leads_to_a_new_password(client: Client, bob: User, mail_server: None) -> None:
    elsewhere = signed_in()
    assert "Look into your mailbox" in ask(client, "Bob@Example.com ").content.decode()
    [message] = sent()
    assert (message["To"], message["From"]) == ("bob@example.com", "Our server <accounts@example.com>")
    path = link_in(message)
    assert "bob@example.com" in client.get(path).content.decode()
    assert client.post(path, {"password": NEW})["Location"] == "/"
    assert client.get("/").status_code == 200
    assert elsewhere.get("/").status_code == 302
    assert Client().post("/sign-in", {"email": "bob@example.com", "password": OLD}).status_code == 422
    signed_in(password=NEW)


def test_the_link_works_once(client: Client, bob: User, mail_server: None) -> None:
    ask(client)
    path = link_in(sent()[0])
    client.post(path, {"password": NEW})
    assert Client().get(path).status_code == Client().post(path, {"password": "a third password"}).status_code == 404
    signed_in(password=NEW)


def test_the_link_expires(client: Client, bob: User, mail_server: None, settings: Any) -> None:
    ask(client)
    path = link_in(sent()[0])
    settings.PASSWORD_RESET_TIMEOUT = -1
    assert client.get(path).status_code == 404


def test_a_link_of_one_user_is_none_of_another(client: Client, bob: User, account: Account, mail_server: None) -> None:
    carol = make_user(account, "carol@example.com", OLD)
    ask(client)
    path = link_in(sent()[0]).replace(f"/{bob.pk}/", f"/{carol.pk}/")
    assert client.post(path, {"password": NEW}).status_code == 404


def test_a_weak_password_is_refused_and_the_link_stays(client: Client, bob: User, mail_server: None) -> None:
    ask(client)
    path = link_in(sent()[0])
    assert client.post(path, {"password": "short"}).status_code == 422
    assert client.post(path, {"password": NEW}).status_code == 302


def test_it_says_the_same_of_an_address_that_is_nobodys(client: Client, bob: User, mail_server: None) -> None:
    known, unknown = ask(client), ask(client, "nobody@example.com")
    assert known.content == unknown.content
    assert [message["To"] for message in sent()] == ["bob@example.com"]
    assert Delivery.objects.count() == 1


def test_an_address_gets_few_such_mails(client: Client, bob: User, mail_server: None) -> None:
    for number in range(6):
        client.post("/passwords/forgotten", {"email_address": "bob@example.com"}, REMOTE_ADDR=f"203.0.113.{number}")
    assert len(sent()) == sign_in.ASKS_FOR_ADDRESS


def test_a_network_asks_for_few_such_mails(client: Client, bob: User, mail_server: None) -> None:
    for number in range(sign_in.ASKS_OF_NETWORK):
        assert ask(client, f"user{number}@example.com").status_code == 200
    assert ask(client).status_code == 429
    assert not sent()


def test_asking_keeps_nobody_from_signing_in(client: Client, bob: User, mail_server: None) -> None:
    for number in range(sign_in.ASKS_OF_NETWORK):
        ask(client, f"user{number}@example.com")
    signed_in()


@pytest.mark.parametrize("email", ["", "x", "\0", "a@b@c"])
def test_what_is_no_address_is_said(client: Client, db: None, mail_server: None, email: str) -> None:
    assert ask(client, email).status_code == 422


def test_without_a_mail_server_it_names_the_command(client: Client, bob: User) -> None:
    page = client.get("/passwords/forgotten").content.decode()
    assert "No mail server is set" in page
    assert "dripstone users password" in page
    ask(client)
    assert not Notice.objects.exists()


def test_without_an_address_to_send_from_it_says_so(client: Client, bob: User, settings: Any) -> None:
    settings.DRIPSTONE_MAIL_URL = "smtp://mail.example.com"
    assert "DRIPSTONE_FROM is not set" in client.get("/passwords/forgotten").content.decode()


def test_a_link_goes_to_no_other_site(client: Client, bob: User, mail_server: None) -> None:
    ask(client)
    answer = client.get(link_in(sent()[0]))
    assert (answer["Referrer-Policy"], answer["Cache-Control"]) == ("same-origin", "no-store")


# --- Changed ----------------------------------------------------------------------------------------------------------


def test_changing_it_asks_for_the_old_one(bob: User) -> None:
    browser = signed_in()
    answer = browser.post("/settings/you", {"old_password": "wrong", "password": NEW})
    assert answer.status_code == 422
    assert "This is not your password" in answer.content.decode()
    signed_in()


def test_changing_it_ends_all_other_sessions(bob: User) -> None:
    browser, other = signed_in(), signed_in()
    key = browser.session.session_key
    assert browser.post("/settings/you", {"old_password": OLD, "password": NEW}).status_code == 302
    assert browser.get("/settings/you").status_code == 200
    assert browser.session.session_key != key
    assert other.get("/settings/you").status_code == 302
    assert bob.sessions.count() == 1
    signed_in(password=NEW)


def test_guessing_the_old_one_is_slowed(bob: User) -> None:
    browser = signed_in()
    del browser.cookies["dripstone_browser"]
    for _ in range(sign_in.PAIR_LIMIT):
        browser.post("/settings/you", {"old_password": "wrong", "password": NEW})
    answer = browser.post("/settings/you", {"old_password": OLD, "password": NEW})
    assert "Too many wrong passwords" in answer.content.decode()
    assert SignInFailure.objects.exists()


# --- Sessions ---------------------------------------------------------------------------------------------------------

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1 Version/18.0 Mobile Safari/604.1"


def test_it_shows_where_one_is_signed_in(bob: User) -> None:
    signed_in(headers={"User-Agent": PHONE})
    page = signed_in(headers={"User-Agent": FIREFOX}).get("/settings/you").content.decode()
    assert "Safari on iPhone" in page
    assert "Firefox on Linux" in page
    assert page.count("This one") == 1
    assert page.count("End it") == 1


def test_an_ended_session_is_over_at_its_next_request(bob: User) -> None:
    lost, browser = signed_in(), signed_in()
    row = bob.sessions.order_by("pk")[0]
    assert browser.post(f"/settings/sessions/{row.pk}/ending").status_code == 302
    assert lost.get("/")["Location"].startswith("/sign-in")
    assert lost.get("/sign-in").status_code == 200
    assert browser.get("/").status_code == 200
    assert browser.post(f"/settings/sessions/{row.pk}/ending").status_code == 404


def test_all_others_can_be_ended_at_once(bob: User) -> None:
    others, browser = [signed_in(), signed_in()], signed_in()
    browser.post("/settings/sessions/others/ending")
    assert [one.get("/").status_code for one in others] == [302, 302]
    assert browser.get("/").status_code == 200


def test_signing_out_ends_the_session(bob: User) -> None:
    browser = signed_in()
    browser.post("/sign-out")
    assert not bob.sessions.exists()


def test_a_session_that_an_older_version_began_goes_on_and_is_listed(client: Client, bob: User) -> None:
    client.force_login(bob)
    assert client.get("/settings/you").content.decode().count("This one") == 1


def test_signing_in_gives_the_session_another_key(client: Client, bob: User) -> None:
    client.get("/sign-in")
    before = client.cookies["dripstone_csrf"].value
    client.post("/sign-in", {"email": "bob@example.com", "password": OLD})
    assert client.cookies["dripstone_csrf"].value != before


def test_somebody_elses_session_cannot_be_ended(bob: User, mallory: Client) -> None:
    signed_in()
    assert mallory.post(f"/settings/sessions/{bob.sessions.get().pk}/ending").status_code == 404
    assert bob.sessions.count() == 1
