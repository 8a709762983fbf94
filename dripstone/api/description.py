"""The description of our API (openapi.json), completed: what Ninja cannot know from a function's types.

Every way a call can be refused, the bounds of ids, and parameters as they are written in a query. A test lets a client
made from it alone call every operation (tests/front/test_description.py).
"""

import re
from collections.abc import Iterator
from typing import Any

from dripstone.api import repeats
from dripstone.api.auth import scope_of
from dripstone.given import MAX_ID
from dripstone.oauth import scopes, server

Json = dict[str, Any]

REFUSALS = {
    400: "The request cannot be read",
    401: "No key or token, or one that is unknown, revoked or expired",
    403: "The token may not do this",
    404: "No such thing in this account",
    408: "The body did not arrive in time",
    409: "Somebody else changed it at the same moment, or the same call is being carried out",
    412: "It has changed since its impact was told",
    413: "The body is too large",
    422: "Readable, but wrong",
    503: "Not right now: try again in a few seconds",
}
_ALWAYS = {400, 401, 403, 422, 503}
_ERRORS = {
    "type": "object",
    "required": ["errors"],
    "properties": {"errors": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 11}},
}
_ID = {"minimum": 1, "maximum": MAX_ID}
# They take If-Match: what changes a sequence, and acts on one person's place (api/if_match.py).
_GUARDED = (
    *("/v4/sequences/{id}", "/v4/sequences/{sequence_id}/emails", "/ext/v1/sequences/{id}/reschedule"),
    *("/ext/v1/enrollments/{id}", "/ext/v1/deliveries/{id}"),
)
_NOT_GUARDED = ("subscribers", "subscribers/{id}", "impact")


def complete(schema: Json) -> None:
    schema["components"]["schemas"]["Errors"] = _ERRORS
    schema["components"]["securitySchemes"]["OAuth2"] = _oauth()
    for path, method, call in _calls(schema):
        _say_body_plainly(call.get("requestBody", {}), schema["components"]["schemas"])
        for parameter in call.get("parameters", ()):
            _say_parameter_plainly(parameter)
        if _is_guarded(path, method):
            call.setdefault("parameters", []).append(_IF_MATCH)
        if 409 in call["responses"]:  # it tells the impact itself
            call["responses"]["409"] = call["responses"].pop(409) | {"description": _UNSEEN}
            call.setdefault("parameters", []).append(_TOKEN)
        if method == "post":
            call.setdefault("parameters", []).append(_IDEMPOTENCY_KEY)
            for response in call["responses"].values():
                response["headers"] = {repeats.REPLAYED: _REPLAYED}
        call["responses"] = _refusals(path, method, call) | call["responses"]
        call["security"].append({"OAuth2": [scope_of(method.upper(), re.sub(r"\{\w+\}", "1", path))]})


def _oauth() -> Json:
    flow = {
        "authorizationUrl": f"{server.issuer()}/oauth/authorize",
        "tokenUrl": f"{server.issuer()}/oauth/token",
        "refreshUrl": f"{server.issuer()}/oauth/token",
        "scopes": scopes.IN_WORDS,
    }
    return {"type": "oauth2", "flows": {"authorizationCode": flow}}


def _calls(schema: Json) -> Iterator[tuple[str, str, Json]]:
    for path, calls in schema["paths"].items():
        for method, call in calls.items():
            yield path, method, call


def _say_body_plainly(body: Json, models: Json) -> None:
    """A body that is left out has the problems of an empty one, so an empty one is the default. Ninja shows that, and a
    body that may be left out; the docs name the model instead, and ask for a body that has required members."""
    schema = body.get("content", {}).get("application/json", {}).get("schema", {})
    if "allOf" in schema:
        del schema["default"]
        (model,) = schema.pop("allOf")
        schema |= model
        body["required"] = "required" in models[model["$ref"].rpartition("/")[2]]


def _say_parameter_plainly(parameter: Json) -> None:
    """Nothing in a query is null; what is left out is left out. Lists have commas."""
    schema = parameter["schema"]
    if "anyOf" in schema:
        (kind,) = (one for one in schema.pop("anyOf") if one != {"type": "null"})
        schema |= kind
    if schema["type"] == "array":
        schema.pop("default", None)
        parameter |= {"style": "form", "explode": False}
    if parameter["in"] == "path":
        schema |= _ID


_IF_MATCH = {
    "in": "header",
    "name": "If-Match",
    "description": "A token of the change's impact: refused with 412 when anything has changed since.",
    "schema": {"type": "string"},
    "required": False,
}

_UNSEEN = "It touches people, and no token of its impact came along, or one that is out of date: here is the impact"
_TOKEN = {
    **_IF_MATCH,
    "description": "The token of its impact: needed where it touches people, refused with 409 when"
    " anything has changed since.",
}

_IDEMPOTENCY_KEY = {
    "in": "header",
    "name": repeats.HEADER,
    "description": "Any text of your own for this call. Sent again with the same one within 24 hours, it is answered"
    f" again and not carried out again; that answer has `{repeats.REPLAYED}: true`.",
    "schema": {"type": "string", "minLength": 1, "maxLength": repeats.MOST_LETTERS, "pattern": "^[!-~]+$"},
    "required": False,
}

_REPLAYED = {"description": "The call was carried out before, and this is its answer", "schema": {"const": "true"}}


def _is_guarded(path: str, method: str) -> bool:
    return method != "get" and path.startswith(_GUARDED) and not path.endswith(_NOT_GUARDED)


def _refusals(path: str, method: str, call: Json) -> Json:
    statuses = set(_ALWAYS)
    if "{" in path or path.endswith("/creator_profile"):  # an account may have none
        statuses.add(404)
    if method != "get":
        statuses |= {408, 409, 413}
    if _is_guarded(path, method):
        statuses.add(412)
    body = {"application/json": {"schema": {"$ref": "#/components/schemas/Errors"}}}
    found: Json = {str(status): {"description": REFUSALS[status], "content": body} for status in sorted(statuses)}
    plain = {"text/plain": {"schema": {"type": "string", "const": "Retry later"}}}
    after = {"Retry-After": {"description": "Seconds until there is room", "schema": {"type": "integer", "minimum": 1}}}
    return found | {"429": {"description": "Too many requests with this key", "headers": after, "content": plain}}
