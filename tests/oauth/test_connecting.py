"""How an app gets to an account, when all goes well, and what its tokens then open."""

import base64
import json
from typing import Any
from urllib.parse import urlencode

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client

from dripstone.accounts import members
from dripstone.accounts.models import Account, User
from dripstone.oauth import tokens
from dripstone.oauth.models import AccessToken, Consent, Grant, RefreshToken
from tests.factories import MONDAY_9, make_account, make_subscriber, make_user
from tests.oauth.flow import CALLBACK, VERIFIER, App, browser_of, call, is_open, query_of

FORBIDDEN = {"errors": ["You do not have sufficient permissions to access this resource. Please contact support."]}


def test_an_app_with_a_secret_gets_tokens_and_they_open_the_api(app: App, browser: Client, account: Account) -> None:
    brought = app.sent_back(browser)
    assert brought.keys() == {"code", "state", "iss"}
    assert (brought["state"], brought["iss"]) == ("xyz &=?", settings.DRIPSTONE_URL)
    status, given = app.exchange(brought["code"])
    assert status == 200
    assert given == {
        "access_token": given["access_token"],
        "token_type": "Bearer",
        "expires_in": 172800,
        "refresh_token": given["refresh_token"],
        "scope": "public",
        "created_at": int(MONDAY_9.timestamp()),
    }
    answer = call(given["access_token"])
    assert answer.status_code == 200
    assert json.loads(answer.content)["account"]["id"] == account.pk


def test_an_app_without_one_shows_the_verifier(native: App, browser: Client) -> None:
    assert is_open(native.tokens(browser)["access_token"])


def test_an_app_with_a_secret_may_use_both(app: App, native: App, browser: Client) -> None:
    from tests.oauth.flow import challenge

    code = app.code(browser, code_challenge=challenge(), code_challenge_method="S256")
    assert app.exchange(code)[1]["error"] == "invalid_request"
    assert app.exchange(code, code_verifier=VERIFIER)[0] == 200


@pytest.mark.parametrize("prefix", ["", "/v4"])
def test_it_answers_where_kit_answers_too(app: App, browser: Client, prefix: str) -> None:
    page = browser.get(f"{prefix}{app.address()}")
    assert page.status_code == 200
    sent = browser.post(f"{prefix}{app.address()}", {"account": app.account.pk, "allow": "1"})
    code = query_of(sent["Location"])["code"]
    assert app.exchange(code, path=f"{prefix}/oauth/token")[0] == 200


def test_token_requests_come_as_json_or_as_a_form(app: App, browser: Client) -> None:
    def asked() -> dict[str, str]:
        code = app.code(browser)
        return app.credentials | {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}

    form = "application/x-www-form-urlencoded"
    for body, content_type in (
        (json.dumps(asked()), "application/json"),
        (urlencode(asked()), form),
        (json.dumps(asked()), form),  # as in Kit's own examples
    ):
        answer = Client().post("/oauth/token", body, content_type=content_type)
        assert answer.status_code == 200, answer.content
        assert answer["Cache-Control"] == "no-store"


def test_the_secret_may_come_as_basic_authentication(app: App, browser: Client) -> None:
    pair = base64.b64encode(f"{app.row.client_id}:{app.secret}".encode()).decode()
    asked = {"grant_type": "authorization_code", "code": app.code(browser), "redirect_uri": CALLBACK}
    refused = Client().post("/oauth/token", asked, headers={"Authorization": f"Basic {pair[:-4]}"})
    assert (refused.status_code, refused["WWW-Authenticate"]) == (401, 'Basic realm="oauth"')
    answer = Client().post("/oauth/token", asked, headers={"Authorization": f"Basic {pair}"})
    assert answer.status_code == 200, answer.content


def test_a_parameter_of_kits_that_we_have_no_use_for_is_ignored(app: App, browser: Client) -> None:
    assert app.tokens(browser, tenant_name="somebody")["access_token"]


def test_the_address_may_be_left_out_by_an_app_that_has_one(app: App, browser: Client) -> None:
    code = app.code(browser, redirect_uri=None)
    assert app.exchange(code, redirect_uri=None)[0] == 200


def test_a_token_is_bound_to_the_account_that_was_chosen(app: App, browser: Client, user: User) -> None:
    club = make_account("Club")
    members.join(club, user, "editor", MONDAY_9)
    make_subscriber(club)
    given = app.tokens(browser, club)
    assert json.loads(call(given["access_token"]).content)["account"]["id"] == club.pk
    assert len(json.loads(call(given["access_token"], path="/v4/subscribers").content)["subscribers"]) == 1


