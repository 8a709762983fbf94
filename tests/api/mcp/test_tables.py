"""The tables of tools: they say what Kit's say, their calls take what they give, and the documentation lists them."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from dripstone.api import urls
from dripstone.api.mcp import kit_tools, operations, our_tools
from dripstone.api.mcp.parameters import ALWAYS, MOST_PER_PAGE
from dripstone.api.mcp.tools import Tool
from tests.kit import contract

TOOLS = (*kit_tools.TOOLS, *our_tools.TOOLS)
KNOWN = operations.of({"/v4": urls.kit, "/ext/v1": urls.ext})
THERE = [tool for tool in TOOLS if operations.key(tool.call) in KNOWN]
REFERENCE = Path(__file__).parents[3] / "docs" / "reference" / "agents.md"

KITS = contract.PATH.with_name("mcp-tools.md")  # Kit's own list, kept beside this repository like its contract


def _name(tool: Tool) -> str:
    return tool.name


@cache
def _kits() -> dict[str, tuple[dict[str, str], dict[str, str], str]]:
    """By tool: required and optional parameters with their types, and Kit's call."""
    if not KITS.exists():
        contract.skip_if_absent()
        pytest.skip(f"Kit's list of tools, ../shared/kit/{KITS.name}, is not on this machine")
    rows = re.findall(r"^\| (\w+) \| (.*?) \| (.*?) \| .*? \| (.*?) \|$", KITS.read_text(), re.MULTILINE)
    return {name: (_types(needs), _types(takes), call) for name, needs, takes, call in rows if name != "Tool"}


def _types(cell: str) -> dict[str, str]:
    return dict(re.findall(r"`(\w+)`: (\w+)", cell))


def _described(parameters: dict[str, Any]) -> dict[str, str]:
    return {name: schema["type"] for name, schema in parameters.items()}


def test_every_tool_of_kit_is_there_or_missing_with_a_reason() -> None:
    there = {tool.name for tool in kit_tools.TOOLS}
    assert not there & kit_tools.MISSING.keys()
    assert there | kit_tools.MISSING.keys() == _kits().keys()


def test_ours_have_names_of_their_own() -> None:
    names = [tool.name for tool in TOOLS] + [*kit_tools.MISSING]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("tool", kit_tools.TOOLS, ids=_name)
def test_parameters_are_those_of_kit(tool: Tool) -> None:
    needs, takes, call = _kits()[tool.name]
    assert _described(tool.needs) == needs
    assert _described(tool.takes) == takes
    if call != "—":
        assert operations.key(tool.call) == operations.key(call)


@pytest.mark.parametrize("tool", TOOLS, ids=_name)
def test_a_schema_is_one_and_closed(tool: Tool) -> None:
    Draft202012Validator.check_schema(tool.schema)
    assert tool.schema["additionalProperties"] is False
    assert ALWAYS.keys() <= tool.schema["properties"].keys()
    assert all(schema["description"].endswith(".") or "type" not in schema for schema in tool.parameters.values())
    assert set(tool.in_path) <= tool.needs.keys() or tool.name == "get_impact"
    if "per_page" in tool.takes:
        assert (tool.takes["per_page"]["minimum"], tool.takes["per_page"]["maximum"]) == (1, MOST_PER_PAGE)


@pytest.mark.parametrize("tool", THERE, ids=_name)
def test_its_call_takes_what_it_gives(tool: Tool) -> None:
    """Every parameter that is not in the path is one that the call knows: a wrong name would be ignored in silence."""
    path, api = tool.path, urls.kit if tool.path.startswith("/v4/") else urls.ext
    schema = api.get_openapi_schema()
    (call,) = (
        calls[tool.method.lower()]
        for known, calls in schema["paths"].items()
        if operations.key(known) == operations.key(path) and tool.method.lower() in calls
    )
    known = {one["name"] for one in call.get("parameters", ())} | _members(call, schema)
    given = set(tool.beside_path(tool.parameters)) - tool.beside_call.keys()
    assert given - known - NOT_SENT.get(tool.name, set()) == set()


# Parameters that become others: see `given` of each.
NOT_SENT = {
    "get_impact": {"tool", "arguments"},
    **{f"list_subscribers_for_{noun}": {"include"} for noun in ("tag", "form", "sequence")},
}


def _members(call: Any, schema: Any) -> set[str]:
    body = call.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    if "$ref" in body:
        body = schema["components"]["schemas"][body["$ref"].rpartition("/")[2]]
    return set(body.get("properties", {}))


@pytest.mark.parametrize("tool", TOOLS, ids=_name)
def test_what_takes_away_says_so(tool: Tool) -> None:
    if tool.name.startswith(("delete_", "bulk_delete", "remove_", "bulk_remove", "unsubscribe", "update_")):
        assert tool.hints["destructive"]
    if tool.name.startswith(("get_", "list_", "find_", "filter_", "preview_")):
        assert tool.reads


def test_ours_only_read() -> None:
    assert all(tool.reads for tool in our_tools.TOOLS)


def test_the_documentation_lists_every_tool_and_nothing_else() -> None:
    page = REFERENCE.read_text()
    offered, missing = page.split("## Kit's tools that are missing")
    assert dict(re.findall(r"^\| `(\w+)`.*? \| `(.+?)` \|", offered, re.MULTILINE)) == {
        tool.name: tool.call for tool in TOOLS
    }
    assert dict(re.findall(r"^\| `(\w+)` \| (.+?) \|$", missing, re.MULTILINE)) == kit_tools.MISSING
