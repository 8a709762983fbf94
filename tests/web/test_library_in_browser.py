"""Images and snippets in a real browser: wide and on a phone, by keyboard, with scripts and without."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from django.test import Client

from dripstone.accounts.models import Account
from tests.factories import make_enrollment, make_sequence, make_subscriber, make_user
from tests.images.making import a_picture

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

pytestmark = pytest.mark.django_db(transaction=True)

FILE = {"name": "cave.png", "mimeType": "image/png", "buffer": a_picture(300, 200)}


@pytest.fixture(params=[(1440, True), (390, True), (390, False)], ids=["wide", "phone", "without scripts"])
def context(
    request: Any, chromium: "Browser", live_server: Any, account: Account, settings: Any
) -> Iterator["BrowserContext"]:
    width, has_scripts = request.param
    settings.DRIPSTONE_URL = live_server.url
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


@pytest.fixture
def complaints(page: "Page") -> list[str]:
    heard: list[str] = []
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    return heard


def write(page: "Page", html: str) -> None:
    """As source. The editor decides, once its scripts are there, whether it opens as rich text."""
    has_scripts = not page.get_by_role("button", name="Show").count()
    if has_scripts:
        page.locator(".ProseMirror, .editor.is-source").first.wait_for()
        if not page.locator("textarea.source").is_visible():
            page.get_by_role("button", name="HTML", exact=True).click()
    page.locator("textarea.source").fill(html)


def fits(page: "Page") -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def test_a_picture_goes_into_a_snippet_and_a_change_is_asked_about(
    page: "Page", account: Account, complaints: list[str]
) -> None:
    page.goto("/images")
    page.get_by_label("Add pictures").set_input_files(FILE)  # type: ignore[arg-type]
    page.get_by_role("button", name="Upload").click()
    page.get_by_text("1 picture added.").wait_for()
    page.get_by_role("link", name="cave.png").click()
    url = page.get_by_label("Its address").input_value()

    page.goto("/snippets")
    page.get_by_role("link", name="New snippet").click()
    page.get_by_label("Name").fill("Signature")
    write(page, f"<p>Yours, Ann</p><img src='{url}' alt='A cave'>")
    assert fits(page)
    page.get_by_role("button", name="Save", exact=True).focus()
    page.keyboard.press("Enter")
    page.get_by_text("is saved. Emails insert it by its tag.").wait_for()
    shown = page.frame_locator("iframe:not(.is-coming)")
    shown.get_by_text("Yours, Ann").wait_for()
    shown.get_by_alt_text("A cave").wait_for()
    assert shown.locator("img").evaluate("image => image.naturalWidth") == 300

    sequence = make_sequence(account, {"subject": "About caves", "content": "{{ snippet.signature }}"}, name="Course")
    make_enrollment(sequence, make_subscriber(account))
    page.goto("/snippets")
    page.get_by_role("link", name="1 email").click()
    page.get_by_role("link", name="About caves").wait_for()
    write(page, "<p>So long, Ann</p>")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("heading", name="Change “Signature” in 1 published email?").wait_for()
    assert account.snippets.get().value_html != "<p>So long, Ann</p>"
    assert fits(page)
    page.get_by_role("button", name="Save the change").click()
    page.get_by_text("Emails have it from their next sending on.").wait_for()
    assert account.snippets.get().value_html == "<p>So long, Ann</p>"

    page.goto("/images")
    page.get_by_text("used nowhere").wait_for()
    assert complaints == []


def test_the_preview_follows_what_is_typed(page: "Page", account: Account, request: Any) -> None:
    page.goto("/templates/new")
    shown = page.frame_locator("iframe:not(.is-coming)")
    shown.get_by_text("Three things about limestone").wait_for()
    write(page, "<h6>Letterhead</h6>{{ message_content }}")
    if "without" in request.node.name:
        page.get_by_role("button", name="Show").click()
    shown.get_by_text("Letterhead").wait_for()
    page.get_by_text("Text", exact=True).click()
    if "without" in request.node.name:
        page.get_by_role("button", name="Show").click()
    shown.locator("pre").wait_for()
    if "without" not in request.node.name:
        assert page.evaluate("history.length") <= 2  # a way back is a way back
    assert page.locator("#f-html").input_value().startswith("<h6>")


def test_what_is_refused_is_said_and_stays_typed(page: "Page", request: Any) -> None:
    page.goto("/snippets/new?type=inline")
    page.get_by_label("Name").fill("Price")
    page.locator("#f-text").fill("{{ broken")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("is never closed").first.wait_for()
    if "without" not in request.node.name:
        page.get_by_role("button", name="Go on writing").click()
    field = page.locator("#f-text")
    assert field.input_value() == "{{ broken"
    assert field.get_attribute("aria-invalid") == "true"
    assert "never closed" in page.locator("#f-text-problem").inner_text()
    assert "f-text-problem" in (field.get_attribute("aria-describedby") or "")
    if "without" not in request.node.name:
        field.fill("whole")
        assert field.get_attribute("aria-invalid") is None
        assert page.locator("#f-text-problem").count() == 0


def test_a_preview_is_as_anybody_whose_address_is_begun(page: "Page", account: Account, request: Any) -> None:
    make_subscriber(account, email_address="zelda@example.org", first_name="Zelda")
    for number in range(9):
        make_subscriber(account, email_address=f"newer{number}@example.org", first_name="Newer")
    page.goto("/snippets/new?type=inline")
    page.locator("#f-text").fill("Hello {{ subscriber.first_name }}")
    page.get_by_label("as the person whose address begins with").fill("zel")
    if "without" in request.node.name:
        page.get_by_role("button", name="Show").click()
    page.frame_locator("iframe:not(.is-coming)").get_by_text("Hello Zelda").wait_for()
    assert fits(page)


@pytest.mark.parametrize("width", [1440, 390])
def test_a_template_stays_where_it_is_while_its_editor_loads(
    opened: "Callable[..., Page]", alice: Client, account: Account, width: int
) -> None:
    page = opened(width, who=alice)
    page.add_init_script(
        "new PerformanceObserver((seen) => { for (const one of seen.getEntries()) window.shifted = "
        "(window.shifted ?? 0) + one.value }).observe({ type: 'layout-shift', buffered: true })"
    )
    page.goto("/templates/new")
    page.locator("[data-ready=source]").wait_for()
    page.wait_for_function("document.querySelector('.preview iframe, .preview .problem')")
    assert page.evaluate("window.shifted ?? 0") < 0.01
