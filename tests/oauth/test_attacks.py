"""What somebody might try who is not the app, not the person, or neither."""

import base64
import json
from typing import Any

import pytest
from django.test import Client

from dripstone.accounts import members
from dripstone.accounts.models import Account, User
from dripstone.errors import NotFound
from dripstone.oauth import applications, tokens
from dripstone.oauth.models import Consent
from tests.factories import MONDAY_9, make_account, make_subscriber, make_user
from tests.oauth.flow import CALLBACK, VERIFIER, App, browser_of, call, challenge, is_open, query_of


def error_of(answer: tuple[int, Any]) -> tuple[int, str]:
    return answer[0], answer[1]["error"]


INVALID = (400, "invalid_grant")

# --- Codes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_public", [False, True])
def test_a_code_works_once_and_a_second_time_ends_what_it_gave(
    account: Account, browser: Client, is_public: bool
) -> None:
    app = App(account, is_public=is_public)
    code = app.code(browser)
    _, given = app.exchange(code)
    assert error_of(app.exchange(code)) == INVALID
    assert not is_open(given["access_token"])
    assert error_of(app.refresh(given["refresh_token"])) == INVALID
    assert Consent.objects.get().ended_why == tokens.CODE_AGAIN


def test_a_code_is_good_for_ten_minutes(app: App, browser: Client, clock: Any) -> None:
    code = app.code(browser)
    clock.advance(minutes=10)
    assert error_of(app.exchange(code)) == INVALID


def test_a_code_is_for_the_app_that_asked(app: App, browser: Client) -> None:
    other = App(make_account("Mallory"))
    code = app.code(browser)
    assert error_of(other.exchange(code)) == INVALID
    assert app.exchange(code)[0] == 200


def test_a_code_needs_the_secret(app: App, browser: Client) -> None:
    code = app.code(browser)
    for secret in ("wrong", "", None, app.row.client_secret):
        assert error_of(app.exchange(code, client_secret=secret)) == (401, "invalid_client")
    assert app.exchange(code)[0] == 200


def test_a_secret_that_was_rotated_opens_nothing(app: App, browser: Client) -> None:
    code, old = app.code(browser), app.secret
    app.secret = applications.rotate_secret(app.row, MONDAY_9)
    assert error_of(app.exchange(code, client_secret=old)) == (401, "invalid_client")
    assert app.exchange(code)[0] == 200


def test_an_unknown_app_gets_nothing(app: App, browser: Client) -> None:
    for client_id in ("nobody", "", "\0", "\ud800", None):
        assert app.exchange(app.code(browser), client_id=client_id)[0] in (400, 401)


@pytest.mark.parametrize("verifier", [None, "", "wrong", VERIFIER[:-1], challenge()])
def test_a_wrong_verifier_gets_nothing(native: App, browser: Client, verifier: str | None) -> None:
    code = native.code(browser)
    assert native.exchange(code, code_verifier=verifier)[0] == 400
    assert native.exchange(code)[0] == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"code_challenge_method": "plain"},
        {"code_challenge_method": None},  # which means plain
        {"code_challenge_method": "S512"},
        {"code_challenge": "too-short"},
        {"code_challenge": None, "code_challenge_method": None},
    ],
)
def test_without_a_secret_pkce_is_needed_and_s256_is_all_there_is(
    native: App, browser: Client, changes: dict[str, str | None]
) -> None:
    answer = browser.post(native.address(**changes), {"account": native.account.pk, "allow": "1"})
    brought = query_of(answer["Location"])
    assert brought["error"] == "invalid_request"
    assert "code" not in brought


def test_plain_is_refused_from_apps_with_a_secret_too(app: App, browser: Client) -> None:
    answer = browser.get(app.address(code_challenge=VERIFIER, code_challenge_method="plain"))
    assert query_of(answer["Location"])["error"] == "invalid_request"


def test_a_challenge_that_was_taken_away_is_noticed(app: App, browser: Client) -> None:
    assert error_of(app.exchange(app.code(browser), code_verifier=VERIFIER)) == INVALID


def test_the_address_must_be_the_one_the_code_went_to(account: Account, browser: Client) -> None:
    app = App(account)
    applications.update(account, app.row.pk, {"redirect_uris": [CALLBACK, "https://shop.example/other"]})
    code = app.code(browser)
    assert error_of(app.exchange(code, redirect_uri="https://shop.example/other")) == INVALID
    assert app.exchange(code)[0] == 200


