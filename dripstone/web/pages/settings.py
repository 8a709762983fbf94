"""/settings: what the account is called, where it is, when and how its emails go, and how many at most."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from dripstone.accounts import verbs
from dripstone.accounts.models import Account
from dripstone.errors import Invalid
from dripstone.given import time_zones
from dripstone.web import forms
from dripstone.web.frame import owner, show

MEMBERS = ("name", "postal_address", "time_zone", "send_hour", "language", "direction", "per_second", "per_day")
HOURS = [(hour, f"{hour:02}:00") for hour in range(24)]
DIRECTIONS = [("", "As each email says"), ("ltr", "Left to right"), ("rtl", "Right to left")]


@owner
@require_http_methods(["GET", "HEAD", "POST"])
def general(request: HttpRequest, account: Account) -> HttpResponse:
    form = forms.Form({name: getattr(account, name) for name in MEMBERS})
    if request.method != "POST":
        return _page(request, account, form)
    try:
        verbs.update_account(account, forms.given(request))
    except Invalid as refused:
        account.refresh_from_db()
        return _page(request, account, forms.refused(request, refused), status=422)
    messages.success(request, "Saved.")
    return redirect("settings")


def _zones(account: Account) -> list[tuple[str, str]]:
    """The account's own stays, even under an older name."""
    known = time_zones()
    own = [] if account.time_zone in known else [account.time_zone]
    return [(zone, zone.replace("_", " ")) for zone in own + known]


def _page(request: HttpRequest, account: Account, form: forms.Form, status: int = 200) -> HttpResponse:
    context: dict[str, Any] = {
        "section": "settings",
        "part": "general",
        "form": form,
        "zones": _zones(account),
        "hours": HOURS,
        "directions": DIRECTIONS,
    }
    return show(request, "settings/general.html", account, context, status=status)
