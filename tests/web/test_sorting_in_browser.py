"""Deleting a person, tags, fields and segments, in a real browser: wide and on a phone, with scripts and without."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from django.test import Client

from dripstone.accounts.models import Account
from dripstone.subscribers.models import Segment, Subscriber, Tag
from tests.factories import make_enrollment, make_sequence, make_subscriber, make_tag, make_user

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(params=[(1440, True), (390, True), (390, False)], ids=["wide", "phone", "without scripts"])
def context(request: Any, chromium: "Browser", live_server: Any, account: Account) -> Iterator["BrowserContext"]:
    width, has_scripts = request.param
    context = chromium.new_context(
        base_url=live_server.url, viewport={"width": width, "height": 900}, java_script_enabled=has_scripts
    )
    context.set_default_timeout(30_000)
    browser = Client()
    browser.force_login(make_user(account, "ann@example.com"))
    context.add_cookies(
        [{"name": name, "value": one.value, "url": live_server.url} for name, one in browser.cookies.items()]
    )
    yield context
    context.close()


@pytest.fixture
def page(context: "BrowserContext") -> "Page":
    return context.new_page()


def fits(page: "Page") -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def test_everything_about_one_person_is_downloaded_and_deleted(page: "Page", account: Account) -> None:
    """From the list of people on, within a minute."""
    bob = make_subscriber(account, email_address="bob@example.org", first_name="Bob")
    make_subscriber(account, first_name="Carol")
    make_enrollment(make_sequence(account, {"subject": "Second thoughts"}), bob)
    page.goto("/people")
    page.get_by_role("link", name="Bob").first.click()
    page.get_by_text("More…", exact=True).click()
    page.get_by_role("link", name="Delete…").click()
    page.get_by_role("heading", name="Delete Bob?").wait_for()
    assert fits(page)
    page.get_by_text("“Second thoughts” is not sent").wait_for()
    with page.expect_download() as file:
        page.get_by_role("link", name="Download all that is kept").click()
    kept = json.loads(file.value.path().read_text())["file"]
    assert kept["subscriber"]["email_address"] == "bob@example.org"
    page.get_by_role("button", name="Delete Bob").click()
    page.get_by_text("bob@example.org is deleted.").wait_for()
    page.get_by_role("link", name="Carol").first.wait_for()
    assert not Subscriber.objects.filter(pk=bob.pk).exists()


def test_a_tag_is_made_found_renamed_and_deleted_with_its_warning(page: "Page", account: Account) -> None:
    tag = make_tag(account, make_subscriber(account), name="Met in Berlin")
    sequence = make_sequence(account, {}, name="Course", exclude_subscriber_sources=[{"type": "tag", "ids": [tag.pk]}])
    make_enrollment(sequence, make_subscriber(account))
    page.goto("/tags")
    page.get_by_label("Name", exact=True).fill("Podcast")
    page.get_by_role("button", name="Make the tag").click()
    page.get_by_text("The tag “Podcast” is there.").wait_for()
    page.get_by_label("Name of a tag").fill("berlin")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Podcast").wait_for(state="detached")
    page.get_by_role("link", name="Met in Berlin").click()
    page.get_by_label("Name").fill("Met in Rome")
    page.get_by_role("button", name="Rename").click()
    page.get_by_role("heading", name="Met in Rome").wait_for()
    assert fits(page)
    page.locator("summary", has_text="More…").click()
    page.get_by_role("link", name="Delete…").click()
    page.get_by_text("inside “Course”, and everybody is excluded from it").wait_for()
    assert fits(page)
    page.get_by_role("link", name="Change it first").click()
    page.wait_for_url(f"**/sequences/{sequence.pk}/settings")
    page.go_back()
    page.get_by_role("button", name="Delete the tag").click()
    page.get_by_text("The tag “Met in Rome” is deleted.").wait_for()
    assert list(Tag.objects.values_list("name", flat=True)) == ["Podcast"]


def test_a_segment_is_written_blank_by_blank(page: "Page", account: Account, request: Any) -> None:
    make_tag(account, make_subscriber(account), make_subscriber(account), name="VIP")
    page.goto("/segments")
    page.get_by_role("link", name="New segment").click()
    page.get_by_role("button", name="who …").click()
    page.get_by_role("button", name="are in a state").click()
    page.get_by_label("Active").first.check()
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_role("button", name="are active").wait_for()
    page.get_by_label("Name").fill("Readers")
    page.get_by_role("button", name="Save the segment").click()
    page.get_by_role("heading", name="Readers").wait_for()
    assert fits(page)
    assert Segment.objects.get().name == "Readers"
    if request.node.callspec.id == "without scripts":  # else it is there by itself
        page.get_by_role("link", name="Count the people in it").click()
    page.get_by_text("2 people are in it now.").wait_for()