# --- Where people are sent ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "uri",
    [
        "https://evil.example/callback",
        "https://shop.example.evil.example/callback",
        "https://shop.example@evil.example/callback",
        "https://shop.example/callback/",
        "https://shop.example/callback/../evil",
        "https://shop.example/callback?next=https://evil.example",
        "https://shop.example/callback#",
        "https://shop.example:444/callback",
        "http://shop.example/callback",
        "HTTPS://SHOP.EXAMPLE/callback",
        "https://shop.example/callback https://evil.example/",
        "https://shop.example\\@evil.example/callback",
        "//evil.example/callback",
        "/settings",
        "javascript:alert(1)",
        "http://[",
        "",
    ],
)
def test_nobody_is_sent_where_the_app_did_not_say(app: App, browser: Client, uri: str) -> None:
    for method in (browser.get, browser.post, Client().get):
        answer = method(app.address(redirect_uri=uri))
        assert answer.status_code == 400
        assert "Location" not in answer
        assert "not sent anywhere" in answer.content.decode()


def test_nobody_is_sent_anywhere_for_an_app_that_there_is_not(app: App, browser: Client) -> None:
    for client_id in ("nobody", "", None):
        answer = browser.get(app.address(client_id=client_id))
        assert (answer.status_code, "Location" in answer) == (400, False)


@pytest.mark.parametrize("query", ["client_id=%00", "a=%ED%A0%80", "client_id=a&client_id=b", "%zz=%", "a;b"])
def test_what_cannot_be_read_is_said_on_a_page(browser: Client, query: str) -> None:
    assert browser.get(f"/oauth/authorize?{query}").status_code == 400


@pytest.mark.parametrize("response_type", ["token", "id_token", "code token", "none", "nonsense"])
def test_there_is_no_other_way_than_a_code(app: App, browser: Client, response_type: str) -> None:
    answer = browser.post(app.address(response_type=response_type), {"account": app.account.pk, "allow": "1"})
    brought = query_of(answer["Location"])
    assert brought["error"] in ("unsupported_response_type", "unauthorized_client")
    assert "#" not in answer["Location"]


def test_what_is_missing_from_a_request_is_the_apps_to_hear(app: App, browser: Client) -> None:
    brought = query_of(browser.get(app.address(response_type=None))["Location"])
    assert (brought["error"], brought["state"]) == ("invalid_request", "xyz &=?")


def test_a_program_on_the_persons_machine_listens_on_the_port_it_gets(account: Account, browser: Client) -> None:
    native = App(account, is_public=True, callback="http://127.0.0.1/callback")
    here = "http://127.0.0.1:53124/callback"
    code = native.code(browser, redirect_uri=here)
    assert error_of(native.exchange(code, redirect_uri="http://127.0.0.1:1/callback")) == INVALID
    assert native.exchange(code, redirect_uri=here)[0] == 200
    for uri in ("http://127.0.0.1:53124/other", "http://localhost:53124/callback", "http://127.0.0.2:1/callback"):
        assert browser.get(native.address(redirect_uri=uri)).status_code == 400


def test_an_app_with_a_secret_is_not_excused_the_port(account: Account, browser: Client) -> None:
    app = App(account, callback="http://127.0.0.1/callback")
    assert browser.get(app.address(redirect_uri="http://127.0.0.1:53124/callback")).status_code == 400


def test_an_app_on_a_phone_has_a_scheme_of_its_own(account: Account, browser: Client) -> None:
    native = App(account, is_public=True, callback="com.example.shop:/callback")
    page = browser.get(native.address())
    assert "form-action 'self' https: com.example.shop:;" in page["Content-Security-Policy"]
    assert is_open(native.tokens(browser)["access_token"])


def test_a_token_for_another_server_is_not_ours_to_give(app: App, browser: Client, settings: Any) -> None:
    answer = browser.get(app.address(resource="https://other.example/mcp"))
    assert query_of(answer["Location"])["error"] == "invalid_target"
    assert app.tokens(browser, resource=f"{settings.DRIPSTONE_URL}/mcp")["access_token"]


def test_a_page_of_others_cannot_press_allow(app: App, user: User) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.cookies = browser_of(user).cookies
    answer = browser.post(app.address(), {"account": app.account.pk, "allow": "1"})
    assert answer.status_code == 403
    assert browser.get(app.address())["X-Frame-Options"] == "DENY"


# --- Refresh tokens -----------------------------------------------------------------------------------------------


