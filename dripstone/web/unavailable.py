"""What pages, links in emails and /metrics answer while the database does not: 503, and a word to try again.

Calls of the API have their own answer (api/errors.py), and /healthz says what is wrong.
"""

import logging
from collections.abc import Callable

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.template import loader

log = logging.getLogger(__name__)

RETRY_AFTER_SECONDS = 2


class Unavailable:
    """Middleware."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, (OperationalError, InterfaceError)):
            return None
        log.warning("database_unavailable", extra={"reason": type(error.__cause__ or error).__name__})
        page = loader.get_template("503.html").render()  # without the request: who is signed in is in the database
        return HttpResponse(page, status=503, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})
