"""A forgotten password: asked for by address, chosen anew behind the link in the mail."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from dripstone import clock
from dripstone.accounts.sign_in import TooManyFailures
from dripstone.engine import notices
from dripstone.engine.acts import letting_in
from dripstone.errors import Invalid, NotFound
from dripstone.web import forms, who
from dripstone.web.public.frame import entrance
from dripstone.web.public.joining import TOO_MANY


@require_http_methods(["GET", "HEAD", "POST"])
def forgotten(request: HttpRequest) -> HttpResponse:
    """The answer is the same whether the address is a user's or nobody's."""
    if request.method != "POST" or notices.why_no_account_mail():
        return _forgotten(request, forms.Form())
    try:
        letting_in.ask_for_password(forms.given(request), who.network_of(request), clock.system_now())
    except TooManyFailures:
        return _forgotten(request, forms.refused(request, Invalid(TOO_MANY)), status=429)
    except Invalid as refused:
        return _forgotten(request, forms.refused(request, refused), status=422)
    return entrance(request, "public/mail_sent.html", {"what": "a link to choose a new password", "if_user": True})


def _forgotten(request: HttpRequest, form: forms.Form, status: int = 200) -> HttpResponse:
    context = {"form": form, "why_no_mail": notices.why_no_account_mail()}
    return entrance(request, "public/forgotten.html", context, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest, user_id: int, token: str) -> HttpResponse:
    """All sessions end, and this browser is signed in."""
    user = letting_in.of_password_link(user_id, token)
    if user is None:
        return entrance(request, "public/password_link_gone.html", {}, status=404)
    page = {"email": user.email, "form": forms.Form()}
    if request.method != "POST":
        return entrance(request, "public/new_password.html", page)
    try:
        user = letting_in.choose_password(user_id, token, forms.given(request))
    except NotFound:
        return entrance(request, "public/password_link_gone.html", {}, status=404)
    except Invalid as refused:
        page["form"] = forms.refused(request, refused)
        return entrance(request, "public/new_password.html", page, status=422)
    who.enter(request, user)
    return redirect("home")
