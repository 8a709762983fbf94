"""Finding people in a real browser: by mouse, by keyboard alone, on a phone, without JavaScript."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from django.test import Client

from dripstone.accounts.models import Account
from dripstone.events import causes
from dripstone.subscribers import forms
from dripstone.subscribers.models import Tag
from tests.factories import MONDAY_9, make_subscriber

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.django_db(transaction=True)

Opened = Callable[..., "Page"]
MOST = 12  # presses, of a key or of the mouse: what fits into much less than a minute


@pytest.fixture
def signed_up(account: Account) -> None:
    """Bo and Cy came by the form and did not confirm; Ann did, and Dee came another way."""
    newsletter = forms.create(account.pk, {"name": "Newsletter"}, MONDAY_9)
    for name, state in (("Ann", "active"), ("Bo", "inactive"), ("Cy", "inactive")):
        forms.add(newsletter, make_subscriber(account, first_name=name, state=state), {}, MONDAY_9, cause=causes.API)
    make_subscriber(account, first_name="Dee", state="inactive")


def found(page: "Page") -> list[str]:
    return page.locator("table.people tbody th a").all_inner_texts()


def fits(page: "Page") -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0)


def answer_is_there(page: "Page") -> None:
    """Who signed up by my form and did not confirm?"""
    page.get_by_role("button", name="have yet to confirm").wait_for()
    page.get_by_text("2 of 4").wait_for()
    assert found(page) == ["Cy", "Bo"]
    assert fits(page)


def ask_by_mouse(page: "Page") -> int:
    """How often it was pressed."""
    presses = ["+ who", "signed up by a form", "Newsletter", "Add", "+ and", "are in a state", "Unconfirmed", "Add"]
    for name in presses:
        page.locator(".conditions :is(button, label)").filter(has_text=re.compile(rf"^\s*{re.escape(name)}")).click()
        page.wait_for_load_state()
        page.wait_for_function("() => !document.querySelector('.htmx-request, .htmx-swapping, .htmx-settling')")
    return len(presses)


def test_who_signed_up_and_did_not_confirm_by_mouse(opened: Opened, alice: Client, signed_up: None) -> None:
    page = opened(who=alice)
    page.goto("/")
    page.get_by_role("link", name="People", exact=True).first.click()
    assert ask_by_mouse(page) <= MOST
    answer_is_there(page)
    page.get_by_role("link", name="Save as a segment").click()
    page.get_by_label("Name").fill("Did not confirm")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("heading", name="Did not confirm").wait_for()
    assert found(page) == ["Cy", "Bo"]


def test_the_same_on_a_phone(opened: Opened, alice: Client, signed_up: None) -> None:
    page = opened(390, who=alice)
    page.goto("/people")
    assert fits(page)
    page.locator(".plus").tap()
    page.get_by_role("heading", name="What about them?").wait_for()
    assert fits(page)
    page.get_by_role("button", name="Cancel").tap()
    page.get_by_role("heading", name="What about them?").wait_for(state="detached")
    ask_by_mouse(page)
    answer_is_there(page)


def test_the_same_by_keyboard_alone(opened: Opened, alice: Client, signed_up: None) -> None:
    page = opened(who=alice)
    page.goto("/people")
    page.locator("main").focus()
    for name in ("+ who", "signed up by a form", "Newsletter", "Add"):
        tab_to(page, name)
    page.wait_for_url("**filter=**")
    for name in ("+ and", "are in a state", "Unconfirmed", "Add"):
        tab_to(page, name)
    answer_is_there(page)


def tab_to(page: "Page", name: str) -> None:
    """From where the focus is, as somebody does; and press what is there."""
    text = "document.activeElement.closest('label')?.innerText ?? document.activeElement.innerText ?? ''"
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate(text).replace("\n", " ").strip().startswith(name):
            break
    else:
        raise AssertionError(f"{name} is not reached")
    is_box = page.evaluate("document.activeElement.type === 'checkbox'")
    before = page.url
    page.keyboard.press("Space" if is_box else "Enter")
    if not is_box:
        page.wait_for_function(
            "before => location.href !== before || document.querySelector('#blank-title') === document.activeElement",
            arg=before,
        )
        page.wait_for_load_state()


def test_the_same_without_javascript(opened: Opened, alice: Client, signed_up: None) -> None:
    page = opened(scripted=False, who=alice)
    page.goto("/people")
    for name in ("+ who …", "signed up by a form"):
        page.locator(f'.conditions button:has-text("{name}")').click()
    page.get_by_label("Newsletter").check()
    page.get_by_role("button", name="Add", exact=True).click()
    for name in ("+ and …", "are in a state"):
        page.locator(f'.conditions button:has-text("{name}")').click()
    page.get_by_label("Unconfirmed").check()
    page.get_by_role("button", name="Add", exact=True).click()
    assert found(page) == ["Cy", "Bo"]
    page.get_by_role("link", name="Count them").click()
    assert page.get_by_role("heading", level=1).inner_text() == "2 of 4 people"
    page.get_by_role("link", name="Show them").click()
    page.get_by_role("button", name="have yet to confirm").click()
    page.get_by_role("button", name="Remove").click()
    assert found(page) == ["Cy", "Bo", "Ann"]


def test_tags_are_found_as_one_types_and_what_was_ticked_stays(opened: Opened, alice: Client, account: Account) -> None:
    Tag.objects.bulk_create(Tag(account=account, name=f"tag {n:03}", created_at=MONDAY_9) for n in range(300))
    page = opened(who=alice)
    page.goto("/people?at=top:and&kind=tags")
    for name in ("tag 250", "tag 077"):
        page.get_by_role("searchbox", name="Search", exact=True).fill(name)
        page.locator("#found").get_by_text(name).click()
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_role("button", name="have the tag “tag 250” or “tag 077”").wait_for()


def test_a_file_is_downloaded(opened: Opened, alice: Client, signed_up: None) -> None:
    page = opened(who=alice)
    page.goto("/people?state=inactive")
    page.get_by_role("link", name="Export").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the file").click()
    path: Any = download.value.path()
    assert download.value.suggested_filename.startswith("people-")
    assert path.read_text(encoding="utf-8-sig").count("\n") == 4
