"""/settings/you: one's own address, password, sessions and accounts. Everybody has these, whatever their role."""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods, require_POST

from dripstone import clock
from dripstone.accounts import members, sessions, sign_in, verbs
from dripstone.accounts.models import Account
from dripstone.engine import notices
from dripstone.engine.acts import letting_in
from dripstone.errors import Invalid, NotFound
from dripstone.oauth import tokens
from dripstone.web import browsers, forms, who
from dripstone.web.frame import membership, own, person, show
from dripstone.web.public.joining import TOO_MANY
from dripstone.web.sign_in import BROWSER_COOKIE, WAIT


@own
@require_http_methods(["GET", "HEAD", "POST"])
def you(request: HttpRequest, account: Account) -> HttpResponse:
    """POST changes the password."""
    if request.method != "POST":
        return _page(request, account, forms.Form())
    try:
        _must_know_the_password(request)
        verbs.change_password(person(request), forms.given(request))
    except Invalid as refused:
        return _page(request, account, forms.refused(request, refused), status=422)
    who.keep_after_new_password(request, person(request))
    messages.success(request, "Your password is changed, and your other sessions are ended.")
    return redirect("settings_you")


def _must_know_the_password(request: HttpRequest) -> None:
    """Whoever finds a browser open does not get to guess without end. Raises Invalid."""
    user, old = person(request), request.POST.get("old_password", "")
    token = request.COOKIES.get(BROWSER_COOKIE, "")
    try:
        known = sign_in.check(request, user.email, old, who.network_of(request), clock.system_now(), token)
    except sign_in.TooManyFailures:
        raise Invalid.member("old_password", WAIT) from None
    if known is None:
        raise Invalid.member("old_password", "This is not your password")


@own
@require_http_methods(["GET", "HEAD", "POST"])
def email_address(request: HttpRequest, account: Account) -> HttpResponse:
    """POST mails a link to the new one."""
    if request.method != "POST" or notices.why_no_account_mail():
        return _address_page(request, account, forms.Form())
    try:
        _must_know_the_password(request)
        email = letting_in.ask_for_new_address(
            person(request), forms.given(request), who.network_of(request), clock.system_now()
        )
    except sign_in.TooManyFailures:
        return _address_page(request, account, forms.refused(request, Invalid(TOO_MANY)), status=429)
    except Invalid as refused:
        return _address_page(request, account, forms.refused(request, refused), status=422)
    messages.success(request, f"If no other user has {email}, a mail with a link is on its way to it.")
    return redirect("settings_you")


def _address_page(request: HttpRequest, account: Account, form: forms.Form, status: int = 200) -> HttpResponse:
    context = {"section": "settings", "current": "true", "form": form, "why_no_mail": notices.why_no_account_mail()}
    return show(request, "settings/email_address.html", account, context, status=status)


@own
@require_POST
def ending(request: HttpRequest, account: Account, session_id: int) -> HttpResponse:
    try:
        sessions.end(person(request), session_id)
    except NotFound:
        raise Http404 from None
    messages.success(request, "That session is ended.")
    return redirect("settings_you")


@own
@require_POST
def ending_others(request: HttpRequest, account: Account) -> HttpResponse:
    n = sessions.end_others(person(request), request.session.get(who.SESSION))
    messages.success(request, "Your other sessions are ended." if n else "There was no other session.")
    return redirect("settings_you")


@own
@require_http_methods(["GET", "HEAD", "POST"])
def leaving(request: HttpRequest, account: Account) -> HttpResponse:
    """GET asks; of the last owner it says why they cannot."""
    if request.method != "POST":
        return show(request, "settings/leaving.html", account, {"section": "settings", "current": "true"})
    try:
        members.remove(account, membership(request).pk)
    except NotFound:
        raise Http404 from None
    except Invalid as refused:
        messages.error(request, f"{refused}.")
        return redirect("settings_you")
    messages.success(request, f"You have left {account.name}.")
    return redirect("home")


def _page(request: HttpRequest, account: Account, form: forms.Form, status: int = 200) -> HttpResponse:
    user, here = person(request), request.session.get(who.SESSION)
    rows = sessions.of_user(user, clock.system_now())
    context = {
        "section": "settings",
        "part": "you",
        "consents": tokens.of_user(user),
        "form": form,
        "sessions": [(row, browsers.name(row.browser), row.pk == here) for row in rows],
    }
    return show(request, "settings/you.html", account, context, status=status)
