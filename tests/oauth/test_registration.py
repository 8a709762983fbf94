"""What there is to know about us, and apps that register themselves."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from dripstone.oauth import registration
from dripstone.oauth.models import Application
from tests.factories import MONDAY_9, make_app
from tests.oauth.flow import App, is_open

HERE = "https://mail.example.com"
AGENT = {
    "client_name": "An agent",
    "redirect_uris": ["http://127.0.0.1:33418/callback"],
    "token_endpoint_auth_method": "none",
    "grant_types": ["authorization_code", "refresh_token"],
    "response_types": ["code"],
    "scope": "read write",
}


@pytest.fixture
def is_on(settings: Any) -> None:
    settings.DRIPSTONE_APP_REGISTRATION = True


def register(given: Any, network: str = "192.0.2.1") -> tuple[int, Any]:
    data = given if isinstance(given, str) else json.dumps(given)
    answer = Client(REMOTE_ADDR=network).post("/oauth/register", data, content_type="application/json")
    return answer.status_code, json.loads(answer.content)


def test_the_metadata_says_where_and_how(client: Client, settings: Any) -> None:
    settings.DRIPSTONE_URL = HERE
    document = json.loads(client.get("/.well-known/oauth-authorization-server").content)
    assert document == {
        "issuer": HERE,
        "authorization_endpoint": f"{HERE}/oauth/authorize",
        "token_endpoint": f"{HERE}/oauth/token",
        "revocation_endpoint": f"{HERE}/oauth/revoke",
        "scopes_supported": ["public", "read", "write"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic", "none"],
        "revocation_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic", "none"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
    }


@pytest.mark.parametrize("part", ["", "/mcp", "/v4", "/ext/v1"])
def test_each_part_says_who_gives_its_tokens(client: Client, settings: Any, part: str) -> None:
    settings.DRIPSTONE_URL = HERE
    document = json.loads(client.get(f"/.well-known/oauth-protected-resource{part}").content)
    assert (document["resource"], document["authorization_servers"]) == (f"{HERE}{part}", [HERE])
    assert client.get("/.well-known/oauth-protected-resource/other").status_code == 404


def test_nobody_registers_unless_the_operator_lets_them(client: Client, db: None) -> None:
    assert register(AGENT)[0] == 404
    assert "registration_endpoint" not in json.loads(client.get("/.well-known/oauth-authorization-server").content)
    assert not Application.objects.exists()


def test_the_metadata_says_so_when_they_may(client: Client, is_on: None) -> None:
    document = json.loads(client.get("/.well-known/oauth-authorization-server").content)
    assert document["registration_endpoint"].endswith("/oauth/register")


def test_an_agent_registers_and_is_allowed(account: Any, browser: Client, is_on: None) -> None:
    status, answer = register(AGENT)
    assert status == 201
    assert answer["redirect_uris"] == AGENT["redirect_uris"]
    assert "client_secret" not in answer
    app = App(account, is_public=True, callback="http://127.0.0.1:33418/callback")
    app.row = Application.objects.get(client_id=answer["client_id"])
    page = browser.get(app.address()).content.decode()
    assert "Nobody here knows this app" in page
    assert "a program on your own machine" in page
    assert is_open(app.tokens(browser)["access_token"])


def test_a_server_gets_a_secret_by_default(is_on: None, clock: Any) -> None:
    status, answer = register({"redirect_uris": ["https://shop.example/callback"]})
    assert (status, answer["token_endpoint_auth_method"], answer["client_secret_expires_at"]) == (
        201, "client_secret_basic", 0,
    )  # fmt: skip
    row = Application.objects.get()
    assert row.client_secret != answer["client_secret"]
    assert row.name == "An app without a name"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"redirect_uris": None}, "invalid_redirect_uri"),
        ({"redirect_uris": []}, "invalid_redirect_uri"),
        ({"redirect_uris": "https://shop.example/callback"}, "invalid_redirect_uri"),
        ({"redirect_uris": [1]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["http://shop.example/callback"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["javascript:alert(1)"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["https://*.example/callback"]}, "invalid_redirect_uri"),
        ({"redirect_uris": [f"https://shop.example/{n}" for n in range(21)]}, "invalid_redirect_uri"),
        ({"token_endpoint_auth_method": "private_key_jwt"}, "invalid_client_metadata"),
        ({"grant_types": ["client_credentials"]}, "invalid_client_metadata"),
        ({"response_types": "code"}, "invalid_client_metadata"),
        ({"scope": 1}, "invalid_client_metadata"),
        ({"client_name": "A" * 300}, "invalid_client_metadata"),
        ({"client_name": "\0"}, "invalid_client_metadata"),
    ],
)
def test_what_cannot_be_registered_is_said(is_on: None, db: None, change: dict[str, Any], error: str) -> None:
    status, answer = register(AGENT | change)
    assert (status, answer["error"]) == (400, error), answer
    assert not Application.objects.exists()


@pytest.mark.parametrize("body", ["", "[]", "{", "null", '"x"'])
def test_what_is_no_json_object_is_refused(is_on: None, db: None, body: str) -> None:
    assert register(body)[0] == 400


def test_a_network_registers_some_in_an_hour(is_on: None, clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registration, "MOST_OF_NETWORK", 2)
    monkeypatch.setattr(registration, "MOST_OF_ALL", 3)
    assert [register(AGENT)[0] for _ in range(3)] == [201, 201, 429]
    assert [register(AGENT, "192.0.2.2")[0] for _ in range(2)] == [201, 429]
    clock.advance(hours=1, seconds=1)
    assert register(AGENT)[0] == 201


def test_what_nobody_ever_allowed_is_forgotten(account: Any, is_on: None, clock: Any) -> None:
    register(AGENT)
    mine = make_app(account)
    registration.forget_unused(MONDAY_9 + registration.KEEP_UNUSED)
    assert Application.objects.count() == 2
    registration.forget_unused(MONDAY_9 + registration.KEEP_UNUSED + timedelta(seconds=1))
    assert Application.objects.get() == mine
