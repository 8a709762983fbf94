"""The search at the head of every page, by keyboard alone, on a phone, and without JavaScript."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from django.test import Client

from dripstone.accounts.models import Account
from tests.factories import make_sequence

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.django_db(transaction=True)

Opened = Callable[..., "Page"]


@pytest.fixture
def three(account: Account) -> None:
    for name in ("Caves for beginners", "Caverns", "Welcome"):
        make_sequence(account, {"subject": f"About {name}"}, name=name)


def test_one_finds_something_by_keyboard_alone(opened: Opened, alice: Client, three: None) -> None:
    page = opened(who=alice)
    page.goto("/settings/you")
    page.keyboard.press("/")
    field = page.get_by_role("combobox", name="Search")
    page.keyboard.type("cav")
    page.get_by_role("option", name="Caverns", exact=True).wait_for()
    assert field.get_attribute("aria-expanded") == "true"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    chosen = page.locator("[role=option][aria-selected=true]")
    assert chosen.inner_text() == "Caves for beginners"
    assert field.get_attribute("aria-activedescendant") == chosen.get_attribute("id")
    page.keyboard.press("Escape")
    assert field.get_attribute("aria-expanded") == "false"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Caverns", level=1).wait_for()


def test_enter_with_nothing_chosen_shows_everything(opened: Opened, alice: Client, three: None) -> None:
    page = opened(who=alice)
    page.goto("/inbox")
    page.keyboard.press("Control+k")
    page.keyboard.type("cav")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search?q=cav")
    page.get_by_role("heading", name="Emails").wait_for()


def test_a_field_of_the_page_comes_first_and_leads_on(opened: Opened, alice: Client, three: None) -> None:
    page = opened(who=alice)
    page.goto("/")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "q"
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.getAttribute('role')") == "combobox"


def test_on_a_phone_it_is_a_page(opened: Opened, alice: Client, three: None) -> None:
    page = opened(390, who=alice)
    page.goto("/settings/you")
    page.get_by_role("banner").get_by_role("link", name="Search").tap()
    page.get_by_label("Search for").fill("caves")
    page.get_by_role("main").get_by_role("button", name="Search").tap()
    page.get_by_role("link", name="Caves for beginners").first.tap()
    page.wait_for_url("**/sequences/*")


def test_without_javascript_it_is_a_form(opened: Opened, alice: Client, three: None) -> None:
    page = opened(scripted=False, who=alice)
    page.goto("/inbox")
    page.get_by_role("combobox", name="Search").fill("caverns")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Caverns").first.click()
    page.get_by_role("heading", name="Caverns", level=1).wait_for()
