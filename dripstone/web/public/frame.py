"""What the pages behind links in emails share: no session, no account, and a link that is a secret."""

import re
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from dripstone import signing

_AFTER_TOKEN = re.compile(r"[^A-Za-z0-9_-]")


def read_id(kind: str, token: str) -> int | None:
    """The one id a token of this kind holds; None for anything we did not write."""
    parts = signing.read(kind, bare(token))
    return parts[0] if parts is not None and len(parts) == 1 else None


def bare(token: str) -> str:
    """Without what some mail programs take for a part of a link: the bracket or full stop after it."""
    return _AFTER_TOKEN.split(token, maxsplit=1)[0]


def show(request: HttpRequest, template: str, context: dict[str, Any], status: int = 200) -> HttpResponse:
    """A page that leaves no trace of its address: not in caches, not in the Referer of a link."""
    return private(render(request, template, {"is_public": True, **context}, status=status))


def entrance(request: HttpRequest, template: str, context: dict[str, Any], status: int = 200) -> HttpResponse:
    """A page through which people get in, with a form that needs its CSRF token. Its address goes to no other site; to
    ours it must: without a Referer browsers send forms with `Origin: null`, which Django refuses."""
    response = private(render(request, template, context, status=status))
    response["Referrer-Policy"] = "same-origin"
    return response


def private(response: HttpResponse) -> HttpResponse:
    response["Cache-Control"] = "no-store"
    response["Referrer-Policy"] = "no-referrer"
    response["X-Robots-Tag"] = "noindex, nofollow"
    return response
