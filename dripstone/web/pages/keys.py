"""/settings/keys: keys for the API. A key itself is shown once, on the page after the one that made it.

On its way there it waits in the session, so that loading that page again makes no second one; the page takes it out.
"""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_http_methods

from dripstone import clock
from dripstone.accounts import verbs
from dripstone.accounts.models import Account, ApiKey
from dripstone.errors import Invalid, NotFound
from dripstone.web import forms
from dripstone.web.frame import owner, show

MADE = "made_key"  # in the session: id and text of a key that was not shown yet


@owner
@require_http_methods(["GET", "HEAD", "POST"])
def keys(request: HttpRequest, account: Account) -> HttpResponse:
    """POST makes one."""
    if request.method != "POST":
        return _list(request, account, forms.Form())
    try:
        row, plaintext = verbs.make_key(account, forms.given(request), clock.now())
    except Invalid as refused:
        return _list(request, account, forms.refused(request, refused), status=422)
    request.session[MADE] = [row.pk, plaintext]
    return redirect("settings_keys")


@owner
@require_http_methods(["GET", "HEAD", "POST"])
def revocation(request: HttpRequest, account: Account, key_id: int) -> HttpResponse:
    """GET asks."""
    row = get_object_or_404(ApiKey, account=account, pk=key_id, revoked_at=None)
    if request.method != "POST":
        context = {"section": "settings", "current": "true", "key": row}
        return show(request, "settings/key_revocation.html", account, context)
    try:
        verbs.revoke_key(account, key_id, clock.now())
    except NotFound:
        raise Http404 from None
    messages.success(request, f"The key {row.name} is revoked.")
    return redirect("settings_keys")


def _list(request: HttpRequest, account: Account, form: forms.Form, status: int = 200) -> HttpResponse:
    made_id, plaintext = request.session.pop(MADE, (0, ""))
    made = ApiKey.objects.filter(account=account, pk=made_id, revoked_at=None).first()
    context = {
        "section": "settings",
        "part": "keys",
        "form": form,
        "keys": verbs.keys_of(account),
        "made": made,
        "plaintext": plaintext if made else "",
    }
    return show(request, "settings/keys.html", account, context, status=status)
