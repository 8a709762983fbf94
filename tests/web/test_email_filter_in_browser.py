"""An email goes only to some people: by keyboard and a dialog, and on a phone without JavaScript."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from dripstone.accounts.models import Account
from dripstone.sequences.models import Sequence, SequenceEmail
from tests.conftest import VirtualClock
from tests.factories import make_enrollment, make_sequence, make_subscriber, make_tag

if TYPE_CHECKING:
    from django.test import Client
    from playwright.sync_api import Page

    Open = Callable[..., Page]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clock")]

WIDE, PHONE = 1440, 390


@pytest.fixture
def sequence(account: Account, clock: VirtualClock) -> Sequence:
    """Bob, who is no customer, waits for the email before the offer."""
    sequence = make_sequence(account, {"subject": "Welcome"}, {"subject": "Offer"})
    make_tag(account, make_subscriber(account), name="Customer")
    make_enrollment(sequence, make_subscriber(account, first_name="Bob"), clock.now())
    return sequence


@pytest.fixture
def opened(opened: "Open", alice: "Client", sequence: Sequence) -> "Open":
    """Alice's browser, on the page of the sequence."""

    def open_page(width: int = WIDE, *, scripted: bool = True) -> "Page":
        page = opened(width, scripted=scripted, who=alice)
        page.goto(f"/sequences/{sequence.pk}")
        return page

    return open_page


@pytest.mark.parametrize(("width", "scripted"), [(WIDE, True), (PHONE, True), (PHONE, False)])
def test_it_is_said_as_a_sentence_and_asked_about_before_it_holds(
    opened: "Open", sequence: Sequence, width: int, scripted: bool
) -> None:
    page = opened(width, scripted=scripted)
    offer = page.locator(".step", has_text="Offer")
    offer.locator(".menu > summary").press("Enter")
    offer.get_by_role("link", name="Send only to some people…").press("Enter")
    page.get_by_role("button", name="who …").press("Enter")
    page.get_by_role("button", name="have a tag").press("Enter")
    page.get_by_label("Customer").press("Space")
    page.get_by_role("button", name="Add", exact=True).press("Enter")
    page.wait_for_url("**/filter?filter=**")
    if scripted:
        page.get_by_text("0 of the 1 person inside today").wait_for()
    else:
        page.get_by_role("link", name="Count them").click()
        page.get_by_text("0 of the 1 person inside today").wait_for()
        page.get_by_role("link", name="Back to the condition").click()
    page.get_by_role("button", name="Save").press("Enter")
    question = page.locator("dialog") if scripted else page.locator("main")
    question.get_by_text("skips “Offer” when its turn comes").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth") if scripted else True
    question.get_by_role("button", name="Save").press("Enter")
    page.wait_for_url(f"**/sequences/{sequence.pk}#e*")
    page.get_by_text("Only to people who have the tag “Customer”").wait_for()
    condition = SequenceEmail.objects.get(subject="Offer").filter
    assert condition is not None
    assert condition["type"] == "tags"


def test_the_words_on_the_line_lead_to_the_condition(opened: "Open", sequence: Sequence) -> None:
    """The card as a whole leads to the editor; this link stands above that."""
    tag = sequence.account.tags.get()
    SequenceEmail.objects.filter(subject="Offer").update(filter={"type": "tags", "ids": [tag.pk]})
    page = opened(WIDE, scripted=True)
    page.get_by_role("link", name="people who have the tag “Customer”").click()
    page.wait_for_url("**/filter")
    page.get_by_role("button", name="Send it to everybody").press("Enter")
    page.locator("dialog").get_by_text("gets “Offer”, and would have skipped it").wait_for()
    page.locator("dialog").get_by_role("link", name="Cancel").click()
    page.locator("dialog").wait_for(state="hidden")
    assert SequenceEmail.objects.get(subject="Offer").filter is not None
