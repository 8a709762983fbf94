"""Doing something with many people in a real browser, and on a phone without JavaScript."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from django.test import Client

from dripstone import clock
from dripstone.accounts.models import Account
from dripstone.bulk import operations, runner
from dripstone.bulk.models import BulkAction
from tests.factories import make_subscriber, make_tag

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.django_db(transaction=True)

Opened = Callable[..., "Page"]


@pytest.mark.parametrize(("width", "scripted"), [(1440, True), (390, False)], ids=["", "a phone without JavaScript"])
def test_ticked_counted_done_and_undone(
    opened: Opened, alice: Client, account: Account, width: int, scripted: bool
) -> None:
    for name in ("Ann", "Bo"):
        make_subscriber(account, first_name=name, email_address=f"{name.lower()}@example.org")
    tag = make_tag(account, name="Course")
    page = opened(width, scripted=scripted, who=alice)
    page.goto("/people")
    page.get_by_label("Choose bo@example.org").check()
    page.get_by_role("button", name="Do something with those ticked").click()
    page.get_by_role("heading", name="Do something with 1 person").wait_for()
    page.get_by_label("Add a tag").select_option("Course")
    page.get_by_role("button", name="Count first").click()
    page.get_by_text("gets the tag “Course”").wait_for()
    page.get_by_role("button", name="Do it with 1 person").click()
    page.get_by_role("button", name="Cancel the rest").wait_for()
    runner.finish(operations.ALL, account.pk, clock.now)
    if not scripted:
        page.reload()
    page.get_by_text("1 person done.").wait_for()
    assert tag.taggings.get().subscriber.first_name == "Bo"
    page.get_by_role("button", name="Undo…").click()
    page.get_by_role("button", name="Undo 1 change").click()
    page.get_by_text("Being undone").wait_for()
    runner.finish(operations.ALL, account.pk, clock.now)
    if not scripted:
        page.reload()
    page.get_by_text("1 change undone.").first.wait_for()
    assert not tag.taggings.exists()
    assert BulkAction.objects.get().state == "undone"
