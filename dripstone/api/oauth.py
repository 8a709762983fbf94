"""Where apps talk to us: /oauth/token, /oauth/revoke, /oauth/register, and what there is to know about us.

Kit's clients send token requests as JSON, others as forms; the library behind reads forms alone. So this reads the
body, and hands on the members that are known (oauth/server.py). Where apps send people is web/pages/consent.py.
"""

import json
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.core.exceptions import TooManyFieldsSent
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.multipartparser import MultiPartParserError
from django.urls import URLPattern, path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from dripstone import clock
from dripstone.accounts import networks
from dripstone.accounts.limits import TooMany
from dripstone.errors import BadRequest, Invalid
from dripstone.given import unstorable
from dripstone.oauth import registration, scopes, server
from dripstone.oauth.models import Application
from dripstone.oauth.registration import TooManyRegistrations

KNOWN = {
    *("grant_type", "code", "redirect_uri", "code_verifier", "refresh_token", "scope"),
    *("client_id", "client_secret", "token", "token_type_hint"),
}
SCOPES = [scopes.PUBLIC, scopes.READ, scopes.WRITE]
NO_REGISTRATION = "Apps cannot register themselves on this server; an owner of an account makes one in Settings"
PARTS = ("", "v4", "ext/v1", "mcp")  # of the server: what tokens open


View = Callable[..., HttpResponse]

# --- Pages of others ----------------------------------------------------------------------------------------------

# What a page may send (MCP-Protocol-Version: agents do) and see.
SENT = "Authorization, Content-Type, MCP-Protocol-Version, X-Request-Id"
SEEN = "Retry-After, WWW-Authenticate, X-Request-Id"


def _from_any_page(view: View) -> View:
    """An app may live in a page, of any origin: no cookie counts here, and whoever asks has all that counts in the body
    (docs/decisions/apps.md)."""

    @wraps(view)
    def answered(request: HttpRequest, *arguments: Any, **named: Any) -> HttpResponse:
        response = _permission() if request.method == "OPTIONS" else view(request, *arguments, **named)
        response["Access-Control-Allow-Origin"] = "*"
        response["Access-Control-Expose-Headers"] = SEEN
        return response

    return answered


def _permission() -> HttpResponse:
    """Browsers ask before a page sends JSON."""
    response = HttpResponse(status=204)
    response["Access-Control-Allow-Methods"] = "GET, POST, OPTIONS"
    response["Access-Control-Allow-Headers"] = SENT
    response["Access-Control-Max-Age"] = "86400"
    return response


# --- Tokens -------------------------------------------------------------------------------------------------------


@csrf_exempt
@_from_any_page
@require_POST
def token(request: HttpRequest) -> HttpResponse:
    return _answered(request, lambda: server.core().create_token_response(request))


@csrf_exempt
@_from_any_page
@require_POST
def revocation(request: HttpRequest) -> HttpResponse:
    return _answered(request, lambda: server.core().create_revocation_response(request))


def _answered(request: HttpRequest, ask: Callable[[], Any]) -> HttpResponse:
    try:
        setattr(request, server.MEMBERS, _known_members(request))
        _, headers, body, status = ask()
    except BadRequest as refused:
        return _error(400, "invalid_request", str(refused))
    except TooMany:
        return HttpResponse("Retry later", status=429, content_type="text/plain; charset=utf-8")
    response = HttpResponse(body, status=status, content_type="application/json", headers=_without_type(headers))
    if status == 401 and request.headers.get("Authorization", "").lower().startswith("basic "):
        response["WWW-Authenticate"] = 'Basic realm="oauth"'  # in the way that was tried: RFC 6749 § 5.2
    return _unkept(response)


def _without_type(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() != "content-type"}


def _known_members(request: HttpRequest) -> dict[str, str]:
    members = {name: value for name, value in _members(request).items() if name in KNOWN and value is not None}
    for name, value in members.items():
        if not isinstance(value, str | int) or isinstance(value, bool):
            raise BadRequest(f"{name} must be a string")
        if complaint := unstorable(str(value)):
            raise BadRequest(f"{name} {complaint}")
    return {name: str(value) for name, value in members.items()}


def _members(request: HttpRequest) -> dict[str, Any]:
    """Of JSON or a form. What a request says it is, Kit's own examples say wrongly, so we look."""
    if request.body.lstrip()[:1] == b"{":
        return _json(request)
    if request.content_type == "application/json" and request.body.strip():
        raise BadRequest("The request body must be a JSON object")
    try:
        form = request.POST
    except (TooManyFieldsSent, MultiPartParserError, UnicodeError):
        raise BadRequest("The request body cannot be read") from None
    for name in KNOWN:
        if len(form.getlist(name)) > 1:
            raise BadRequest(f"{name} is there more than once")
    return {name: form[name] for name in form}


