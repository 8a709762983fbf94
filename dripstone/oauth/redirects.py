"""Where an app may have people sent back to: what may be registered, and what a redirect may lead to."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from dripstone.given import unstorable

MOST = 20
LONGEST = 2_000  # characters
LOOPBACK = ("127.0.0.1", "::1")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]{1,60}")
# Schemes that lead to no app but to something a browser does itself.
_BROWSERS = {
    *("about", "blob", "chrome", "data", "file", "filesystem", "ftp", "javascript", "mailto", "resource", "sms", "tel"),
    *("urn", "vbscript", "view-source", "ws", "wss"),
}


def complaints(uri: str, *, is_public: bool) -> Iterator[str]:
    """Why it may not be registered: "must be …"."""
    if unstorable(uri) or len(uri) > LONGEST or not uri.isascii() or not uri.isprintable() or re.search(r"[\s\\]", uri):
        yield f"must be an address of at most {LONGEST:,} ASCII characters, without blanks"
        return
    try:
        parts = urlsplit(uri)
        host = parts.hostname or ""
        has_sound_port = parts.port is None or parts.port > 0
    except ValueError:  # brackets that do not match, a port that is no number
        yield "must be a complete address, such as https://app.example.com/callback"
        return
    if "#" in uri:
        yield "must not have a fragment (#…)"
    if "@" in parts.netloc or "*" in uri or not has_sound_port:
        yield "must be one exact address, without a user name or *"
    yield from _complaints_of_scheme(uri, parts.scheme, host, is_public)


def _complaints_of_scheme(uri: str, scheme: str, host: str, is_public: bool) -> Iterator[str]:
    if scheme == "https":
        if not uri.startswith("https://") or not host:
            yield "must be a complete address, such as https://app.example.com/callback"
    elif scheme == "http":
        if not uri.startswith("http://") or host not in (*LOOPBACK, "localhost"):
            yield "must begin with https://, unless it leads to this machine (http://127.0.0.1/…)"
    elif not _SCHEME.fullmatch(scheme) or scheme in _BROWSERS or not uri.startswith(f"{scheme}:/"):
        yield "must begin with https://"
    elif not is_public:
        yield f"must begin with https://: an address of the form {scheme}:/… belongs to an app without a secret"


def is_loopback(uri: str) -> bool:
    """It leads to a program on the machine of whoever follows it."""
    try:
        parts = urlsplit(uri)
        return parts.scheme == "http" and parts.hostname in LOOPBACK and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def place(uri: str) -> str:
    """Where it leads, for people: "https://app.example.com"; "com.example.app", an app of their own."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}" if parts.scheme in ("http", "https") else f"{parts.scheme}:"


def shown(uri: str) -> str:
    """To quote in a sentence of ours."""
    printable = "".join(letter if letter.isprintable() else "?" for letter in uri[:80])
    return f"{printable}…" if len(uri) > len(printable) else printable
