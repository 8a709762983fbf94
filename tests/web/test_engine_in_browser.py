"""Deciding about many emails at once, by mouse, by keyboard alone on a phone, and without JavaScript."""

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.test import Client

from dripstone.accounts.models import Account
from dripstone.engine.models import Delivery, Enrollment
from tests.conftest import VirtualClock
from tests.factories import MONDAY_9, make_enrollment, make_sequence, make_subscriber
from tests.web.making import make_delivery

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.django_db(transaction=True)

Opened = Callable[..., "Page"]


@pytest.fixture
def lost(account: Account, clock: VirtualClock) -> None:
    sequence = make_sequence(account, {"delay_value": 0, "subject": "Stone"}, {"delay_value": 2})
    for name in ("bob", "carol", "dave"):
        person = make_subscriber(account, email_address=f"{name}@example.org")
        make_delivery(make_enrollment(sequence, person, MONDAY_9), "unknown")
    Enrollment.objects.update(next_email=sequence.emails.get(position=1), due_at=MONDAY_9 + timedelta(days=2))


def statuses() -> list[str]:
    return list(Delivery.objects.order_by("pk").values_list("status", flat=True))


def test_two_are_chosen_and_sent_again_and_the_rest_treated_as_sent(opened: Opened, alice: Client, lost: None) -> None:
    page = opened(who=alice)
    page.goto("/engine")
    page.get_by_label("To bob@example.org").check()
    page.get_by_label("To carol@example.org").check()
    assert page.get_by_label("Choose all on this page").evaluate("box => box.indeterminate")
    page.get_by_role("button", name="Send again…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("go out once more, right away").wait_for()
    assert statuses() == ["unknown"] * 3
    dialog.get_by_role("button", name="Send 2 emails again").click()
    page.get_by_text("2 emails are being sent again.").wait_for()
    page.get_by_label("To dave@example.org").check()
    page.get_by_role("button", name="Treat as sent…").click()
    dialog.get_by_role("button", name="Treat 1 email as sent").click()
    page.get_by_text("1 email counts as sent.").wait_for()
    assert statuses() == ["planned", "planned", "sent"]
    assert page.get_by_role("heading", name="Did these arrive?").count() == 0


def test_all_are_chosen_by_keyboard_on_a_phone(opened: Opened, alice: Client, lost: None) -> None:
    page = opened(390, who=alice)
    page.goto("/engine")
    page.get_by_label("Choose all on this page").focus()
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.get_by_role("dialog").get_by_role("button", name="Send 3 emails again").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="hidden")
    assert statuses() == ["unknown"] * 3
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_without_javascript_the_question_is_a_page(opened: Opened, alice: Client, lost: None) -> None:
    page = opened(scripted=False, who=alice)
    page.goto("/engine")
    page.get_by_role("button", name="Treat all as sent…").click()
    page.get_by_role("button", name="Treat 3 emails as sent").click()
    page.get_by_text("3 emails count as sent.").wait_for()
    assert statuses() == ["sent"] * 3
