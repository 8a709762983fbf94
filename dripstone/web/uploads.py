"""Files that people send: pictures, on one page, and nothing else anywhere.

Django asks an upload handler about each file in a form. Ours takes files on the page for images, in memory: the front
bounds what comes, and reads more than a form's worth only from somebody who is signed in.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.core.files.uploadhandler import MemoryFileUploadHandler
from django.db import connection
from django.http import parse_cookie

PATH = "/images"


class Pictures(MemoryFileUploadHandler):
    """Where it is not activated, a file is read past."""

    def handle_raw_input(self, *args: Any, **kwargs: Any) -> None:
        assert self.request is not None
        self.activated = self.request.path == PATH


def is_signed_in(environ: Mapping[str, Any]) -> bool:
    """Whether the request comes with a session of somebody. For the front, outside of Django's requests; who that is,
    and what they may do, the view finds out."""
    key = parse_cookie(environ.get("HTTP_COOKIE", "")).get(settings.SESSION_COOKIE_NAME)
    try:
        return bool(key) and SESSION_KEY in import_module(settings.SESSION_ENGINE).SessionStore(key)
    finally:
        connection.close()  # back to the pool
