"""Apps that register themselves (RFC 7591), where the operator lets them: agents do, when somebody names us to them.

Registering opens nothing. A person still has to allow the app, on a page that says that nobody here knows it. So that
nobody fills the database, a network may register some in an hour, all together some more, and those that nobody has
allowed anything go after a while.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

from dripstone.errors import DripstoneError
from dripstone.given import ABSENT, Checked
from dripstone.oauth import applications, scopes
from dripstone.oauth.models import Application

IN = timedelta(hours=1)
MOST_OF_NETWORK = 20
MOST_OF_ALL = 500
KEEP_UNUSED = timedelta(days=30)

NONE, POST, BASIC = "none", "client_secret_post", "client_secret_basic"
METHODS = (POST, BASIC, NONE)
GRANTS = ("authorization_code", "refresh_token")
_LOCK = 2_026_1130  # of PostgreSQL's advisory ones: of two that come at once, one counts the other


class TooManyRegistrations(DripstoneError):
    """Too many apps were registered in the last hour; try again later"""


@transaction.atomic
def register(given: Mapping[str, Any], network: str, now: datetime) -> tuple[Application, str, str]:
    """(app, secret or "", how it says who it is). Raises Invalid, whose members say which error it is, and
    TooManyRegistrations."""
    read = Checked(given, required=("redirect_uris",))
    method = _read_method(read)
    read.drop_nulls("client_name", "grant_types", "response_types", "scope")
    if given.get("client_name"):
        read.name("client_name")
    _read_known(read, "grant_types", GRANTS)
    _read_known(read, "response_types", ("code",))
    _read_scope(read)
    applications.read_redirects(read, given.get("redirect_uris"), is_public=method == NONE)
    values = read.sound()
    _make_room(network, now)
    row = Application(
        account=None,
        name=values.get("client_name") or "An app without a name",
        redirect_uris=values["redirect_uris"],
        client_type=Application.CLIENT_PUBLIC if method == NONE else Application.CLIENT_CONFIDENTIAL,
        registration_source=Application.RegistrationSource.DCR,
        registered_from=network,
        created_at=now,
    )
    return *applications.save_new(row, now), method


def _read_method(read: Checked) -> str:
    read.drop_nulls("token_endpoint_auth_method")
    read.choice("token_endpoint_auth_method", METHODS)
    return str(read.values.get("token_endpoint_auth_method", BASIC))  # as RFC 7591 § 2 has it


def _read_known(read: Checked, name: str, known: tuple[str, ...]) -> None:
    """What we have of them is what it gets; one it cannot do without would be ours, too."""
    value = read.take(name)
    if value is ABSENT:
        return
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        read.wrong(name, "must be an array of strings")
    elif value and known[0] not in value:
        read.wrong(name, f"must contain {known[0]}")


def _read_scope(read: Checked) -> None:
    value = read.take("scope")
    if value is not ABSENT and not (isinstance(value, str) and len(value) <= 1_000):
        read.wrong("scope", f"must be a string of {scopes.READ}, {scopes.WRITE} and {scopes.PUBLIC}")


def _make_room(network: str, now: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
    lately = Application.objects.filter(account=None, created_at__gt=now - IN)
    if lately.filter(registered_from=network).count() >= MOST_OF_NETWORK or lately.count() >= MOST_OF_ALL:
        raise TooManyRegistrations


def forget_unused(now: datetime) -> None:
    """Those that nobody has ever allowed anything."""
    Application.objects.filter(account=None, created_at__lt=now - KEEP_UNUSED, consents=None).delete()
