"""What the pages behind sign-in share: whose account it is, what one may do in it, and how a template is filled."""

from collections.abc import Callable
from functools import partial, wraps
from typing import Any, Concatenate, ParamSpec

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse
from django.middleware.csrf import rotate_token
from django.shortcuts import redirect, render
from django.utils.functional import SimpleLazyObject
from django.utils.http import url_has_allowed_host_and_scheme
from django_htmx.http import HttpResponseClientRedirect

from dripstone import clock, words
from dripstone.accounts import members
from dripstone.accounts.models import Account, Membership, User
from dripstone.errors import NotFound
from dripstone.rules import verbs as rules
from dripstone.web import places, who

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, Account, P], HttpResponse]
Guarded = Callable[Concatenate[HttpRequest, P], HttpResponse]

CHOSEN = "account"  # in the session: the id of the account that somebody with several looks at
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")

ROLES_IN_WORDS = {
    "owner": "You may do everything here.",
    "editor": "An editor may change everything but settings and members.",
    "viewer": "A viewer may look at everything and change nothing.",
}


def member(view: View[P]) -> Guarded[P]:
    """Only for people who are signed in; the view gets their account, and looks at nothing outside it. Everybody may
    look; editors and owners may change something."""
    return _guarded(view, "member", lambda method, one: method in SAFE_METHODS or one.may_edit)


def owner(view: View[P]) -> Guarded[P]:
    """The same for owners alone, whatever the method."""
    return _guarded(view, "owner", lambda _, one: one.is_owner)


def own(view: View[P]) -> Guarded[P]:
    """The same for everybody in the account, whatever the method: for what is one's own, such as a password."""
    return _guarded(view, "own", lambda _, one: True)


def _guarded(view: View[P], access: str, may: Callable[[str, Membership], bool]) -> Guarded[P]:
    @wraps(view)
    def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if (user := who.user_of(request)) is None:
            return _to_sign_in(request)
        all_of_them = list(members.of_user(user))
        if not all_of_them:
            return redirect("no_account")
        one = _current(request, all_of_them)
        request.memberships, request.membership = all_of_them, one  # type: ignore[attr-defined]
        if not may(request.method or "", one):
            return _refused(request, one)
        try:
            return view(request, one.account, *args, **kwargs)
        except NotFound:  # gone since the view looked
            raise Http404 from None

    guarded.access = access  # type: ignore[attr-defined]  # tests/web/test_roles.py asks every page for it
    return guarded


def _to_sign_in(request: HttpRequest) -> HttpResponse:
    if request.headers.get("HX-Request"):  # a whole sign-in page does not belong in a part of this one
        return HttpResponseClientRedirect(settings.LOGIN_URL)
    return redirect_to_login(request.get_full_path())


def _current(request: HttpRequest, memberships: list[Membership]) -> Membership:
    """In the account chosen last, else in the one they joined first."""
    chosen = request.session.get(CHOSEN)
    return next((one for one in memberships if one.account_id == chosen), memberships[0])


def choose(request: HttpRequest, account_id: int) -> None:
    """From now on their pages are about this account. Forms that other tabs still show were about the one before: with
    another CSRF token they are refused, so that nothing lands in the wrong account."""
    request.session[CHOSEN] = account_id
    rotate_token(request)


def _refused(request: HttpRequest, one: Membership) -> HttpResponse:
    owners = members.addresses_of_owners(one.account)
    context = {"role": one.role, "role_in_words": ROLES_IN_WORDS[one.role], "owners": owners, "section": "refused"}
    if not request.headers.get("HX-Request"):
        return show(request, "refused.html", one.account, context, status=403)
    response = show(request, "_refused.html", one.account, context, status=403)
    response["HX-Retarget"], response["HX-Reswap"] = "#notices", "innerHTML show:window:top"
    return response


def person(request: HttpRequest) -> User:
    """Whoever is signed in, behind one of the decorators above."""
    assert isinstance(request.user, User)
    return request.user


def membership(request: HttpRequest) -> Membership:
    """Theirs in the account they look at."""
    found: Membership = request.membership  # type: ignore[attr-defined]
    return found


def came_from(request: HttpRequest, otherwise: str) -> str:
    """The page that a form's `next` names, where it was pressed; `otherwise` if it is none of ours."""
    here = request.POST.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(here, {request.get_host()}, require_https=request.is_secure())
    return here if is_ours else otherwise


def actor(request: HttpRequest) -> str:
    """Who does it, as notes and versions say: the address of whoever is signed in."""
    return person(request).email


def _has_rules(account: Account) -> bool:
    return rules.of(account).filter(is_on=True).exists()


def show(
    request: HttpRequest, template: str, account: Account, context: dict[str, Any], status: int = 200
) -> HttpResponse:
    """A page of the account: its times stand in the account's zone, and its foot says which that is."""
    one = membership(request)
    shared = {
        "account": account,
        "role": one.role,
        "may_edit": one.may_edit,
        "is_owner": one.is_owner,
        "others": [other for other in request.memberships if other != one],  # type: ignore[attr-defined]
        "now": clock.now(),
        "zone": account.time_zone,
        "zone_in_words": words.zone(account.time_zone),
        "is_virtual": clock.is_virtual(),
        "has_rules": SimpleLazyObject(partial(_has_rules, account)),  # asked for by forms that may keep them quiet
        "here": request.get_full_path() if request.method in SAFE_METHODS else "/",
        "work": places.WORK,
        "running": places.RUNNING,
        "bar": places.BAR,
        "more": places.MORE,
    }
    return render(request, template, shared | context, status=status)
