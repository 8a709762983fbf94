"""The head of a request, as ASGI tells it, in the words of WSGI: what Django's application is called with."""

import sys
from collections.abc import Iterable
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_to_bytes

Environ = dict[str, Any]

_SAME = {
    "SCRIPT_NAME": "",
    "SERVER_SOFTWARE": "Granian",
    "wsgi.version": (1, 0),
    "wsgi.multithread": True,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
    "wsgi.errors": sys.stderr,
}
_UNPREFIXED = {"HTTP_CONTENT_TYPE": "CONTENT_TYPE", "HTTP_CONTENT_LENGTH": "CONTENT_LENGTH"}


def environ(scope: dict[str, Any]) -> Environ:
    """All of it but the body."""
    server, client = scope.get("server") or ("", 0), scope.get("client") or ("", 0)
    return {
        **_SAME,
        "REQUEST_METHOD": scope["method"],
        "PATH_INFO": unquote_to_bytes(scope["raw_path"]).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1]),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": client[0],
        "wsgi.url_scheme": scope["scheme"],
        **_headers(scope["headers"]),
    }


def _headers(given: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """A header that comes several times becomes one, its values joined as HTTP says."""
    found: dict[str, str] = {}
    for name, value in given:
        variable = _variable(name)
        if variable is None:
            continue
        text = value.decode("latin-1")
        if variable in found:
            text = f"{found[variable]}{'; ' if variable == 'HTTP_COOKIE' else ','}{text}"
        found[variable] = text
    return found


@lru_cache(maxsize=512)
def _variable(name: bytes) -> str | None:
    """None for a name with `_`, which WSGI could not tell from one with `-`: X_Forwarded_For is no X-Forwarded-For."""
    if b"_" in name:
        return None
    variable = "HTTP_" + name.decode("latin-1").upper().replace("-", "_")
    return _UNPREFIXED.get(variable, variable)