def _json(request: HttpRequest) -> dict[str, Any]:
    try:
        found = json.loads(request.body)
    except (ValueError, RecursionError):
        raise BadRequest("The request body is no JSON") from None
    if not isinstance(found, dict):
        raise BadRequest("The request body must be a JSON object")
    return found


def _error(status: int, error: str, sentence: str) -> HttpResponse:
    return _unkept(JsonResponse({"error": error, "error_description": sentence}, status=status))


def _unkept(response: HttpResponse) -> HttpResponse:
    """Tokens and secrets: nothing on the way may keep them."""
    response["Cache-Control"], response["Pragma"] = "no-store", "no-cache"
    return response


# --- Registering --------------------------------------------------------------------------------------------------


@csrf_exempt
@_from_any_page
@require_POST
def register(request: HttpRequest) -> HttpResponse:
    """RFC 7591. Off unless DRIPSTONE_APP_REGISTRATION is on: then there is no such address."""
    if not settings.DRIPSTONE_APP_REGISTRATION:
        return _error(404, "not_found", NO_REGISTRATION)
    try:
        row, secret, method = registration.register(_json(request), networks.of(request.META), clock.now())
    except BadRequest as refused:
        return _error(400, "invalid_client_metadata", str(refused))
    except TooManyRegistrations as refused:
        response = _error(429, "temporarily_unavailable", str(refused))
        response["Retry-After"] = str(int(registration.IN.total_seconds()))
        return response
    except Invalid as refused:
        is_about_uris = any(member == "redirect_uris" for member, _ in refused.problems)
        return _error(400, "invalid_redirect_uri" if is_about_uris else "invalid_client_metadata", str(refused))
    return _unkept(JsonResponse(_registered(row, secret, method), status=201))


def _registered(row: Application, secret: str, method: str) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "client_id": row.client_id,
        "client_id_issued_at": int(row.created_at.timestamp()),
        "client_name": row.name,
        "redirect_uris": row.redirect_uris.split(),
        "token_endpoint_auth_method": method,
        "grant_types": list(registration.GRANTS),
        "response_types": ["code"],
        "scope": " ".join(SCOPES),
    }
    return answer | ({"client_secret": secret, "client_secret_expires_at": 0} if secret else {})


# --- What there is to know about us -------------------------------------------------------------------------------


@_from_any_page
@require_GET
def authorization_server(request: HttpRequest) -> HttpResponse:
    """RFC 8414."""
    here = server.issuer()
    document: dict[str, Any] = {
        "issuer": here,
        "authorization_endpoint": f"{here}/oauth/authorize",
        "token_endpoint": f"{here}/oauth/token",
        "revocation_endpoint": f"{here}/oauth/revoke",
        "scopes_supported": SCOPES,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": list(registration.GRANTS),
        "token_endpoint_auth_methods_supported": list(registration.METHODS),
        "revocation_endpoint_auth_methods_supported": list(registration.METHODS),
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
    }
    if settings.DRIPSTONE_APP_REGISTRATION:
        document["registration_endpoint"] = f"{here}/oauth/register"
    return _public(document)


@_from_any_page
@require_GET
def protected_resource(request: HttpRequest, part: str = "") -> HttpResponse:
    """RFC 9728: of the whole, or of the part that the rest of the address names."""
    if part not in PARTS:
        raise Http404
    here = server.issuer()
    document = {
        "resource": f"{here}/{part}" if part else here,
        "authorization_servers": [here],
        "scopes_supported": SCOPES,
        "bearer_methods_supported": ["header"],
        "resource_name": "Dripstone",
    }
    return _public(document)


def resource_metadata(part: str) -> str:
    """Where `protected_resource` of a part is, for a challenge: `Bearer resource_metadata="…"`."""
    return f"{server.issuer()}/.well-known/oauth-protected-resource/{part}"


def _public(document: dict[str, Any]) -> HttpResponse:
    response = JsonResponse(document)
    response["Cache-Control"] = "max-age=300"
    return response


urlpatterns: list[URLPattern] = [
    path("oauth/token", token),
    path("v4/oauth/token", token),
    path("oauth/revoke", revocation),
    path("v4/oauth/revoke", revocation),
    path("oauth/register", register),
    path(".well-known/oauth-authorization-server", authorization_server),
    path(".well-known/oauth-protected-resource", protected_resource),
    path(".well-known/oauth-protected-resource/<path:part>", protected_resource),
]
