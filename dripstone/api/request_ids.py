"""An id on every reply, pages' too, and on every line that is logged meanwhile: what somebody reports leads to the log.

A proxy before us may have given the request an id already, or a client that keeps its own log: then it is this one, as
long as it is made of letters, digits, `-` and `_` (docs/decisions/request-ids.md).
"""

import re
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from structlog.contextvars import bound_contextvars

HEADER = "X-Request-Id"
_OF_OTHERS = re.compile(r"[A-Za-z0-9_-]{1,64}")


class RequestIds:
    """Middleware, outermost."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        request_id = of(request.META)
        with bound_contextvars(request_id=request_id):
            response = self.get_response(request)
        response[HEADER] = request_id
        return response


def of(environ: Mapping[str, Any]) -> str:
    """The one that came with the request, or a new one."""
    given = environ.get("HTTP_X_REQUEST_ID", "")
    return given if _OF_OTHERS.fullmatch(given) else secrets.token_hex(8)
