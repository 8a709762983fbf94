"""Alice's account, her browser, and an app that the account made. Imports wait until Django is set up."""

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from django.test import Client

    from dripstone.accounts.models import Account, User
    from tests.oauth.flow import App


@pytest.fixture
def account(clock: Any) -> "Account":
    from tests.factories import make_account

    return make_account("Alice", "America/New_York")


@pytest.fixture
def user(account: "Account") -> "User":
    from tests.factories import make_user

    return make_user(account, "alice@example.com")


@pytest.fixture
def browser(user: "User") -> "Client":
    from tests.oauth.flow import browser_of

    return browser_of(user)


@pytest.fixture
def app(account: "Account") -> "App":
    from tests.oauth.flow import App

    return App(account)


@pytest.fixture
def native(account: "Account") -> "App":
    """One without a secret."""
    from tests.oauth.flow import App

    return App(account, is_public=True)
