"""Tokens in links and Message-IDs, fingerprints of what must be recognised and not read, and seals on what only we may
read again.

A token is one or more numbers and 120 bits of signature over kind and numbers. It holds no timestamp: a link in an old
email works for ever, and the same row always gives the same link, so a message rendered twice is the same message.

There are two ways to make one, and `read` takes both, told apart by their form:

  make        HMAC-SHA256, all of it in URL-safe base64, in which there is no dot
  make_quick  keyed BLAKE2b, `<number>.<signature>`: a third of the time, for what every email needs
"""

import base64
import binascii
import hashlib
import hmac
import os
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

SIGNATURE_BYTES = 15
MAX_TOKEN_CHARACTERS = 200
NONCE_BYTES = 12


def make(kind: str, *parts: int) -> str:
    """A token for `parts` (non-negative), valid only for this `kind`. ASCII, needs no quoting in a URL."""
    body = ".".join(map(str, parts)).encode()
    return base64.urlsafe_b64encode(_hmac(kind, body) + body).rstrip(b"=").decode()


def make_quick(kind: str, number: int) -> str:
    """A token for one number (non-negative), valid only for this `kind`. ASCII, needs no quoting in a URL."""
    return f"{number}.{_blake2(kind, str(number))}"


def read(kind: str, token: str) -> tuple[int, ...] | None:
    """The numbers of a token, or None for anything that we did not make with this kind and key."""
    if len(token) > MAX_TOKEN_CHARACTERS or not token.isascii():
        return None
    return _read_quick(kind, token) if "." in token else _read(kind, token)


def fingerprint(kind: str, text: str) -> bytes:
    """The same for the same text, kind and secret key; without the key nobody can tell whose it is, not by trying."""
    return hmac.digest(settings.SECRET_KEY.encode(), f"fingerprint\0{kind}\0{text}".encode(), "sha256")


def seal(kind: str, data: bytes) -> bytes:
    """Encrypted for the database: only this secret key opens it, and only as this `kind`. 28 bytes longer; never twice
    the same."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + _cipher(settings.SECRET_KEY, kind).encrypt(nonce, data, None)


def unseal(kind: str, sealed: bytes) -> bytes | None:
    """What was sealed; None for what was changed, is of another kind, or was sealed with another secret key."""
    try:
        return _cipher(settings.SECRET_KEY, kind).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], None)
    except (InvalidTag, ValueError):  # ValueError: too short for a nonce
        return None


def _read(kind: str, token: str) -> tuple[int, ...] | None:
    try:
        raw = base64.b64decode(token.encode() + b"=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    signature, body = raw[:SIGNATURE_BYTES], raw[SIGNATURE_BYTES:]
    if not hmac.compare_digest(signature, _hmac(kind, body)):
        return None
    return tuple(int(part) for part in body.split(b".") if part)


def _read_quick(kind: str, token: str) -> tuple[int, ...] | None:
    number, _, signature = token.partition(".")
    return (int(number),) if hmac.compare_digest(signature, _blake2(kind, number)) else None


def _hmac(kind: str, body: bytes) -> bytes:
    message = kind.encode() + b"\0" + body
    return hmac.digest(settings.SECRET_KEY.encode(), message, "sha256")[:SIGNATURE_BYTES]


def _blake2(kind: str, number: str) -> str:
    message = f"{kind}\0{number}".encode()
    digest = hashlib.blake2b(message, digest_size=SIGNATURE_BYTES, key=_key(settings.SECRET_KEY)).digest()
    return base64.urlsafe_b64encode(digest).decode()


@lru_cache(maxsize=4)
def _key(secret: str) -> bytes:
    """BLAKE2 takes keys of up to 64 bytes, and ours may be longer. Another use of the secret gets another key."""
    return hashlib.blake2b(secret.encode(), person=b"dripstone-tokens").digest()


@lru_cache(maxsize=16)
def _cipher(secret: str, kind: str) -> AESGCM:
    """Each kind has a key of its own: AES-256."""
    return AESGCM(hashlib.blake2b(kind.encode(), key=_key(secret), digest_size=32, person=b"dripstone-seals").digest())
