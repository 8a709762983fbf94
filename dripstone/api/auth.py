"""Who is calling: the header `X-Kit-Api-Key`, or an OAuth access token. Views find the caller in `request.auth`.

Clients that only know OAuth (Kit's PHP SDK) may send a key as a bearer token: docs/decisions/bearer-keys.md. What a
token is for says its beginning, so of a key nobody asks whether it is a token.
"""

import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection
from django.db.models import Q
from django.http import HttpRequest
from ninja.security import APIKeyHeader

from dripstone import clock
from dripstone.accounts import limits
from dripstone.accounts.limits import Credential
from dripstone.accounts.models import Account, ApiKey
from dripstone.accounts.verbs import hash_key
from dripstone.errors import Expired, NotFullAccess, OutOfScope
from dripstone.oauth import scopes, tokens
from dripstone.oauth.models import AccessToken, Consent
from dripstone.postgresql.compiled import Compiled, Parameter

Environ = Mapping[str, Any]

REMEMBERED_SECONDS = 60.0
MOST_REMEMBERED = 10_000  # keys and tokens of callers
NOTED_EVERY = timedelta(minutes=1)  # last_used_at is for people; a write per request would cost more than it is worth

# Asked for with every request, so that a revoked key or token ends at once.
_LIVE_KEY = Compiled(
    lambda: ApiKey.objects.select_related("account").filter(key_hash=Parameter("hash"), revoked_at=None)
)
_LIVE_TOKEN = Compiled(
    lambda: AccessToken.objects.select_related(
        "consent__account", "consent__application", "consent__membership__user"
    ).filter(token_checksum=Parameter("hash"), consent__ended_at=None, consent__membership__isnull=False)
)

