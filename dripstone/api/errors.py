"""The only place that knows which HTTP status a refusal has, and the body Kit gives it: `{"errors": ["…"]}`."""

import logging
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import psycopg
from django.core.exceptions import TooManyFieldsSent
from django.db import DataError, IntegrityError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from ninja import NinjaAPI
from ninja.errors import HttpError
from ninja.errors import ValidationError as NinjaValidationError

from dripstone import errors
from dripstone.accounts.limits import TooMany

log = logging.getLogger(__name__)

Response = TypeVar("Response", bound=HttpResponseBase)

STATUS: dict[type[errors.DripstoneError], int] = {
    errors.BadRequest: 400,
    errors.Unauthorized: 401,
    errors.Expired: 401,
    errors.NotFullAccess: 401,
    errors.Forbidden: 403,
    errors.OutOfScope: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Busy: 409,
    errors.PreconditionFailed: 412,
    errors.TooSlow: 408,
    errors.TooLarge: 413,
    errors.Invalid: 422,
    errors.Unavailable: 503,
}
NO_ROOM = "The server's disk is full, so nothing can be stored at the moment; try again later"
RETRY_AFTER_SECONDS = 2
MOST_SENTENCES = 10  # of an answer
MOST_LETTERS = 500  # of a sentence
UNKNOWN = "Something went wrong on our side"
TOO_MANY_PARAMETERS = "The request has too many parameters (maximum is 1000)"
API_PATHS = re.compile(r"/(v4(?!/oauth/)|ext/v1|mcp)(/|$)")


def body(status: int, *messages: str) -> JsonResponse:
    return JsonResponse({"errors": _few(messages)}, status=status)


def _few(messages: Sequence[str]) -> list[str]:
    """Sentences for people: so many, each of some length."""
    shown = [one if len(one) <= MOST_LETTERS else f"{one[: MOST_LETTERS - 1]}…" for one in messages[:MOST_SENTENCES]]
    n_more = len(messages) - len(shown)
    return [*shown, f"and {n_more:,} more"] if n_more else shown


def install(api: NinjaAPI) -> None:
    """Every way a call can fail, with its answer."""
    answers: dict[type[Exception], Callable[[HttpRequest, Any], HttpResponse]] = {
        errors.DripstoneError: _refused,
        HttpError: _ninja_refused,
        NinjaValidationError: _unread,
        TooMany: _too_many,
        Http404: lambda request, error: _refused(request, errors.NotFound()),
        TooManyFieldsSent: lambda request, error: _refused(request, errors.BadRequest(TOO_MANY_PARAMETERS)),
        DataError: _not_storable,
        IntegrityError: _conflict,
        OperationalError: _unavailable,
        InterfaceError: _unavailable,
        Exception: _unexpected,
    }
    for kind, answer in answers.items():
        api.add_exception_handler(kind, answer)


def _refused(request: HttpRequest, error: errors.DripstoneError) -> HttpResponse:
    return _answer_to(error)


def _answer_to(error: errors.DripstoneError) -> HttpResponse:
    response = body(_status_of(error), *error.messages)
    if isinstance(error, (errors.Unavailable, errors.Busy)):
        response["Retry-After"] = str(RETRY_AFTER_SECONDS)
    if challenge := challenge_of(error):
        response["WWW-Authenticate"] = challenge
    return response


def _status_of(error: errors.DripstoneError) -> int:
    """That of the nearest kind: a file may have a kind of conflict of its own."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 422)


def challenge_of(error: errors.DripstoneError) -> str:
    """What a client that knows OAuth is told (RFC 6750 § 3); "" when the refusal is none of its credential."""
    if isinstance(error, errors.Unauthorized):
        return f'Bearer error="invalid_token", error_description="{error}"'
    if isinstance(error, errors.OutOfScope):
        return 'Bearer error="insufficient_scope"'
    return ""


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
    response = HttpResponse("Retry later", status=429, content_type="text/plain; charset=utf-8")
    response["Retry-After"] = str(error.after_seconds)
    return response


def _not_storable(request: HttpRequest, error: DataError) -> HttpResponse:
    log.warning("request_not_storable", extra={"path": request.path})
    return body(422, "The request holds a value that cannot be stored")


def _conflict(request: HttpRequest, error: IntegrityError) -> HttpResponse:
    """Two calls at once; every verb checks before it writes."""
    log.warning("request_conflict", extra={"path": request.path})
    return _refused(request, errors.Conflict())


def _unavailable(request: HttpRequest, error: Exception) -> HttpResponse:
    """The database is away, starts again, has no room, or gave up on this statement for the sake of another. That
    passes, or is the operator's to mend: nobody needs a traceback of it."""
    extra = {"path": request.path, "reason": type(error.__cause__ or error).__name__}
    if isinstance(error.__cause__, psycopg.errors.DiskFull):
        log.error("disk_full", extra=extra)
        return _refused(request, errors.Unavailable(NO_ROOM))
    log.warning("database_unavailable", extra=extra)
    return _refused(request, errors.Unavailable())


def _unexpected(request: HttpRequest, error: Exception) -> HttpResponse:
    log.error("request_failed", exc_info=error, extra={"path": request.path, "method": request.method})
    return body(500, UNKNOWN)


def refusal(error: errors.DripstoneError) -> HttpResponse:
    """The whole answer to a call that never gets to Django (front/application.py)."""
    return _for_nobody_else(_answer_to(error))


def _for_nobody_else(response: Response) -> Response:
    """Answers hold people's data, so nothing on the way may keep them."""
    response["Cache-Control"] = "no-store"
    return response


class ApiReplies:
    """Middleware: Kit's error body where Django or Ninja answered alone, and what answers to all calls carry."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not API_PATHS.match(request.path_info):
            return self.get_response(request)
        request.is_call = True  # type: ignore[attr-defined]
        return _for_nobody_else(_as_kit(self.get_response(request)))


_OWN_WORDS = {400: "The request could not be read", 404: "Not Found", 405: "Method Not Allowed", 500: UNKNOWN}


def _as_kit(response: HttpResponseBase) -> HttpResponseBase:
    is_json = response.headers.get("Content-Type", "").startswith("application/json")
    if is_json or response.status_code not in _OWN_WORDS:
        return response
    answer = body(response.status_code, _OWN_WORDS[response.status_code])
    if "Allow" in response:
        answer["Allow"] = response["Allow"]
    return answer
