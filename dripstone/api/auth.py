"""Who is calling: the header `X-Kit-Api-Key`. Views find the caller in `request.auth`.

Clients that only know OAuth (Kit's PHP SDK) may send the key as a bearer token: docs/decisions/bearer-keys.md.
"""

import math
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
from dripstone.postgresql.compiled import Compiled, Parameter

Environ = Mapping[str, Any]

REMEMBERED_SECONDS = 60.0
MOST_REMEMBERED = 10_000  # keys of callers
NOTED_EVERY = timedelta(minutes=1)  # last_used_at is for people; a write per request would cost more than it is worth

# Asked for with every request, so that a revoked key ends at once.
_LIVE_KEY = Compiled(
    lambda: ApiKey.objects.select_related("account").filter(key_hash=Parameter("hash"), revoked_at=None)
)


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom a request is answered to.

    actor            for notes and logs: which credential, without giving it away
    has_full_access  whether it opens what Kit keeps for OAuth: bulk operations, purchases
    """

    account: Account
    actor: str
    credential: Credential
    has_full_access: bool = False


class KitRequest(HttpRequest):
    """A request past authentication."""

    auth: Caller


class ApiKeyAuth(APIKeyHeader):
    param_name = "X-Kit-Api-Key"

    def _get_key(self, request: HttpRequest) -> str:
        return _key_in(request.META)

    def authenticate(self, request: HttpRequest, key: str | None) -> Caller | None:
        """None (a 401) when the key is missing, unknown or revoked. Raises limits.TooMany."""
        found = request.META[_FOUND] if _FOUND in request.META else _find(hash_key(key or ""))
        if found is None:
            return None
        credential = Credential("key", found.pk)
        limits.count(credential)
        _note_use(found)
        return Caller(found.account, f"API key {found.name} (…{found.hint})", credential, found.has_full_access)


class FullAccess(ApiKeyAuth):
    """For the routers of operations that Kit keeps for OAuth: `Router(auth=FullAccess())`."""

    def authenticate(self, request: HttpRequest, key: str | None) -> Caller | None:
        """None (a 401) for a key without full access, too, as Kit answers it."""
        caller = super().authenticate(request, key)
        return caller if caller is not None and caller.has_full_access else None


def _key_in(environ: Environ) -> str:
    """The key, from the variables that WSGI makes of headers; "" when there is none."""
    scheme, _, token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    key: str = environ.get("HTTP_X_KIT_API_KEY", "")
    return key or (token.strip() if scheme.lower() == "bearer" else "")


def _find(key_hash: str) -> ApiKey | None:
    found = _LIVE_KEY.first(hash=key_hash)
    if found is None:
        _live.pop(key_hash, None)
        return None
    if len(_live) >= MOST_REMEMBERED:
        _live.clear()
    _live[key_hash] = time.monotonic()
    return found


# --- Before the body is read (front/application.py) -----------------------------------------------------------------
#
# Whether a call is answered is decided above, by a query for each. Whether its body is worth reading need not be that
# exact: a key that was live a minute ago is enough, and saves most calls a second way to the threads and back.

_FOUND = "dripstone.key"  # in the environment: the ApiKey that `look_up` found, or None
_live: dict[str, float] = {}  # hash of a key → when it was last found (time.monotonic)


def was_live(environ: Environ) -> bool:
    """Whether this process found the key a moment ago. No query."""
    found_at = _live.get(hash_key(_key_in(environ)), -math.inf)
    return time.monotonic() - found_at < REMEMBERED_SECONDS


def look_up(environ: dict[str, Any]) -> bool:
    """Whether the key is live; ApiKeyAuth finds the answer in the environment. Outside of Django's requests."""
    key = _key_in(environ)
    try:
        environ[_FOUND] = _find(hash_key(key)) if key else None
    finally:
        connection.close()  # back to the pool
    return environ[_FOUND] is not None


def _note_use(key: ApiKey) -> None:
    now = clock.now()
    if key.last_used_at is None or now - key.last_used_at >= NOTED_EVERY:
        stale = Q(last_used_at=None) | Q(last_used_at__lt=now)
        ApiKey.objects.filter(stale, pk=key.pk).update(last_used_at=now)
