"""Reading mail: beside the list by keyboard, on a phone one after the other, and without JavaScript."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from django.test import Client

from dripstone.accounts.models import Account
from tests.web.making import make_message

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.django_db(transaction=True)

Opened = Callable[..., "Page"]


@pytest.fixture
def three(account: Account) -> None:
    for subject in ("First", "Second", "Third"):
        make_message(account, subject=subject, html=f"<h1>{subject} letter</h1>")


def test_one_goes_through_the_mail_by_keyboard(opened: Opened, alice: Client, three: None) -> None:
    page = opened(who=alice)
    page.goto("/inbox")
    reading = page.get_by_role("region", name="Message", exact=True)
    assert reading.get_by_role("heading").inner_text() == "Third"
    page.keyboard.press("j")
    reading.get_by_role("heading", name="Second").wait_for()
    page.keyboard.press("j")
    reading.get_by_role("heading", name="First").wait_for()
    page.frame_locator("iframe.letter").get_by_role("heading", name="First letter").wait_for()
    assert page.locator(".messages [aria-current=true] b").inner_text() == "First"
    assert page.title().startswith("First – Inbox")
    page.keyboard.press("k")
    reading.get_by_role("heading", name="Second").wait_for()
    page.go_back()
    reading.get_by_role("heading", name="First").wait_for()
    page.keyboard.press("/")
    page.keyboard.type("jk")  # letters, not ways
    page.get_by_text("Nothing has “jk”").wait_for()


def test_on_a_phone_the_list_and_the_message_come_one_after_the_other(
    opened: Opened, alice: Client, three: None
) -> None:
    page = opened(390, who=alice)
    page.goto("/inbox")
    assert not page.locator("#reading").is_visible()
    page.get_by_role("link", name="Second").tap()
    page.get_by_role("heading", name="Second").wait_for()
    assert not page.locator(".mail-list").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    page.get_by_role("link", name="Source").tap()
    page.get_by_text("X-Trial: kept").wait_for()
    page.get_by_role("link", name="Older").tap()
    page.get_by_role("heading", name="First").wait_for()
    page.get_by_role("link", name="← Inbox").tap()
    page.get_by_role("link", name="Third").wait_for()
    assert page.locator(".mail-list").is_visible()


def test_without_javascript_each_message_is_a_page(opened: Opened, alice: Client, three: None) -> None:
    page = opened(390, scripted=False, who=alice)
    page.goto("/inbox")
    page.get_by_role("link", name="Third").click()
    page.get_by_role("link", name="Older").click()
    page.get_by_role("heading", name="Second").wait_for()
    page.get_by_role("button", name="Delete").click()
    page.get_by_text("The message is deleted.").wait_for()
    page.get_by_role("heading", name="First").wait_for()
