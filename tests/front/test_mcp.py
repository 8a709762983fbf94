"""The official client of MCP against the running server, by the protocol of 2026 and by that of 2025."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from tests.front.served import HOST, Web

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

    asyncio.run(run())


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
    answer = web.ask("POST", "/mcp", b"[" * 900_000, {"X-Kit-Api-Key": "nobody's"})
    assert answer.status == 401
    assert answer.headers["Connection"] == "close"
    assert "resource_metadata=" in answer.headers["WWW-Authenticate"]


def test_a_message_is_at_most_as_large_as_a_body_of_the_api(web: Web) -> None:
    answer = web.ask("POST", "/mcp", b" " * 1_000_001)
    assert (answer.status, answer.json) == (413, {"errors": ["The request body is too large (maximum is 1 MB)"]})