def test_a_refresh_token_gives_another_pair_and_ends_the_one_before(app: App, browser: Client) -> None:
    first = app.tokens(browser)
    status, second = app.refresh(first["refresh_token"])
    assert (status, second["expires_in"], second["scope"]) == (200, 172800, "public")
    assert second["access_token"] != first["access_token"]
    assert second["refresh_token"] != first["refresh_token"]
    assert is_open(second["access_token"])
    assert not is_open(first["access_token"])


def test_a_lost_answer_is_given_again_within_a_minute(app: App, browser: Client, clock: Any) -> None:
    first = app.tokens(browser)
    _, lost = app.refresh(first["refresh_token"])
    clock.advance(seconds=60)
    status, again = app.refresh(first["refresh_token"])
    assert status == 200
    assert again["refresh_token"] != lost["refresh_token"]
    assert is_open(again["access_token"])
    assert app.refresh(again["refresh_token"])[0] == 200


def test_a_stolen_refresh_token_ends_everything(app: App, browser: Client, clock: Any) -> None:
    first = app.tokens(browser)
    _, second = app.refresh(first["refresh_token"])
    clock.advance(seconds=61)
    assert error_of(app.refresh(first["refresh_token"])) == INVALID
    assert not is_open(second["access_token"])
    assert error_of(app.refresh(second["refresh_token"])) == INVALID
    assert Consent.objects.get().ended_why == tokens.REFRESH_AGAIN


def test_it_is_stolen_within_the_minute_too_once_the_answer_has_been_used(app: App, browser: Client) -> None:
    first = app.tokens(browser)
    _, second = app.refresh(first["refresh_token"])
    _, third = app.refresh(second["refresh_token"])
    assert error_of(app.refresh(first["refresh_token"])) == INVALID
    assert not is_open(third["access_token"])


def test_another_consent_does_not_end_with_it(app: App, browser: Client) -> None:
    one, other = app.tokens(browser), app.tokens(browser)
    tokens.end(Consent.objects.earliest("pk").pk, tokens.REVOKED, MONDAY_9)
    assert (is_open(one["access_token"]), is_open(other["access_token"])) == (False, True)


def test_a_refresh_token_is_for_the_app_that_got_it(app: App, native: App, browser: Client) -> None:
    given = app.tokens(browser)
    assert error_of(native.refresh(given["refresh_token"])) == INVALID
    assert error_of(app.refresh(given["refresh_token"], client_secret="wrong")) == (401, "invalid_client")
    assert app.refresh(given["refresh_token"])[0] == 200


def test_a_scope_is_narrowed_and_never_widened(app: App, browser: Client) -> None:
    given = app.tokens(browser, scope="read")
    for wider in ("public", "write", "read write", "nonsense"):
        assert error_of(app.refresh(given["refresh_token"], scope=wider)) == (400, "invalid_scope")
    both = app.tokens(browser)
    _, narrow = app.refresh(both["refresh_token"], scope="read")
    assert call(narrow["access_token"], "post", "/v4/tags", {"name": "A"}).status_code == 403
    assert app.refresh(narrow["refresh_token"])[1]["scope"] == "public"  # the consent is as wide as it was


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_neither_token_is_taken_for_the_other(app: App, browser: Client, kind: str) -> None:
    given = app.tokens(browser)
    assert not is_open(given["refresh_token"])
    assert error_of(app.refresh(given["access_token"])) == INVALID


# --- Ends ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_an_app_gives_back_what_it_has(app: App, native: App, browser: Client, kind: str) -> None:
    given = app.tokens(browser)
    assert native.ask("/oauth/revoke", token=given[kind])[0] == 200  # of another app: nothing happens
    assert is_open(given["access_token"])
    assert app.ask("/oauth/revoke", token=given[kind], client_secret="wrong")[0] == 401
    assert app.ask("/oauth/revoke", token=given[kind]) == (200, None)
    assert not is_open(given["access_token"])
    assert error_of(app.refresh(given["refresh_token"])) == INVALID
    assert app.ask("/oauth/revoke", token="nonsense")[0] == 200


def test_who_leaves_the_account_takes_their_apps_along(app: App, account: Account, browser: Client, user: User) -> None:
    make_user(account)
    given = app.tokens(browser)
    code = app.code(browser)
    members.remove(account, user.memberships.get().pk)
    assert not is_open(given["access_token"])
    members.join(account, user, "owner", MONDAY_9)
    assert not is_open(given["access_token"])
    assert error_of(app.refresh(given["refresh_token"])) == INVALID
    assert error_of(app.exchange(code)) == INVALID


