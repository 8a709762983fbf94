"""A file of people in a real browser: chosen, sent in pieces by the page's script, counted, imported, undone."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from django.test import Client

from dripstone import clock
from dripstone.accounts.models import Account
from dripstone.imports import work
from dripstone.imports.models import Import
from dripstone.subscribers.models import Subscriber

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.django_db(transaction=True)

CSV = "E-Mail;City\nana@example.org;Rome\nnobody;\nbob@example.org;Bath\n".encode("utf-16")


@pytest.mark.parametrize("width", [1440, 390])
def test_a_file_is_sent_counted_imported_and_undone(
    opened: "Callable[..., Page]", account: Account, alice: Client, width: int
) -> None:
    page = opened(width, who=alice)
    page.goto("/imports/new")
    page.get_by_label("CSV file").set_input_files({"name": "fair.csv", "mimeType": "text/csv", "buffer": CSV})
    page.get_by_role("button", name="Upload").press("Enter")
    page.get_by_role("cell", name="ana@example.org").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    row = Import.objects.get(account=account)
    assert (row.file_name, row.n_bytes) == ("fair.csv", len(CSV))
    page.get_by_role("checkbox", name="agreed").check()
    page.get_by_role("button", name="Count first…").press("Enter")
    page.wait_for_url(f"**/imports/{row.pk}")
    work.until_idle(clock.now)
    page.reload()
    page.get_by_role("button", name="Import 2 people").press("Enter")
    page.wait_for_load_state()
    work.until_idle(clock.now)
    page.reload()
    page.get_by_role("button", name="Download rows that were not taken").wait_for()
    assert set(Subscriber.objects.values_list("email_address", flat=True)) == {"ana@example.org", "bob@example.org"}
    page.get_by_role("button", name="Undo…").press("Enter")
    page.locator("dialog").get_by_role("button", name="Undo").press("Enter")
    page.locator("dialog").wait_for(state="hidden")
    work.until_idle(clock.now)
    assert not Subscriber.objects.exists()
