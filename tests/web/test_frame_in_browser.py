"""The bar of a phone with More, and the strip of the virtual clock, by hand, by keyboard and without JavaScript."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

import pytest
from django.test import Client

from dripstone.web import places

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.driving import Engine

pytestmark = pytest.mark.django_db(transaction=True)

Opened = Callable[..., "Page"]


@pytest.mark.parametrize("scripted", [True, False])
def test_a_phone_has_at_most_five_places_and_the_rest_under_more(opened: Opened, alice: Client, scripted: bool) -> None:
    page = opened(390, scripted=scripted, who=alice)
    page.goto("/inbox")
    bar = page.get_by_role("navigation", name="Places")
    assert bar.locator("> *").count() == len(places.BAR) + 1 <= 5
    bar.get_by_text("More", exact=True).tap()
    assert bar.get_by_role("link", name="Engine").is_visible()
    bar.get_by_role("link", name="Engine").tap()
    page.get_by_role("heading", name="Engine", level=1).wait_for()
    assert bar.locator("summary.is-here").count() == 1


def test_one_travels_to_a_day_by_keyboard(opened: Opened, alice: Client, engine: "Engine") -> None:
    page = opened(who=alice)
    page.goto("/inbox")
    page.get_by_text("To…", exact=True).focus()
    page.keyboard.press("Enter")
    page.get_by_label("Day and time, New York time").fill("2026-11-24T09:30")
    page.get_by_role("button", name="Travel there").press("Enter")
    page.get_by_text("It is today, 09:30 now: 0 sent, 0 failed.").wait_for()
    assert page.url.endswith("/inbox")
    assert engine.clock.now() == datetime.fromisoformat("2026-11-24T14:30:00+00:00")
