"""Alice owns the account, Mallory owns another one; each has a browser. Imports wait until Django is set up."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from django.test import Client

if TYPE_CHECKING:
    from dripstone.accounts.models import Account, User
    from dripstone.engine.models import Delivery


@pytest.fixture
def account(db: None) -> "Account":
    from tests.factories import make_account

    return make_account("Alice", "America/New_York")


@pytest.fixture
def alice(account: "Account", client: Client) -> Client:
    from tests.factories import make_user

    return signed_in(make_user(account, "alice@example.com"), client)


@pytest.fixture
def editor(account: "Account") -> Client:
    return browser_of(account, "editor")


@pytest.fixture
def viewer(account: "Account") -> Client:
    return browser_of(account, "viewer")


def browser_of(account: "Account", role: str) -> Client:
    from tests.factories import make_user

    return signed_in(make_user(account, f"{role}@example.com", role=role), Client())


def signed_in(user: "User", client: Client) -> Client:
    """As the sign-in page does it, without the time that hashing takes."""
    from dripstone import clock
    from dripstone.accounts import sessions
    from dripstone.web import who

    client.force_login(user)
    session = client.session
    session[who.SESSION] = sessions.begin(user, "", "127.0.0.1", clock.system_now()).pk
    session.save()
    return client


@pytest.fixture
def mallory(db: None) -> Client:
    from tests.factories import make_account, make_user

    return signed_in(make_user(make_account("Mallory"), "mallory@example.com"), Client())


@pytest.fixture
def delivery(account: "Account", now: datetime) -> "Delivery":
    """An email Bob got: the one whose links he presses."""
    from tests.factories import make_enrollment, make_sequence, make_subscriber
    from tests.web.making import make_delivery

    bob = make_subscriber(account, email_address="bob@example.org", first_name="Bob")
    sequence = make_sequence(account, {"delay_value": 0}, {"delay_value": 2}, name="Caves")
    return make_delivery(make_enrollment(sequence, bob, now))


@pytest.fixture
def mail_server(settings: Any) -> None:
    """Mail about accounts can leave. Nothing does: no worker runs."""
    settings.DRIPSTONE_MAIL_URL = "smtp://mail.example.com"
    settings.DRIPSTONE_FROM = ("Our server", "accounts@example.com")
