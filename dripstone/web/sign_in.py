"""Sign in with an address and a password, and out again."""

import ipaddress

from django.conf import settings
from django.contrib.auth import login, logout
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render, resolve_url
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_http_methods, require_POST

from dripstone import clock
from dripstone.accounts.sign_in import WINDOW, TooManyFailures, check, token_for

BROWSER_COOKIE = "dripstone_browser"
BROWSER_SECONDS = 400 * 24 * 60 * 60  # browsers keep none for longer

WRONG = "That address and password do not belong together."
WAIT = f"Too many wrong passwords. Try again in {WINDOW.seconds // 60} minutes."


@require_http_methods(["GET", "HEAD", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    if request.user.is_authenticated:
        return redirect(_next(request))
    if request.method != "POST":
        return _form(request)
    email = request.POST.get("email", "").replace("\0", "").strip().lower()  # PostgreSQL takes no NUL
    password, token = request.POST.get("password", ""), request.COOKIES.get(BROWSER_COOKIE, "")
    try:
        user = check(request, email, password, network_of(request), clock.system_now(), token)
    except TooManyFailures:
        return _form(request, email, WAIT, status=429)
    if user is None:
        return _form(request, email, WRONG, status=422)
    login(request, user)
    response = redirect(_next(request))
    _remember_browser(response, email)
    return response


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return redirect("sign_in")


def network_of(request: HttpRequest) -> str:
    """Where a request comes from. A proxy in front of us is on this machine or its private network; only then is
    the address it adds (the last of X-Forwarded-For) worth more than the connection's own."""
    peer = request.META.get("REMOTE_ADDR", "")
    told = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
    return told if told and _is_address(told) and _is_near(peer) else peer


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_near(peer: str) -> bool:
    return not _is_address(peer) or ipaddress.ip_address(peer).is_private


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
    context = {"email": email, "problem": problem, "next": wanted}
    return render(request, "sign_in.html", context, status=status)