BOTH = frozenset((scopes.READ, scopes.WRITE))
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
# POSTs that change nothing: for these a token needs `read`. What comes in at /mcp is looked at again, call by call.
READING = re.compile(
    r"/v4/subscribers/filter$"
    r"|/ext/v1/subscribers/count$"
    r"|/ext/v1/bulk_actions/count$"
    r"|/ext/v1/(sequences|enrollments|rules|automations)/\d+/impact$"
    r"|/ext/v1/automations/\d+/(apply/impact|test_run)$"
    r"|/ext/v1/sequences/\d+/emails/\d+/preview$"
    r"|/mcp$"
)
# What the pages keep for owners: an app that somebody else allowed may not write there either.
OF_OWNERS = re.compile(r"/v4/account(/|$)")


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom a request is answered to.

    actor            for notes and logs: which credential, without giving it away
    name             what the key or the app is called
    has_full_access  whether it opens what Kit keeps for OAuth: bulk operations, purchases
    application_id   the app whose token it is; None for an API key
    scopes           `read`, `write`: what is allowed to it
    is_owner         whoever stands behind it is an owner of the account
    """

    account: Account
    actor: str
    credential: Credential
    name: str = ""
    has_full_access: bool = False
    application_id: int | None = None
    scopes: frozenset[str] = BOTH
    is_owner: bool = True

    @property
    def may_write(self) -> bool:
        return scopes.WRITE in self.scopes


class KitRequest(HttpRequest):
    """A request past authentication."""

    auth: Caller


class ApiKeyAuth(APIKeyHeader):
    param_name = "X-Kit-Api-Key"

    def _get_key(self, request: HttpRequest) -> str:
        return _secret_in(request.META)

    def authenticate(self, request: HttpRequest, key: str | None) -> Caller | None:
        """None (a 401) when the key or token is missing, unknown or revoked. Raises limits.TooMany, and of a token
        Expired and OutOfScope."""
        caller = caller_of(request)
        if caller is None:
            return None
        limits.count(caller.credential)
        found = request.META[_FOUND]
        _note_use(found.consent if isinstance(found, AccessToken) else found)
        permit(caller, request.method or "", request.path_info)
        return caller


class FullAccess(ApiKeyAuth):
    """For the routers of operations that Kit keeps for OAuth: `Router(auth=FullAccess())`."""

    def authenticate(self, request: HttpRequest, key: str | None) -> Caller | None:
        """Raises NotFullAccess, too: a 401, as Kit answers it, which says what it takes."""
        caller = super().authenticate(request, key)
        if caller is not None and not caller.has_full_access:
            raise NotFullAccess
        return caller


def caller_of(request: HttpRequest) -> Caller | None:
    """Who signed it, which is not counted as a request of theirs. What was found stays with the request, and whoever
    makes another one of its META is not looked for again. Raises Expired."""
    if _FOUND not in request.META:
        request.META[_FOUND] = _find(_secret_in(request.META))
    found: ApiKey | AccessToken | None = request.META[_FOUND]
    if found is None:
        return None
    if isinstance(found, AccessToken):
        return _of_token(found)
    credential = Credential("key", found.pk)
    return Caller(found.account, f"API key {found.name} (…{found.hint})", credential, found.name, found.has_full_access)


def _of_token(token: AccessToken) -> Caller:
    if clock.now() >= token.expires:
        raise Expired
    consent = token.consent
    credential = Credential("token", consent.pk)  # not the token's: refreshing gives no new calls
    member = consent.membership
    name = consent.application.name
    actor = f"{name}, allowed by {member.user.email}"
    allowed = scopes.allowed(token.scope, member)
    return Caller(consent.account, actor, credential, name, True, consent.application_id, allowed, member.is_owner)


def permit(caller: Caller, method: str, path: str) -> None:
    """Whether a call is allowed to whoever makes it. Raises OutOfScope."""
    if caller.application_id is None:
        return
    needed = scope_of(method, path)
    if needed not in caller.scopes:
        raise OutOfScope
    if needed == scopes.WRITE and not caller.is_owner and OF_OWNERS.match(path):
        raise OutOfScope


def scope_of(method: str, path: str) -> str:
    """Which one a call needs."""
    is_reading = method in SAFE_METHODS or (method == "POST" and READING.match(path) is not None)
    return scopes.READ if is_reading else scopes.WRITE


def _secret_in(environ: Environ) -> str:
    """The key or token, from the variables that WSGI makes of headers; "" when there is none."""
    scheme, _, token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    key: str = environ.get("HTTP_X_KIT_API_KEY", "")
    return key or (token.strip() if scheme.lower() == "bearer" else "")


def _find(secret: str) -> ApiKey | AccessToken | None:
    secret_hash = hash_key(secret)
    kind: Compiled[Any] = _LIVE_TOKEN if secret.startswith(tokens.ACCESS) else _LIVE_KEY
    found: ApiKey | AccessToken | None = kind.first(hash=secret_hash)
    if found is None:
        _live.pop(secret_hash, None)
        return None
    if len(_live) >= MOST_REMEMBERED:
        _live.clear()
    _live[secret_hash] = time.monotonic()
    return found


# --- Before the body is read (front/application.py) -----------------------------------------------------------------
#
# Whether a call is answered is decided above, by a query for each. Whether its body is worth reading need not be that
# exact: a key that was live a minute ago is enough, and saves most calls a second way to the threads and back.

_FOUND = "dripstone.key"  # in the environment: the ApiKey or AccessToken that `look_up` found, or None
_live: dict[str, float] = {}  # hash of a key or token → when it was last found (time.monotonic)


def was_live(environ: Environ) -> bool:
    """Whether this process found the key or token a moment ago. No query."""
    found_at = _live.get(hash_key(_secret_in(environ)), -math.inf)
    return time.monotonic() - found_at < REMEMBERED_SECONDS


def look_up(environ: dict[str, Any]) -> bool:
    """Whether it is live; ApiKeyAuth finds the answer in the environment. Outside of Django's requests."""
    secret = _secret_in(environ)
    try:
        environ[_FOUND] = _find(secret) if secret else None
    finally:
        connection.close()  # back to the pool
    return environ[_FOUND] is not None


def _note_use(credential: ApiKey | Consent) -> None:
    now = clock.now()
    if credential.last_used_at is None or now - credential.last_used_at >= NOTED_EVERY:
        stale = Q(last_used_at=None) | Q(last_used_at__lt=now)
        type(credential)._default_manager.filter(stale, pk=credential.pk).update(last_used_at=now)
