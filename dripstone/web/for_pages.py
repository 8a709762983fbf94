"""The middleware that pages need and calls of the API do not: who is signed in, forms, messages, files.

A call passes it by: 0.1 ms of Python, a tenth of what a call costs.
"""

from typing import Any

from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponseBase
from django.middleware.csrf import CsrfViewMiddleware
from django_htmx.middleware import HtmxMiddleware
from whitenoise.middleware import WhiteNoiseMiddleware

from dripstone.web import compressed


class _ForPages:
    """Named before a middleware among the bases, it makes calls of the API skip that middleware."""

    get_response: Any

    def __call__(self, request: HttpRequest) -> Any:
        is_call = hasattr(request, "is_call")  # from api/errors.py ApiReplies, which stands outside
        return self.get_response(request) if is_call else super().__call__(request)  # type: ignore[misc]


class StaticFiles(_ForPages, WhiteNoiseMiddleware):  # type: ignore[misc]
    @staticmethod
    def serve(static_file: Any, request: HttpRequest) -> HttpResponseBase:
        return compressed.if_taken(WhiteNoiseMiddleware.serve(static_file, request), request)


class Sessions(_ForPages, SessionMiddleware):
    pass


class Csrf(_ForPages, CsrfViewMiddleware):
    pass


class Users(_ForPages, AuthenticationMiddleware):
    pass


class Messages(_ForPages, MessageMiddleware):
    pass


class Htmx(_ForPages, HtmxMiddleware):
    pass
