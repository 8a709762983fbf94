"""Writing an email in a real browser: saved as one types, seen as somebody gets it, published, never lost."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from django.test import Client

from dripstone.accounts.models import Account, User
from dripstone.engine.models import Notice
from dripstone.images import store
from dripstone.images.models import Image
from dripstone.sequences import drafts
from dripstone.sequences.models import SequenceEmail
from dripstone.subscribers.models import CustomField
from tests.factories import MONDAY_9, make_enrollment, make_sequence, make_subscriber, make_user
from tests.images.making import a_picture

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

pytestmark = pytest.mark.django_db(transaction=True)

WIDE: Any = {"width": 1440, "height": 1000}
PHONE: Any = {"width": 390, "height": 844}
CONTENT = "<p>Hello {{ subscriber.first_name }},</p>\n<p>here it is.</p>"


@pytest.fixture
def user(account: Account) -> User:
    return make_user(account, "alice@example.com")


@pytest.fixture
def email(account: Account) -> SequenceEmail:
    """Published, with Noor inside, of whom no city is known."""
    CustomField.objects.create(account=account, key="city", label="City", created_at=MONDAY_9)
    parts = {"subject": "Five lines", "preview_text": "Which one?", "content": CONTENT, "delay_value": 0}
    sequence = make_sequence(account, parts, {"delay_value": 2}, name="Letters")
    noor = make_subscriber(account, email_address="noor@example.org", first_name="Noor")
    make_enrollment(sequence, noor, MONDAY_9)
    return SequenceEmail.objects.get(sequence=sequence, position=0)


@pytest.fixture
def context(chromium: "Browser", live_server: Any, user: User, client: Client) -> Iterator["BrowserContext"]:
    """A browser in which Alice is signed in."""
    context = chromium.new_context(base_url=live_server.url, viewport=WIDE)
    context.set_default_timeout(30_000)
    client.force_login(user)
    cookie = client.cookies["dripstone_session"]
    context.add_cookies([{"name": cookie.key, "value": cookie.value, "url": live_server.url}])
    yield context
    context.close()


@pytest.fixture
def complaints(context: "BrowserContext") -> list[str]:
    heard: list[str] = []
    context.on("console", lambda message: heard.append(message.text))
    context.on("weberror", lambda error: heard.append(str(error.error)))
    return heard


def path(email: SequenceEmail) -> str:
    return f"/sequences/{email.sequence_id}/emails/{email.pk}"


def open_editor(context: "BrowserContext", email: SequenceEmail) -> "Page":
    page = context.new_page()
    page.goto(path(email))
    page.locator("html[data-editor=ready]").wait_for()
    return page


def written(email: SequenceEmail) -> Any:
    return drafts.of(SequenceEmail.objects.get(pk=email.pk)).values["content"]


def becomes(page: "Page", email: SequenceEmail, content: str) -> None:
    """Waits until this is saved."""
    for _ in range(100):
        if written(email) == content:
            return
        page.wait_for_timeout(100)
    assert written(email) == content


def type_at_end(page: "Page", text: str) -> None:
    page.locator(".ProseMirror").click()
    page.keyboard.press("Control+End")
    page.keyboard.type(text)


def is_saved(page: "Page") -> None:
    page.locator("#standing").get_by_text("Changed since published").wait_for()


def test_it_saves_as_one_types_and_publishes_by_a_button(
    context: "BrowserContext", email: SequenceEmail, complaints: list[str]
) -> None:
    page = open_editor(context, email)
    assert page.locator("#standing").inner_text().startswith("Published")
    type_at_end(page, " More.")
    is_saved(page)
    assert "People still get version 1" in page.locator("#standing").inner_text()
    assert page.evaluate("document.activeElement.className").startswith("tiptap")  # the focus stays
    assert written(email) == CONTENT.replace("here it is.", "here it is. More.")
    email.refresh_from_db()
    assert email.content == CONTENT
    page.frame_locator("#preview iframe").get_by_text("here it is. More.").wait_for()
    page.get_by_role("button", name="Publish changes").click()
    page.get_by_text("Published. People get this from now on.").wait_for()
    email.refresh_from_db()
    assert email.content.endswith("More.</p>")
    assert complaints == []


def test_opening_changes_nothing(context: "BrowserContext", email: SequenceEmail) -> None:
    page = open_editor(context, email)
    page.locator(".ProseMirror").click()
    page.get_by_role("button", name="HTML").click()
    assert page.locator("textarea.source").input_value() == CONTENT
    page.get_by_role("button", name="HTML").click()
    page.locator("#f-subject").click()
    page.wait_for_timeout(1200)  # longer than it waits before it saves
    assert drafts.of(email).saved_at is None


def test_what_rich_text_would_drop_opens_as_source_and_says_why(
    context: "BrowserContext", email: SequenceEmail, complaints: list[str]
) -> None:
    SequenceEmail.objects.filter(pk=email.pk).update(content='<table><tr><td style="color: red">x</td></tr></table>')
    page = open_editor(context, email)
    page.get_by_text("This is HTML source, because rich text would drop a table.").wait_for()
    page.locator("textarea.source").fill("<p>plain <strong>words</strong></p>")
    page.get_by_role("button", name="HTML").click()
    assert page.locator(".ProseMirror strong").inner_text() == "words"
    is_saved(page)
    assert written(email) == "<p>plain <strong>words</strong></p>"
    assert complaints == []


def test_it_inserts_a_field_with_a_fallback_by_keyboard(context: "BrowserContext", email: SequenceEmail) -> None:
    page = open_editor(context, email)
    type_at_end(page, " In ")
    page.locator(".insert summary").focus()
    page.keyboard.press("Enter")
    page.keyboard.type("cit")
    page.keyboard.press("Enter")
    page.get_by_role("dialog", name="Field").wait_for()
    page.keyboard.type("your town")
    page.keyboard.press("Enter")
    page.locator(".ProseMirror .chip", has_text="city, or “your town”").wait_for()
    page.keyboard.type("!")
    becomes(page, email, CONTENT.replace("it is.", 'it is. In {{ subscriber.city | default: "your town" }}!'))


def test_typed_liquid_becomes_a_chip_and_a_check_leads_to_it(context: "BrowserContext", email: SequenceEmail) -> None:
    page = open_editor(context, email)
    type_at_end(page, " {{ subscriber.city }}")
    assert page.locator(".ProseMirror .chip").last.inner_text() == "city"
    check = page.locator("#checks li", has_text="city is empty for 1 of 1 person inside, and has no fallback.")
    check.wait_for()
    page.frame_locator("#preview iframe").get_by_text("(empty)").wait_for()
    page.locator("#f-subject").focus()
    check.get_by_role("link", name="Go there").click()
    assert page.locator(".ProseMirror .ProseMirror-selectednode").inner_text() == "city"


def test_a_link_and_bold_by_keyboard(context: "BrowserContext", email: SequenceEmail) -> None:
    page = open_editor(context, email)
    type_at_end(page, " ")
    page.keyboard.press("Control+b")
    page.keyboard.type("bold")
    page.keyboard.press("Control+b")
    page.keyboard.type(" ")
    page.keyboard.press("Control+k")
    page.keyboard.type("example.com/course")
    page.keyboard.press("Enter")
    is_saved(page)
    link = '<a href="https://example.com/course">https://example.com/course</a>'
    page.wait_for_function("document.body.dataset && !document.querySelector('dialog[open]')")
    assert page.locator("textarea.source").input_value().endswith(f"here it is. <strong>bold</strong> {link}</p>")


def test_a_picture_is_asked_for_its_words(context: "BrowserContext", email: SequenceEmail) -> None:
    page = open_editor(context, email)
    type_at_end(page, " ")
    page.get_by_role("button", name="Image").click()
    dialog = page.get_by_role("dialog", name="Image")
    dialog.get_by_label("From this device").set_input_files(
        {"name": "cat.png", "mimeType": "image/png", "buffer": a_picture()}
    )
    dialog.get_by_role("button", name="Put it in").click()
    dialog.get_by_text("Say in words what it shows, or that it is only decoration.").wait_for()
    dialog.get_by_label("In words, for those who do not see it").fill('A "cat"')
    dialog.get_by_role("button", name="Put it in").click()
    page.locator(".ProseMirror").get_by_role("img", name='A "cat"').wait_for()
    image = Image.objects.get()
    size = f'width="{image.width}" height="{image.height}"'
    html = f'<img src="{store.url(image)}" alt="A &quot;cat&quot;" {size}>'
    becomes(page, email, CONTENT.replace("it is.", f"it is. {html}"))


def test_a_dropped_picture_that_is_none_is_refused_in_words(context: "BrowserContext", email: SequenceEmail) -> None:
    page = open_editor(context, email)
    page.evaluate(
        """() => {
          const data = new DataTransfer()
          data.items.add(new File(["no picture"], "x.png", { type: "image/png" }))
          const paste = new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true })
          document.querySelector(".ProseMirror").dispatchEvent(paste)
        }"""
    )
    dialog = page.get_by_role("dialog", name="Image")
    dialog.get_by_label("In words, for those who do not see it").fill("Nothing")
    dialog.get_by_role("button", name="Put it in").click()
    dialog.locator(".wrong").wait_for()
    page.keyboard.press("Escape")
    assert page.locator("textarea.source").input_value() == CONTENT


def test_two_tabs_lose_nobodys_words(context: "BrowserContext", email: SequenceEmail) -> None:
    one, other = open_editor(context, email), open_editor(context, email)
    type_at_end(one, " Mine.")
    is_saved(one)
    type_at_end(other, " Theirs.")
    panel = other.locator("#overtaken")
    panel.get_by_role("button", name="Keep mine").wait_for()
    assert panel.locator(".diff ins").all_inner_texts() == ["Theirs"]
    assert panel.locator(".diff del").all_inner_texts() == ["Mine"]
    assert "Mine." in written(email)
    other.keyboard.type(" Still typing.")  # what is open stays open
    panel.get_by_role("button", name="Keep mine").click()
    is_saved(other)
    other.wait_for_function("!document.querySelector('#overtaken section')")
    other.locator("#standing").get_by_text("Draft saved").wait_for()
    type_at_end(one, " Again.")
    panel = one.locator("#overtaken")
    panel.get_by_role("button", name="Take theirs").click()
    assert one.locator(".ProseMirror").inner_text().endswith("here it is. Theirs. Still typing.")
    assert written(email).endswith("here it is. Theirs. Still typing.</p>")


def test_what_could_not_be_saved_is_kept_and_sent_later(context: "BrowserContext", email: SequenceEmail) -> None:
    page = open_editor(context, email)
    context.set_offline(True)
    type_at_end(page, " Offline.")
    page.locator("#standing").get_by_text("Not saved").wait_for()
    assert "The server does not answer" in page.locator("#standing").inner_text()
    context.set_offline(False)
    is_saved(page)
    assert "Offline." in written(email)


def test_a_page_that_is_left_saves_what_was_typed(context: "BrowserContext", email: SequenceEmail) -> None:
    page = open_editor(context, email)
    type_at_end(page, " Last words.")
    page.goto("/")
    becomes(page, email, CONTENT.replace("it is.", "it is. Last words."))
    page.goto(path(email))
    page.locator(".ProseMirror", has_text="Last words.").wait_for()
    assert page.locator("#overtaken").inner_text() == ""


def test_it_previews_as_a_person_chosen_by_address(
    context: "BrowserContext", account: Account, email: SequenceEmail, complaints: list[str]
) -> None:
    make_subscriber(account, email_address="odile@example.org", first_name="Odile")
    page = open_editor(context, email)
    page.frame_locator("#preview iframe").get_by_text("Hello Noor,").wait_for()
    page.locator("#preview-as").click()
    page.get_by_label("Whose email address begins with").press_sequentially("odi")
    page.get_by_role("link", name="Odile odile@example.org").click()
    page.frame_locator("#preview iframe").get_by_text("Hello Odile,").wait_for()
    page.get_by_role("link", name="Dark").click()
    page.locator("#preview .frame.dark").wait_for()
    frame = page.locator("#preview iframe").element_handle().content_frame()
    assert frame and frame.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(22, 24, 28)"
    assert frame.evaluate("innerWidth") == 390
    page.get_by_role("link", name="Desktop").click()
    page.locator("#preview .frame.desktop").wait_for()
    frame = page.locator("#preview iframe").element_handle().content_frame()
    assert frame and frame.evaluate("innerWidth") == 640
    page.get_by_role("link", name="Text").click()
    page.locator("#preview pre", has_text="Hello Odile,").wait_for()
    assert complaints == []


def test_it_sends_a_test_of_what_is_written(context: "BrowserContext", email: SequenceEmail) -> None:
    page = open_editor(context, email)
    type_at_end(page, " Tested.")
    page.get_by_text("Send a test…").click()
    page.get_by_role("button", name="Send a test").click()
    page.get_by_text("A test is on its way to alice@example.com.").wait_for()
    notice = Notice.objects.get()
    assert b"Tested." in bytes(notice.message)


def test_a_version_is_restored_into_the_draft(context: "BrowserContext", email: SequenceEmail) -> None:
    page = open_editor(context, email)
    type_at_end(page, " Second.")
    page.get_by_role("button", name="Publish changes").click()
    page.get_by_text("Published. People get this from now on.").wait_for()
    page.get_by_role("link", name="Versions").click()
    page.get_by_role("heading", name="Versions").wait_for()
    assert page.locator(".diff ins").inner_text() == " Second."
    page.frame_locator("iframe >> nth=1").get_by_text("here it is. Second.").wait_for()
    page.get_by_text("Restore…").first.click()
    page.get_by_role("button", name="Restore into the draft").first.click()
    page.get_by_text("Version 1 is in the draft. People get it when you publish.").wait_for()
    assert written(email) == CONTENT


def test_a_phone_writes_and_looks_in_turn(
    context: "BrowserContext", email: SequenceEmail, complaints: list[str]
) -> None:
    page = context.new_page()
    page.set_viewport_size(PHONE)
    page.goto(path(email))
    page.locator("html[data-editor=ready]").wait_for()
    assert not page.locator("#preview").is_visible()
    type_at_end(page, " Phone.")
    page.get_by_role("button", name="Preview").click()
    page.frame_locator("#preview iframe").get_by_text("Phone.").wait_for()
    assert not page.locator(".ProseMirror").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert complaints == []


def test_without_scripts_it_is_a_form(
    chromium: "Browser", context: "BrowserContext", live_server: Any, email: SequenceEmail
) -> None:
    plain = chromium.new_context(
        base_url=live_server.url, java_script_enabled=False, storage_state=context.storage_state(), viewport=WIDE
    )
    page = plain.new_page()
    page.goto(path(email))
    page.get_by_label("Content").fill("<p>By hand.</p>")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Saved. People get it when you publish.").wait_for()
    page.get_by_label("Content").fill("<p>By hand, twice.</p>")
    page.get_by_role("button", name="Publish changes").click()
    page.get_by_text("Published. People get this from now on.").wait_for()
    email.refresh_from_db()
    assert email.content == "<p>By hand, twice.</p>"
    page.get_by_role("link", name="Text").click()
    page.locator("#preview pre", has_text="By hand, twice.").wait_for()
    plain.close()
