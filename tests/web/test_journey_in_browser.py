"""The whole way of somebody new: from the link that the server prints to the first mail in the inbox. And with people
inside: what a question says an act will do is what it then does."""

from collections.abc import Callable, Iterator
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings
from django.test import Client

from dripstone import words
from dripstone.accounts import verbs
from dripstone.accounts.models import Account
from dripstone.engine import process, virtual
from dripstone.engine.models import Delivery, Enrollment
from dripstone.sequences.models import Sequence
from tests.conftest import VirtualClock
from tests.driving import Engine
from tests.factories import make_enrollment, make_sequence, make_subscriber

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.django_db(transaction=True)

WIDE, PHONE = 1440, 390
PASSWORD = "correct horse battery"


class Mouse:
    """Or a finger."""

    def __init__(self, page: "Page") -> None:
        self.page = page

    def press(self, what: "Locator") -> None:
        what.click()

    def write(self, where: "Locator", text: str) -> None:
        where.fill(text)


class Keyboard(Mouse):
    """Nothing but keys: what Tab does not reach is not there."""

    def press(self, what: "Locator") -> None:
        self.reach(what)
        self.page.keyboard.press("Enter")

    def write(self, where: "Locator", text: str) -> None:
        self.reach(where)
        self.page.keyboard.press("Control+A")
        self.page.keyboard.type(text)

    def reach(self, what: "Locator") -> None:
        what.wait_for()
        for _ in range(80):
            if (key := what.evaluate(TOWARDS)) is None:
                return
            self.page.keyboard.press(key)
        raise AssertionError(f"Tab does not lead to {what}")


TOWARDS = """element => element === document.activeElement ? null :
    document.activeElement.compareDocumentPosition(element) & Node.DOCUMENT_POSITION_PRECEDING ? "Shift+Tab" : "Tab" """


@pytest.fixture
def deliver(clock: VirtualClock, settings: Any) -> Iterator[Callable[[], object]]:
    """Sends what is due into the inbox."""
    process.close()
    settings.DRIPSTONE_MAIL_URL = "inbox://"
    yield lambda: virtual.advance_to(clock.now(), 0)
    process.close()


def begin_with_a_starter(page: "Page", hand: Mouse) -> str:
    hand.press(page.get_by_role("link", name="A short course"))
    hand.write(page.get_by_label("Name", exact=True), "Better emails")
    hand.press(page.get_by_role("button", name="Make the sequence"))
    page.get_by_text("5 drafts to rewrite").wait_for()
    return "Welcome: here is how it works"


def begin_with_nothing(page: "Page", hand: Mouse) -> str:
    hand.press(page.get_by_role("link", name="Nothing yet"))
    hand.write(page.get_by_label("Name", exact=True), "Better emails")
    hand.press(page.get_by_role("button", name="Make the sequence"))
    for number in range(1, 6):
        button = "Write the first email" if number == 1 else "New email"
        hand.press(page.get_by_role("button", name=button, exact=True))
        page.wait_for_url("**/emails/*")
        write_an_email(page, hand, f"Letter {number}", f"This is number {number}.")
        hand.press(page.locator(".crumb").get_by_role("link", name="Better emails"))
        page.get_by_role("heading", name="Better emails").wait_for()
    assert page.locator(".step .subject").all_inner_texts() == [f"Letter {number}" for number in range(1, 6)]
    return "Letter 1"


def write_an_email(page: "Page", hand: Mouse, subject: str, text: str) -> None:
    has_scripts = not page.get_by_role("button", name="Save", exact=True).is_visible()
    if has_scripts:
        page.locator("html[data-editor=ready]").wait_for()
    hand.write(page.get_by_label("Subject"), subject)
    hand.write(page.locator(".ProseMirror" if has_scripts else "textarea.source"), text)
    if not has_scripts:
        hand.press(page.get_by_role("button", name="Save", exact=True))
        return
    if (side := page.get_by_role("button", name="Preview", exact=True)).is_visible():
        hand.press(side)
    page.frame_locator("#preview iframe").get_by_text(text).wait_for()  # it was saved by itself


