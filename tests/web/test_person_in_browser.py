"""Two questions about one person, answered in a real browser by somebody who has never seen the page: why did they not
get an email, and when comes the next; and: put them back to an earlier one. By mouse, by keyboard alone, on a phone,
without JavaScript."""

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.test import Client

from dripstone.accounts.models import Account
from dripstone.engine.models import Enrollment
from dripstone.subscribers.models import Tagging
from tests.driving import Engine
from tests.factories import MONDAY_9, make_enrollment, make_sequence, make_subscriber, make_tag
from tests.web.test_journey_in_browser import Keyboard, Mouse

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.django_db(transaction=True)

WIDE, PHONE = 1440, 390
WAYS = [
    pytest.param(WIDE, True, Mouse, id="mouse"),
    pytest.param(WIDE, True, Keyboard, id="keyboard"),
    pytest.param(PHONE, True, Mouse, id="phone"),
    pytest.param(WIDE, False, Mouse, id="without JavaScript"),
    pytest.param(PHONE, False, Keyboard, id="phone, keyboard, without JavaScript"),
]


@pytest.fixture
def place(account: Account, engine: Engine) -> Enrollment:
    """Noor had emails 1 and 2; 3 was skipped, since she was a customer for a day; 4 is to come."""
    noor = make_subscriber(account, email_address="noor@example.org", first_name="Noor")
    tag = make_tag(account, name="Customer")
    letters: tuple[dict[str, Any], ...] = (
        {"subject": "Hello", "delay_value": 0},
        *({"subject": one} for one in ("Rain", "Rock", "River")),
    )
    excluding = [{"type": "tag", "ids": [tag.pk]}]
    sequence = make_sequence(account, *letters, name="Caves", exclude_subscriber_sources=excluding)
    made = make_enrollment(sequence, noor)
    engine.run_until(MONDAY_9 + timedelta(days=1, hours=12))
    tagging = Tagging.objects.create(tag=tag, subscriber=noor, tagged_at=engine.clock.now())
    engine.run_until(MONDAY_9 + timedelta(days=2, hours=12))
    tagging.delete()
    return made


def find(page: "Page", hand: Mouse, place: Enrollment) -> None:
    """From the people of the sequence to Noor."""
    page.goto(f"/sequences/{place.sequence_id}/people")
    hand.press(page.get_by_role("link", name="noor@example.org"))
    page.get_by_role("heading", name="Noor").wait_for()


def fits(page: "Page") -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


@pytest.mark.parametrize(("width", "scripted", "way"), WAYS)
def test_why_did_they_not_get_email_3_and_when_comes_4(
    opened: "Callable[..., Page]", alice: Client, place: Enrollment, width: int, scripted: bool, way: type[Mouse]
) -> None:
    page = opened(width, scripted=scripted, who=alice)
    find(page, way(page), place)
    assert fits(page)
    rock = page.locator(".way li", has=page.get_by_role("heading", name="3 Rock"))
    assert (
        "Skipped today, 09:00, because they have the tag “Customer”, which this sequence excludes" in rock.inner_text()
    )
    river = page.locator(".way li", has=page.get_by_role("heading", name="4 River"))
    assert "Goes tomorrow, 09:00: 1 day after “Rock” was skipped today, 09:00" in river.inner_text()
    now = page.locator(".way li.now").bounding_box()
    above, below = rock.bounding_box(), river.bounding_box()
    assert now and above and below
    assert above["y"] < now["y"] < below["y"]


@pytest.mark.parametrize(("width", "scripted", "way"), WAYS)
def test_somebody_is_put_back_to_email_2(
    opened: "Callable[..., Page]",
    alice: Client,
    place: Enrollment,
    engine: Engine,
    width: int,
    scripted: bool,
    way: type[Mouse],
) -> None:
    page = opened(width, scripted=scripted, who=alice)
    hand = way(page)
    find(page, hand, place)
    hand.press(page.get_by_role("button", name="Back to here (Rain)"))
    question = page.locator("dialog.ask[open]" if scripted else ".ask.card")
    question.get_by_role("heading", name="Move Noor to “Rain”?").wait_for()
    assert "“Rain” goes again tomorrow, 09:00" in question.inner_text()
    assert "Nobody else is touched" in question.inner_text()
    assert fits(page)
    hand.write(question.get_by_label("Why?"), "They asked for it")
    hand.press(question.get_by_role("button", name="Move them"))
    page.get_by_text("“Rain” comes next for Noor.").wait_for()
    assert "Next is “Rain”, tomorrow, 09:00." in page.locator(".says").first.inner_text()
    assert page.get_by_text("They asked for it").is_visible()
    engine.run_until(MONDAY_9 + timedelta(days=3, hours=12))
    assert [subject for subject, _ in engine.sent(place.subscriber)] == ["Hello", "Rain", "Rain"]


def test_what_is_over_is_loaded_when_it_is_opened(
    opened: "Callable[..., Page]", alice: Client, place: Enrollment, account: Account, engine: Engine
) -> None:
    make_enrollment(make_sequence(account, {"subject": "Only one", "delay_value": 0}, name="Welcome"), place.subscriber)
    engine.run()
    page = opened(who=alice)
    find(page, Mouse(page), place)
    assert not page.get_by_text("Only one").is_visible()
    page.locator("details.folded summary").click()
    page.get_by_role("heading", name="1 Only one").wait_for()
    page.locator("details.folded").get_by_role("button", name="Back to here (Only one)").click()
    page.locator("dialog.ask[open]").get_by_text("They are in the sequence again").wait_for()
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0
