"""Another address to sign in with: asked for with the password, confirmed by a mail to it, told to the old one."""

from typing import Any

import pytest
from django.test import Client

from dripstone.accounts.models import Account, User
from dripstone.engine.models import Notice
from tests.factories import make_user
from tests.web.letters import link_in, sent

PASSWORD = "correct horse battery"
NEW = {"email_address": "Robert@example.net", "old_password": PASSWORD}


@pytest.fixture
def bob(account: Account) -> User:
    return make_user(account, "bob@example.com", PASSWORD, role="viewer")


@pytest.fixture
def browser(bob: User, mail_server: None) -> Client:
    return signed_in("bob@example.com")


def signed_in(email: str, password: str = PASSWORD) -> Client:
    client = Client()
    assert client.post("/sign-in", {"email": email, "password": password}).status_code == 302
    return client


def text(answer: Any) -> str:
    return str(answer.content.decode())


def said(answer: Any) -> str:
    [message] = answer.context["messages"]
    return str(message)


def ask(browser: Client, **given: str) -> Any:
    return browser.post("/settings/you/address", NEW | given, follow=True)


def test_the_link_in_the_mail_changes_it(browser: Client, bob: User) -> None:
    assert "robert@example.net" in text(ask(browser))
    [message] = sent()
    assert message["To"] == "robert@example.net"
    signed_in("bob@example.com")  # until the link is used
    path, phone = link_in(message), Client()
    page = text(phone.get(path))
    assert "robert@example.net" in page
    assert "bob@example.com" in page
    bob.refresh_from_db()
    assert bob.email == "bob@example.com"  # looking at it changes nothing
    assert "Your address is changed" in text(phone.post(path))
    signed_in("robert@example.net")
    assert Client().post("/sign-in", {"email": "bob@example.com", "password": PASSWORD}).status_code == 422
    assert "robert@example.net" in text(browser.get("/settings/you"))  # they are still signed in


def test_the_old_address_is_told(browser: Client) -> None:
    ask(browser)
    Client().post(link_in(sent()[0]))
    told = sent()[1]
    assert told["To"] == "bob@example.com"
    assert "robert@example.net" in str(told.get_body(("plain",)))


def test_the_link_works_once(browser: Client) -> None:
    ask(browser)
    path = link_in(sent()[0])
    Client().post(path)
    assert Client().get(path).status_code == Client().post(path).status_code == 404
    assert len(sent()) == 2


def test_a_new_password_ends_it(browser: Client, bob: User) -> None:
    """So somebody whose password was stolen stops it."""
    ask(browser)
    bob.set_password("another long sentence")
    bob.save()
    assert Client().get(link_in(sent()[0])).status_code == 404


def test_it_ends_after_an_hour(browser: Client, settings: Any) -> None:
    ask(browser)
    settings.PASSWORD_RESET_TIMEOUT = -1
    assert Client().get(link_in(sent()[0])).status_code == 404


@pytest.mark.parametrize("part", [1, 2, 3])
def test_a_link_that_was_changed_is_none(browser: Client, account: Account, part: int) -> None:
    carol = make_user(account, "carol@example.com", PASSWORD)
    ask(browser)
    parts = link_in(sent()[0]).strip("/").split("/")
    parts[part] = {1: str(carol.pk), 2: "Y2Fyb2xAZXhhbXBsZS5uZXQ", 3: "c0ffee-0123456789"}[part]
    assert Client().post("/" + "/".join(parts)).status_code == 404


def test_a_link_of_strange_letters_is_none(client: Client, bob: User) -> None:
    assert client.get(f"/new-address/{bob.pk}/%FF%00/x").status_code == 404


def test_without_the_password_nothing_goes(browser: Client) -> None:
    answer = ask(browser, old_password="wrong")
    assert answer.status_code == 422
    assert "This is not your password" in text(answer)
    assert not sent()


@pytest.mark.parametrize(
    ("email", "sentence"), [("bob@example.com", "your address already"), ("bob", "is invalid"), ("", "is invalid")]
)
def test_a_wrong_address_is_said(browser: Client, email: str, sentence: str) -> None:
    answer = ask(browser, email_address=email)
    assert answer.status_code == 422
    assert sentence in text(answer)
    assert not sent()


def test_nobody_learns_whose_address_is_taken(browser: Client, account: Account) -> None:
    make_user(account, "carol@example.com", PASSWORD)
    free, taken = said(ask(browser)), said(ask(browser, email_address="carol@example.com"))
    assert taken == free.replace("robert@example.net", "carol@example.com")
    assert [message["To"] for message in sent()] == ["robert@example.net"]


def test_an_address_that_somebody_took_meanwhile_is_refused(browser: Client, account: Account, bob: User) -> None:
    ask(browser)
    make_user(account, "robert@example.net", PASSWORD)
    answer = Client().post(link_in(sent()[0]))
    assert answer.status_code == 422
    assert "already been taken" in text(answer)
    bob.refresh_from_db()
    assert bob.email == "bob@example.com"


def test_without_a_mail_server_it_names_the_command(alice: Client) -> None:
    assert "dripstone users address alice@example.com" in text(alice.get("/settings/you/address"))
    alice.post("/settings/you/address", NEW)
    assert not Notice.objects.exists()