def test_tokens_end_with_their_user(app: App, account: Account) -> None:
    helper = make_user(account)
    given = app.tokens(browser_of(helper))
    helper.delete()
    assert not is_open(given["access_token"])


def test_tokens_end_with_their_app(app: App, browser: Client) -> None:
    given = app.tokens(browser)
    applications.delete(app.row)
    assert not is_open(given["access_token"])


def test_an_expired_token_says_so(app: App, browser: Client, clock: Any) -> None:
    given = app.tokens(browser)
    clock.advance(seconds=172_799)
    assert is_open(given["access_token"])
    clock.advance(seconds=1)
    answer = call(given["access_token"])
    assert (answer.status_code, json.loads(answer.content)) == (401, {"errors": ["The access token expired"]})
    assert answer["WWW-Authenticate"] == 'Bearer error="invalid_token", error_description="The access token expired"'
    assert app.refresh(given["refresh_token"])[0] == 200


@pytest.mark.parametrize("token", ["oat_nonsense", "nonsense", "kit_nonsense", ""])
def test_an_unknown_token_says_so(db: None, token: str) -> None:
    answer = call(token)
    assert (answer.status_code, json.loads(answer.content)) == (401, {"errors": ["The access token is invalid"]})
    assert answer["WWW-Authenticate"] == 'Bearer error="invalid_token", error_description="The access token is invalid"'


def test_a_token_opens_no_other_account(app: App, browser: Client) -> None:
    foreign = make_subscriber(make_account("Mallory"))
    token = app.tokens(browser)["access_token"]
    assert call(token, path=f"/v4/subscribers/{foreign.pk}").status_code == 404


def test_refreshing_gives_no_more_calls(app: App, browser: Client, settings: Any) -> None:
    settings.DRIPSTONE_RATE_LIMITS = (1000, 3)
    given = app.tokens(browser)
    assert is_open(given["access_token"])
    _, given = app.refresh(given["refresh_token"])
    assert is_open(given["access_token"])
    assert call(given["access_token"]).status_code == 429
    answer = Client().post(
        "/oauth/token", app.credentials | {"grant_type": "refresh_token", "refresh_token": given["refresh_token"]}
    )
    assert (answer.status_code, answer.content) == (429, b"Retry later")


# --- Requests that are none ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ("[]", "application/json"),
        ("{", "application/json"),
        ('{"grant_type": ["authorization_code"]}', "application/json"),
        ('{"grant_type": "authorization_code", "code": "\\u0000"}', "application/json"),
        ('{"grant_type": "authorization_code", "code": "\\ud800"}', "application/json"),
        ("grant_type=a&grant_type=b", "application/x-www-form-urlencoded"),
        ("", "application/x-www-form-urlencoded"),
        ("grant_type=refresh_token", "application/x-www-form-urlencoded"),
        ("x" * 1000, "text/plain"),
        ("{" * 5000, "application/json"),
    ],
)
def test_a_token_request_that_is_none_gets_an_error_of_oauths(db: None, body: str, content_type: str) -> None:
    answer = Client().post("/oauth/token", body, content_type=content_type)
    assert answer.status_code in (400, 401)
    assert json.loads(answer.content)["error"] in ("invalid_request", "unsupported_grant_type", "invalid_client")


@pytest.mark.parametrize("pair", ["\0:x", "nobody:x", "nobody", ":", "%00:%00", "\u00ff:x"])
def test_basic_authentication_that_names_no_app_is_refused(db: None, pair: str) -> None:
    given = base64.b64encode(pair.encode()).decode()
    for path in ("/oauth/token", "/oauth/revoke"):
        asked = {"grant_type": "authorization_code", "code": "x", "token": "x"}
        answer = Client().post(path, asked, headers={"Authorization": f"Basic {given}"})
        assert (answer.status_code, json.loads(answer.content)["error"]) == (401, "invalid_client")


@pytest.mark.parametrize("grant_type", ["password", "client_credentials", "implicit", "nonsense"])
def test_there_are_two_grants(app: App, grant_type: str) -> None:
    assert error_of(app.ask(grant_type=grant_type)) == (400, "unsupported_grant_type")


def test_tokens_are_asked_for_by_post(client: Client) -> None:
    assert client.get("/oauth/token").status_code == 405


def test_an_app_is_for_everybody_on_the_server_and_its_settings_for_its_account(
    account: Account, browser: Client
) -> None:
    theirs = App(make_account("Mallory"))
    assert is_open(theirs.tokens(browser, account)["access_token"])
    with pytest.raises(NotFound):
        applications.find(account, theirs.row.pk)
