"""Codes and tokens: given out, exchanged, ended. What is kept of each is its hash.

A consent is one of two things, live or ended, and nothing makes an ended one live again. It is live while `ended_at` is
empty and whoever gave it is in the account. Its tokens open nothing as soon as it is not. One that no app has used for
half a year ends.

    code           unused ──exchanged──▶ used          presented again: its consent ends
    access token   good ──two days, or its refresh token is exchanged──▶ good for nothing
    refresh token  unused ──exchanged──▶ used          again within a minute: another pair; later: its consent ends

The minute is for an answer that got lost on its way: only hashes are kept, so the same pair cannot be shown again, and
the app gets a fresh one. It ends early when one of the pairs that were given out is itself exchanged: then the answer
did arrive.

Whoever exchanges or ends something holds the row of the consent, so of two who come at once one is second.
A crash here means the transaction is gone, and with it what it gave out: nothing of it was sent yet.
"""

import logging
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from dripstone.accounts.models import Account, Membership, User
from dripstone.accounts.verbs import hash_key
from dripstone.errors import Invalid, NotFound
from dripstone.given import plain_address
from dripstone.oauth import scopes
from dripstone.oauth.models import AccessToken, Application, Consent, Grant, RefreshToken

log = logging.getLogger(__name__)

# What a token begins with says what it is: to us, and to those who look for secrets in what somebody published.
ACCESS, REFRESH = "oat_", "ort_"

CODE_LASTS = timedelta(minutes=10)
ACCESS_SECONDS = 172_800  # as Kit's
GRACE = timedelta(seconds=60)  # for an answer that got lost
IDLE = timedelta(days=180)  # without a call or a refresh: then a consent ends

# How a consent ended.
REVOKED, GIVEN_BACK, CODE_AGAIN, REFRESH_AGAIN = "revoked", "given back", "code again", "refresh token again"
UNUSED = "unused"
ENDS_IN_WORDS = {
    REVOKED: "revoked by a member",
    GIVEN_BACK: "given back by the app",
    CODE_AGAIN: "ended by us: its code was presented twice, so somebody else may have had it",
    REFRESH_AGAIN: "ended by us: an old refresh token was presented again, so somebody else may have had it",
    UNUSED: f"ended by us: the app had not used it for {IDLE.days} days",
}

KEEP_CODES = timedelta(days=7)
KEEP_ACCESS_TOKENS = timedelta(days=30)  # that have expired: their callers hear so
KEEP_ENDED = timedelta(days=400)


def new_access_token(_: Any = None) -> str:
    return ACCESS + secrets.token_urlsafe(32)


def new_refresh_token(_: Any = None) -> str:
    return REFRESH + secrets.token_urlsafe(32)


# --- Codes --------------------------------------------------------------------------------------------------------


def save_code(code: str, membership: Membership, values: Mapping[str, Any], now: datetime) -> None:
    """values   `application`, `scope`, `redirect_uri`, `code_challenge` and its method"""
    Grant.objects.create(code=hash_key(code), membership=membership, expires=now + CODE_LASTS, **values)


def find_code(code: str, application: Application) -> Grant | None:
    return Grant.objects.select_related("membership__user").filter(code=hash_key(code), application=application).first()


def is_good(grant: Grant, now: datetime) -> bool:
    """Ends what came of it when it has been used before."""
    if grant.consent_id is not None:
        end(grant.consent_id, CODE_AGAIN, now)
        return False
    return bool(now < grant.expires)


@transaction.atomic
def exchange(grant_id: int, access: str, refresh: str, scope: str, now: datetime) -> Consent | None:
    """The consent that the code became. None: it was used before, and what came of it has ended; or it is gone."""
    grant = Grant.objects.select_for_update(of=("self",)).select_related("membership").filter(pk=grant_id).first()
    if grant is None or not is_good(grant, now):
        return None
    consent = allow(grant.membership, grant.application_id, scope, now)
    _save_pair(consent, access, refresh, scope, None, now)
    grant.consent = consent
    grant.save(update_fields=["consent"])
    return consent


def allow(membership: Membership, application_id: int, scope: str, now: datetime) -> Consent:
    return Consent.objects.create(
        account_id=membership.account_id,
        user_id=membership.user_id,
        membership=membership,
        application_id=application_id,
        scope=scope,
        given_at=now,
    )


@transaction.atomic
def give_out(account: Account, email: str, application: Application, scope: str, now: datetime) -> dict[str, Any]:
    """A consent without a browser: what the app would be answered, and the consent's id.

    email   of the member it acts for
    Raises NotFound and Invalid.
    """
    member = account.memberships.filter(user__email=plain_address(email)).first()
    if member is None:
        raise NotFound(f"{email} is not in the account {account.name}; dripstone users list shows who is.")
    names = scope.split()
    if not names or not set(names) <= {scopes.READ, scopes.WRITE, scopes.PUBLIC}:
        raise Invalid("scope must be read, write, both of them, or public")
    access, refresh = new_access_token(), new_refresh_token()
    consent = allow(member, application.pk, " ".join(names), now)
    _save_pair(consent, access, refresh, consent.scope, None, now)
    answer = {"access_token": access, "token_type": "Bearer", "expires_in": ACCESS_SECONDS, "refresh_token": refresh}
    return answer | {"scope": consent.scope, "created_at": int(now.timestamp()), "consent_id": consent.pk}


# --- Refreshing ---------------------------------------------------------------------------------------------------


