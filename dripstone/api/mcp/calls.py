"""Makes the call of a tool: inside this process, past everything that a call over HTTP passes.

The call is a request of its own, with the headers of the one that brought it. So it is the same caller, with the same
limits, scopes and errors, an Idempotency-Key works, and what is logged has the same id.
"""

import json
from collections.abc import Mapping
from functools import cache
from io import BytesIO
from typing import Any
from urllib.parse import urlencode

import msgspec
from django.core.handlers.base import BaseHandler
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django_mcpz.server import ToolError
from structlog.contextvars import get_contextvars

from dripstone.api.mcp.operations import Operation
from dripstone.api.mcp.parameters import MOST_PER_PAGE
from dripstone.api.mcp.tools import Arguments, Tool
from dripstone.errors import Invalid

LATER = "It is being done in the background"
DONE = "Done"

Result = msgspec.Raw | dict[str, Any]


def make(request: HttpRequest, tool: Tool, operation: Operation, arguments: Arguments) -> Result:
    """The answer, as the call gives it. Raises ToolError with the sentences of the refusal."""
    try:
        tool.check(arguments)
        given = tool.meant(arguments)
    except Invalid as wrong:
        raise ToolError("\n".join(wrong.messages)) from None
    if "per_page" in tool.takes:
        given.setdefault("per_page", MOST_PER_PAGE)
    return _read(_answer(_request(request, tool, operation, given, tool.headers(arguments))))


def _request(
    outer: HttpRequest, tool: Tool, operation: Operation, given: Arguments, headers: Mapping[str, str]
) -> WSGIRequest:
    query, body = {}, {}
    for name, value in tool.beside_path(given).items():
        if tool.method == "GET" or name in operation.query:
            query[name] = value
        else:
            body[name] = value
    data = json.dumps(body).encode() if tool.method != "GET" else b""
    return WSGIRequest(
        {
            **outer.META,
            **headers,
            "REQUEST_METHOD": tool.method,
            "PATH_INFO": tool.filled(given),
            "QUERY_STRING": urlencode(_as_text(query)),
            "CONTENT_TYPE": "application/json",
            "CONTENT_LENGTH": str(len(data)),
            "wsgi.input": BytesIO(data),
            "HTTP_X_REQUEST_ID": get_contextvars().get("request_id", ""),
        }
    )


def _as_text(query: Mapping[str, Any]) -> dict[str, str]:
    """As a query has them: lists with commas, nothing for null."""
    return {name: _word(value) for name, value in query.items() if value is not None}


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(_word, value)) if isinstance(value, list) else str(value)


def _answer(request: WSGIRequest) -> HttpResponseBase:
    """The response is not closed: that would end the request that brought it, and its connection to the database."""
    return _handler().get_response(request)


@cache
def _handler() -> BaseHandler:
    handler = BaseHandler()
    handler.load_middleware()
    return handler


def _read(response: HttpResponseBase) -> Result:
    assert isinstance(response, HttpResponse)
    if response.status_code >= 400:
        raise ToolError(_refusal(response))
    if response.status_code == 204:
        return {"message": DONE}
    if response.status_code == 202 and response.content == b"{}":
        return {"message": LATER}
    return msgspec.Raw(response.content)


def _refusal(response: HttpResponse) -> str:
    if response.status_code == 429:
        seconds = response.get("Retry-After")
        return response.content.decode() + (f" (in {seconds} seconds)" if seconds else "")
    said: list[str] = json.loads(response.content)["errors"]
    return "\n".join(said)
