"""Secrets of receivers, and what is signed with them.

A secret is `whsec_…`, told when it is made and never again (that of callbacks the account's owner may look at). It is
kept sealed by the server's secret key. After a rotation the one before signs too, for a day, so that a receiver can
change over without losing a call.

    X-Kit-Signature: t=<unix time>,v1=<hex>[,v1=<hex>]     HMAC-SHA256 of "<t>.<body>", once per secret
"""

import hmac
import secrets as random
from datetime import datetime, timedelta

from dripstone import signing
from dripstone.calls.models import Receiver

PREFIX = "whsec_"
KIND = "webhook secret"
Kept = bytes | memoryview  # as the database gives it
OVERLAP = timedelta(hours=24)


def make() -> str:
    return PREFIX + random.token_urlsafe(32)


def sealed(secret: str) -> bytes:
    return signing.seal(KIND, secret.encode())


def of(receiver: Receiver) -> str | None:
    """None: it has none, or it was sealed with another secret key than today's."""
    return _opened(receiver.secret)


def valid(receiver: Receiver, now: datetime) -> list[str]:
    """Those that sign now, the newest first."""
    return opened(receiver.secret, receiver.previous_secret, receiver.previous_secret_expires_at, now)


def opened(secret: Kept, previous: Kept, expires_at: datetime | None, now: datetime) -> list[str]:
    is_overlap = expires_at is not None and expires_at > now
    found = [_opened(secret), _opened(previous) if is_overlap else None]
    return [one for one in found if one]


def _opened(kept: Kept) -> str | None:
    text = signing.unseal(KIND, bytes(kept)) if kept else None
    return None if text is None else text.decode()


def signature(secrets: list[str], unix_time: int, body: bytes) -> str:
    """The header's value."""
    message = str(unix_time).encode() + b"." + body
    signed = (hmac.digest(secret.encode(), message, "sha256").hex() for secret in secrets)
    return ",".join([f"t={unix_time}", *(f"v1={one}" for one in signed)])
