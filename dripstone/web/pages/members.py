"""/settings/members: who belongs to the account, and who is invited."""

from collections.abc import Callable

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods, require_POST

from dripstone import clock
from dripstone.accounts import invitations, members
from dripstone.accounts.models import Account, Membership
from dripstone.engine import notices
from dripstone.engine.acts import letting_in
from dripstone.errors import Invalid, NotFound
from dripstone.web import forms
from dripstone.web.frame import ROLES_IN_WORDS, owner, person, show

ROLES = [("viewer", "Viewer"), ("editor", "Editor"), ("owner", "Owner")]


@owner
@require_http_methods(["GET", "HEAD", "POST"])
def everybody(request: HttpRequest, account: Account) -> HttpResponse:
    """POST invites somebody."""
    if request.method != "POST":
        return _list(request, account, forms.Form({"role": "editor"}))
    try:
        row = letting_in.invite(account, forms.given(request), person(request), clock.system_now())
    except Invalid as refused:
        return _list(request, account, forms.refused(request, refused), status=422)
    messages.success(request, f"{row.email} is invited. The link works once, within {invitations.LASTS.days} days.")
    return redirect("settings_members")


@owner
@require_POST
def role(request: HttpRequest, account: Account, member_id: int) -> HttpResponse:
    def done(row: Membership) -> str:
        return f"{row.user.email} is now {'a viewer' if row.role == 'viewer' else f'an {row.role}'}."

    return _act(request, lambda: done(members.change_role(account, member_id, forms.given(request))))


@owner
@require_http_methods(["GET", "HEAD", "POST"])
def removal(request: HttpRequest, account: Account, member_id: int) -> HttpResponse:
    """GET asks."""
    if request.method == "POST":
        return _act(request, lambda: f"{members.remove(account, member_id).user.email} is in this account no more.")
    row = Membership.objects.select_related("user").filter(account=account, pk=member_id).first()
    if row is None:
        raise Http404
    context = {"section": "settings", "current": "true", "member": row}
    return show(request, "settings/member_removal.html", account, context)


@owner
@require_POST
def withdrawal(request: HttpRequest, account: Account, invitation_id: int) -> HttpResponse:
    def verb() -> str:
        row = invitations.withdraw(account, invitation_id, clock.system_now())
        return f"The invitation of {row.email} is withdrawn."

    return _act(request, verb)


def _act(request: HttpRequest, verb: Callable[[], str]) -> HttpResponse:
    try:
        messages.success(request, verb())
    except NotFound:
        raise Http404 from None
    except Invalid as refused:
        messages.error(request, f"{refused}.")
    return redirect("settings_members")


def _list(request: HttpRequest, account: Account, form: forms.Form, status: int = 200) -> HttpResponse:
    context = {
        "section": "settings",
        "part": "members",
        "form": form,
        "members": account.memberships.select_related("user").order_by("pk"),
        "invitations": invitations.open_ones(account, clock.system_now()).select_related("invited_by"),
        "roles": ROLES,
        "roles_in_words": ROLES_IN_WORDS,
        "why_no_mail": notices.why_no_account_mail(),
    }
    return show(request, "settings/members.html", account, context, status=status)
