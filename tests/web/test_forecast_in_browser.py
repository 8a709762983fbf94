"""What goes out on Friday, in a real browser: wide, on a phone, by keys, and without JavaScript."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from dripstone.accounts.models import Account
from dripstone.sequences.models import Sequence
from dripstone.web.pages import forecast
from tests.conftest import VirtualClock
from tests.factories import make_enrollment, make_sequence, make_subscriber

if TYPE_CHECKING:
    from django.test import Client
    from playwright.sync_api import Page

    Open = Callable[..., Page]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clock")]

WIDE, PHONE = 1440, 390
FRIDAY = "Friday, 27 November: 5 emails"


@pytest.fixture
def course(account: Account, clock: VirtualClock) -> Sequence:
    """Five people who get a letter a day, from Tuesday to Friday."""
    sequence = make_sequence(account, *[{"subject": f"Letter {n}"} for n in range(1, 5)])
    for name in ("Ann", "Bo", "Cy", "Di", "Ed"):
        make_enrollment(sequence, make_subscriber(account, first_name=name), clock.now())
    return sequence


@pytest.fixture
def opened(opened: "Open", alice: "Client", course: Sequence) -> "Open":
    """Alice's browser, on the forecast."""

    def open_page(width: int = WIDE, *, scripted: bool = True) -> "Page":
        page = opened(width, scripted=scripted, who=alice)
        page.goto("/")
        page.get_by_role("link", name="Forecast").locator("visible=true").click()
        return page

    return open_page


@pytest.mark.parametrize("width", [WIDE, PHONE])
@pytest.mark.parametrize("comes_first", [False, True])
def test_what_goes_out_on_friday(
    opened: "Open", width: int, comes_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """comes_first   the page, and its parts after it"""
    if comes_first:
        monkeypatch.setattr(forecast, "AT_ONCE", 0)
    page = opened(width)
    page.get_by_role("link", name=FRIDAY).click()
    day = page.locator("#day")
    day.locator("b", has_text="Letter 4").wait_for()
    assert "Friday, 27 November" in day.inner_text()
    assert "Ann, Bo, Cy and 2 more" in day.inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    page.reload()  # the day stays chosen
    page.locator("#day").locator("b", has_text="Letter 4").wait_for()
    page.get_by_role("link", name="2 more").click()
    page.get_by_role("cell", name="Letter 1").first.wait_for()
    assert page.locator("tbody tr").count() == 5


def test_a_day_is_reached_by_keys(opened: "Open") -> None:
    page = opened()
    link = page.get_by_role("link", name=FRIDAY)
    link.focus()
    page.keyboard.press("Enter")
    page.locator("#day").locator("b", has_text="Letter 4").wait_for()
    assert page.evaluate("document.activeElement.id") == "day-title"
    assert link.get_attribute("aria-current") == "date"


def test_another_sequence_is_chosen_without_a_button(opened: "Open", course: Sequence) -> None:
    page = opened()
    page.wait_for_url("**/forecast")  # with its script
    page.get_by_label("Sequence").select_option(label="Course")
    page.wait_for_url(f"**/forecast?sequence={course.pk}")


@pytest.mark.parametrize("comes_first", [False, True])
def test_it_works_without_javascript(opened: "Open", comes_first: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if comes_first:
        monkeypatch.setattr(forecast, "AT_ONCE", 0)
    page = opened(PHONE, scripted=False)
    if comes_first:
        page.get_by_role("link", name="See the calendar").click()
    page.get_by_role("link", name=FRIDAY).click()
    page.locator("b", has_text="Letter 4").wait_for()
    page.get_by_role("link", name="2 more").click()
    if comes_first:
        page.get_by_role("link", name="See who gets it").click()
    assert page.locator("tbody tr").count() == 5
