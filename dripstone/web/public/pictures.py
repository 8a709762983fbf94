"""/i/…: a picture in emails, for whoever knows its address, as every mail program must.

What stands at an address never changes, so it may be kept for ever; and whoever names it (If-None-Match) has it.
"""

import re

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import condition, require_safe

from dripstone.images import store
from dripstone.images.encode import CONTENT_TYPES, Kind

DIGEST = re.compile(r"[0-9a-f]{32}")
A_YEAR = 365 * 24 * 60 * 60


def _is_address(digest: str, kind: str) -> bool:
    return kind in list(Kind) and DIGEST.fullmatch(digest) is not None


def _etag(request: HttpRequest, digest: str, kind: str) -> str | None:
    return f'"{digest}.{kind}"' if _is_address(digest, kind) else None


@require_safe
@condition(etag_func=_etag)
def picture(request: HttpRequest, digest: str, kind: str) -> HttpResponse:
    content = store.find(digest, kind) if _is_address(digest, kind) else None
    if content is None:
        raise Http404
    response = HttpResponse(content, content_type=CONTENT_TYPES[Kind(kind)])
    response["Cache-Control"] = f"public, max-age={A_YEAR}, immutable"
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response["Cross-Origin-Resource-Policy"] = "cross-origin"  # pages of webmail show it
    return response
