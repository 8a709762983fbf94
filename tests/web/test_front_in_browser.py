"""From nothing to a published course in a real browser: by mouse, by keyboard alone, on a phone, without JavaScript."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from dripstone.accounts.models import Account
from dripstone.engine.models import Enrollment
from dripstone.sequences.models import Sequence
from tests.conftest import VirtualClock
from tests.driving import Engine
from tests.factories import make_account, make_enrollment, make_sequence, make_subscriber, make_tag, make_user

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PASSWORD = "correct horse battery"
WIDE, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def empty(db: None, clock: VirtualClock) -> Account:
    account = make_account("Ann", postal_address="")
    make_user(account, "ann@example.com", PASSWORD)
    return account


@pytest.fixture
def opened(chromium: "Browser", live_server: Any) -> Iterator[Any]:
    """A function that opens a browser; what its console says must stay nothing."""
    contexts, heard = [], []

    def open_one(viewport: Any = WIDE, *, java_script: bool = True) -> "Page":
        context = chromium.new_context(base_url=live_server.url, viewport=viewport, java_script_enabled=java_script)
        context.set_default_timeout(30_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: heard.append(message.text))
        page.on("pageerror", lambda error: heard.append(str(error)))
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert [text for text in heard if "422" not in text] == []


def sign_in(page: "Page") -> "Page":
    page.goto("/sign-in")
    page.get_by_label("Email address").fill("ann@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/")
    return page


def fits(page: "Page") -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0)


def test_it_searches_as_one_types_and_by_keyboard_alone(opened: Any, empty: Account) -> None:
    for name in ("Welcome", "Caves", "After the webinar"):
        make_sequence(empty, {}, name=name)
    page = sign_in(opened())
    page.keyboard.press("/")
    page.keyboard.type("cav")
    page.get_by_role("link", name="Welcome").wait_for(state="detached")
    assert page.get_by_role("link", name="Caves").is_visible()
    assert page.url.endswith("/?q=cav")
    assert page.evaluate("document.activeElement.id") == "q"  # one can go on typing
    page.keyboard.type("x")
    page.get_by_text("No sequence is called “cavx”").wait_for()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Welcome").wait_for()


@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_a_new_sequence_begins_with_letters_to_rewrite(opened: Any, empty: Account, viewport: Any) -> None:
    make_sequence(empty, {})
    page = sign_in(opened(viewport))
    page.get_by_role("link", name="New sequence").click()
    page.locator("#f-name:focus").wait_for()  # one can begin to type
    page.keyboard.type("Mine")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")  # from the first starter to the second
    assert fits(page)
    page.keyboard.press("Enter")
    page.get_by_text("3 drafts to rewrite").wait_for()
    assert page.get_by_role("heading", name="Mine").is_visible()
    page.get_by_text("Nothing is published: all its 3 emails are drafts.").wait_for()  # the checks have come
    page.get_by_text("Nothing goes out as things stand.").wait_for()
    assert fits(page)


@pytest.mark.parametrize(
    ("viewport", "java_script"), [(WIDE, True), (PHONE, False)], ids=["wide", "phone, without JavaScript"]
)
def test_it_goes_from_nothing_to_the_first_email(
    opened: Any, empty: Account, engine: Engine, viewport: Any, java_script: bool
) -> None:
    page = sign_in(opened(viewport, java_script=java_script))
    page.get_by_label("Name and address").fill("1 Long Lane, Springfield")
    page.get_by_role("button", name="Save the address").click()
    page.get_by_role("link", name="A short course").click()
    page.get_by_label("Name", exact=True).fill("Write better emails")
    page.get_by_role("button", name="Make the sequence").click()
    page.get_by_text("5 drafts to rewrite").wait_for()
    page.goto("/")
    page.get_by_role("link", name="Go on").click()
    page.get_by_label("First name").fill("Ann")
    page.get_by_role("button", name="Add them").click()
    page.get_by_text("Ann is in. Nothing is published yet").wait_for()
    page.get_by_role("button", name="Send “Welcome").click()
    page.get_by_text("is on its way to ann@example.com").wait_for()
    assert fits(page)
    page.get_by_role("button", name="Publish all 5").click()
    page.get_by_text("Publish 5 drafts?").wait_for()
    assert page.locator(".effects .sub").inner_text() == "Ann"
    page.get_by_role("button", name="Publish, mail 1 now").click()
    page.get_by_text("All is set up").wait_for()
    engine.run()
    sent = [message.data.decode().partition("Subject: ")[2].partition("\r\n")[0] for message in engine.mail.messages]
    assert sent == ["[Test] Welcome: here is how it works", "Welcome: here is how it works"]
    page.goto("/")
    assert page.get_by_text("first steps done").count() == 0


def test_settings_ask_before_they_touch_people(opened: Any, empty: Account, clock: VirtualClock) -> None:
    sequence = make_sequence(empty, {}, name="Caves")
    make_enrollment(sequence, make_subscriber(empty, first_name="Bob"), clock.now())
    for number in range(30):
        make_tag(empty, name=f"tag {number}")
    page = sign_in(opened())
    page.goto(f"/sequences/{sequence.pk}/settings")
    page.locator(".picker").first.locator("summary").click()
    assert page.locator(".picks label").filter(visible=True).count() == 12
    page.get_by_label("Search tags").fill("tag 29")
    page.get_by_text("tag 1", exact=True).wait_for(state="hidden")
    page.get_by_label("tag 29").check()
    page.get_by_label("Search tags").press("Enter")  # is no "Save"
    page.get_by_label("Paused: nothing is sent").check()
    page.get_by_label("Name", exact=True).fill("")
    page.evaluate("document.querySelector('#settings').noValidate = true")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("link", name="Name can't be blank").click()  # the summary leads to the field
    assert page.evaluate("document.activeElement.id") == "f-name"
    page.keyboard.type("Deeper")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("heading", name="Change how “Caves” sends?").wait_for()
    assert Sequence.objects.get().name == "Caves"
    page.locator("dialog").get_by_role("button", name="Save").click()
    page.get_by_text("Saved.").wait_for()
    saved = Sequence.objects.get()
    assert (saved.name, saved.active) == ("Deeper", False)
    assert [source["type"] for source in saved.exclude_subscriber_sources] == ["tag"]
    assert Enrollment.objects.get().status == "active"
