"""django-oauth-toolkit and oauthlib, told what we keep and how. They read requests, check apps and addresses, and write
the answers; which code or token is good, and what becomes of it, tokens.py decides.

Of the grants there are two, authorization code and refresh token; PKCE is S256, and apps without a secret must use it.
"""

import hmac
import re
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from oauth2_provider.exceptions import FatalClientError
from oauth2_provider.oauth2_backends import OAuthLibCore, get_oauthlib_core
from oauth2_provider.oauth2_validators import OAuth2Validator
from oauthlib.common import Request, add_params_to_uri
from oauthlib.oauth2 import OAuth2Error, WebApplicationServer
from oauthlib.oauth2.rfc6749 import errors

from dripstone import clock
from dripstone.accounts import limits
from dripstone.accounts.limits import Credential
from dripstone.accounts.verbs import hash_key
from dripstone.given import unstorable
from dripstone.oauth import scopes, tokens
from dripstone.oauth.models import Application

MEMBERS = "oauth_members"  # on a request of Django's: what its body said, as api/oauth.py read it
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")  # SHA-256 in base64


def core() -> OAuthLibCore:
    return get_oauthlib_core()


def issuer() -> str:
    """Who we are, as the metadata and every answer of the consent page say."""
    return str(settings.DRIPSTONE_URL)


def not_ours(request: Request) -> OAuth2Error:
    """RFC 8707: the app wants a token for another server."""
    return errors.CustomOAuth2Error("invalid_target", description="The resource is not on this server", request=request)


def error_uri(error: OAuth2Error, redirect_uri: str) -> str:
    """The app's address, with what went wrong."""
    uri: str = add_params_to_uri(redirect_uri, [*error.twotuples, ("iss", issuer())])
    return uri


class Core(OAuthLibCore):  # type: ignore[misc]
    """Reads bodies from where our view has put them, JSON or form; the consent page's own form is none of them."""

    def validate_authorization_request(self, request: HttpRequest) -> tuple[list[str], dict[str, Any]]:
        """Raises FatalClientError also for an address that oauthlib cannot read."""
        try:
            found: tuple[list[str], dict[str, Any]] = super().validate_authorization_request(request)
        except ValueError:
            raise FatalClientError(error=errors.InvalidRequestFatalError("Unable to parse query string")) from None
        return found

    def extract_body(self, request: HttpRequest) -> list[tuple[str, str]]:
        return list(getattr(request, MEMBERS, {}).items())


class Server(WebApplicationServer):  # type: ignore[misc]
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.auth_grant.custom_validators.pre_auth = [_read_scope, _check_challenge]
        self.auth_grant.custom_validators.post_token = [_check_downgrade]


def _read_scope(request: Request) -> dict[str, Any]:
    """`scope=` asks for none in particular, and two blanks are one; oauthlib takes what is between them for a name."""
    if request.scopes and "" in request.scopes:
        names = [name for name in request.scopes if name]
        request.scopes, request.scope = names or None, " ".join(names) or None
    return {}


def _check_challenge(request: Request) -> dict[str, Any]:
    if request.response_type not in (None, "code"):  # oauthlib takes whatever has a "code" in it; None it refuses
        raise errors.UnsupportedResponseTypeError(request=request)
    if request.response_mode not in (None, "query"):
        raise errors.InvalidRequestError("response_mode must be query", request=request)
    if request.code_challenge is None:
        return {}
    if request.code_challenge_method != "S256":
        raise errors.InvalidRequestError("code_challenge_method must be S256", request=request)
    if not _CHALLENGE.fullmatch(request.code_challenge):
        raise errors.InvalidRequestError("code_challenge must be 43 characters of base64url", request=request)
    return {}


def _check_downgrade(request: Request) -> None:
    """A verifier for a code that was asked for without a challenge: somebody took it away on the way to us."""
    if request.code_verifier and not request.grant.code_challenge:
        raise errors.InvalidGrantError(request=request)