@pytest.mark.parametrize(
    ("width", "scripted", "way", "begin"),
    [
        pytest.param(WIDE, True, Mouse, begin_with_a_starter, id="mouse, from a starter"),
        pytest.param(PHONE, True, Mouse, begin_with_nothing, id="phone, from nothing"),
        pytest.param(WIDE, True, Keyboard, begin_with_nothing, id="keyboard, from nothing"),
        pytest.param(WIDE, False, Mouse, begin_with_a_starter, id="without JavaScript, from a starter"),
    ],
)
def test_somebody_new_publishes_a_course_and_reads_its_first_mail(
    opened: Any, deliver: Callable[[], object], width: int, scripted: bool, way: type[Mouse], begin: Any
) -> None:
    page = opened(width, scripted=scripted, timezone_id="Europe/Berlin")
    hand = way(page)
    page.goto(verbs.first_link().removeprefix(settings.DRIPSTONE_URL))
    hand.write(page.get_by_label("Name of the account"), "Plain Letter")
    hand.write(page.get_by_label("Your email address"), "ann@example.com")
    hand.write(page.get_by_label("Password"), PASSWORD)
    hand.press(page.get_by_role("button", name="Make the account"))
    page.get_by_role("heading", name="Your first course").wait_for()
    hand.write(page.get_by_label("Name and address"), "1 Long Lane, Springfield")
    hand.press(page.get_by_role("button", name="Save the address"))
    page.get_by_text("1 Long Lane, Springfield", exact=False).first.wait_for()

    first = begin(page, hand)
    hand.press(page.get_by_role("link", name="Add somebody").first)
    hand.write(page.get_by_label("Email address"), "bob@example.org")
    hand.write(page.get_by_label("First name"), "Bob")
    hand.press(page.get_by_role("button", name="Add them"))
    page.get_by_text("Bob is in. Nothing is published yet").wait_for()

    hand.press(page.get_by_role("button", name="Publish all 5 emails"))
    page.get_by_text("Publish 5 drafts?").wait_for()
    foretold = page.locator(".effects li").inner_text().split()
    assert foretold == f"1 gets “{first}” right away Bob".split()
    hand.press(page.get_by_role("button", name="Publish, mail 1 now"))
    page.get_by_text("5 drafts are published").first.wait_for()

    deliver()
    assert list(Delivery.objects.values_list("status", flat=True)) == ["sent"]
    page.goto("/")
    hand.press(page.get_by_role("link", name="Inbox").filter(visible=True))
    hand.press(page.locator("a[data-message]").filter(has_text=first))
    page.get_by_role("heading", name=first).wait_for()
    page.frame_locator("iframe.letter").get_by_text("1 Long Lane, Springfield").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


@pytest.fixture
def course(account: Account, engine: Engine) -> Sequence:
    """Bob has had Apple and Birch and waits for Cedar until Thursday; Mia had Apple and waits for Birch, tomorrow."""
    letters = [(0, "Apple"), (1, "Birch"), (2, "Cedar"), (1, "Damson")]
    parts = [{"subject": subject, "delay_value": days} for days, subject in letters]
    course = make_sequence(account, *parts, name="Trees", time_zone="UTC")
    make_enrollment(course, make_subscriber(account, first_name="Bob"), engine.clock.now())
    engine.run_until(engine.clock.now() + timedelta(days=1, hours=3))
    make_enrollment(course, make_subscriber(account, first_name="Mia"), engine.clock.now())
    engine.run()
    return course


def places(course: Sequence, clock: VirtualClock) -> dict[str, str]:
    """By name, where everybody is, in the words of a question: “Cedar”, Thu 26 Nov, 09:00."""
    rows = course.enrollments.select_related("subscriber")
    return {str(row.subscriber.first_name): place(row, clock) for row in rows}


def place(row: Enrollment, clock: VirtualClock) -> str:
    now = clock.now()
    if got := Delivery.objects.filter(enrollment=row, sent_at=now).select_related("email").last():
        return f"{words.title(got.email.subject)}, right away" if got.email else ""
    if row.status == "completed":
        return "Completed"
    subject = words.title(row.next_email.subject) if row.next_email else "Nothing yet"
    if row.due_at is None:
        return subject
    at = row.due_at.astimezone(UTC)
    return f"{subject}, {words.short_day(at.date(), now.date())}, {at:%H:%M}"


