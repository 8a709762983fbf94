"""Talking to the door for agents in a test, as clients of the years 2025 and 2026 do."""

import json
from dataclasses import dataclass, field
from typing import Any

from django.test import Client

VERSION = "2026-07-28"


@dataclass(frozen=True)
class Outcome:
    """Of a tool's call: what it answers, or the sentences of its refusal."""

    content: Any
    text: str
    is_error: bool


@dataclass
class Agent:
    """Signs its messages with a key; `headers` are added to each."""

    key: str
    headers: dict[str, str] = field(default_factory=dict)

    def post(self, body: Any, **headers: str) -> Any:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        own = {"X-Kit-Api-Key": self.key} if self.key else {}
        return Client().post("/mcp", data, content_type="application/json", headers={**own, **self.headers, **headers})

    def ask(self, method: str, **params: Any) -> Any:
        """The result, by the protocol of 2026: each message says all about itself."""
        meta = {
            "io.modelcontextprotocol/protocolVersion": VERSION,
            "io.modelcontextprotocol/clientCapabilities": {},
        }
        headers = {"MCP-Protocol-Version": VERSION, "Mcp-Method": method}
        if method == "tools/call":
            headers["Mcp-Name"] = params["name"]
        message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": meta}}
        response = self.post(message, **headers)
        assert response.status_code == 200, response.content
        assert "X-Request-Id" in response and response["Cache-Control"] == "no-store"
        answer = json.loads(response.content)
        assert "error" not in answer, answer
        return answer["result"]

    def call(self, name: str, /, **arguments: Any) -> Outcome:
        result = self.ask("tools/call", name=name, arguments=arguments)
        text = "\n".join(block["text"] for block in result["content"])
        return Outcome(result.get("structuredContent"), text, result["isError"])

    def did(self, name: str, /, **arguments: Any) -> Any:
        """What a tool answers that has to go well."""
        outcome = self.call(name, **arguments)
        assert not outcome.is_error, outcome.text
        assert json.loads(outcome.text) == outcome.content  # the same for clients that only read text
        return outcome.content

    def refused(self, name: str, /, **arguments: Any) -> str:
        outcome = self.call(name, **arguments)
        assert outcome.is_error, outcome.content
        return outcome.text

    def tools(self) -> dict[str, Any]:
        return {tool["name"]: tool for tool in self.ask("tools/list")["tools"]}
