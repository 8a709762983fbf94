"""Kit's contract (openapi.json, kept beside this repository) as data: its operations, and what is wrong with an answer.

The published schemas come from examples, so one field can be nullable in one operation and not in another. Answers
are held against the union of both, and may have no member that the contract does not know.
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

PATH = Path(__file__).resolve().parents[3] / "shared" / "kit" / "openapi.json"

# Kit's operations that are not served yet. All others are, and each is tried with its examples.
NOT_YET = {
    "GET /v4/account/email_stats",
    "GET /v4/account/growth_stats",
    "GET /v4/broadcasts",
    "POST /v4/broadcasts",
    "GET /v4/broadcasts/stats",
    "GET /v4/broadcasts/{broadcast_id}/clicks",
    "GET /v4/broadcasts/{broadcast_id}/stats",
    "DELETE /v4/broadcasts/{id}",
    "GET /v4/broadcasts/{id}",
    "PUT /v4/broadcasts/{id}",
    "GET /v4/posts",
    "GET /v4/posts/{id}",
    "GET /v4/subscribers/{subscriber_id}/stats",
}

SOMEBODY = 1133  # where an example says 0, which is nobody's id

# Object → field → types, wider than some operation publishes them. An object is known by the member it hangs on.
_SEQUENCE = {"email_address": ["string", "null"], "email_template_id": ["integer", "null"]}
_EMAIL = {
    "preview_text": ["string", "null"],
    "content": ["string", "null"],
    "email_template_id": ["integer", "null"],
    "position": ["integer", "null"],
    "send_days": ["array", "null"],
}
UNION: Mapping[str, Mapping[str, list[str]]] = {
    "sequence": _SEQUENCE,
    "sequences": _SEQUENCE,
    "email": _EMAIL,
    "emails": _EMAIL,
    "forms": {"format": ["string", "null"]},
    "products": {"sku": ["string", "null"]},
    "document": {"value": ["null"], "value_html": ["string", "null"], "value_plain": ["null"]},
    # Of a failure: what was sent has no value, or one of another type. A person without a name is Kit's own elsewhere.
    "subscriber": {"first_name": ["string", "null"]},
    "subscribers": {"first_name": ["string", "null"]},
    "custom_field_value": {"subscriber_custom_field_id": ["integer", "null"], "value": ["string", "null"]},
    "tag": {"id": ["integer", "null"]},
    "pagination": {"start_cursor": ["string", "null"], "end_cursor": ["string", "null"]},  # of an empty page
}

# Object → fields that some operation publishes and another one of the same object leaves out of its example.
THINGS = ("form_id", "tag_id", "sequence_id", "custom_field_id", "product_id")
ALSO = {"event": {name: ["integer", "null"] for name in THINGS}}

# What ours say beyond Kit's, when there is something to say: docs/decisions/kits-filter.md.
ADDED: Mapping[str, set[str]] = {"POST /v4/subscribers/filter": {"warnings"}}


def skip_if_absent() -> None:
    """For a fixture: the contract is not part of this repository. Where its folder is, CI insists on the file."""
    if PATH.exists():
        return
    if PATH.parent.exists() and os.environ.get("CI", "").lower() in ("1", "true", "yes"):
        pytest.fail(f"{PATH.name} is missing in {PATH.parent.name}/")
    pytest.skip("Kit's contract, ../shared/kit/openapi.json, is not on this machine")


@dataclass(frozen=True)
class Operation:
    method: str  # lower case
    path: str  # with {names}
    raw: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.method.upper()} {self.path}"

    @property
    def example_path(self) -> str:
        """The path with the ids of the examples."""
        path = self.path
        for parameter in self._parameters("path"):
            path = path.replace("{" + parameter["name"] + "}", str(parameter["example"] or SOMEBODY))
        return path

    @property
    def unknown_path(self) -> str:
        """The path with ids nobody has."""
        path = self.path
        for parameter in self._parameters("path"):
            path = path.replace("{" + parameter["name"] + "}", "999999999")
        return path

    @property
    def required_query(self) -> dict[str, Any]:
        return {one["name"]: _text(one["example"]) for one in self._parameters("query") if one.get("required")}

    @property
    def optional_query(self) -> dict[str, Any]:
        """Those with an example."""
        rows = [one for one in self._parameters("query") if not one.get("required")]
        return {one["name"]: _text(one["example"]) for one in rows if one.get("example") is not None}

    @property
    def body(self) -> Any:
        """The example, exactly as printed; None when the operation takes no body."""
        media = self._media()
        return None if media is None else media.get("example", {}) or {}

    @property
    def success_statuses(self) -> set[int]:
        return {int(status) for status in self.raw["responses"] if status.startswith("2")}

    def documents(self, status: int) -> bool:
        return str(status) in self.raw["responses"]

    def problems(self, status: int, document: Any) -> list[str]:
        """What is wrong with an answer; an undocumented status is a problem, too."""
        response = self.raw["responses"].get(str(status))
        if response is None:
            return [f"status {status} is not documented: {document}"]
        content = response.get("content")
        if not content:
            return [] if document is None else [f"status {status} has no body, but got {document}"]
        schema = _json_schema(content["application/json"]["schema"])
        validator = Draft202012Validator(schema, format_checker=FormatChecker())
        if added := ADDED.get(str(self)):
            document = {name: value for name, value in document.items() if name not in added}
        return [f"{error.json_path}: {error.message[:300]}" for error in validator.iter_errors(document)]

    def _parameters(self, place: str) -> list[Any]:
        return [one for one in self.raw.get("parameters", []) if one["in"] == place]

    def _media(self) -> Any:
        return self.raw.get("requestBody", {}).get("content", {}).get("application/json")


@cache
def operations() -> dict[str, Operation]:
    """By "METHOD /path". Empty without the contract."""
    if not PATH.exists():
        return {}
    paths = json.loads(PATH.read_text(encoding="utf-8"))["paths"]
    found = (Operation(method, path, raw) for path, item in paths.items() for method, raw in _methods(item))
    return {str(operation): operation for operation in found}


def answering() -> list[Operation]:
    """Those that are served. Empty without the contract."""
    return [operation for name, operation in operations().items() if name not in NOT_YET]


def _methods(item: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    return ((method, raw) for method, raw in item.items() if method in ("get", "post", "put", "patch", "delete"))


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _json_schema(schema: Mapping[str, Any], owner: str = "") -> dict[str, Any]:
    """OpenAPI 3.0 to JSON Schema. `owner`: the member this object hangs on, for UNION."""
    result = {key: value for key, value in schema.items() if key in ("type", "required", "enum", "minimum", "maximum")}
    if "properties" in schema:
        wider = UNION.get(owner, {})
        result["properties"] = {
            name: _widen(_json_schema(value, name), wider.get(name)) for name, value in schema["properties"].items()
        }
        for name, types in ALSO.get(owner, {}).items():
            result["properties"].setdefault(name, {"type": types})
        result["additionalProperties"] = False
    if isinstance(schema.get("additionalProperties"), Mapping):
        result["additionalProperties"] = _json_schema(schema["additionalProperties"])
    if "items" in schema:
        result["items"] = _json_schema(schema["items"], owner)
    if schema.get("nullable") and "type" in result:
        _widen(result, [result["type"], "null"])
    elif schema.get("nullable"):
        result["type"] = "null"  # published without a type: nothing but null was ever seen
    return result


def _widen(schema: dict[str, Any], types: list[str] | None) -> dict[str, Any]:
    if types is not None:
        schema["type"] = types
        if "null" in types and "enum" in schema:
            schema["enum"] = [*schema["enum"], None]
    return schema
