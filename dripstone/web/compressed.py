"""Static files for browsers that take them compressed: a third of their size.

They are served from the packages they come in, which nobody may write to, so what was compressed is kept in memory: by
each process, when somebody first asks for it. All of what pages load is a megabyte then.
"""

import gzip
import re

from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase
from django.utils.cache import patch_vary_headers

WORTH_IT = re.compile(r"text/|application/(javascript|json|manifest)|image/svg")
TAKES_GZIP = re.compile(r"(?:^|,)\s*(?:gzip|\*)\s*(?:;\s*q=(?!0(?:\.0*)?\s*(?:,|$))[\d.]+\s*)?(?:,|$)", re.IGNORECASE)
LEAST_BYTES = 1_000

_kept: dict[tuple[str, str], bytes] = {}  # by path and ETag: as many as there are files


def if_taken(response: HttpResponseBase, request: HttpRequest) -> HttpResponseBase:
    """The file compressed, or as it is: small, a picture, a part of it, or for a browser that does not take gzip."""
    if not WORTH_IT.match(response.get("Content-Type", "")) or int(response.get("Content-Length", "0")) < LEAST_BYTES:
        return response
    patch_vary_headers(response, ("Accept-Encoding",))
    if not isinstance(response, FileResponse) or response.status_code != 200 or request.method == "HEAD":
        return response
    if not TAKES_GZIP.search(request.headers.get("Accept-Encoding", "")):
        return response
    content = _compressed(response, request)
    zipped = HttpResponse(content)
    for name, value in response.items():
        zipped[name] = value
    zipped["Content-Encoding"], zipped["Content-Length"] = "gzip", str(len(content))
    return zipped


def _compressed(response: FileResponse, request: HttpRequest) -> bytes:
    key = request.path_info, response.get("ETag", "")
    assert response.file_to_stream is not None
    with response.file_to_stream as file:
        if key not in _kept:
            _kept[key] = gzip.compress(file.read(), mtime=0)
    return _kept[key]
