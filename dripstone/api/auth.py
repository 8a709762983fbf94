"""Who is calling: the header `X-Kit-Api-Key`. Views find the caller in `request.auth`.

Clients that only know OAuth (Kit's PHP SDK) may send the key as a bearer token: docs/decisions/bearer-keys.md.
"""

from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Q
from django.http import HttpRequest
from ninja.security import APIKeyHeader

from dripstone import clock
from dripstone.accounts import limits
from dripstone.accounts.limits import Credential
from dripstone.accounts.models import Account, ApiKey
from dripstone.accounts.verbs import hash_key
from dripstone.postgresql.compiled import Compiled, Parameter

NOTED_EVERY = timedelta(minutes=1)  # last_used_at is for people; a write per request would cost more than it is worth

# Asked for with every request, so that a revoked key ends at once.
_LIVE_KEY = Compiled(
    lambda: ApiKey.objects.select_related("account").filter(key_hash=Parameter("hash"), revoked_at=None)
)


@dataclass(frozen=True, slots=True)
class Caller:
    account: Account
    actor: str  # for notes and logs: which key, without giving it away


class KitRequest(HttpRequest):
    """A request past authentication."""

    auth: Caller


class ApiKeyAuth(APIKeyHeader):
    param_name = "X-Kit-Api-Key"

    def _get_key(self, request: HttpRequest) -> str | None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        return super()._get_key(request) or (token.strip() if scheme.lower() == "bearer" else None)

    def authenticate(self, request: HttpRequest, key: str | None) -> Caller | None:
        """None (a 401) when the key is missing, unknown or revoked. Raises limits.TooMany."""
        found = _LIVE_KEY.first(hash=hash_key(key or ""))
        if found is None:
            return None
        limits.count(Credential("key", found.pk))
        _note_use(found)
        return Caller(found.account, f"API key {found.name} (…{found.hint})")


def _note_use(key: ApiKey) -> None:
    now = clock.now()
    if key.last_used_at is None or now - key.last_used_at >= NOTED_EVERY:
        stale = Q(last_used_at=None) | Q(last_used_at__lt=now)
        ApiKey.objects.filter(stale, pk=key.pk).update(last_used_at=now)
