from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from dripstone.accounts import sign_in, verbs
from dripstone.accounts.models import Account, SignInFailure
from dripstone.web.sign_in import BROWSER_COOKIE
from tests.factories import make_user

RIGHT = "correct horse battery"


@pytest.fixture(autouse=True)
def user(account: Account) -> None:
    make_user(account, "alice@example.com", RIGHT)


def try_it(client: Client, password: str, email: str = "alice@example.com", **more: Any) -> int:
    return client.post("/sign-in", {"email": email, "password": password}, **more).status_code


def test_it_asks_for_sign_in_and_goes_where_one_was_going(client: Client) -> None:
    asked = client.get("/inbox?to=bob")
    assert asked.status_code == 302
    assert asked["Location"] == "/sign-in?next=/inbox%3Fto%3Dbob"
    answer = client.post("/sign-in", {"email": "Alice@Example.com ", "password": RIGHT, "next": "/inbox?to=bob"})
    assert answer["Location"] == "/inbox?to=bob"
    assert client.get("/inbox").status_code == 200


@pytest.mark.parametrize(
    "wanted", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "/\\evil.example"]
)
def test_it_never_leads_to_another_site(client: Client, wanted: str) -> None:
    answer = client.post("/sign-in", {"email": "alice@example.com", "password": RIGHT, "next": wanted})
    assert answer["Location"] == "/"


@pytest.mark.parametrize("email", ["alice@example.com", "nobody@example.com", "", "\0", "\ud800" * 3])
def test_it_says_the_same_about_a_wrong_password_and_an_unknown_address(client: Client, email: str) -> None:
    answer = client.post("/sign-in", {"email": email.encode("utf-8", "replace").decode(), "password": "wrong"})
    assert answer.status_code == 422
    assert "do not belong together" in answer.content.decode()


def test_it_refuses_even_the_right_password_after_ten_wrong_ones(client: Client) -> None:
    assert [try_it(client, "wrong") for _ in range(10)] == [422] * 10
    assert try_it(client, RIGHT) == 429
    assert try_it(client, RIGHT, REMOTE_ADDR="203.0.113.9") == 302


def test_it_lets_people_in_again_when_the_window_has_passed(client: Client) -> None:
    for _ in range(11):
        try_it(client, "wrong")
    for failure in SignInFailure.objects.all():
        failure.failed_at -= sign_in.WINDOW + timedelta(seconds=1)
        failure.save()
    assert try_it(client, RIGHT) == 302
    assert not SignInFailure.objects.exists()


def test_it_slows_one_network_that_tries_many_addresses(client: Client) -> None:
    for number in range(sign_in.NETWORK_LIMIT):
        try_it(client, "wrong", f"user{number}@example.com")
    assert try_it(client, "wrong", "another@example.com") == 429


def test_it_slows_many_networks_that_try_one_address(client: Client) -> None:
    for number in range(sign_in.ADDRESS_LIMIT):
        try_it(client, "wrong", REMOTE_ADDR=f"203.0.113.{number}")
    assert try_it(client, "wrong", REMOTE_ADDR="198.51.100.1") == 429


def test_guessers_do_not_lock_out_a_browser_that_has_signed_in_before(client: Client) -> None:
    assert try_it(client, RIGHT) == 302
    client.post("/sign-out")
    guesser = Client()
    for number in range(sign_in.ADDRESS_LIMIT):
        try_it(guesser, "wrong", REMOTE_ADDR=f"203.0.113.{number}")
    for _ in range(11):
        try_it(guesser, "wrong")  # from the same network, too
    assert try_it(guesser, RIGHT, REMOTE_ADDR="198.51.100.1") == 429
    assert try_it(client, "wrong") == 422
    assert try_it(client, RIGHT) == 302


def test_such_a_browser_has_as_few_tries_as_any_network(client: Client) -> None:
    assert try_it(client, RIGHT) == 302
    client.post("/sign-out")
    assert [try_it(client, "wrong", REMOTE_ADDR=f"203.0.113.{n}") for n in range(11)] == [422] * 10 + [429]


