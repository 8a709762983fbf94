"""The apps of an account: make one, change it, give it another secret, delete it."""

import secrets
from collections.abc import Iterable
from datetime import datetime

from django.db import transaction
from django.db.models import Count, Q, QuerySet

from dripstone.accounts.models import Account, User
from dripstone.accounts.verbs import hash_key
from dripstone.errors import Invalid, NotFound
from dripstone.given import ABSENT, Checked, Given
from dripstone.oauth import redirects
from dripstone.oauth.models import Application

SECRET_PREFIX = "ocs_"  # noqa: S105  (what one begins with)
MOST = 100  # apps of an account
LABELS = {"name": "Name", "redirect_uris": "Redirect URIs"}
KINDS = (Application.CLIENT_CONFIDENTIAL, Application.CLIENT_PUBLIC)
_LIVE = Q(consents__ended_at=None, consents__membership__isnull=False)


def of_account(account: Account) -> QuerySet[Application]:
    """With `n_consents`: how many people allowed it what it still may."""
    return _counted(Application.objects.filter(account=account)).order_by("name", "pk")


def everybodys(account_id: int | None = None) -> QuerySet[Application]:
    """All apps, or those of one account; those that registered themselves belong to none."""
    rows = Application.objects.filter(account=account_id) if account_id else Application.objects.all()
    return _counted(rows).order_by("pk")


def _counted(rows: QuerySet[Application]) -> QuerySet[Application]:
    counted: QuerySet[Application] = rows.annotate(n_consents=Count("consents", filter=_LIVE))
    return counted


def find_any(application_id: int) -> Application:
    """With `n_consents`; for the operator. Raises NotFound."""
    row = everybodys().filter(pk=application_id).first()
    if row is None:
        raise NotFound(f"There is no app {application_id}; dripstone apps list shows them.")
    return row


def find(account: Account, application_id: int) -> Application:
    """With `n_consents`. Raises NotFound."""
    row = of_account(account).filter(pk=application_id).first()
    if row is None:
        raise NotFound
    return row


@transaction.atomic
def create(account: Account, user: User | None, given: Given, now: datetime) -> tuple[Application, str]:
    """given   `name`; `redirect_uris`: a list, or a text with one a line; `client_type`: `confidential` or `public`

    Raises Invalid. The second value is the secret, which is not kept; "" for a public app.
    """
    read = Checked(given, required=("name", "redirect_uris", "client_type"), labels=LABELS)
    read.choice("client_type", KINDS)
    values = _read(read, is_public=read.values.get("client_type") == Application.CLIENT_PUBLIC)
    Account.objects.select_for_update().get(pk=account.pk)  # of two at once, one counts the other
    if Application.objects.filter(account=account).count() >= MOST:
        raise Invalid(f"An account can't have more than {MOST} apps")
    row = Application(account=account, user=user, created_at=now, **values)
    return save_new(row, now)


def save_new(row: Application, now: datetime) -> tuple[Application, str]:
    """With an id and, unless it is public, a secret."""
    row.client_id = secrets.token_hex(16)
    row.authorization_grant_type = Application.GRANT_AUTHORIZATION_CODE
    secret = "" if row.is_public else _give_secret(row, now)
    row.save()
    return row, secret


def update(account: Account, application_id: int, given: Given) -> Application:
    """given   `name`, `redirect_uris`. Raises NotFound, Invalid."""
    row = find(account, application_id)
    for name, value in _read(Checked(given, labels=LABELS), is_public=row.is_public).items():
        setattr(row, name, value)
    row.save(update_fields=["name", "redirect_uris"])
    return row


def rotate_secret(row: Application, now: datetime) -> str:
    """The new one, which is not kept. The old one ends at once. Raises Invalid for a public app."""
    if row.is_public:
        raise Invalid("A public app has no secret")
    secret = _give_secret(row, now)
    row.save(update_fields=["client_secret", "secret_hint", "secret_made_at"])
    return secret


def delete(row: Application) -> None:
    """With all that people allowed it: its tokens open nothing from now on."""
    row.delete()


def _give_secret(row: Application, now: datetime) -> str:
    secret = SECRET_PREFIX + secrets.token_urlsafe(32)
    row.client_secret, row.secret_hint, row.secret_made_at = hash_key(secret), secret[-4:], now
    return secret


def _read(read: Checked, *, is_public: bool) -> dict[str, str]:
    read.name("name")
    uris = read.take("redirect_uris")
    if uris is not ABSENT:
        read_redirects(read, uris.split() if isinstance(uris, str) else uris, is_public=is_public)
    return read.sound()


def read_redirects(read: Checked, uris: object, *, is_public: bool) -> None:
    """`redirect_uris`, as they are kept: a blank between each."""
    if not uris:
        read.blank("redirect_uris")
    elif not isinstance(uris, list) or not all(isinstance(uri, str) for uri in uris):
        read.wrong("redirect_uris", "must be an array of addresses")
    elif len(uris) > redirects.MOST:
        read.wrong("redirect_uris", f"can't have more than {redirects.MOST} entries")
    else:
        for sentence in _complaints(uris, is_public):
            read.refuse("redirect_uris", sentence)
        read.values["redirect_uris"] = " ".join(dict.fromkeys(uris))


def _complaints(uris: Iterable[str], is_public: bool) -> Iterable[str]:
    for uri in dict.fromkeys(uris):
        for complaint in redirects.complaints(uri, is_public=is_public):
            yield f"{redirects.shown(uri)} {complaint}"
