"""What the pages behind sign-in share: whose account it is, and how a template is filled."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django_htmx.http import HttpResponseClientRedirect

from dripstone import clock, words
from dripstone.accounts.models import Account, User
from dripstone.web import places

P = ParamSpec("P")


def member(
    view: Callable[Concatenate[HttpRequest, Account, P], HttpResponse],
) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
    """Only for people who are signed in; the view gets their account, and looks at nothing outside it."""

    @wraps(view)
    def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if isinstance(request.user, User):
            return view(request, request.user.account, *args, **kwargs)
        if request.headers.get("HX-Request"):  # a whole sign-in page does not belong in a part of this one
            return HttpResponseClientRedirect(settings.LOGIN_URL)
        return redirect_to_login(request.get_full_path())

    return guarded


def actor(request: HttpRequest) -> str:
    """Who acts: notes, edits and versions say it."""
    assert isinstance(request.user, User)
    return request.user.email


def show(
    request: HttpRequest, template: str, account: Account, context: dict[str, Any], status: int = 200
) -> HttpResponse:
    """A page of the account: its times stand in the account's zone, and its foot says which that is."""
    shared = {
        "account": account,
        "now": clock.now(),
        "zone": account.time_zone,
        "zone_in_words": words.zone(account.time_zone),
        "is_virtual": clock.is_virtual(),
        "work": places.WORK,
        "running": places.RUNNING,
        "may_edit": True,
    }
    return render(request, template, shared | context, status=status)
