"""Tokens in unsubscribe and confirm links.

A token is the numbers and 120 bits of HMAC-SHA256 over kind and numbers, in URL-safe base64. It holds no
timestamp: a link in an old email works for ever, and the same row always gives the same link, so a message
rendered twice is the same message.
"""

import base64
import binascii
import hmac

from django.conf import settings

SIGNATURE_BYTES = 15
MAX_TOKEN_CHARACTERS = 200


def make(kind: str, *parts: int) -> str:
    """A token for `parts` (non-negative), valid only for this `kind`. ASCII, needs no quoting in a URL."""
    body = ".".join(map(str, parts)).encode()
    return base64.urlsafe_b64encode(_signature(kind, body) + body).rstrip(b"=").decode()


def read(kind: str, token: str) -> tuple[int, ...] | None:
    """The parts `make` was given, or None for anything that `make` did not write with this kind and key."""
    try:
        raw = base64.b64decode(_padded(token), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    signature, body = raw[:SIGNATURE_BYTES], raw[SIGNATURE_BYTES:]
    if not hmac.compare_digest(signature, _signature(kind, body)):
        return None
    return tuple(int(part) for part in body.split(b".") if part)


def _signature(kind: str, body: bytes) -> bytes:
    message = kind.encode() + b"\0" + body
    return hmac.digest(settings.SECRET_KEY.encode(), message, "sha256")[:SIGNATURE_BYTES]


def _padded(token: str) -> bytes:
    if len(token) > MAX_TOKEN_CHARACTERS:
        raise ValueError("too long for a token of ours")
    return token.encode("ascii") + b"=" * (-len(token) % 4)
