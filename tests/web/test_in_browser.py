"""Pages in a real browser: what only a browser can tell."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from dripstone import signing
from dripstone.accounts.models import Account
from dripstone.engine.models import Delivery
from dripstone.subscribers.models import Subscriber
from tests.factories import make_enrollment, make_subscriber, make_user, place_of
from tests.web.making import make_delivery, make_message

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PASSWORD = "correct horse battery"

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def page(chromium: "Browser", live_server: Any) -> Iterator["Page"]:
    """A fresh browser at the live server."""
    context = chromium.new_context(base_url=live_server.url, viewport={"width": 1280, "height": 900})
    context.set_default_timeout(30_000)
    yield context.new_page()
    context.close()


@pytest.fixture
def complaints(page: "Page") -> list[str]:
    """What the browser says about the pages on its console: refused styles and scripts, errors, missing files."""
    heard: list[str] = []
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    return heard


@pytest.fixture
def signed_in(page: "Page", account: Account) -> "Page":
    make_user(account, "alice@example.com", PASSWORD)
    page.goto("/sign-in")
    page.get_by_label("Email address").fill("alice@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/")
    return page


def test_it_signs_in_and_looks_around_with_the_keyboard_alone(
    page: "Page", account: Account, complaints: list[str]
) -> None:
    make_user(account, "alice@example.com", PASSWORD)
    page.goto("/inbox")
    page.locator("input:focus").wait_for()  # the first field gets the focus by itself
    page.keyboard.type("alice@example.com")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Inbox").wait_for()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    assert page.evaluate("document.activeElement.getBoundingClientRect().top") >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    assert complaints == []


def test_it_shows_where_the_focus_is(signed_in: "Page") -> None:
    signed_in.keyboard.press("Tab")
    signed_in.keyboard.press("Tab")
    outline = signed_in.evaluate("getComputedStyle(document.activeElement).outlineWidth")
    assert outline == "3px"


def test_it_never_runs_a_script_of_a_message(signed_in: "Page", account: Account) -> None:
    html = (
        "<h1>Real</h1><script>document.body.textContent = 'scripted'; parent.document.title = 'scripted'</script>"
        "<img src='data:,x' onerror=\"document.body.textContent = 'scripted'\">"
        "<a id=go href=\"javascript:document.body.textContent='scripted'\">link</a>"
        "<form action='/sign-out' method=post target=_top><button id=out>x</button></form>"
    )
    message = make_message(account, html=html)
    signed_in.goto(f"/inbox/{message.pk}")
    letter = signed_in.frame_locator("iframe.letter")
    letter.locator("#go").click()
    letter.locator("#out").click()
    signed_in.wait_for_timeout(300)
    assert letter.locator("h1").inner_text() == "Real"
    assert "scripted" not in signed_in.title()
    signed_in.goto(f"/inbox/{message.pk}/body")  # on its own, outside the frame, the policy holds alone
    signed_in.wait_for_timeout(300)
    assert signed_in.locator("h1").inner_text() == "Real"
    assert signed_in.evaluate("self.origin") == "null"


def test_it_opens_a_link_of_a_message_as_an_ordinary_page(
    signed_in: "Page", account: Account, delivery: Delivery, live_server: Any
) -> None:
    link = f"{live_server.url}/u/{signing.make('unsubscribe', delivery.pk)}"
    message = make_message(account, html=f"<a href='{link}'>Unsubscribe</a>")
    signed_in.goto(f"/inbox/{message.pk}")
    with signed_in.context.expect_page() as opened:
        signed_in.frame_locator("iframe.letter").get_by_role("link", name="Unsubscribe").click()
    opened.value.get_by_role("button", name="Unsubscribe").click()
    opened.value.get_by_role("heading", name="You are unsubscribed").wait_for()
    assert Subscriber.objects.get(pk=place_of(delivery).subscriber_id).state == "cancelled"
    opened.value.get_by_role("button", name="Subscribe again").click()
    opened.value.get_by_text("You are subscribed again").wait_for()


def test_it_filters_the_inbox_while_one_types(signed_in: "Page", account: Account, complaints: list[str]) -> None:
    make_message(account, to="bob@example.org")
    make_message(account, to="carol@example.org")
    signed_in.goto("/inbox")
    signed_in.get_by_label("Search the inbox").press_sequentially("carol")
    signed_in.get_by_text("With “carol”").wait_for()
    assert signed_in.locator(".messages a").count() == 1
    assert signed_in.url.endswith("/inbox?q=carol")
    assert complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_it_fits_every_screen_and_keeps_the_console_quiet(
    signed_in: "Page", account: Account, delivery: Delivery, complaints: list[str], width: int, scheme: Any
) -> None:
    message = make_message(account, to=f"{'long' * 15}@{'host' * 14}.example.org", subject="Unbreakable" * 20)
    make_unknown(delivery)
    signed_in.set_viewport_size({"width": width, "height": 800})
    signed_in.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    token = signing.make("unsubscribe", delivery.pk)
    paths = ["/", f"/sequences/{delivery.sequence_id}", "/inbox", "/inbox/emptying", f"/inbox/{message.pk}"]
    paths += [f"/inbox/{message.pk}?view=text", f"/inbox/{message.pk}?view=headers", f"/u/{token}"]
    for path in paths:
        signed_in.goto(path)
        assert signed_in.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, path
        assert signed_in.locator("h1").count() == 1, path
        assert signed_in.locator("main").count() == 1, path
    assert complaints == []


def make_unknown(delivery: Delivery) -> Delivery:
    """An email of the same sequence that nobody answered for."""
    person = make_subscriber(
        place_of(delivery).sequence.account, email_address=f"{'long' * 9}@{'host' * 9}.example.org"
    )
    return make_delivery(make_enrollment(place_of(delivery).sequence, person), "unknown")


def test_it_decides_about_an_unknown_email(signed_in: "Page", delivery: Delivery, complaints: list[str]) -> None:
    lost = make_unknown(delivery)
    signed_in.goto("/")
    signed_in.get_by_role("button", name="Treat as sent").click()
    signed_in.get_by_role("button", name="Treat it as sent").click()
    signed_in.get_by_text("The email counts as sent.").wait_for()
    lost.refresh_from_db()
    assert lost.status == "sent"
    assert complaints == []


CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const read = (color) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
                            return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const ground = (element) => { for (let at = element; at; at = at.parentElement) {
      const color = read(getComputedStyle(at).backgroundColor); if (color[3] === 255) return color; }
    return [255, 255, 255]; };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), poor = [];
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim(), element = walker.currentNode.parentElement;
    if (!text || !element.checkVisibility() || element.closest(".hidden")) continue;
    const [a, b] = [light(read(getComputedStyle(element).color)), light(ground(element))].sort((x, y) => y - x);
    if ((a + .05) / (b + .05) < 4.5) poor.push(text + " " + ((a + .05) / (b + .05)).toFixed(2));
  }
  return poor;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_writes_with_enough_contrast(signed_in: "Page", account: Account, delivery: Delivery, scheme: Any) -> None:
    """WCAG AA: 4.5 to 1 for all text."""
    message = make_message(account)
    make_unknown(delivery)
    place_of(delivery).sequence.emails.filter(position=1).update(published=False)
    signed_in.emulate_media(color_scheme=scheme)
    token = signing.make("unsubscribe", delivery.pk)
    paths = [
        "/",
        f"/sequences/{delivery.sequence_id}",
        "/inbox",
        "/inbox/emptying",
        f"/inbox/{message.pk}?view=headers",
    ]
    for path in [*paths, f"/u/{token}", "/nothing-here"]:
        signed_in.goto(path, wait_until="networkidle")  # what comes after the page is there, and not half faded in
        signed_in.wait_for_function("!document.querySelector('.htmx-request, .htmx-swapping, .htmx-settling')")
        assert signed_in.evaluate(CONTRAST) == [], path
