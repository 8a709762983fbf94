"""Which account somebody looks at, when they are in several, or in none."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from dripstone.accounts import members
from dripstone.accounts.models import Account, User
from dripstone.web import frame, who
from dripstone.web.frame import own


@own
@require_POST
def choosing(request: HttpRequest, account: Account, account_id: int) -> HttpResponse:
    assert isinstance(request.user, User)
    if not members.of_user(request.user).filter(account=account_id).exists():
        raise Http404
    frame.choose(request, account_id)
    return redirect("home")


@require_safe
def none(request: HttpRequest) -> HttpResponse:
    """For those who have been taken out of the last one."""
    user = who.user_of(request)
    if user is None:
        return redirect("sign_in")
    if members.of_user(user).exists():
        return redirect("home")
    return render(request, "accounts/none.html")
