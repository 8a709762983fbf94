"""A form whose CSRF token is not the browser's: it was open when somebody signed in, or changed the account."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def csrf(request: HttpRequest, reason: str = "") -> HttpResponse:
    """For Django's CSRF_FAILURE_VIEW. A part of a page gets a sentence at its head, not a page inside the page."""
    if not request.headers.get("HX-Request"):
        return render(request, "403_csrf.html", status=403)
    response = render(request, "_outdated.html", status=403)
    response["HX-Retarget"], response["HX-Reswap"] = "#notices", "innerHTML show:window:top"
    return response