def test_nobody_allows_anything_in_an_account_of_others(app: App, browser: Client) -> None:
    foreign = make_account("Mallory")
    make_user(foreign)
    answer = browser.post(app.address(), {"account": foreign.pk, "allow": "1"})
    assert answer.status_code == 422
    assert not Consent.objects.exists()


def test_who_says_no_is_sent_back_with_that(app: App, browser: Client) -> None:
    answer = browser.post(app.address(), {"account": app.account.pk, "deny": "1"})
    brought = query_of(answer["Location"])
    assert (brought["error"], brought["state"], brought["iss"]) == ("access_denied", "xyz &=?", settings.DRIPSTONE_URL)


def test_an_access_token_opens_what_kit_keeps_for_oauth(app: App, browser: Client) -> None:
    from dripstone.api.auth import FullAccess

    signed = {"Authorization": f"Bearer {app.tokens(browser)['access_token']}"}
    caller = FullAccess().authenticate(Client().get("/", headers=signed).wsgi_request, None)
    assert caller is not None
    assert (caller.has_full_access, caller.application_id) == (True, app.row.pk)
    assert caller.actor == "Shop, allowed by alice@example.com"


# --- Scopes -------------------------------------------------------------------------------------------------------


def test_a_token_that_may_read_does_not_write(app: App, browser: Client) -> None:
    token = app.tokens(browser, scope="read")["access_token"]
    assert is_open(token)
    refused = call(token, "post", "/v4/tags", {"name": "A"})
    assert (refused.status_code, json.loads(refused.content)) == (403, FORBIDDEN)
    assert refused["WWW-Authenticate"] == 'Bearer error="insufficient_scope"'
    assert call(token, "post", "/ext/v1/subscribers/count", {}).status_code == 200  # a POST that only reads


def test_a_token_that_may_write_does_not_read(app: App, browser: Client) -> None:
    token = app.tokens(browser, scope="write")["access_token"]
    assert call(token).status_code == 403
    assert call(token, "post", "/v4/tags", {"name": "A"}).status_code == 201


@pytest.mark.parametrize("scope", [None, "", " ", "public", "read write", "public read", "read  write"])
def test_public_and_none_mean_both(app: App, browser: Client, scope: str | None) -> None:
    given = app.tokens(browser, scope=scope)
    assert given["scope"].split() == (scope or "").split() or given["scope"] == "public"
    assert is_open(given["access_token"])
    assert call(given["access_token"], "post", "/v4/tags", {"name": "A"}).status_code == 201


def test_a_viewers_app_does_not_write(app: App, account: Account) -> None:
    viewer = make_user(account, role="viewer")
    token = app.tokens(browser_of(viewer))["access_token"]
    assert is_open(token)
    assert call(token, "post", "/v4/tags", {"name": "A"}).status_code == 403
    viewer.memberships.update(role="editor")
    assert call(token, "post", "/v4/tags", {"name": "A"}).status_code == 201


def test_an_editors_app_changes_no_settings(account: Account) -> None:
    from dripstone.accounts.limits import Credential
    from dripstone.api import auth
    from dripstone.errors import OutOfScope

    caller = auth.Caller(account, "", Credential("token", 1), application_id=1, is_owner=False)
    auth.permit(caller, "GET", "/v4/account/colors")
    with pytest.raises(OutOfScope):
        auth.permit(caller, "PUT", "/v4/account/colors")


def test_an_unknown_scope_is_the_apps_to_hear(app: App, browser: Client) -> None:
    answer = browser.get(app.address(scope="read everything"))
    assert answer.status_code == 302
    assert answer["Location"].startswith(f"{CALLBACK}?")
    assert query_of(answer["Location"])["error"] == "invalid_scope"


# --- What is kept -------------------------------------------------------------------------------------------------


def test_nothing_is_kept_that_opens_anything(app: App, browser: Client) -> None:
    code = app.code(browser)
    _, given = app.exchange(code)
    secrets = [code, app.secret, given["access_token"], given["refresh_token"]]
    with connection.cursor() as cursor:
        for table in ("oauth_application", "oauth_grant", "oauth_accesstoken", "oauth_refreshtoken", "oauth_consent"):
            cursor.execute(f"SELECT t::text FROM {table} t")
            kept = " ".join(row[0] for row in cursor.fetchall())
            assert not any(secret in kept for secret in secrets)


