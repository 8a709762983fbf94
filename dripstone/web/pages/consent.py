"""/oauth/authorize: an app asks somebody for access to one of their accounts.

Whether the request is sound is looked at before anybody is asked to sign in. With an unknown app, or an address that
the app has not registered, nobody is sent anywhere: the page says what is wrong. Every other mistake the app hears.
"""

from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods
from oauth2_provider.exceptions import FatalClientError, OAuthToolkitError
from oauth2_provider.http import OAuth2ResponseRedirect
from oauthlib.oauth2 import AccessDeniedError

from dripstone.accounts import members
from dripstone.accounts.models import Membership, User
from dripstone.given import unstorable
from dripstone.oauth import redirects, scopes, server
from dripstone.oauth.models import Application
from dripstone.web import frame, who
from dripstone.web.headers import content_security_policy

UNREADABLE = "This address cannot be read."


@require_http_methods(["GET", "HEAD", "POST"])
def authorization(request: HttpRequest) -> HttpResponse:
    """GET asks. POST is the answer: `account` and `allow`, or `deny`."""
    if any(unstorable(value) for values in request.GET.lists() for value in (values[0], *values[1])):
        return _wrong(request, UNREADABLE)
    core = server.core()
    try:
        asked, credentials = core.validate_authorization_request(request)
        _check_resources(request, credentials)
    except FatalClientError as refused:
        return _wrong(request, refused.oauthlib_error.description or UNREADABLE)
    except OAuthToolkitError as refused:
        return _back(server.error_uri(refused.oauthlib_error, refused.oauthlib_error.redirect_uri))
    user = who.user_of(request)
    if user is None:
        return redirect_to_login(request.get_full_path())
    choices = list(members.of_user(user))
    if not choices:
        return redirect("no_account")
    application: Application = credentials.pop("request").client
    if request.method != "POST":
        return _question(request, user, application, asked, credentials["redirect_uri"], choices)
    if "deny" in request.POST:
        denied = AccessDeniedError(state=credentials["state"])
        return _back(server.error_uri(denied, credentials["redirect_uri"]))
    chosen = next((one for one in choices if str(one.account_id) == request.POST.get("account")), None)
    if chosen is None or "allow" not in request.POST:
        problem = "Choose an account."
        return _question(request, user, application, asked, credentials["redirect_uri"], choices, problem)
    uri, *_ = core.create_authorization_response(request, asked, {**credentials, "membership": chosen}, allow=True)
    return _back(uri)


def _check_resources(request: HttpRequest, credentials: dict[str, Any]) -> None:
    """An app may say what it wants the token for (RFC 8707): all of ours is one, and nothing else is ours."""
    here = server.issuer()
    for resource in request.GET.getlist("resource"):
        if resource != here and not resource.startswith(f"{here}/"):
            raise OAuthToolkitError(error=server.not_ours(credentials["request"]))


def _question(
    request: HttpRequest,
    user: User,
    application: Application,
    asked: list[str],
    redirect_uri: str,
    choices: list[Membership],
    problem: str = "",
) -> HttpResponse:
    meant = scopes.meant(asked)
    context = {
        "app": application,
        "may": [sentence for name, sentence in scopes.IN_WORDS.items() if name in meant],
        "may_write": scopes.WRITE in meant,
        "place": redirects.place(redirect_uri),
        "is_here": redirects.is_loopback(redirect_uri),
        "choices": choices,
        "chosen": request.POST.get("account") or _looked_at(request, choices),
        "problem": problem,
        "user": user,
    }
    response = render(request, "apps/consent.html", context, status=422 if problem else 200)
    response["Content-Security-Policy"] = _policy(redirect_uri)
    response["Referrer-Policy"] = "same-origin"
    return response


def _looked_at(request: HttpRequest, choices: list[Membership]) -> str:
    """The account whose pages they saw last, if that is one they can choose."""
    ids = [one.account_id for one in choices]
    last = request.session.get(frame.CHOSEN)
    return str(last if last in ids else ids[0])


def _policy(redirect_uri: str) -> str:
    """Browsers follow a form to the app only where `form-action` lets them, and from there wherever the app sends them
    on, which nobody knows: so it is the kind of address that is allowed."""
    return content_security_policy().replace(
        "form-action 'self'", f"form-action 'self' https: {redirect_uri.partition(':')[0]}:"
    )


def _back(uri: str) -> HttpResponse:
    """To the app."""
    response: HttpResponse = OAuth2ResponseRedirect(uri, [uri.partition(":")[0]])
    response["Cache-Control"], response["Referrer-Policy"] = "no-store", "no-referrer"
    return response


def _wrong(request: HttpRequest, sentence: str) -> HttpResponse:
    return render(request, "apps/wrong.html", {"sentence": sentence}, status=400)
