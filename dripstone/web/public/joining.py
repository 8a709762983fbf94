"""How people get in: the first owner by the link that the server prints, others by invitation, or by asking for one
where everybody may (DRIPSTONE_SIGN_UP=open). GET only shows, so that scanners of links accept nothing."""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from dripstone import clock
from dripstone.accounts import invitations, verbs
from dripstone.accounts.invitations import Accepted
from dripstone.accounts.models import Invitation, User
from dripstone.accounts.sign_in import TooManyFailures
from dripstone.engine import notices
from dripstone.engine.acts import letting_in
from dripstone.errors import Conflict, Invalid, NotFound
from dripstone.given import time_zones
from dripstone.web import forms, frame, who
from dripstone.web.public.frame import bare, entrance

ZONES = [(zone, zone.replace("_", " ")) for zone in time_zones()]
TOO_MANY = "Too many mails were asked for from here. Try again in 15 minutes."


@require_http_methods(["GET", "HEAD", "POST"])
def first(request: HttpRequest, token: str) -> HttpResponse:
    """The first owner of a server. Works until there is one."""
    if not verbs.is_first_link(bare(token)):
        return _gone(request)
    if request.method != "POST":
        return _first(request, token, forms.Form({"time_zone": "UTC"}))
    try:
        _, user = verbs.create_first(forms.given(request), clock.now())
    except Conflict:
        return _gone(request)
    except Invalid as refused:
        return _first(request, token, forms.refused(request, refused), status=422)
    who.enter(request, user)
    return redirect("home")


def _first(request: HttpRequest, token: str, form: forms.Form, status: int = 200) -> HttpResponse:
    return entrance(request, "public/first.html", {"token": token, "form": form, "zones": ZONES}, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    found = invitations.of_link(bare(token), clock.system_now())
    if found is None:
        return _gone(request)
    user = who.user_of(request)
    if request.method != "POST":
        return _invitation(request, token, found, user, forms.Form({"time_zone": "UTC"}))
    if _must_sign_in(found, user):
        return redirect("invitation", token)
    try:
        done = invitations.accept(found.pk, user, forms.given(request), clock.system_now())
    except NotFound:
        return _gone(request)
    except Invalid as refused:
        return _invitation(request, token, found, user, forms.refused(request, refused), status=422)
    return _inside(request, done, is_new=user is None)


def _must_sign_in(found: Invitation, user: User | None) -> bool:
    """The invitation is for one address. Whoever has a user with it accepts as that user."""
    if user is not None:
        return user.email != found.email
    return User.objects.filter(email=found.email).exists()


def _inside(request: HttpRequest, done: Accepted, *, is_new: bool) -> HttpResponse:
    if is_new:
        who.enter(request, done.user)
    frame.choose(request, done.membership.account_id)
    messages.success(request, f"Welcome to {done.membership.account.name}.")
    return redirect("home")


def _invitation(
    request: HttpRequest, token: str, found: Invitation, user: User | None, form: forms.Form, status: int = 200
) -> HttpResponse:
    context: dict[str, Any] = {
        "token": token,
        "invitation": found,
        "role_in_words": frame.ROLES_IN_WORDS[found.role],
        "signed_in_as": user.email if user else "",
        "must_sign_in": _must_sign_in(found, user),
        "form": form,
        "zones": ZONES,
    }
    return entrance(request, "public/invitation.html", context, status=status)


def _gone(request: HttpRequest) -> HttpResponse:
    return entrance(request, "public/invitation_gone.html", {}, status=404)


@require_http_methods(["GET", "HEAD", "POST"])
def sign_up(request: HttpRequest) -> HttpResponse:
    """Asks for a link with which an address makes an account of its own."""
    if not _is_open() or request.method != "POST":
        return _sign_up(request, forms.Form())
    try:
        letting_in.ask_to_sign_up(forms.given(request), who.network_of(request), clock.system_now())
    except TooManyFailures:
        return _sign_up(request, forms.refused(request, Invalid(TOO_MANY)), status=429)
    except Invalid as refused:
        return _sign_up(request, forms.refused(request, refused), status=422)
    return entrance(request, "public/mail_sent.html", {"what": "a link that makes your account"})


def _sign_up(request: HttpRequest, form: forms.Form, status: int = 200) -> HttpResponse:
    context = {"form": form, "is_open": _is_open(), "why_no_mail": notices.why_no_account_mail()}
    return entrance(request, "public/sign_up.html", context, status=status)


def _is_open() -> bool:
    return bool(settings.DRIPSTONE_SIGN_UP == "open")
