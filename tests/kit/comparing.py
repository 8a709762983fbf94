"""Our description of /v4 beside Kit's contract: each place where they say something else, in a line.

    PUT /v4/tags/{id} 409: ours alone
    GET /v4/sequences query include: array, Kit string
    POST /v4/tags body name: required, in Kit optional
    GET /v4/tags 200 pagination.start_cursor: null or string, Kit string

Kit publishes OpenAPI 3.0 made from examples, we 3.1 made from types, so both are read into the same few facts: which
parameters, members and statuses there are, of which types, and whether they are always there.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

Json = Mapping[str, Any]


class Fact(NamedTuple):
    """Of a parameter or a member."""

    types: frozenset[str]
    is_required: bool


def differences(ours: Json, kit: Json) -> list[str]:
    """Of the operations that both have."""
    both = sorted(_operations(ours).keys() & _operations(kit).keys())
    return [
        f"{name} {line}"
        for name in both
        for line in _of_operation(_facts(ours, _operations(ours)[name]), _facts(kit, _operations(kit)[name]))
    ]


def _operations(document: Json) -> dict[str, Json]:
    return {
        f"{method.upper()} {path}": call
        for path, calls in document["paths"].items()
        for method, call in calls.items()
        if method in ("get", "post", "put", "patch", "delete")
    }


def _of_operation(ours: dict[str, Fact | None], kit: dict[str, Fact | None]) -> Iterator[str]:
    for place in sorted(ours.keys() | kit.keys()):
        if place not in kit:
            if _owner(place) in kit:  # else all that is in it is ours alone, and is told once
                yield f"{place}: ours alone"
        elif place not in ours:
            if _owner(place) in ours:
                yield f"{place}: Kit's alone"
        else:
            yield from _of_fact(place, ours[place], kit[place])


def _owner(place: str) -> str:
    """Where it stands: 200 tags[].id → 200 tags[] → 200 tags → 200 → "", the operation itself."""
    where, _, path = place.rpartition(" ")
    if path.endswith("[]") or path.endswith("{}"):
        return f"{where} {path[:-2]}" if path[:-2] else where
    owner, dot, _ = path.rpartition(".")
    if where in ("query", "path", "header") or not where:
        return ""
    return f"{where} {owner}" if dot else where


def _of_fact(place: str, ours: Fact | None, kit: Fact | None) -> Iterator[str]:
    if ours is None or kit is None or ours == kit:
        return
    if ours.types != kit.types:
        yield f"{place}: {_told(ours.types)}, Kit {_told(kit.types)}"
    if ours.is_required != kit.is_required:
        yield f"{place}: " + ("required, in Kit optional" if ours.is_required else "optional, in Kit required")


def _told(types: frozenset[str]) -> str:
    return " or ".join(sorted(types)) or "anything"


# --- What a description says ------------------------------------------------------------------------------------


def _facts(document: Json, call: Json) -> dict[str, Fact | None]:
    """By place; "" is the operation itself, None says no more than that it is there."""
    facts: dict[str, Fact | None] = {"": None}
    for parameter in call.get("parameters", ()):
        schema = _resolved(document, parameter["schema"])
        facts[f"{parameter['in']} {parameter['name']}"] = Fact(
            _types(document, schema), bool(parameter.get("required"))
        )
    if body := call.get("requestBody"):
        facts["body"] = Fact(frozenset({"object"}), bool(body.get("required")))
        facts |= dict(_members(document, _schema(body), "body "))
    for status, response in call["responses"].items():
        facts[status] = None
        if status.startswith("2") and (schema := _schema(response)):
            facts |= dict(_members(document, schema, f"{status} "))
    return facts


def _schema(content: Json) -> Json:
    found: Json = content.get("content", {}).get("application/json", {}).get("schema", {})
    return found


def _members(document: Json, schema: Json, where: str) -> Iterator[tuple[str, Fact]]:
    schema = _resolved(document, schema)
    dot = "" if where.endswith(" ") else "."
    required = set(schema.get("required", ()))
    for name, one in schema.get("properties", {}).items():
        inner = _resolved(document, one)
        place = f"{where}{dot}{name}"
        yield place, Fact(_types(document, inner), name in required)
        yield from _members(document, inner, place)
    if isinstance(schema.get("items"), Mapping) and schema["items"]:
        inner = _resolved(document, schema["items"])
        yield f"{where}[]", Fact(_types(document, inner), True)
        yield from _members(document, inner, f"{where}[]")
    if isinstance(schema.get("additionalProperties"), Mapping):
        inner = _resolved(document, schema["additionalProperties"])
        yield f"{where}{{}}", Fact(_types(document, inner), True)
        yield from _members(document, inner, f"{where}{{}}")
    branches = [_resolved(document, one) for one in (*schema.get("anyOf", ()), *schema.get("oneOf", ()))]
    objects = [
        branch for branch in branches if "object" in _types(document, branch) or "array" in _types(document, branch)
    ]
    always = set.intersection(*(set(one.get("required", ())) for one in objects)) if objects else set()
    found: dict[str, Fact] = {}
    for branch in objects:
        for place, fact in _members(document, branch, where):
            name = place.removeprefix(where).removeprefix(".")
            is_inner = "." in name or "[" in name or "{" in name
            known = found.get(place)
            types = fact.types | (known.types if known else frozenset())
            found[place] = Fact(types, fact.is_required if is_inner else name in always)
    yield from found.items()


def _types(document: Json, schema: Json) -> frozenset[str]:
    """Empty: it may be anything."""
    types: set[str] = set()
    given = schema.get("type", [])
    types |= {given} if isinstance(given, str) else set(given)
    for one in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        types |= _types(document, _resolved(document, one))
    if not types and "properties" in schema:
        types.add("object")
    if not types and "enum" in schema:
        types |= {"null" if one is None else "string" for one in schema["enum"]}
    if not types and "const" in schema:
        types.add("string")
    if schema.get("nullable"):
        types.add("null")
    return frozenset(types)


def _resolved(document: Json, schema: Json) -> Json:
    if "$ref" in schema:
        found: Json = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return found
    return schema
