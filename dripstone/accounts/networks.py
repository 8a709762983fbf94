"""Where a request comes from."""

import ipaddress
from collections.abc import Mapping
from typing import Any


def of(environ: Mapping[str, Any]) -> str:
    """An IP address. A proxy in front of us is on this machine or its private network; only then is the address it adds
    (the last of X-Forwarded-For) worth more than the connection's own.

    environ   the variables that WSGI makes of headers
    """
    peer: str = environ.get("REMOTE_ADDR", "")
    told: str = environ.get("HTTP_X_FORWARDED_FOR", "").rpartition(",")[2].strip()
    return told if told and _is_address(told) and _is_near(peer) else peer


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_near(peer: str) -> bool:
    return not _is_address(peer) or ipaddress.ip_address(peer).is_private
