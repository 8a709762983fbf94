"""An app is connected in a real browser, which follows wherever the app's page sends it."""

from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
from django.test import Client

from dripstone.accounts.models import Account
from dripstone.oauth.models import Consent
from tests.oauth.flow import App, is_open, query_of

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.django_db(transaction=True)
PASSWORD = "correct horse battery"


@pytest.fixture
def shop() -> Iterator[str]:
    """The app's own server: its callback sends people on to another of its pages. Gives its address."""

    class Callback(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/callback"):
                self.send_response(302)
                self.send_header("Location", self.path.replace("/callback", "/welcome"))
                self.end_headers()
                return
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>Shop</title><h1>Connected</h1>")

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Callback)
    with closing(server.socket):
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/callback"
        server.shutdown()


@pytest.mark.parametrize(("width", "scripted"), [(1440, True), (390, False)])
def test_somebody_signs_in_allows_an_app_and_takes_it_back(
    opened: "Callable[..., Page]", account: Account, alice: Client, shop: str, width: int, scripted: bool
) -> None:
    app = App(account, callback=shop)
    page = opened(width, scripted=scripted)
    page.goto(app.address())
    page.get_by_label("Email address").fill("alice@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Allow Shop to work in your account?").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth") if scripted else True
    page.get_by_role("button", name="Allow", exact=True).press("Enter")
    page.get_by_role("heading", name="Connected").wait_for()
    status, given = app.exchange(query_of(page.url)["code"])
    assert status == 200
    assert is_open(given["access_token"])
    page.goto("/settings/apps")
    page.get_by_role("link", name="Revoke").click()
    page.get_by_role("button", name="Revoke it").click()
    page.get_by_text("Shop has no access to Alice any more.").wait_for()
    assert not is_open(given["access_token"])


def test_who_does_not_want_it_is_sent_back_and_nothing_is_allowed(
    opened: "Callable[..., Page]", account: Account, alice: Client, shop: str
) -> None:
    page = opened(who=alice)
    page.goto(App(account, callback=shop).address())
    page.get_by_role("button", name="Do not allow").click()
    page.get_by_role("heading", name="Connected").wait_for()
    assert query_of(page.url)["error"] == "access_denied"
    assert not Consent.objects.exists()


def test_an_app_is_made_by_the_keyboard(opened: "Callable[..., Page]", alice: Client) -> None:
    page = opened(who=alice)
    page.goto("/settings/apps")
    page.get_by_label("Name").focus()
    page.keyboard.type("Shop")
    page.keyboard.press("Tab")
    page.keyboard.type("https://shop.example/callback")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.get_by_text("Here is the app's secret").wait_for()
