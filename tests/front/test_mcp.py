"""The official client of MCP against the running server, by the protocol of 2026 and by that of 2025."""

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from http.client import HTTPResponse
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from mcp import Client
from mcp.client.auth import OAuthClientProvider, TokenStorage
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken

from tests.front.served import HOST, Web, run, serving
from tests.racing import run_apart

MODES = ["auto", "legacy"]


@asynccontextmanager
async def connected(web: Web, mode: str, headers: dict[str, str]) -> AsyncIterator[Client]:
    async with httpx2.AsyncClient(headers=headers) as http:
        transport = streamable_http_client(f"http://{HOST}:{web.port}/mcp", http_client=http)
        async with Client(transport, mode=mode) as client:
            yield client


def talk(web: Web, mode: str, story: Callable[[Client], Awaitable[None]], **headers: str) -> None:
    async def run() -> None:
        async with connected(web, mode, headers or {"X-Kit-Api-Key": web.key}) as client:
            await story(client)

    run_apart(run())


async def did(client: Client, name: str, /, **arguments: Any) -> Any:
    result = await client.call_tool(name, arguments)
    assert not result.is_error, result.content
    return result.structured_content


@pytest.mark.parametrize("mode", MODES)
def test_the_official_client_lists_tools_and_calls_them(web: Web, mode: str) -> None:
    async def story(client: Client) -> None:
        listed = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert listed["list_tags"].annotations is not None
        assert listed["list_tags"].annotations.read_only_hint
        assert listed["delete_sequence"].annotations is not None
        assert listed["delete_sequence"].annotations.destructive_hint
        made = await did(client, "create_tag", name=f"Readers {mode}")
        found = await did(client, "list_tags")
        assert made["tag"]["id"] in [tag["id"] for tag in found["tags"]]
        refused = await client.call_tool("create_tag", {})
        assert refused.is_error
        assert refused.content[0].text == "Name can't be blank"  # type: ignore[union-attr]

    talk(web, mode, story)


@pytest.mark.parametrize("mode", MODES)
def test_a_conversation_from_an_empty_account_to_why(web: Web, mode: str) -> None:
    async def story(client: Client) -> None:
        sequence = (await did(client, "create_sequence", name=f"Course {mode}"))["sequence"]["id"]
        email = {"subject": "Hello", "content": "<p>Hi</p>", "delay_value": 5, "delay_unit": "days"}
        first = await did(client, "create_sequence_email", sequence_id=sequence, published=True, **email)
        address = f"bea-{mode}@example.org"
        await did(client, "create_subscriber", email_address=address)
        await did(client, "add_subscriber_to_sequence", sequence_id=sequence, email_address=address)
        (person,) = (await did(client, "find_subscriber", email_address=address))["subscribers"]
        (place,) = (await did(client, "list_enrollments", subscriber_id=person["id"]))["enrollments"]
        journey = (await did(client, "get_journey", enrollment_id=place["id"]))["journey"]
        assert [step["outcome"] for step in journey["emails"]] == ["next"]
        edit = {"sequence_id": sequence, "id": first["email"]["id"]}
        told = await did(client, "get_impact", tool="delete_sequence_email", arguments=edit)
        assert told["impact"]
        await did(client, "delete_sequence_email", **edit)
        await did(client, "unsubscribe", subscriber_id=person["id"])

    talk(web, mode, story)


@pytest.mark.parametrize("mode", MODES)
def test_a_stranger_gets_no_session(web: Web, mode: str) -> None:
    async def story(client: Client) -> None:
        await client.list_tools()

    with pytest.raises(ExceptionGroup):
        talk(web, mode, story, Authorization="Bearer nobody's")


def test_nobody_reads_what_a_stranger_sends(web: Web) -> None:
    head = web.head("POST", "/mcp", "Content-Type: application/json", "Content-Length: 900000", key="nobody's")
    with web.connect(head + b"[" * 1_000) as connection, HTTPResponse(connection) as answer:  # and no more
        answer.begin()
    assert answer.status == 401
    assert answer.headers["Connection"] == "close"
    assert "resource_metadata=" in answer.headers["WWW-Authenticate"]


def test_a_message_is_at_most_as_large_as_a_body_of_the_api(web: Web) -> None:
    answer = web.ask("POST", "/mcp", b" " * 1_000_001)
    assert (answer.status, answer.json) == (413, {"errors": ["The request body is too large (maximum is 1 MB)"]})


# --- Signing in by OAuth ------------------------------------------------------------------------------------------


class Memory(TokenStorage):
    """What the client would keep on its disk."""

    def __init__(self) -> None:
        self.tokens: OAuthToken | None = None
        self.client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


class Person:
    """In front of a browser: signs in where the client sends them, and allows it what it asks for."""

    def __init__(self, account: Mapping[str, Any]) -> None:
        self.account = account
        self.brought: dict[str, list[str]] = {}

    async def go(self, url: str) -> None:
        async with httpx2.AsyncClient() as browser:
            page = await browser.get(url, follow_redirects=True)
            signing_in = {"email": self.account["user_email"], "password": self.account["password"], "next": url}
            await browser.post(str(page.url), data=signing_in | self._proof(page))
            page = await browser.get(url)
            assert "registered itself" in page.text
            allowing = {"account": str(self.account["account_id"]), "allow": "1"}
            answer = await browser.post(url, data=allowing | self._proof(page))
        self.brought = parse_qs(urlsplit(answer.headers["Location"]).query)

    @staticmethod
    def _proof(page: httpx2.Response) -> dict[str, str]:
        found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
        assert found is not None, page.text
        return {"csrfmiddlewaretoken": found[1]}

    async def came_back(self) -> AuthorizationCodeResult:
        return AuthorizationCodeResult(**{name: values[0] for name, values in self.brought.items()})


def test_the_official_client_finds_out_by_itself_how_to_sign_in(fresh_database: str) -> None:
    """With nothing but the address: by the challenge, the metadata and the registration."""
    made = run(fresh_database, "accounts", "create", "--name", "Oauth", "--email", "oauth@example.org", "--json")
    account = json.loads(made)
    person, kept = Person(account), Memory()

    async def story(url: str) -> list[str]:
        about = OAuthClientMetadata(client_name="Agent", redirect_uris=["http://127.0.0.1:9/back"])  # type: ignore[list-item]
        sign_in = OAuthClientProvider(url, about, kept, person.go, person.came_back)
        async with (
            httpx2.AsyncClient(auth=sign_in) as http,
            Client(streamable_http_client(url, http_client=http)) as client,
        ):
            await did(client, "create_tag", name="By OAuth")
            return [tag["name"] for tag in (await did(client, "list_tags"))["tags"]]

    with serving(fresh_database, account["api_key"], DRIPSTONE_APP_REGISTRATION="1") as web:
        assert run_apart(story(f"http://{HOST}:{web.port}/mcp")) == ["By OAuth"]
    assert kept.tokens is not None and kept.tokens.refresh_token
