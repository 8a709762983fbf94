"""Mallory is signed in to another account. No page with an id of Alice's in its address is there for her.

The pages come from web/urls.py, so a new one is tried as soon as it exists.
"""

import re
from collections.abc import Iterator

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver

from dripstone.accounts.models import Account
from dripstone.web import urls
from tests import owned

# Pages with something in their address that answer whoever has it, each with the reason.
OPEN = {
    "unsubscribe": "the link in an email: its signed token is the permission",
    "resubscription": "the link in an email: its signed token is the permission",
    "picture": "whoever gets an email must be able to load its pictures: what they are called is the permission",
    "verification": "the link in a mail: its signed token is the permission",
    "invitation": "the link in a mail: its signed token is the permission",
    "new_password": "the link in a mail: its token is the permission",
    "first": "the link that the server prints: its signed token is the permission",
    "confirm": "the link in an email: its signed token is the permission",
}


def pages(found: list[URLPattern | URLResolver], prefix: str = "") -> Iterator[tuple[str, str]]:
    """(name, route with <converter:name>) of each."""
    for one in found:
        route = f"{prefix}{one.pattern}"
        if isinstance(one, URLResolver):
            yield from pages(one.url_patterns, route)
        else:
            yield str(one.name), route


PAGES = list(pages(urls.urlpatterns))
WITH_IDS = [route for name, route in PAGES if "<" in route and name not in OPEN]


@pytest.mark.parametrize("route", WITH_IDS)
def test_it_finds_nothing_of_another_account(route: str, alice: Client, account: Account, mallory: Client) -> None:
    ids = owned.one_of_each(account)
    path = re.sub(r"(\w+)/<[^>]+>", lambda found: f"{found[1]}/{ids[found[1]]}", f"/{route}")
    assert 404 in answers(mallory, path) <= {404, 405}
    assert 404 not in answers(alice, path)


def answers(browser: Client, path: str) -> set[int]:
    return {browser.get(path).status_code, browser.post(path).status_code}


@pytest.mark.parametrize("route", [route for _, route in PAGES if "<" not in route])
def test_it_shows_nothing_of_another_account(route: str, account: Account, mallory: Client) -> None:
    ids = owned.one_of_each(account)
    page = mallory.get(f"/{route}", follow=True).content.decode()
    assert ids["email_addresses"] not in page
    assert account.primary_email_address not in page


def test_exceptions_are_of_pages_that_exist() -> None:
    assert set(OPEN) <= {name for name, route in PAGES if "<" in route}