@pytest.mark.parametrize("token", ["", "x", "é", "A" * 500, "another address's"])
def test_a_token_that_is_not_for_this_address_is_worth_nothing(client: Client, token: str) -> None:
    if token == "another address's":
        token = sign_in.token_for("mallory@example.com")
    client.cookies[BROWSER_COOKIE] = token
    assert [try_it(client, "wrong") for _ in range(11)] == [422] * 10 + [429]


def test_the_token_is_kept_from_scripts_and_other_pages(client: Client) -> None:
    answer = client.post("/sign-in", {"email": "alice@example.com", "password": RIGHT})
    cookie = answer.cookies[BROWSER_COOKIE]
    assert (cookie["path"], cookie["httponly"], cookie["samesite"]) == ("/sign-in", True, "Lax")
    assert "alice" not in cookie.value


def test_it_believes_a_forwarded_address_only_from_nearby(client: Client) -> None:
    for _ in range(10):
        try_it(client, "wrong", REMOTE_ADDR="127.0.0.1", HTTP_X_FORWARDED_FOR="10.9.9.9, 8.8.4.4")
    assert try_it(client, "wrong", REMOTE_ADDR="127.0.0.1", HTTP_X_FORWARDED_FOR="8.8.4.4") == 429
    assert try_it(client, "wrong", REMOTE_ADDR="127.0.0.1", HTTP_X_FORWARDED_FOR="8.8.8.8") == 422
    assert try_it(client, "wrong", REMOTE_ADDR="8.8.4.4", HTTP_X_FORWARDED_FOR="198.51.100.1") == 429


def test_it_keeps_no_typed_address(client: Client) -> None:
    try_it(client, "wrong", "my-secret-password")
    assert "my-secret-password" not in str(SignInFailure.objects.values().get())


def test_it_signs_out_by_post_only(alice_client: Client) -> None:
    assert alice_client.get("/sign-out").status_code == 405
    assert alice_client.post("/sign-out")["Location"] == "/sign-in"
    assert alice_client.get("/").status_code == 302


@pytest.fixture
def alice_client(client: Client) -> Client:
    assert try_it(client, RIGHT) == 302
    return client


def test_a_new_password_ends_all_sessions_and_the_old_password(alice_client: Client, account: Account) -> None:
    make_user(account, "bob@example.com", RIGHT)
    other, bob = Client(), Client()
    assert try_it(other, RIGHT) == try_it(bob, RIGHT, "bob@example.com") == 302
    _, password = verbs.set_password("Alice@Example.com")
    for client in (alice_client, other):
        assert client.get("/inbox")["Location"].startswith("/sign-in")
    assert bob.get("/inbox").status_code == 200
    assert try_it(Client(), RIGHT) == 422
    assert try_it(alice_client, password) == 302
    assert alice_client.get("/inbox").status_code == 200
    assert other.get("/inbox").status_code == 302


def test_a_new_password_ends_the_wait_after_wrong_ones(client: Client) -> None:
    for _ in range(11):
        try_it(client, "wrong")
    _, password = verbs.set_password("alice@example.com")
    assert try_it(client, password) == 302


def test_it_does_not_ask_again_who_is_signed_in(alice_client: Client) -> None:
    assert alice_client.get("/sign-in")["Location"] == "/"


def test_it_needs_a_csrf_token() -> None:
    strict = Client(enforce_csrf_checks=True)
    answer = strict.post("/sign-in", {"email": "alice@example.com", "password": RIGHT})
    assert answer.status_code == 403
    assert "Please try again" in answer.content.decode()


def test_it_sends_an_htmx_request_without_a_session_to_sign_in_as_a_whole(client: Client) -> None:
    answer = client.get("/inbox", headers={"HX-Request": "true"})
    assert answer["HX-Redirect"] == "/sign-in"
