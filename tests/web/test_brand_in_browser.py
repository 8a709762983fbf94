"""A color is chosen and saved, and where somebody is is said: by mouse, by keyboard, on a phone, without JavaScript."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from django.test import Client

from dripstone.accounts import brand
from dripstone.accounts.models import Account
from dripstone.subscribers import locations
from tests.factories import a_location, make_subscriber

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.django_db(transaction=True)

WIDE, PHONE = 1440, 390
WAYS = [
    pytest.param(WIDE, True, id="wide"),
    pytest.param(PHONE, True, id="phone"),
    pytest.param(PHONE, False, id="phone, without JavaScript"),
]


def fits(page: "Page") -> bool:
    """Nothing is wider than the window."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


@pytest.mark.parametrize(("width", "scripted"), WAYS)
def test_colors_are_typed_and_saved(
    opened: "Callable[..., Page]", alice: Client, account: Account, width: int, scripted: bool
) -> None:
    page = opened(width, scripted=scripted, who=alice)
    page.goto("/settings/brand")
    page.get_by_label("Color 1", exact=True).fill("#1a6b4f")
    page.get_by_label("Color 3", exact=True).fill("#abc")
    page.keyboard.press("Enter")
    page.get_by_text("Saved.").wait_for()
    assert fits(page)
    assert page.get_by_label("Color 2", exact=True).input_value() == "#abc"
    assert page.locator(".swatch rect").first.get_attribute("fill") == "#1a6b4f"
    account.refresh_from_db()
    assert account.colors == ["#1a6b4f", "#abc"]


def test_the_swatch_shows_what_is_typed_and_opens_the_palette(
    opened: "Callable[..., Page]", alice: Client, account: Account
) -> None:
    brand.set_colors(account, {"colors": ["#1a6b4f"]})
    page = opened(who=alice)
    page.goto("/settings/brand")
    swatch, palette = page.locator(".swatch rect").first, page.get_by_label("Color 1, palette")
    assert palette.input_value() == "#1a6b4f"
    page.get_by_label("Color 1", exact=True).fill("#f0a")
    assert (swatch.get_attribute("fill"), palette.input_value()) == ("#f0a", "#ff00aa")
    page.get_by_label("Color 1", exact=True).fill("nonsense")
    assert swatch.get_attribute("fill") == "none"
    palette.fill("#2b2d42")
    assert page.get_by_label("Color 1", exact=True).input_value() == "#2b2d42"


@pytest.mark.parametrize(("width", "scripted"), WAYS)
def test_where_somebody_is_is_said_from_their_page(
    opened: "Callable[..., Page]", alice: Client, account: Account, width: int, scripted: bool
) -> None:
    noor = make_subscriber(account, first_name="Noor")
    page = opened(width, scripted=scripted, who=alice)
    page.goto(f"/people/{noor.pk}")
    page.get_by_role("link", name="Say where they are").focus()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Where Noor is").wait_for()
    labels = {"city": "City", "state_province": "State or province", "country_code": "Country"}
    labels |= {"latitude": "Latitude", "longitude": "Longitude"}
    for member, label in labels.items():
        page.get_by_label(label, exact=True).fill(str(a_location()["location"][member]))
    page.get_by_label("Time zone").select_option("America/Denver")
    assert fits(page)
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Boise, Idaho, US").wait_for()
    assert fits(page)
    page.get_by_role("link", name="Change where they are").click()
    page.get_by_role("button", name="Forget where they are").click()
    page.get_by_role("link", name="Say where they are").wait_for()
    assert locations.of([noor.pk]) == {}
