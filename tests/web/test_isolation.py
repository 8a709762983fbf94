"""Mallory is signed in to another account. No page with an id of Alice's in its address is there for her.

The pages come from web/urls.py, so a new one is tried as soon as it exists.
"""

import pytest
from django.test import Client

from tests.web.conftest import Settled, signed_in
from tests.web.routes import OPEN, PAGES, WITH_IDS, WITHOUT_IDS, path_to


@pytest.fixture
def alice(settled: Settled, db: None, client: Client) -> Client:
    return signed_in(settled.owner, client)


@pytest.mark.parametrize("route", WITH_IDS)
def test_it_finds_nothing_of_another_account(route: str, alice: Client, settled: Settled, mallory: Client) -> None:
    path = path_to(route, settled.ids)
    assert 404 in answers(mallory, path) <= {404, 405}
    assert 404 not in answers(alice, path)


def answers(browser: Client, path: str) -> set[int]:
    return {browser.get(path).status_code, browser.post(path).status_code}


@pytest.mark.parametrize("route", WITHOUT_IDS)
def test_it_shows_nothing_of_another_account(route: str, settled: Settled, mallory: Client) -> None:
    page = mallory.get(f"/{route}", follow=True).content.decode()
    assert settled.ids["email_addresses"] not in page
    assert settled.account.primary_email_address not in page


def test_exceptions_are_of_pages_that_exist() -> None:
    assert set(OPEN) <= {name for name, route in PAGES if "<" in route}
