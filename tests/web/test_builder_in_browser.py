"""The page of a sequence in a real browser: what is dragged, opened in place, asked in a dialog; and all of it without
JavaScript."""

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from dripstone.accounts.models import Account
from dripstone.engine.models import Enrollment
from dripstone.sequences.models import Sequence
from dripstone.tallies import verbs as tallies
from tests.conftest import VirtualClock
from tests.factories import make_enrollment, make_sequence, make_subscriber
from tests.web.making import make_delivery

if TYPE_CHECKING:
    from django.test import Client
    from playwright.sync_api import Page

    Open = Callable[..., Page]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clock")]

WIDE, PHONE = 1440, 390


@pytest.fixture
def sequence(account: Account, clock: VirtualClock) -> Sequence:
    """Bob had Apple and waits for Cedar, until tomorrow; Birch, between them, is a draft."""
    letters = [{"subject": name, "delay_value": 1} for name in ("Apple", "Birch", "Cedar")]
    sequence = make_sequence(account, *letters)
    sequence.emails.filter(subject="Birch").update(published=False)
    bob = make_enrollment(sequence, make_subscriber(account, first_name="Bob"), clock.now())
    make_delivery(bob)
    cedar, tomorrow = sequence.emails.get(subject="Cedar"), clock.now() + timedelta(days=2)
    Enrollment.objects.update(next_email=cedar, due_at=tomorrow)
    tallies.differences(repair=True)
    clock.advance(days=1, hours=8)
    return sequence


@pytest.fixture
def opened(opened: "Open", alice: "Client", sequence: Sequence) -> "Open":
    """Alice's browser, on the page of the sequence."""

    def open_page(width: int = WIDE, *, scripted: bool = True) -> "Page":
        page = opened(width, scripted=scripted, who=alice)
        page.goto(f"/sequences/{sequence.pk}")
        return page

    return open_page


def order(page: "Page") -> list[str]:
    return page.locator(".step .subject").all_inner_texts()


def drag(page: "Page", subject: str, to: str, *, below: bool = False) -> None:
    """By its number, to just above (or below) the middle of another."""
    number = page.locator(".step", has_text=subject).locator(".number").bounding_box()
    goal = page.locator(".step", has_text=to).locator(".email").bounding_box()
    assert number is not None
    assert goal is not None
    page.mouse.move(number["x"] + 10, number["y"] + 10)
    page.mouse.down()
    page.mouse.move(number["x"] + 10, goal["y"] + (goal["height"] if below else 0), steps=8)
    page.mouse.up()


def test_it_adds_an_email_between_two(opened: "Open", sequence: Sequence) -> None:
    page = opened()
    page.get_by_role("button", name="Add an email before email 2").click()
    page.wait_for_url("**/emails/*")
    subjects = sequence.emails.order_by("position").values_list("subject", flat=True)
    assert list(subjects) == ["Apple", "Untitled email", "Birch", "Cedar"]


def test_an_email_is_dragged_by_its_number(opened: "Open") -> None:
    page = opened()
    drag(page, "Birch", "Apple")
    page.get_by_text("Moved.").wait_for()
    assert order(page) == ["Birch", "Apple", "Cedar"]


def test_an_email_is_dragged_by_a_finger(opened: "Open") -> None:
    page = opened(PHONE)
    number = page.locator(".step .number").nth(1).bounding_box()
    goal = page.locator(".step .email").first.bounding_box()
    assert number is not None
    assert goal is not None
    finger = page.context.new_cdp_session(page)
    x, y = number["x"] + 10, number["y"] + 10
    finger.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
    for step in range(1, 9):
        at = {"x": x, "y": y + (goal["y"] - y) * step / 8}
        finger.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [at]})
    finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    page.get_by_text("Moved.").wait_for()
    assert order(page) == ["Birch", "Apple", "Cedar"]


def test_what_is_dropped_where_it_was_stays_there(opened: "Open") -> None:
    page = opened()
    drag(page, "Apple", "Apple", below=True)
    assert page.locator(".is-dragged").count() == 0
    assert order(page) == ["Apple", "Birch", "Cedar"]


def test_a_drag_that_touches_people_asks_and_can_be_given_up(opened: "Open") -> None:
    page = opened()
    drag(page, "Cedar", "Apple")
    page.get_by_role("dialog").get_by_role("heading", name="Move “Cedar”?").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="hidden")
    assert order(page) == ["Apple", "Birch", "Cedar"]