def test_a_consent_says_who_gave_it_and_when_it_was_used(app: App, browser: Client, user: User, clock: Any) -> None:
    token = app.tokens(browser)["access_token"]
    consent = Consent.objects.get()
    assert (consent.user, consent.application, consent.given_at, consent.last_used_at) == (
        user,
        app.row,
        MONDAY_9,
        None,
    )
    call(token)
    clock.advance(seconds=30)
    call(token)
    consent.refresh_from_db()
    assert consent.last_used_at == MONDAY_9  # to a minute
    clock.advance(seconds=31)
    call(token)
    consent.refresh_from_db()
    assert consent.last_used_at == clock.now()


def test_what_is_over_is_forgotten_after_a_while(app: App, browser: Client, clock: Any) -> None:
    kept, gone = app.tokens(browser), app.tokens(browser)
    tokens.end(Consent.objects.latest("pk").pk, tokens.REVOKED, clock.now())
    tokens.forget_old(clock.advance(days=31))
    assert [len(one.objects.all()) for one in (Grant, AccessToken, RefreshToken)] == [0, 2, 1]
    for _ in range(3):
        now = clock.advance(days=130)
        status, kept = app.refresh(kept["refresh_token"])
        assert status == 200
        tokens.forget_old(now)
    assert Consent.objects.count() == 1
    assert app.refresh(gone["refresh_token"])[0] == 400


@pytest.mark.parametrize("is_pruned", [False, True])
def test_a_consent_that_no_app_uses_ends_after_half_a_year(
    app: App, browser: Client, clock: Any, is_pruned: bool
) -> None:
    """A call is a use of it, and so is a refresh."""
    given = app.tokens(browser)
    clock.advance(days=179)
    _, given = app.refresh(given["refresh_token"])
    clock.advance(days=1)
    call(given["access_token"])
    clock.advance(days=180)
    _, given = app.refresh(given["refresh_token"])
    assert is_open(given["access_token"])
    now = clock.advance(days=180, seconds=1)
    if is_pruned:
        tokens.forget_old(now)
        assert not RefreshToken.objects.exists()
    status, refused = app.refresh(given["refresh_token"])
    assert (status, refused["error"]) == (400, "invalid_grant")
    assert not is_open(given["access_token"])
    consent = Consent.objects.get()
    assert (consent.ended_at, consent.ended_why) == (now, tokens.UNUSED)
    assert tokens.how_it_ended(consent) == "ended by us: the app had not used it for 180 days"


# --- Pages of others ----------------------------------------------------------------------------------------------

FROM_A_PAGE = {"Origin": "https://app.example"}


@pytest.mark.parametrize("path", ["/oauth/token", "/v4/oauth/token", "/oauth/revoke", "/oauth/register"])
def test_a_browser_is_told_that_pages_may_ask(db: None, path: str) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    answer = Client().options(path, headers=FROM_A_PAGE | asked)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer["Access-Control-Allow-Origin"] == "*"
    assert "POST" in answer["Access-Control-Allow-Methods"]
    assert {"Authorization", "Content-Type"} <= set(answer["Access-Control-Allow-Headers"].split(", "))
    assert "Access-Control-Allow-Credentials" not in answer


def test_an_app_in_a_page_gets_its_tokens_and_hears_why_not(native: App, browser: Client) -> None:
    asked = {"grant_type": "authorization_code", "code": native.code(browser), "redirect_uri": CALLBACK}
    asked |= {"code_verifier": VERIFIER, **native.credentials}
    for status in (200, 400):
        answer = Client().post("/oauth/token", asked, headers=FROM_A_PAGE)
        assert (answer.status_code, answer["Access-Control-Allow-Origin"]) == (status, "*")
        assert "Access-Control-Allow-Credentials" not in answer
    unknown = Client().post("/oauth/token", asked | {"client_id": "nobody"}, headers=FROM_A_PAGE)
    assert (unknown.status_code, unknown["Access-Control-Allow-Origin"]) == (401, "*")


def test_no_page_of_others_asks_people_or_reads_what_they_are_shown(app: App, browser: Client) -> None:
    answer = browser.get(app.address(), headers=FROM_A_PAGE)
    assert answer.status_code == 200
    assert "Access-Control-Allow-Origin" not in answer


@pytest.mark.parametrize(
    "path", ["/.well-known/oauth-authorization-server", "/.well-known/oauth-protected-resource/mcp"]
)
def test_what_there_is_to_know_is_read_by_pages_that_say_their_version(db: None, path: str) -> None:
    asked = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "mcp-protocol-version"}
    assert "MCP-Protocol-Version" in Client().options(path, headers=FROM_A_PAGE | asked)["Access-Control-Allow-Headers"]
    assert Client().get(path, headers=FROM_A_PAGE)["Access-Control-Allow-Origin"] == "*"
