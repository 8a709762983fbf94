"""Takes the pictures of docs/images from a demo that was just made, so that they show the app as it is.

    DRIPSTONE_DATA=/tmp/demo DRIPSTONE_PORT=8100 script/server
    .venv/bin/python script/pictures.py http://127.0.0.1:8100 PASSWORD [NAME …]

Wants Chromium, and a good sans as `system-ui` (Debian: fonts-inter). engine.png is not among them: it shows a day on
which a worker was lost.
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from playwright.sync_api import Browser, Page, sync_playwright

IMAGES = Path(__file__).parent.parent / "docs" / "images"
CHROMIUM = "/usr/bin/chromium"
SEQUENCE, AUTOMATION = "Write better emails", "From the welcome to the course"


class Picture(NamedTuple):
    """show   leads from the list of sequences to what is to be seen"""

    show: Callable[[Page], object]
    width: int = 1280
    height: int = 860
    is_dark: bool = False


def main() -> None:
    url, password, *names = sys.argv[1:]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        for name in names or PICTURES:
            take(browser, url, password, name)
        browser.close()


def take(browser: Browser, url: str, password: str, name: str) -> None:
    picture = PICTURES[name]
    scheme: str = "dark" if picture.is_dark else "light"
    size = {"width": picture.width, "height": picture.height}
    page = browser.new_page(base_url=url, viewport=size, color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
    page.goto("/sign-in")
    page.get_by_label("Email address").fill("demo@dripstone.example")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Sequences", exact=True).wait_for()
    picture.show(page)
    page.wait_for_load_state("networkidle")
    page.screenshot(path=IMAGES / f"{name}.png")
    page.close()


# --- What is to be seen -------------------------------------------------------------------------------------------


def sequence(page: Page) -> None:
    page.get_by_role("link", name=SEQUENCE, exact=True).first.click()
    page.get_by_role("heading", name=SEQUENCE).wait_for()


def delay(page: Page) -> None:
    sequence(page)
    page.get_by_role("link", name=re.compile("before email 4")).click()
    page.get_by_role("button", name="Save").scroll_into_view_if_needed()
    page.mouse.wheel(0, 160)


def question(page: Page) -> None:
    sequence(page)
    tools = page.get_by_role("group", name="Email 3", exact=True)
    tools.get_by_text("More…").press("Enter")
    tools.get_by_role("button", name="Skip the wait for everybody here…").press("Enter")
    page.get_by_role("button", name=re.compile("^Skip the wait, mail")).wait_for()


def menu(page: Page) -> None:
    sequence(page)
    page.locator("summary", has_text="accounts, settings, sign out").click()


def editor(page: Page) -> None:
    sequence(page)
    page.get_by_role("link", name="A two-minute exercise").first.click()
    page.locator(".ProseMirror").wait_for()


def person(page: Page) -> None:
    page.get_by_role("link", name="People", exact=True).first.click()
    page.get_by_role("link", name="Mei", exact=True).click()


def forecast(page: Page) -> None:
    page.get_by_role("link", name="Forecast", exact=True).first.click()


def automations(page: Page) -> None:
    page.goto("/automations")


def automation(page: Page) -> None:
    automations(page)
    page.get_by_role("link", name=AUTOMATION, exact=True).click()
    page.get_by_role("heading", name=AUTOMATION).wait_for()


def automation_editor(page: Page) -> None:
    automation(page)
    page.get_by_role("link", name="Edit", exact=True).click()
    page.get_by_role("link", name="Edit step 3").click()
    page.get_by_label("They wait here").wait_for()


PICTURES = {
    "sequence": Picture(sequence),
    "sequence-phone": Picture(sequence, 390, 844, is_dark=True),
    "menu-phone": Picture(menu, 390, 844, is_dark=True),
    "delay-dark": Picture(delay, height=720, is_dark=True),
    "question": Picture(question, height=720),
    "editor": Picture(editor),
    "person": Picture(person),
    "forecast": Picture(forecast),
    "automations": Picture(automations, height=420),
    "automation": Picture(automation),
    "automation-dark": Picture(automation, is_dark=True),
    "automation-phone": Picture(automation, 390, 844),
    "automation-editor": Picture(automation_editor),
}

if __name__ == "__main__":
    main()