class Foreteller:
    """Alice at the page of the course. Whoever is not named by a question must stay where they are."""

    def __init__(self, page: "Page", course: Sequence, engine: Engine) -> None:
        self.page, self.course, self.engine = page, course, engine
        self.dialog = page.get_by_role("dialog")

    def step(self, subject: str) -> "Locator":
        return self.page.locator(".step", has_text=subject)

    def choose(self, subject: str, act: str) -> None:
        self.step(subject).locator(".email").hover()
        self.step(subject).locator(".menu summary").click()
        self.step(subject).get_by_role("button", name=act).filter(visible=True).click()

    def answer(self, button: str) -> dict[str, str]:
        """Says yes. Returns what the question said of each person, which is what has happened."""
        before = places(self.course, self.engine.clock)
        self.dialog.locator(".one-by-one summary").click()
        found = self.dialog.locator(".one-by-one li").all()
        foretold = {one.locator("b").first.inner_text(): one.locator("b").last.inner_text() for one in found}
        self.dialog.get_by_role("button", name=button).click()
        self.dialog.wait_for(state="hidden")
        self.engine.run()
        assert places(self.course, self.engine.clock) == before | foretold
        return foretold

    def look_again(self, **later: float) -> None:
        self.engine.run_until(self.engine.clock.now() + timedelta(**later))
        self.page.goto(f"/sequences/{self.course.pk}")


def test_what_is_foretold_is_what_happens(opened: Any, alice: Client, course: Sequence, engine: Engine) -> None:
    page = opened(who=alice)
    teller = Foreteller(page, course, engine)
    teller.look_again(minutes=1)
    assert places(course, engine.clock) == {"Bob": "“Cedar”, Thu 26 Nov, 09:00", "Mia": "“Birch”, Tomorrow, 09:00"}

    # Renamed: nobody is asked, nobody moves.
    teller.step("Cedar").locator(".subject").click()
    page.locator("html[data-editor=ready]").wait_for()
    page.get_by_label("Subject").fill("Cedrus")
    page.locator("#standing").get_by_text("Changed since published").wait_for()
    page.get_by_role("button", name="Publish changes").click()
    page.get_by_text("Published. People get this from now on.").wait_for()
    engine.run()
    assert places(course, engine.clock) == {"Bob": "“Cedrus”, Thu 26 Nov, 09:00", "Mia": "“Birch”, Tomorrow, 09:00"}

    # Reordered: Cedrus before Birch.
    teller.look_again(minutes=1)
    teller.step("Cedrus").locator(".email").hover()
    teller.step("Cedrus").get_by_role("button", name="Move up").filter(visible=True).click()
    assert teller.answer("Move") == {"Bob": "“Cedrus”, Tomorrow, 09:00", "Mia": "“Cedrus”, Thu 26 Nov, 09:00"}

    # Inserted behind Apple, which both have had.
    teller.look_again(minutes=1)
    page.get_by_role("button", name="Add an email before email 2").click()
    page.wait_for_url("**/emails/*")
    write_an_email(page, Mouse(page), "Elder", "Between two.")
    teller.look_again(minutes=1)
    teller.choose("Elder", "Publish…")
    assert teller.answer("Publish, mail 1 now") == {"Bob": "“Elder”, right away", "Mia": "“Elder”, Tomorrow, 09:00"}

    # Unpublished: Bob, who waits for it, has no date any more.
    teller.look_again(minutes=1)
    teller.choose("Cedrus", "Unpublish…")
    assert teller.answer("Unpublish") == {"Bob": "“Cedrus”"}

    # On hold: no date for Mia either. Five days later, around noon, it is released: she has missed her hour.
    teller.look_again(minutes=1)
    teller.choose("Elder", "Put on hold…")
    assert teller.answer("Put on hold") == {"Mia": "“Elder”"}
    teller.look_again(days=5)
    teller.choose("Elder", "Release…")
    assert teller.answer("Release") == {"Mia": "“Elder”, Tomorrow, 09:00"}

    # Published again, for Bob, who has waited long enough.
    teller.look_again(minutes=1)
    teller.choose("Cedrus", "Publish…")
    assert teller.answer("Publish, mail 1 now") == {"Bob": "“Cedrus”, right away"}

    teller.look_again(days=14)
    assert places(course, engine.clock) == {"Bob": "Completed", "Mia": "Completed"}
    assert subjects(course, engine) == {
        "Bob": ["Apple", "Birch", "Elder", "Cedrus", "Damson"],
        "Mia": ["Apple", "Elder", "Cedrus", "Birch", "Damson"],
    }


def subjects(course: Sequence, engine: Engine) -> dict[str, list[str]]:
    """What everybody got, in order."""
    rows = course.enrollments.select_related("subscriber")
    return {str(row.subscriber.first_name): [subject for subject, _ in engine.sent(row.subscriber)] for row in rows}
