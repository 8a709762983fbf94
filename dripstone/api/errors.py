"""The only place that knows which HTTP status a refusal has, and the body Kit gives it: `{"errors": ["…"]}`."""

import logging
import re
import secrets
from collections.abc import Callable
from typing import Any

import psycopg
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db import DataError, IntegrityError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, UnreadablePostError
from ninja import NinjaAPI
from ninja.errors import HttpError
from ninja.errors import ValidationError as NinjaValidationError

from dripstone import errors
from dripstone.accounts.limits import TooMany

log = logging.getLogger(__name__)

STATUS: dict[type[errors.DripstoneError], int] = {
    errors.BadRequest: 400,
    errors.Unauthorized: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.PreconditionFailed: 412,
    errors.TooLarge: 413,
    errors.Invalid: 422,
}
NO_ROOM = "The server's disk is full, so nothing can be stored at the moment; try again later"
UNKNOWN = "Something went wrong on our side"
API_PATHS = re.compile(r"/(v4|ext/v1)(/|$)")


def body(status: int, *messages: str) -> JsonResponse:
    return JsonResponse({"errors": list(messages)}, status=status)


def install(api: NinjaAPI) -> None:
    """Every way a call can fail, with its answer."""
    answers: dict[type[Exception], Callable[[HttpRequest, Any], HttpResponse]] = {
        errors.DripstoneError: _refused,
        HttpError: _ninja_refused,
        NinjaValidationError: _unread,
        TooMany: _too_many,
        Http404: lambda request, error: _refused(request, errors.NotFound()),
        RequestDataTooBig: lambda request, error: _refused(request, errors.TooLarge()),
        UnreadablePostError: lambda request, error: _refused(request, errors.BadRequest()),
        DataError: _not_storable,
        IntegrityError: _conflict,
        OperationalError: _database_failed,
        Exception: _unexpected,
    }
    for kind, answer in answers.items():
        api.add_exception_handler(kind, answer)


def _refused(request: HttpRequest, error: errors.DripstoneError) -> HttpResponse:
    return body(STATUS.get(type(error), 422), *error.messages)


def _ninja_refused(request: HttpRequest, error: HttpError) -> HttpResponse:
    """Ninja wraps what the parser raised, and raises its own 401."""
    if isinstance(error.__cause__, errors.DripstoneError):
        return _refused(request, error.__cause__)
    if error.status_code == 401:
        return _refused(request, errors.Unauthorized())
    return body(error.status_code, error.message)


def _unread(request: HttpRequest, error: NinjaValidationError) -> HttpResponse:
    """What never reached our own models: an id in the path, or no body at all (api/urls.py: KitApi)."""
    if any(problem["loc"][0] == "path" for problem in error.errors):
        return body(404, "Not Found")
    return body(422, "The request body must be a JSON object")


def _too_many(request: HttpRequest, error: TooMany) -> HttpResponse:
    return HttpResponse("Retry later", status=429, content_type="text/plain; charset=utf-8")


def _not_storable(request: HttpRequest, error: DataError) -> HttpResponse:
    log.warning("request_not_storable", extra={"request_id": _request_id(request), "path": request.path})
    return body(422, "The request holds a value that cannot be stored")


def _conflict(request: HttpRequest, error: IntegrityError) -> HttpResponse:
    """Two calls at once; every verb checks before it writes."""
    log.warning("request_conflict", extra={"request_id": _request_id(request), "path": request.path})
    return _refused(request, errors.Conflict())


def _database_failed(request: HttpRequest, error: OperationalError) -> HttpResponse:
    """A full disk is the operator's to mend, and passes: nobody needs a traceback of it."""
    if not isinstance(error.__cause__, psycopg.errors.DiskFull):
        return _unexpected(request, error)
    log.error("disk_full", extra={"request_id": _request_id(request), "path": request.path})
    answer = body(503, NO_ROOM)
    answer["Retry-After"] = "60"
    return answer


def _unexpected(request: HttpRequest, error: Exception) -> HttpResponse:
    extra = {"request_id": _request_id(request), "path": request.path, "method": request.method}
    log.error("request_failed", exc_info=error, extra=extra)
    return body(500, UNKNOWN)


def _request_id(request: HttpRequest) -> str:
    return str(getattr(request, "request_id", ""))


class ApiReplies:
    """Middleware: an id on every reply of the API, and Kit's error body where Django or Ninja answered alone."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not API_PATHS.match(request.path_info):
            return self.get_response(request)
        request.request_id = secrets.token_hex(8)  # type: ignore[attr-defined]
        is_read = _read_chunked(request)
        response = _as_kit(self.get_response(request)) if is_read else _refused(request, errors.TooLarge())
        response["X-Request-Id"] = _request_id(request)
        return response


def _read_chunked(request: HttpRequest) -> bool:
    """Gives a body of unknown length to Django, which would take it for an empty one. False: it is too large."""
    if request.headers.get("content-length") or "chunked" not in request.headers.get("Transfer-Encoding", "").lower():
        return True
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    data: bytes = request.META["wsgi.input"].read(limit + 1)
    request._body = data
    return len(data) <= limit


_OWN_WORDS = {400: "The request could not be read", 404: "Not Found", 405: "Method Not Allowed", 500: UNKNOWN}


def _as_kit(response: HttpResponseBase) -> HttpResponseBase:
    is_json = response.headers.get("Content-Type", "").startswith("application/json")
    if is_json or response.status_code not in _OWN_WORDS:
        return response
    answer = body(response.status_code, _OWN_WORDS[response.status_code])
    if "Allow" in response:
        answer["Allow"] = response["Allow"]
    return answer