def test_an_email_is_moved_by_the_keyboard_alone_and_keeps_the_focus(opened: "Open") -> None:
    page = opened()
    page.get_by_role("link", name="Birch", exact=True).focus()
    for _ in range(3):  # Edit, Move up, Move down
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Move down"
    page.keyboard.press("Enter")
    page.get_by_text("Moved.").wait_for()
    assert order(page) == ["Apple", "Cedar", "Birch"]
    assert page.evaluate("document.activeElement.closest('.step').querySelector('.subject').textContent") == "Birch"
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Move up"
    page.keyboard.press("Enter")
    page.locator(".step:nth-child(2) .subject", has_text="Birch").wait_for()
    assert page.evaluate("document.activeElement.textContent") == "Move up"


def test_a_delay_is_changed_where_it_stands(opened: "Open", sequence: Sequence) -> None:
    page = opened()
    page.wait_for_load_state("networkidle")
    gap = page.locator(".step").nth(2).locator(".gap")
    gap.get_by_role("link").click()
    page.get_by_label("Wait how many").fill("9999")
    gap.get_by_role("button", name="Save").click()
    gap.get_by_role("alert").wait_for()
    page.get_by_label("Wait how many").fill("4")
    gap.get_by_text("Mon").click()
    with page.expect_response("**/checks"), page.expect_response("**/week"):  # what the dates decide is loaded again
        page.keyboard.press("Enter")
    gap.get_by_text("People who wait for it keep their dates.").wait_for()
    assert "4 days later, at 9:00" in gap.inner_text()
    assert "Mondays" in gap.inner_text()
    gap.get_by_role("button", name="Reschedule waiting people…").click()
    page.get_by_role("dialog").get_by_role("button", name="Reschedule").click()
    page.get_by_text("Everybody who waits has a date").wait_for()


def test_escape_leaves_a_delay_as_it_was(opened: "Open") -> None:
    page = opened()
    page.get_by_role("link", name="1 day later, at 9:00").first.click()
    page.get_by_label("Wait how many").fill("7")
    page.keyboard.press("Escape")
    page.locator(".changing").wait_for(state="detached")
    assert "7 days" not in page.locator(".line").inner_text()
    page.wait_for_function("document.activeElement.textContent === '1 day later, at 9:00'")


@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_it_publishes_after_showing_who_gets_it_now(opened: "Open", sequence: Sequence, width: int) -> None:
    page = opened(width)
    step = page.locator(".step", has_text="Birch")
    step.locator(".email").hover()
    step.locator(".menu summary").click()
    step.get_by_role("button", name="Publish").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("Bob").first.wait_for()
    dialog.get_by_role("button", name="Publish, mail 1 now").click()
    page.get_by_text("“Birch” is published.").wait_for()
    dialog.wait_for(state="hidden")
    assert step.get_by_text("Draft").count() == 0
    assert sequence.emails.get(subject="Birch").published


def test_when_an_email_is_gone_the_page_has_the_focus(opened: "Open") -> None:
    page = opened()
    step = page.locator(".step", has_text="Birch")
    step.locator(".email").hover()
    step.locator(".menu summary").click()
    step.get_by_role("button", name="Delete…").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete email").click()
    page.get_by_text("“Birch” is deleted.").wait_for()
    page.get_by_role("dialog").wait_for(state="hidden")
    assert order(page) == ["Apple", "Cedar"]
    assert page.evaluate("document.activeElement.id") == "main"


def test_all_of_it_works_without_javascript(opened: "Open", sequence: Sequence) -> None:
    page = opened(scripted=False)
    page.get_by_role("link", name="1 day later, at 9:00").first.click()
    page.get_by_label("Wait how many").fill("2")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("People who wait keep theirs.").wait_for()
    step = page.locator(".step", has_text="Birch")
    step.locator(".email").hover()
    step.get_by_role("button", name="Move up").first.click()
    page.get_by_text("Moved.").wait_for()
    assert order(page) == ["Birch", "Apple", "Cedar"]
    step.locator(".email").hover()
    step.locator(".menu summary").click()
    step.get_by_role("button", name="Publish").click()
    page.get_by_role("heading", name="Publish “Birch”?").wait_for()
    page.locator(".foot button").click()
    page.get_by_text("“Birch” is published.").wait_for()
    assert sequence.emails.get(subject="Birch").published


@pytest.mark.parametrize("width", [360, PHONE, WIDE])
def test_the_page_fits(opened: "Open", width: int) -> None:
    page = opened(width)
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    page.get_by_role("link", name="1 day later, at 9:00").first.click()
    page.locator(".changing").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
