"""Sign in with an address and a password, and out again."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render, resolve_url
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_http_methods, require_POST

from dripstone import clock
from dripstone.accounts.models import User
from dripstone.accounts.sign_in import WINDOW, TooManyFailures, check, token_for
from dripstone.web import who

BROWSER_COOKIE = "dripstone_browser"
BROWSER_SECONDS = 400 * 24 * 60 * 60  # browsers keep none for longer

WRONG = "That address and password do not belong together."
WAIT = f"Too many wrong passwords. Try again in {WINDOW.seconds // 60} minutes."


@require_http_methods(["GET", "HEAD", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    if who.user_of(request):
        return redirect(_next(request))
    if request.method != "POST":
        return _form(request)
    email = request.POST.get("email", "").replace("\0", "").strip().lower()  # PostgreSQL takes no NUL
    password, token = request.POST.get("password", ""), request.COOKIES.get(BROWSER_COOKIE, "")
    try:
        user = check(request, email, password, who.network_of(request), clock.system_now(), token)
    except TooManyFailures:
        return _form(request, email, WAIT, status=429)
    if user is None:
        return _form(request, email, WRONG, status=422)
    who.enter(request, user)
    response = redirect(_next(request))
    _remember_browser(response, email)
    return response


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    who.leave(request)
    return redirect("sign_in")


def _remember_browser(response: HttpResponse, email: str) -> None:
    """It stays when they sign out: it lets them in again while guessers are held off, and does nothing else."""
    response.set_cookie(
        BROWSER_COOKIE,
        token_for(email),
        max_age=BROWSER_SECONDS,
        path="/sign-in",
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


def _next(request: HttpRequest) -> str:
    """The page they asked for, if it is one of ours."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    if url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure()):
        return wanted
    return resolve_url(settings.LOGIN_REDIRECT_URL)


def _form(request: HttpRequest, email: str = "", problem: str = "", status: int = 200) -> HttpResponse:
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    context: dict[str, Any] = {"email": email, "problem": problem, "next": wanted}
    context |= {"is_open": settings.DRIPSTONE_SIGN_UP == "open", "is_empty": not User.objects.exists()}
    return render(request, "sign_in.html", context, status=status)
