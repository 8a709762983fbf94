"""Headers of every page: what a browser may load, who may frame it, who may keep it."""

from collections.abc import Callable
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse


def images() -> str:
    """Where the pictures that people uploaded come from, for an img-src. Emails name them by DRIPSTONE_URL, which need
    not be the address that the page was asked for by."""
    url = urlsplit(settings.DRIPSTONE_URL)
    return f"'self' {url.scheme}://{url.netloc}"


def content_security_policy() -> str:
    return (
        f"default-src 'self'; img-src {images()} data:; object-src 'none'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    )


class PageHeaders:
    """Middleware. Only HTML answers; a view that sets one of these itself has its reasons."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if response.get("Content-Type", "").startswith("text/html"):
            response.headers.setdefault("Content-Security-Policy", content_security_policy())
            response.headers.setdefault("X-Robots-Tag", "noindex, nofollow")
            # Captured mail and people's addresses do not stay behind in a shared browser.
            response.headers.setdefault("Cache-Control", "no-store")
        return response
