"""Headers of every page: what a browser may load, who may frame it, who may keep it."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

CONTENT_SECURITY_POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)


class PageHeaders:
    """Middleware. Only HTML answers; a view that sets one of these itself has its reasons."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if response.get("Content-Type", "").startswith("text/html"):
            response.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
            response.headers.setdefault("X-Robots-Tag", "noindex, nofollow")
            # Captured mail and people's addresses do not stay behind in a shared browser.
            response.headers.setdefault("Cache-Control", "no-store")
        return response
