"""A webhook in a real browser: made, tried, looked at, sent again and switched off, with a real receiver."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from django.test import Client

from dripstone import clock as clocks
from dripstone.accounts.models import Account
from dripstone.webhooks import run
from dripstone.webhooks.models import Endpoint
from tests import receivers
from tests.conftest import VirtualClock

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def allowed(settings: Any, clock: VirtualClock) -> None:
    settings.DRIPSTONE_CALL_HOSTS = frozenset({("127.0.0.1", None)})


@pytest.mark.parametrize(("width", "scripted"), [(1440, True), (390, False)])
def test_it_is_made_tried_looked_at_and_switched_off(
    opened: "Callable[..., Page]", account: Account, alice: Client, width: int, scripted: bool
) -> None:
    page = opened(width, scripted=scripted, who=alice)
    with receivers.receiver() as shop:
        page.goto("/settings/webhooks")
        page.get_by_role("textbox", name="Address").fill(shop.url)
        page.get_by_label("What it is for").fill("Shop")
        page.get_by_role("group", name="Tags and fields of people").get_by_label("Somebody gets a tag").press("Space")
        page.get_by_role("button", name="Make the webhook").press("Enter")
        page.get_by_role("heading", name="Shop").wait_for()
        page.get_by_text("Copy it now: it is shown this once.").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth") if scripted else True
        assert Endpoint.objects.get(account=account).events == ["subscriber.tag_added"]
        page.get_by_role("button", name="Send a test event").press("Enter")
        page.get_by_text("A made-up event is on its way.").wait_for()
        run.until_idle(clocks.now)
        page.reload()
        page.get_by_role("row", name="Taken").get_by_role("link", name="test").click()
        shown = page.locator("#request ~ pre").first.inner_text()
        assert "\n  " in shown  # indented
        assert json.loads(shown) == json.loads(shop.wait_for(1)[0].body)
        page.get_by_role("button", name="Send again").press("Enter")
        page.get_by_text("1 delivery on the way again.").wait_for()
        run.until_idle(clocks.now)
        assert len(shop.wait_for(2)) == 2
        page.get_by_role("link", name="Shop").click()
        page.locator("#main .menu > summary", has_text="More").press("Enter")
        page.get_by_role("link", name="Disable…").click()
        page.get_by_role("button", name="Disable it").press("Enter")
        page.get_by_text("It is disabled: nothing is sent to it.").wait_for()
    assert Endpoint.objects.get(account=account).off == "owner"
