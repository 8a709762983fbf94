"""Alice owns the account, Mallory owns another one; each has a browser. Imports wait until Django is set up."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from django.conf import settings
from django.test import Client

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from dripstone.accounts.models import Account, User
    from dripstone.engine.models import Delivery


# What a console may say: a refusal, that a link to a part of a page leads there, not to the field it would focus, and
# that a field of a part that was just swapped in has the focus already, which htmx gave it.
ASKED_FOR = (
    "responded with a status of 4",
    "Autofocus processing was blocked because a document's URL has a fragment",
    "Autofocus processing was blocked because a document already has a focused element",
)


@pytest.fixture
def account(db: None) -> "Account":
    from tests.factories import make_account

    return make_account("Alice", "America/New_York")


@pytest.fixture
def alice(account: "Account", client: Client) -> Client:
    from tests.factories import make_user

    return signed_in(make_user(account, "alice@example.com"), client)


class Settled(NamedTuple):
    account: "Account"
    owner: "User"
    ids: dict[str, Any]  # by noun: tests/owned.py


@pytest.fixture(scope="module")
def settled(made_once: None) -> Settled:
    """Alice, who has one of everything. Made once for all tests of a module: it takes longer than a page."""
    from tests.factories import make_account, make_user
    from tests.owned import one_of_each

    account = make_account("Alice", "America/New_York")
    owner = make_user(account, "alice@example.com")
    return Settled(account, owner, one_of_each(account))


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


@pytest.fixture
def opened(chromium: "Browser", live_server: Any) -> "Iterator[Callable[..., Page]]":
    """A function that opens a browser at the live server, signed in as `who` is. Its console must stay silent, but for
    what a test asks for."""
    with ExitStack() as closing:
        heard: list[str] = []

        def open_page(width: int = 1440, *, scripted: bool = True, who: Client | None = None, **more: Any) -> "Page":
            context = chromium.new_context(
                base_url=live_server.url,
                viewport={"width": width, "height": 900},
                java_script_enabled=scripted,
                has_touch=width < 500,
                **more,
            )
            closing.callback(context.close)
            context.set_default_timeout(30_000)
            if who is not None:
                key = who.cookies[settings.SESSION_COOKIE_NAME].value
                context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": key, "url": live_server.url}])
            page = context.new_page()
            page.on("console", lambda message: heard.append(message.text))
            page.on("pageerror", lambda error: heard.append(str(error)))
            return page

        yield open_page
        assert [text for text in heard if not any(one in text for one in ASKED_FOR)] == []
