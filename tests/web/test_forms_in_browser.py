"""From a new form to somebody in its sequence, by way of a page on another site, in a real browser: without JavaScript,
by a script, by keyboard alone on a phone."""

import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from django.test import Client

from dripstone.accounts.models import Account
from dripstone.engine import life, process
from dripstone.engine.models import Enrollment
from dripstone.subscribers import forms
from dripstone.subscribers.models import Form, FormSubscription, Subscriber
from tests.conftest import VirtualClock
from tests.factories import MONDAY_9, make_sequence

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.django_db(transaction=True)

ANN = "ann@example.org"


@pytest.fixture
def here(live_server: Any, clock: VirtualClock, settings: Any) -> str:
    """The server's address, as a form says it to other sites. Limits are off, as with any virtual clock."""
    settings.DRIPSTONE_URL, settings.DRIPSTONE_RATE_LIMITS = live_server.url, None
    return str(live_server.url)


@pytest.fixture
def site() -> Iterator[Callable[[str], str]]:
    """A function that puts HTML on another origin, and says where."""
    pages: dict[str, bytes] = {}

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = pages.get(self.path.partition("?")[0])
            self.send_response(404 if found is None else 200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(found or b"")

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    threading.Thread(target=partial(server.serve_forever, poll_interval=0.01), daemon=True).start()

    def put(html: str) -> str:
        pages["/blog"] = f"<!doctype html><html lang=en><title>Blog</title><h1>Blog</h1>{html}".encode()
        return f"http://127.0.0.1:{server.server_port}/blog"

    yield put
    server.shutdown()
    server.server_close()


def fits(page: "Page") -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


@pytest.mark.parametrize("width", [1440, 390])
def test_from_a_new_form_to_somebody_in_its_sequence(
    here: str, opened: Any, alice: Client, account: Account, site: Callable[[str], str], width: int
) -> None:
    sequence = make_sequence(account, {"delay_value": 0, "subject": "Welcome"}, name="Caves")
    owner = opened(width, who=alice)
    owner.goto("/forms")
    owner.get_by_role("link", name="New form").click()
    owner.get_by_label("Name").fill("Footer of the blog")
    owner.get_by_label("Adds people to the sequence").select_option("Caves")
    owner.get_by_role("button", name="Make the form").click()

    owner.get_by_label("Heading").fill("A letter on caves")
    preview = owner.frame_locator("iframe[title^=Preview]:not(.is-coming)")
    preview.get_by_role("heading", name="A letter on caves").wait_for()
    assert fits(owner)
    owner.get_by_label("Subject").fill("One click, please")
    owner.get_by_text("Mail", exact=True).click()
    preview.get_by_role("link", name="Confirm my subscription").wait_for()
    owner.get_by_role("button", name="Save").click()
    owner.locator(".crumb").get_by_role("link", name="Footer of the blog").click()
    embed = owner.get_by_label("HTML").input_value()
    assert fits(owner)

    visitor = opened(390, scripted=False)
    visitor.goto(f"{site(embed)}?utm_source=never-told")
    visitor.get_by_label("First name").fill("Ann")
    visitor.get_by_label("Email address").fill(ANN)
    visitor.get_by_role("button", name="Sign up").click()
    visitor.get_by_text("Look into your mailbox").wait_for()
    assert visitor.url == f"{here}/f/{Form.objects.get().uid}/thanks"
    assert Subscriber.objects.get().state == "inactive"
    assert (FormSubscription.objects.get().referrer or "").startswith("http://127.0.0.1:")

    life.until_idle()
    process.close()
    owner.goto("/inbox")
    owner.get_by_role("link", name="One click, please").first.click()
    link = owner.frame_locator("iframe").get_by_role("link", name="Confirm my subscription")
    visitor.goto(link.get_attribute("href"))
    visitor.get_by_role("button", name="Yes, subscribe me").click()
    visitor.get_by_role("heading", name="You are subscribed").wait_for()

    owner.goto(f"/sequences/{sequence.pk}/people")
    owner.get_by_text(ANN).first.wait_for()
    owner.goto(f"/forms/{Form.objects.get().pk}")
    owner.get_by_text("127.0.0.1").first.wait_for()
    assert Enrollment.objects.get().status == "active"


def test_the_script_puts_it_into_a_page_and_stays_there(
    here: str, opened: Any, account: Account, site: Callable[[str], str]
) -> None:
    form = forms.create(account.pk, {"name": "Footer", "heading": "A letter", "opt_in": "single"}, MONDAY_9)
    address = site(f'<script async data-uid="{form.uid}" src="{here}/f/{form.uid}/index.js"></script>')
    visitor = opened(390)
    visitor.goto(f"{address}?utm_source=blog")
    visitor.get_by_role("heading", name="A letter").wait_for()
    assert fits(visitor)
    visitor.get_by_label("Email address").fill("ann@example")
    visitor.get_by_role("button", name="Sign up").click()
    visitor.get_by_role("status").get_by_text("Email address is invalid").wait_for()
    visitor.get_by_label("Email address").fill(ANN)
    visitor.get_by_role("button", name="Sign up").click()
    visitor.get_by_role("status").get_by_text("Thank you").wait_for()
    assert visitor.url.startswith("http://127.0.0.1")
    row = FormSubscription.objects.get()
    assert (row.utm_source, row.subscriber.email_address) == ("blog", ANN)
    assert visitor.context.cookies() == []


def test_its_own_page_is_filled_in_by_keyboard_on_a_phone(here: str, opened: Any, account: Account) -> None:
    form = forms.create(account.pk, {"name": "Footer", "opt_in": "single", "description": "About caves."}, MONDAY_9)
    visitor = opened(390, scripted=False)
    visitor.goto(f"/f/{form.uid}")
    assert visitor.get_by_text("Leave this empty").bounding_box()["x"] < -1000, "nobody sees what is for robots"
    visitor.keyboard.press("Tab")  # to "Skip to content"
    visitor.keyboard.press("Tab")
    for text in ("Ann", ANN):
        visitor.keyboard.type(text)
        visitor.keyboard.press("Tab")
    visitor.keyboard.press("Enter")
    visitor.get_by_text("Thank you.").wait_for()
    assert (Subscriber.objects.get().first_name, Subscriber.objects.get().email_address) == ("Ann", ANN)
