"""The picture of an automation in a real browser: smaller, larger, whole; somebody on it is found where they stand."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from django.test import Client

from dripstone.accounts.models import Account
from dripstone.automations import people
from dripstone.events import causes
from tests.conftest import VirtualClock
from tests.factories import MONDAY_9, make_subscriber
from tests.web.walks import make_automation, switch_on

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.django_db(transaction=True)


def width(page: "Page") -> float:
    return float(page.eval_on_selector(".graph svg", "svg => svg.getBoundingClientRect().width"))


def is_seen(page: "Page", within: str, what: str) -> Any:
    """Whether the middle of it is in what is scrolled."""
    return page.evaluate(
        """([within, what]) => {
            const view = document.querySelector(within).getBoundingClientRect();
            const box = document.querySelector(what).getBoundingClientRect();
            const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
            return view.left <= x && x <= view.right && view.top <= y && y <= view.bottom;
        }""",
        [within, what],
    )


@pytest.mark.parametrize("scripted", [True, False])
def test_the_picture_is_looked_at_and_led_by(
    opened: "Callable[..., Page]", account: Account, alice: Client, clock: VirtualClock, scripted: bool
) -> None:
    automation = make_automation(account)
    switch_on(automation)
    noor = make_subscriber(account, first_name="Noor")
    people.add(automation, [noor.pk], MONDAY_9, cause=causes.OWNER)
    people.move(automation, noor.pk, "sold", MONDAY_9, cause=causes.OWNER)
    page = opened(who=alice, scripted=scripted)
    page.set_viewport_size({"width": 1024, "height": 500})
    page.goto(f"/automations/{automation.pk}/people/{noor.pk}")
    if scripted:
        assert is_seen(page, ".graph-view", ".is-here .shape"), "it is scrolled to where they stand"
        whole = width(page)
        page.get_by_role("button", name="Smaller").press("Enter")
        assert width(page) == pytest.approx(whole / 1.25, abs=1)
        page.get_by_role("button", name="Larger").press("Enter")
        assert width(page) == pytest.approx(whole, abs=1)
        page.set_viewport_size({"width": 390, "height": 844})
        page.get_by_role("button", name="Whole").press("Enter")
        assert page.eval_on_selector(".graph-view", "view => view.scrollWidth <= view.clientWidth")
    else:
        assert not page.get_by_role("button", name="Smaller").is_visible()
        assert page.eval_on_selector(".graph-view", "view => view.scrollHeight > view.clientHeight"), "it is scrolled"

    page.goto(f"/automations/{automation.pk}")
    if scripted:
        page.locator(".box.event .n text").click()
    else:
        page.get_by_role("link", name="1 person", exact=True).click()
    page.get_by_role("heading", name="Who is inside").wait_for()
    page.get_by_role("link", name="Noor").click()
    page.get_by_label("Move to").select_option("pause")
    page.get_by_role("button", name="Move…").press("Enter")
    page.get_by_text("another run begins").wait_for()
    page.get_by_role("button", name="Move them").press("Enter")
    page.get_by_text("Noor was moved to “Wait 3 days”.").wait_for()
    walk = people.walk_of(automation, noor.pk)
    assert walk is not None and (walk.node, walk.run) == ("pause", 2)
