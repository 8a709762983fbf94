"""A rule made by keyboard alone, with its condition, and switched on."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from django.test import Client

from dripstone.accounts.models import Account
from dripstone.rules.models import Rule
from tests.factories import make_tag

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.django_db(transaction=True)


def focused(page: "Page") -> str:
    return str(page.evaluate("document.activeElement.id"))


@pytest.mark.parametrize("scripted", [True, False])
def test_a_rule_is_made_by_keyboard(
    opened: "Callable[..., Page]", account: Account, alice: Client, scripted: bool
) -> None:
    course, reader = make_tag(account, name="Course"), make_tag(account, name="Reader")
    page = opened(who=alice, scripted=scripted)
    keys = page.keyboard
    page.goto("/rules/new")
    page.get_by_label("Name", exact=True).press_sequentially("Course page")

    page.get_by_label("What happens").focus()
    page.get_by_label("What happens").select_option("tag_added")
    keys.press("Tab")
    keys.press("Enter")  # Add
    page.get_by_role("group", name="Gets a tag").wait_for()
    if scripted:
        page.wait_for_function("document.activeElement.id === 'f-triggers-0-kind'")  # where the new row is
        keys.press("Tab")
        assert focused(page) == "f-triggers-0-tag_id"
    page.get_by_label("Tag", exact=True).select_option(label="Course")

    for kind in ("unsubscribe", "tag"):
        page.get_by_label("What is done").select_option(kind)
        page.get_by_label("What is done").focus()
        keys.press("Tab")
        keys.press("Enter")
        page.get_by_role("group", name={"unsubscribe": "Unsubscribe", "tag": "Add a tag"}[kind]).wait_for()
    page.get_by_role("group", name="Add a tag").get_by_label("Tag").select_option(label="Reader")
    page.get_by_role("button", name="Move up").press("Enter")
    page.get_by_role("group", name="1. Add a tag").wait_for()
    assert page.get_by_label("Name", exact=True).input_value() == "Course page"
    page.get_by_role("button", name="Remove (unsubscribe them)").press("Enter")
    page.get_by_role("group", name="Unsubscribe").wait_for(state="detached")

    page.get_by_role("button", name="Save, and say whom it is for").press("Enter")
    page.get_by_role("heading", name="Whom it is for").wait_for()
    page.get_by_role("button", name="who …").press("Enter")
    page.get_by_role("button", name="have a tag").press("Enter")
    page.get_by_label("Reader").check()
    page.get_by_label("do not have").check()
    page.get_by_role("button", name="Add", exact=True).press("Enter")
    page.get_by_role("button", name="Save", exact=True).press("Enter")
    said = "When somebody gets the tag “Course”, and they do not have the tag “Reader”: add the tag “Reader”."
    page.get_by_text(said).wait_for()
    page.get_by_role("button", name="Switch on").press("Enter")
    page.get_by_role("button", name="Switch off").wait_for()

    made = Rule.objects.get(account=account)
    assert made.is_on and made.triggers == [{"trigger": "tag_added", "tag_id": course.pk}]
    assert made.actions == [{"kind": "tag", "tag_id": reader.pk}]


def test_enter_saves_and_a_refusal_is_read_first(
    opened: "Callable[..., Page]", account: Account, alice: Client
) -> None:
    page = opened(390, who=alice)
    page.goto("/rules/new")
    page.get_by_label("Name", exact=True).press_sequentially("Empty")
    page.keyboard.press("Enter")
    alert = page.get_by_role("alert")
    alert.wait_for()
    assert "Say when it fires" in alert.inner_text()
    assert alert.evaluate("one => one === document.activeElement")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it fits a phone"
