"""Getting in and settling down, in a real browser: wide and narrow, by keyboard alone, and without JavaScript."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from dripstone.accounts import members, verbs
from dripstone.accounts.models import Account, Membership, SendingAddress, User
from tests.factories import MONDAY_9, make_account, make_user
from tests.web.letters import link_in, sent

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PASSWORD = "correct horse battery"

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def browsers(chromium: "Browser", live_server: Any) -> Iterator[Any]:
    """A fresh browser at the live server, with a width, and what else a context takes."""
    opened = []

    def browser(width: int = 1440, **more: Any) -> "Page":
        context = chromium.new_context(base_url=live_server.url, viewport={"width": width, "height": 900}, **more)
        context.set_default_timeout(30_000)
        opened.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        return page

    yield browser
    for context in opened:
        context.close()


def path_of(link: str) -> str:
    return "/" + link.split("/", 3)[3]


def sign_in(page: "Page", email: str) -> "Page":
    page.goto("/sign-in")
    page.get_by_label("Email address").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/")
    return page


@pytest.mark.parametrize("width", [390, 1440])
def test_the_first_owner_gets_in_by_the_keyboard_alone(browsers: Any, width: int) -> None:
    page = browsers(width, timezone_id="Europe/Paris")
    page.goto(path_of(verbs.first_link()))
    page.locator("input:focus").wait_for()
    for typed in ("Plain Letter", "ann@example.com", "", PASSWORD):  # the zone is that of the browser
        page.keyboard.type(typed)
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/")
    member = Membership.objects.get()
    assert (member.user.email, member.account.name, member.account.time_zone) == (
        "ann@example.com",
        "Plain Letter",
        "Europe/Paris",
    )


def test_one_invites_and_the_other_joins_on_a_phone(browsers: Any, mail_server: None) -> None:
    account = make_account("Plain Letter")
    make_user(account, "ann@example.com", PASSWORD)
    owner = sign_in(browsers(), "ann@example.com")
    owner.get_by_role("link", name="Settings").click()
    owner.get_by_role("link", name="Members").click()
    owner.get_by_label("Email address").fill("bob@example.com")
    owner.get_by_label("Role", exact=True).select_option("viewer")
    owner.get_by_role("button", name="Send the invitation").click()
    owner.get_by_text("bob@example.com is invited").wait_for()

    phone = browsers(390)
    phone.goto(link_in(sent()[0]))
    phone.get_by_label("Choose a password").fill(PASSWORD)
    phone.get_by_role("button", name="Join").click()
    phone.get_by_text("Welcome to Plain Letter").wait_for()
    phone.goto("/inbox/emptying")
    assert phone.get_by_role("button", name="Delete").count() == 0


def test_one_changes_between_accounts(browsers: Any) -> None:
    work, club = make_account("Work"), make_account("The Club")
    ann = make_user(work, "ann@example.com", PASSWORD)
    members.join(club, ann, "viewer", MONDAY_9)
    for width in (1440, 390):
        page = sign_in(browsers(width), "ann@example.com")
        menu = page.locator(".who summary" if width == 1440 else ".mine summary")
        menu.click()
        page.get_by_role("button", name="The Club").click()
        menu.get_by_text("The Club").wait_for()


def test_on_a_phone_one_menu_has_settings_and_the_way_out(browsers: Any) -> None:
    make_user(make_account("Work"), "ann@example.com", PASSWORD)
    page = sign_in(browsers(390), "ann@example.com")
    assert page.get_by_role("button", name="Sign out").count() == 0
    page.locator(".mine summary").click()
    box = page.get_by_role("link", name="Settings").bounding_box()
    assert box is not None and box["height"] >= 44
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/sign-in")


def test_without_javascript_all_of_it_works(browsers: Any, mail_server: None) -> None:
    page = browsers(java_script_enabled=False)
    page.goto(path_of(verbs.first_link()))
    page.get_by_label("Name of the account").fill("Plain Letter")
    page.get_by_label("Your email address").fill("ann@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Make the account").click()
    page.get_by_role("link", name="Settings").click()
    page.get_by_label("Postal address").fill("1 Long Lane\nSpringfield")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Saved.").wait_for()
    page.get_by_role("link", name="Sending addresses").click()
    page.get_by_label("Email address").fill("shop@example.com")
    page.get_by_role("button", name="Add and mail the link").click()
    page.goto(link_in(sent()[0]))
    page.get_by_role("button", name="Yes, they may").click()
    page.get_by_text("The address is verified").wait_for()
    page.goto("/settings/keys")
    page.get_by_label("What it is for").fill("Shop")
    page.get_by_role("button", name="Make the key").click()
    page.get_by_text("kit_").wait_for()
    page.goto("/settings/you")
    page.get_by_label("Password now").fill(PASSWORD)
    page.get_by_label("New password").fill("another long sentence")
    page.get_by_role("button", name="Change password").click()
    page.get_by_text("Your password is changed").wait_for()
    assert "1 Long Lane" in Account.objects.get().postal_address
    assert SendingAddress.objects.filter(is_verified=True).count() == 2
    assert User.objects.get().check_password("another long sentence")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1440])
def test_settings_fit_every_screen_and_keep_the_console_quiet(browsers: Any, width: int, scheme: Any) -> None:
    account = make_account("A name that is rather long for an account", postal_address="")
    ann = make_user(account, f"{'long' * 15}@{'host' * 14}.example.org", PASSWORD)
    members.join(make_account("Another name that is rather long"), ann, "viewer", MONDAY_9)
    page = sign_in(browsers(width, color_scheme=scheme), ann.email)
    heard: list[str] = []
    page.on("console", lambda message: heard.append(message.text))
    paths = ["", "/addresses", "/members", "/keys", "/you", "/you/leaving"]
    paths.append(f"/addresses/{account.sending_addresses.get().pk}/removal")
    for path in paths:
        page.goto(f"/settings{path}")
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, path
        assert page.locator("h1").count() == 1, path
    assert heard == []