def find_refresh_token(token: str, application: Application) -> RefreshToken | None:
    return (
        RefreshToken.objects.select_related("consent__user")
        .filter(token_checksum=hash_key(token), consent__application=application)
        .first()
    )


@transaction.atomic
def refresh(token_id: int, access: str, refresh: str, scope: str, now: datetime) -> bool:
    """The next pair. False: the token is used up, and its consent has ended; or that had ended before."""
    token = _held(token_id)
    if token is None or not _may_be_exchanged(token, now):
        return False
    Consent.objects.filter(pk=token.consent_id).update(last_used_at=now)
    if token.revoked is None:
        AccessToken.objects.filter(pk=token.access_token_id).delete()
        RefreshToken.objects.filter(pk=token.pk).update(revoked=now, access_token=None)
    _save_pair(token.consent, access, refresh, scope, token, now)
    return True


@transaction.atomic
def may_be_exchanged(token_id: int, now: datetime) -> bool:
    """Ends its consent when it is used up."""
    token = _held(token_id)
    return token is not None and _may_be_exchanged(token, now)


def _held(token_id: int) -> RefreshToken | None:
    """With its consent locked. None: that has ended."""
    of_it = RefreshToken.objects.filter(pk=token_id).values("consent_id")
    consent = Consent.objects.select_for_update().filter(pk__in=of_it, ended_at=None, membership__isnull=False).first()
    token = RefreshToken.objects.filter(pk=token_id).first() if consent else None
    if token is not None and consent is not None:
        token.consent = consent
    return token


def _may_be_exchanged(token: RefreshToken, now: datetime) -> bool:
    if end_unused(now, token.consent_id):
        return False
    if token.revoked is None:
        return True
    is_lost_answer = now - token.revoked <= GRACE and not token.followers.exclude(revoked=None).exists()
    if not is_lost_answer:
        end(token.consent_id, REFRESH_AGAIN, now)
    return is_lost_answer


def _save_pair(
    consent: Consent, access: str, refresh: str, scope: str, source: RefreshToken | None, now: datetime
) -> None:
    expires = now + timedelta(seconds=ACCESS_SECONDS)
    row = AccessToken.objects.create(consent=consent, token_checksum=hash_key(access), scope=scope, expires=expires)
    RefreshToken.objects.create(consent=consent, token_checksum=hash_key(refresh), access_token=row, source=source)


# --- Ending -------------------------------------------------------------------------------------------------------


def of_account(account: Account) -> QuerySet[Consent]:
    """The live ones, newest first."""
    return _live().filter(account=account)


def of_user(user: User) -> QuerySet[Consent]:
    """What they allowed and has not ended, in all their accounts, newest first."""
    return _live().filter(user=user)


def _live() -> QuerySet[Consent]:
    live = Consent.objects.filter(ended_at=None, membership__isnull=False)
    return live.select_related("application__account", "account", "user", "membership").order_by("-given_at", "-pk")


def may_write(consent: Consent) -> bool:
    """A live one, now."""
    assert consent.membership is not None
    return scopes.WRITE in scopes.allowed(consent.scope, consent.membership)


def how_it_ended(consent: Consent) -> str:
    return ENDS_IN_WORDS.get(consent.ended_why, "ended with their place in the account")


def ended_of_account(account: Account) -> QuerySet[Consent]:
    """The last ones that ended, newest first."""
    ended = Consent.objects.filter(~Q(ended_at=None) | Q(membership=None), account=account)
    return ended.select_related("application", "user").order_by("-given_at", "-pk")


def end(consent_id: int, why: str, now: datetime) -> bool:
    """At once and for good. False: it had ended before."""
    has_ended = Consent.objects.filter(pk=consent_id, ended_at=None).update(ended_at=now, ended_why=why) == 1
    if has_ended and why in (CODE_AGAIN, REFRESH_AGAIN):
        log.warning("consent_ended", extra={"consent_id": consent_id, "why": why})
    return has_ended


def end_unused(now: datetime, *consent_ids: int) -> int:
    """How many of these, or of all."""
    live = Consent.objects.filter(ended_at=None, membership__isnull=False)
    some = live.filter(pk__in=consent_ids) if consent_ids else live
    before = now - IDLE
    idle = some.filter(Q(last_used_at__lt=before) | Q(last_used_at=None, given_at__lt=before))
    return idle.update(ended_at=now, ended_why=UNUSED)


def give_back(token: str, application: Application, now: datetime) -> None:
    """The app has no use for it any more; either of a pair ends both, and all that came of the same consent."""
    kinds = (AccessToken, RefreshToken)
    for kind in kinds:
        found = kind.objects.filter(token_checksum=hash_key(token), consent__application=application)
        for consent_id in found.values_list("consent_id", flat=True):
            end(consent_id, GIVEN_BACK, now)


def forget_old(now: datetime) -> None:
    """What can open nothing any more and tells nobody anything; and what nobody uses ends."""
    end_unused(now)
    Grant.objects.filter(expires__lt=now - KEEP_CODES).delete()
    AccessToken.objects.filter(expires__lt=now - KEEP_ACCESS_TOKENS).delete()
    Consent.objects.filter(ended_at__lt=now - KEEP_ENDED).delete()
    Consent.objects.filter(membership=None, given_at__lt=now - KEEP_ENDED).delete()
    over = Consent.objects.filter(pk=OuterRef("consent_id")).filter(~Q(ended_at=None) | Q(membership=None))
    RefreshToken.objects.filter(Exists(over)).delete()
