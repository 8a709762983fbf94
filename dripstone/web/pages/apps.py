"""/settings/apps: software of others that may work in the account, and the apps that the account made.

A secret is shown once, on the page after the one that made it; on its way there it waits in the session (see keys.py).
"""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from dripstone import clock
from dripstone.accounts.models import Account
from dripstone.errors import Invalid, NotFound
from dripstone.oauth import applications, server, tokens
from dripstone.oauth.models import Application, Consent
from dripstone.web import forms
from dripstone.web.frame import membership, own, owner, person, show

MADE = "made_secret"  # in the session: id of an app and its secret, which was not shown yet
KINDS = [
    ("confidential", "A secret of its own: it runs on a server"),
    ("public", "No secret: it runs on people's phones or machines, or in their browsers"),
]
MOST, MOST_ENDED = 200, 20  # consents shown


@owner
@require_http_methods(["GET", "HEAD", "POST"])
def apps(request: HttpRequest, account: Account) -> HttpResponse:
    """POST makes one."""
    if request.method != "POST":
        return _list(request, account, forms.Form({"client_type": "confidential"}))
    try:
        row, secret = applications.create(account, person(request), forms.given(request), clock.now())
    except Invalid as refused:
        return _list(request, account, forms.refused(request, refused), status=422)
    return _show_secret(request, row, secret)


@owner
@require_http_methods(["GET", "HEAD", "POST"])
def app(request: HttpRequest, account: Account, app_id: int) -> HttpResponse:
    """POST changes its name and its addresses."""
    row = applications.find(account, app_id)
    if request.method != "POST":
        return _one(request, account, row, _form_of(row))
    try:
        applications.update(account, app_id, forms.given(request))
    except Invalid as refused:
        return _one(request, account, row, forms.refused(request, refused), status=422)
    messages.success(request, "Saved.")
    return redirect("settings_app", app_id)


@owner
@require_http_methods(["GET", "HEAD", "POST"])
def secret(request: HttpRequest, account: Account, app_id: int) -> HttpResponse:
    """Another one. GET asks."""
    row = applications.find(account, app_id)
    if row.is_public:
        raise Http404
    if request.method != "POST":
        return _ask(request, account, row, "settings/app_secret.html")
    return _show_secret(request, row, applications.rotate_secret(row, clock.now()))


@owner
@require_http_methods(["GET", "HEAD", "POST"])
def deletion(request: HttpRequest, account: Account, app_id: int) -> HttpResponse:
    """GET asks."""
    row = applications.find(account, app_id)
    if request.method != "POST":
        return _ask(request, account, row, "settings/app_deletion.html")
    applications.delete(row)
    messages.success(request, f"The app {row.name} is deleted.")
    return redirect("settings_apps")


@own
@require_http_methods(["GET", "HEAD", "POST"])
def revocation(request: HttpRequest, account: Account, consent_id: int) -> HttpResponse:
    """Of what one allowed oneself, in any account, or as an owner of what anybody allowed in this one. GET asks."""
    mine = tokens.of_user(person(request))
    rows = mine | tokens.of_account(account) if membership(request).is_owner else mine
    row = rows.filter(pk=consent_id).first()
    if row is None:
        raise Http404
    back = reverse("settings_apps" if membership(request).is_owner and row.account_id == account.pk else "settings_you")
    if request.method != "POST":
        context = {"section": "settings", "current": "true", "consent": _with_words(row), "back": back}
        return show(request, "settings/consent_revocation.html", account, context)
    if not tokens.end(row.pk, tokens.REVOKED, clock.now()):
        raise NotFound
    messages.success(request, f"{row.application.name} has no access to {row.account.name} any more.")
    return redirect(back)


def _with_words(row: Consent) -> Consent:
    row.may = _words_of(row)  # type: ignore[attr-defined]
    return row


def _words_of(consent: Consent) -> str:
    return "read and change" if tokens.may_write(consent) else "read"


def _show_secret(request: HttpRequest, row: Application, secret: str) -> HttpResponse:
    request.session[MADE] = [row.pk, secret]
    return redirect("settings_app", row.pk)


def _form_of(row: Application) -> forms.Form:
    return forms.Form({"name": row.name, "redirect_uris": "\n".join(row.redirect_uris.split())})


def _ask(request: HttpRequest, account: Account, row: Application, template: str) -> HttpResponse:
    return show(request, template, account, {"section": "settings", "current": "true", "app": row})


def _one(request: HttpRequest, account: Account, row: Application, form: forms.Form, status: int = 200) -> HttpResponse:
    made_id, plaintext = request.session.pop(MADE, (0, ""))
    context = {
        "section": "settings",
        "current": "true",
        "app": row,
        "form": form,
        "is_made": made_id == row.pk,
        "plaintext": plaintext if made_id == row.pk else "",
        "here_is": server.issuer(),
    }
    return show(request, "settings/app.html", account, context, status=status)


def _list(request: HttpRequest, account: Account, form: forms.Form, status: int = 200) -> HttpResponse:
    context = {
        "section": "settings",
        "part": "apps",
        "form": form,
        "kinds": KINDS,
        "apps": applications.of_account(account),
        "consents": [_with_words(row) for row in tokens.of_account(account)[:MOST]],
        "most": MOST,
        "ended": [(row, tokens.how_it_ended(row)) for row in tokens.ended_of_account(account)[:MOST_ENDED]],
    }
    return show(request, "settings/apps.html", account, context, status=status)