class Validator(OAuth2Validator):  # type: ignore[misc]
    """oauthlib asks, in the order of its grants; `request.grant` and `request.refresh` are what was found for it."""

    # Apps

    def _load_application(self, client_id: str, request: Request) -> Application | None:
        """Also None for an id that the database cannot be asked for; Basic authentication may bring one."""
        if unstorable(client_id or ""):
            return None
        found: Application | None = super()._load_application(client_id, request)
        return found

    def _check_secret(self, provided_secret: str, stored_secret: str) -> bool:
        return hmac.compare_digest(hash_key(provided_secret), stored_secret)

    def is_pkce_required(self, client_id: str, request: Request) -> bool:
        return bool(request.client.is_public)

    def validate_grant_type(
        self, client_id: str, grant_type: str, client: Application, request: Request, *_: Any
    ) -> bool:
        return grant_type in ("authorization_code", "refresh_token")

    # Codes

    def save_authorization_code(self, client_id: str, code: dict[str, str], request: Request, *_: Any) -> None:
        values = {
            "application": request.client,
            "scope": " ".join(request.scopes),
            "redirect_uri": request.redirect_uri,
            "code_challenge": request.code_challenge or "",
            "code_challenge_method": request.code_challenge_method or "",
        }
        tokens.save_code(code["code"], request.membership, values, clock.now())

    def validate_code(self, client_id: str, code: str, client: Application, request: Request, *_: Any) -> bool:
        request.grant = tokens.find_code(code, client)
        if request.grant is None or not tokens.is_good(request.grant, clock.now()):
            return False
        request.user, request.scopes = request.grant.membership.user, request.grant.scope.split()
        return True

    def get_code_challenge(self, code: str, request: Request) -> str | None:
        return request.grant.code_challenge or None

    def get_code_challenge_method(self, code: str, request: Request) -> str | None:
        return request.grant.code_challenge_method or None

    def confirm_redirect_uri(
        self, client_id: str, code: str, redirect_uri: str, client: Application, request: Request, *_: Any
    ) -> bool:
        """Raises what RFC 6749 § 5.2 says of it; oauthlib alone would call it an invalid request."""
        if redirect_uri != request.grant.redirect_uri:
            raise errors.InvalidGrantError(request=request)
        return True

    def invalidate_authorization_code(self, client_id: str, code: str, request: Request, *_: Any) -> None:
        """`save_bearer_token` has done so, in the same transaction."""

    # Tokens

    def save_bearer_token(self, token: dict[str, Any], request: Request, *_: Any) -> None:
        now = clock.now()
        pair = token["access_token"], token["refresh_token"], token["scope"]
        if request.grant_type == "authorization_code":
            is_saved = tokens.exchange(request.grant.pk, *pair, now) is not None
        else:
            is_saved = tokens.refresh(request.refresh.pk, *pair, now)
        if not is_saved:
            raise errors.InvalidGrantError(request=request)
        token["created_at"] = int(now.timestamp())  # as Kit's answer has it

    def validate_refresh_token(self, refresh_token: str, client: Application, request: Request, *_: Any) -> bool:
        """Raises limits.TooMany: an app that refreshes all the time uses up what it may call."""
        request.refresh = tokens.find_refresh_token(refresh_token, client)
        if request.refresh is None:
            return False
        limits.count(Credential("token", request.refresh.consent_id))
        request.user = request.refresh.consent.user
        return tokens.may_be_exchanged(request.refresh.pk, clock.now())

    def get_original_scopes(self, refresh_token: str, request: Request, *_: Any) -> str:
        return str(request.refresh.consent.scope)

    def is_within_original_scope(
        self, request_scopes: list[str], refresh_token: str, request: Request, *_: Any
    ) -> bool:
        """Fewer, or the same by another name."""
        asked, given = set(request_scopes), request.refresh.consent.scope.split()
        is_known = asked <= {*scopes.IN_WORDS, scopes.PUBLIC}
        return is_known and scopes.meant(asked) <= scopes.meant(given)

    def revoke_token(self, token: str, token_type_hint: str, request: Request, *_: Any) -> None:
        tokens.give_back(token, request.client, clock.now())
