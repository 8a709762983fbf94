"""Who comes in at /mcp, what is listed for whom, and how what cannot be read is refused."""

import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test import Client

from dripstone import clock
from dripstone.accounts.models import Account
from dripstone.api import urls
from dripstone.api.mcp import kit_tools, operations
from dripstone.oauth import tokens
from tests import factories
from tests.api.caller import Caller
from tests.api.mcp.agent import VERSION, Agent

HELLO = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}


@pytest.fixture
def agent(alice: Caller) -> Agent:
    return Agent(alice.key)


@pytest.fixture
def virtual(clock: Any) -> Any:
    return clock


def test_a_client_of_2025_is_greeted_and_lists_tools(agent: Agent) -> None:
    params = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}
    hello = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}
    answer = json.loads(agent.post(hello).content)["result"]
    assert answer["protocolVersion"] == "2025-06-18"
    assert answer["serverInfo"]["name"] == "dripstone"
    assert "get_impact" in answer["instructions"]
    assert agent.post({"jsonrpc": "2.0", "method": "notifications/initialized"}).status_code == 202
    listed = json.loads(agent.post(HELLO, **{"MCP-Protocol-Version": "2025-06-18"}).content)["result"]["tools"]
    assert {"list_tags", "get_journey"} <= {tool["name"] for tool in listed}


def test_a_client_of_2026_discovers_it(agent: Agent) -> None:
    found = agent.ask("server/discover")
    assert VERSION in found["supportedVersions"]


def test_there_is_no_stream_and_no_session_to_end(agent: Agent) -> None:
    """405 is how the protocol says so; clients go on without."""
    for method in ("get", "delete"):
        answer = getattr(Client(), method)("/mcp", headers={"X-Kit-Api-Key": agent.key})
        assert (answer.status_code, answer["Allow"]) == (405, "POST")


@pytest.mark.parametrize("headers", [{"X-Kit-Api-Key": "nobody's"}, {"Authorization": "Bearer nobody's"}, {}])
def test_strangers_are_told_where_to_sign_in(db: None, settings: Any, headers: dict[str, str]) -> None:
    settings.DRIPSTONE_URL = "https://mail.example.com"
    answer = Agent("").post(HELLO, **headers)
    assert answer.status_code == 401
    assert json.loads(answer.content) == {"errors": ["The access token is invalid"]}
    challenge = answer["WWW-Authenticate"]
    assert challenge.startswith("Bearer ")
    assert 'resource_metadata="https://mail.example.com/.well-known/oauth-protected-resource/mcp"' in challenge
    assert ('error="invalid_token"' in challenge) == ("Authorization" in headers)


def test_a_key_may_travel_as_a_bearer_token(alice: Caller) -> None:
    assert Agent("").post(HELLO, Authorization=f"Bearer {alice.key}").status_code == 200


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:6274", 200),
        ("http://127.0.0.1:8000", 200),
        ("https://mail.example.com", 200),
        ("https://mail.example.com.evil.example", 403),
        ("http://evil.example", 403),
        ("http://[", 403),
        ("null", 403),
    ],
)
def test_pages_of_other_sites_may_not_call(agent: Agent, settings: Any, origin: str, status: int) -> None:
    settings.DRIPSTONE_URL = "https://mail.example.com"
    assert agent.post(HELLO, Origin=origin).status_code == status


def test_nor_may_those_that_led_their_name_to_this_machine(agent: Agent) -> None:
    """Then the Host header says the same as the page."""
    assert agent.post(HELLO, Origin="http://evil.example:8000", Host="evil.example:8000").status_code == 403


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"[" * 100_000, 400),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, 400),
        (b"[" + b"[]," * 20_000 + b"[]]", 400),
        (b"{", 400),
        (b"\xff", 400),
        (b"", 400),
        (b"[]", 400),
        (b'"tools/list"', 400),
        (b'{"jsonrpc": "2.0", "id": 1, "method": 7}', 400),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"cursor": "\\u0000"}}', 422),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused(agent: Agent, body: bytes, status: int) -> None:
    assert agent.post(body).status_code == status


def test_what_is_listed_may_be_used(alice: Caller) -> None:
    """A key without full access sees nothing that Kit keeps for OAuth."""
    known = operations.of({"/v4": urls.kit, "/ext/v1": urls.ext})
    kept = {
        tool.name
        for tool in kit_tools.TOOLS
        if (call := known.get(operations.key(tool.call))) is not None and call.needs_full_access
    }
    plain = Agent(factories.make_key(alice.account, has_full_access=False)[1])
    full = Agent(alice.key)
    assert full.tools().keys() - plain.tools().keys() == kept


def _token(account: Account, scope: str) -> str:
    email = factories.make_user(account).email
    app = factories.make_app(account)
    token: str = tokens.give_out(account, email, app, scope, clock.now())["access_token"]
    return token


def _with_token(token: str) -> Agent:
    return Agent("", {"Authorization": f"Bearer {token}"})


def test_a_token_sees_everything(alice: Caller) -> None:
    agent = _with_token(_token(alice.account, "public"))
    assert agent.tools() == Agent(alice.key).tools()
    agent.did("create_tag", name="Readers")


def test_a_token_that_only_reads_sees_and_calls_what_reads(alice: Caller) -> None:
    agent = _with_token(_token(alice.account, "read"))
    assert all(tool["annotations"]["readOnlyHint"] for tool in agent.tools().values())
    agent.did("list_tags")
    sequence = factories.make_sequence(alice.account, {"delay_value": 0})
    edit = {"tool": "delete_sequence", "arguments": {"id": sequence.pk}}
    agent.did("get_impact", **edit)  # a POST that reads
    agent.did("preview_sequence_email", sequence_id=sequence.pk, id=sequence.emails.get().pk)
    for name, arguments in (("create_tag", {"name": "A"}), ("delete_sequence", {"id": sequence.pk})):
        assert agent.refused(name, **arguments).startswith("You do not have sufficient permissions")
    assert not alice.account.tags.exists()


def test_an_expired_token_says_so(alice: Caller, virtual: Any) -> None:
    token = _token(alice.account, "public")
    virtual.advance(days=3)
    answer = _with_token(token).post(HELLO)
    assert (answer.status_code, json.loads(answer.content)) == (401, {"errors": ["The access token expired"]})
    assert 'error_description="The access token expired"' in answer["WWW-Authenticate"]
    assert "/.well-known/oauth-protected-resource/mcp" in answer["WWW-Authenticate"]


def test_the_address_in_the_challenge_is_there(alice: Caller, settings: Any) -> None:
    """And names this very door, as RFC 9728 asks."""
    challenge = Agent("").post(HELLO)["WWW-Authenticate"]
    url = urlsplit(challenge.partition('resource_metadata="')[2].rstrip('"'))
    document = json.loads(Client().get(url.path).content)
    assert document["resource"] == f"{settings.DRIPSTONE_URL}/mcp"


def test_messages_count_against_the_limit_of_the_key(agent: Agent, settings: Any) -> None:
    settings.DRIPSTONE_RATE_LIMITS = (3, 3)
    for _ in range(3):
        agent.tools()
    answer = agent.post(HELLO)
    assert (answer.status_code, answer.content) == (429, b"Retry later")


def test_a_call_counts_once(agent: Agent, settings: Any) -> None:
    settings.DRIPSTONE_RATE_LIMITS = (3, 3)
    for _ in range(3):
        agent.did("list_tags")
    assert agent.refused("list_tags").startswith("Retry later")
