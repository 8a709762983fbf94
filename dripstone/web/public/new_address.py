"""The address that a user wants to sign in with: confirmed behind the link in the mail to it. GET only shows."""

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_http_methods

from dripstone import clock
from dripstone.engine.acts import letting_in
from dripstone.errors import Invalid, NotFound
from dripstone.web import forms
from dripstone.web.public.frame import entrance


@require_http_methods(["GET", "HEAD", "POST"])
def new_address(request: HttpRequest, user_id: int, told: str, token: str) -> HttpResponse:
    """Whoever reads the address says yes, signed in or not. Sessions go on."""
    found = letting_in.of_new_address_link(user_id, told, token)
    if found is None:
        return _gone(request)
    user, email = found
    page = {"before": user.email, "email": email, "form": forms.Form()}
    if request.method != "POST":
        return entrance(request, "public/new_address.html", page)
    try:
        letting_in.take_new_address(user_id, told, token, clock.system_now())
    except NotFound:
        return _gone(request)
    except Invalid as refused:
        page["form"] = forms.refused(request, refused)
        return entrance(request, "public/new_address.html", page, status=422)
    return entrance(request, "public/address_changed.html", {"email": email})


def _gone(request: HttpRequest) -> HttpResponse:
    return entrance(request, "public/address_link_gone.html", {}, status=404)
