"""Kit's contract (openapi.json, kept beside this repository) as data: its operations, and what is wrong with an answer.

The published schemas come from examples, so one field can be nullable in one operation and not in another. Answers
are held against the union of both, and may have no member that the contract does not know.
"""

import copy
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from tests.api.routes import ROUTES

PATH = Path(__file__).resolve().parents[3] / "shared" / "kit" / "openapi.json"

# Kit's operations that are not served, each with the reason. All others are, and each is tried with its examples.
_BROADCASTS = "there are no broadcasts yet"
_POSTS = "posts are what broadcasts leave on a page, and there are none yet"
_TRACKING = "opens and clicks are not recorded yet"
MISSING: Mapping[str, str] = {
    "GET /v4/account/email_stats": _TRACKING,
    "GET /v4/account/growth_stats": "comes with the other stats",
    "GET /v4/broadcasts": _BROADCASTS,
    "POST /v4/broadcasts": _BROADCASTS,
    "GET /v4/broadcasts/stats": _BROADCASTS,
    "GET /v4/broadcasts/{broadcast_id}/clicks": _BROADCASTS,
    "GET /v4/broadcasts/{broadcast_id}/stats": _BROADCASTS,
    "DELETE /v4/broadcasts/{id}": _BROADCASTS,
    "GET /v4/broadcasts/{id}": _BROADCASTS,
    "PUT /v4/broadcasts/{id}": _BROADCASTS,
    "GET /v4/posts": _POSTS,
    "GET /v4/posts/{id}": _POSTS,
    "GET /v4/subscribers/{subscriber_id}/stats": _TRACKING,
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
    "webhook_endpoint": {"created_by_app": ["string", "null"]},
    "webhook_endpoints": {"created_by_app": ["string", "null"]},
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
        examples = {parameter["name"]: parameter["example"] or SOMEBODY for parameter in self._parameters("path")}
        return self.with_ids(*(examples[name] for name in self._names))

    @property
    def unknown_path(self) -> str:
        """The path with ids nobody has."""
        return self.with_ids(*[999_999_999] * len(self._names))

    def with_ids(self, *ids: Any) -> str:
        """The path with one id for each of its names."""
        path = self.path
        for name, one in zip(self._names, ids, strict=True):
            path = path.replace("{" + name + "}", str(one))
        return path

    @property
    def _names(self) -> list[str]:
        return re.findall(r"{(\w+)}", self.path)

    @property
    def required_query(self) -> dict[str, Any]:
        return {one["name"]: text(one["example"]) for one in self._parameters("query") if one.get("required")}

    @property
    def optional_query(self) -> dict[str, Any]:
        """Those with an example."""
        rows = [one for one in self._parameters("query") if not one.get("required")]
        return {one["name"]: text(one["example"]) for one in rows if one.get("example") is not None}

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
def document() -> Any:
    """As it is published. Only where it is."""
    return json.loads(PATH.read_text(encoding="utf-8"))


@cache
def operations() -> dict[str, Operation]:
    """By "METHOD /path". Empty without the contract."""
    paths = document()["paths"] if PATH.exists() else {}
    found = (Operation(method, path, raw) for path, item in paths.items() for method, raw in _methods(item))
    return {str(operation): operation for operation in found}


def answering() -> list[Operation]:
    """Those that the router has. Empty without the contract."""
    served = {str(route) for route in ROUTES}
    return [operation for name, operation in operations().items() if name in served]


# Refusals that Kit's document leaves out and any operation of ours may answer.
_REFUSALS = ("400", "404", "409", "413", "422")


def of_a_client() -> Any:
    """The document a client of ours may go by: what is served, null where UNION allows it, and our refusals."""
    whole = copy.deepcopy(document())
    served = {str(one) for one in answering()}
    errors = {
        "type": "object",
        "required": ["errors"],
        "properties": {"errors": {"type": "array", "items": {"type": "string"}}},
    }
    for path, item in list(whole["paths"].items()):
        for method, raw in list(_methods(item)):
            if f"{method.upper()} {path}" not in served:
                del item[method]
                continue
            for response in raw["responses"].values():
                for media in response.get("content", {}).values():
                    _loosen(media["schema"])
            for status in _REFUSALS:
                refusal = {"description": "Refused", "content": {"application/json": {"schema": errors}}}
                raw["responses"].setdefault(status, refusal)
        if not any(_methods(item)):
            del whole["paths"][path]
    return whole


def _loosen(schema: Any, owner: str = "") -> None:
    """Null where UNION has it; and `slim=true` leaves out what is required without it."""
    if "fields" in schema.get("required", ()):
        schema["required"] = [name for name in schema["required"] if name != "fields"]
    for name, one in schema.get("properties", {}).items():
        if "null" in UNION.get(owner, {}).get(name, ()):
            one["nullable"] = True
            if types := [kind for kind in UNION[owner][name] if kind != "null"]:
                one["type"] = types[0]
        _loosen(one, name)
    if isinstance(schema.get("items"), dict):
        _loosen(schema["items"], owner)


def _methods(item: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    return ((method, raw) for method, raw in item.items() if method in ("get", "post", "put", "patch", "delete"))


def text(value: Any) -> str:
    """As a query string has it."""
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
