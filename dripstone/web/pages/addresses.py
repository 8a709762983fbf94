"""/settings/addresses: whom emails come from."""

from collections.abc import Callable

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods, require_POST

from dripstone import clock
from dripstone.accounts import sending_addresses
from dripstone.accounts.models import Account, SendingAddress
from dripstone.engine.acts import letting_in
from dripstone.errors import Invalid, NotFound
from dripstone.senders import ways
from dripstone.sequences import senders
from dripstone.web import forms
from dripstone.web.frame import owner, show


@owner
@require_http_methods(["GET", "HEAD", "POST"])
def addresses(request: HttpRequest, account: Account) -> HttpResponse:
    """POST adds one."""
    if request.method != "POST":
        return _list(request, account, forms.Form({"from_name": account.name}))
    try:
        row = letting_in.add_address(account, forms.given(request), clock.now())
    except Invalid as refused:
        return _list(request, account, forms.refused(request, refused), status=422)
    messages.success(request, _asked(row))
    return redirect("settings_addresses")


@owner
@require_http_methods(["GET", "HEAD", "POST"])
def address(request: HttpRequest, account: Account, address_id: int) -> HttpResponse:
    """The name that stands beside it."""
    row = _find(account, address_id)
    form = forms.Form({"from_name": row.from_name})
    if request.method != "POST":
        return _one(request, account, row, form)
    try:
        sending_addresses.rename(account, address_id, forms.given(request))
    except Invalid as refused:
        return _one(request, account, row, forms.refused(request, refused), status=422)
    messages.success(request, "Saved. Emails that go from now on have the new name.")
    return redirect("settings_addresses")


@owner
@require_POST
def default(request: HttpRequest, account: Account, address_id: int) -> HttpResponse:
    return _act(request, lambda: sending_addresses.make_default(account, address_id), "{} is the default now.".format)


@owner
@require_POST
def verification(request: HttpRequest, account: Account, address_id: int) -> HttpResponse:
    """Asks once more."""
    return _act(request, lambda: letting_in.ask_address(account, address_id, clock.now()), _asked)


@owner
@require_http_methods(["GET", "HEAD", "POST"])
def removal(request: HttpRequest, account: Account, address_id: int) -> HttpResponse:
    """GET asks, or says which sequences send from it."""
    row = _find(account, address_id)
    if request.method == "POST":
        return _act(request, lambda: senders.remove(account, address_id), f"{row.email_address} is removed.".format)
    context = {"section": "settings", "current": "true", "address": row, "sequences": senders.using(row)}
    return show(request, "settings/address_removal.html", account, context)


def _act(
    request: HttpRequest, verb: Callable[[], SendingAddress], done: Callable[[SendingAddress], str]
) -> HttpResponse:
    try:
        row = verb()
    except NotFound:
        raise Http404 from None
    except Invalid as refused:
        messages.error(request, f"{refused}.")
    else:
        messages.success(request, done(row))
    return redirect("settings_addresses")


def _find(account: Account, address_id: int) -> SendingAddress:
    try:
        return sending_addresses.find(account, address_id)
    except NotFound:
        raise Http404 from None


def _asked(row: SendingAddress) -> str:
    is_local = ways.is_local(settings.DRIPSTONE_MAIL_URL)
    where = "It stopped in the inbox here." if is_local else "The link works for a week."
    return f"A mail with a link went to {row.email_address}. {where}"


def _list(request: HttpRequest, account: Account, form: forms.Form, status: int = 200) -> HttpResponse:
    context = {
        "section": "settings",
        "part": "addresses",
        "form": form,
        "addresses": sending_addresses.of_account(account),
        "is_capturing": ways.is_local(settings.DRIPSTONE_MAIL_URL),
    }
    return show(request, "settings/addresses.html", account, context, status=status)


def _one(
    request: HttpRequest, account: Account, row: SendingAddress, form: forms.Form, status: int = 200
) -> HttpResponse:
    context = {"section": "settings", "current": "true", "address": row, "form": form}
    return show(request, "settings/address.html", account, context, status=status)
