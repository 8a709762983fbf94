"""/settings/keys: keys for the API. A key itself is shown once, in the answer that made it, and kept nowhere."""

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
    return _list(request, account, forms.Form(), made=row, plaintext=plaintext)


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


def _list(
    request: HttpRequest,
    account: Account,
    form: forms.Form,
    status: int = 200,
    made: ApiKey | None = None,
    plaintext: str = "",
) -> HttpResponse:
    context = {"section": "settings", "part": "keys", "form": form, "keys": verbs.keys_of(account)}
    return show(request, "settings/keys.html", account, context | {"made": made, "plaintext": plaintext}, status=status)
