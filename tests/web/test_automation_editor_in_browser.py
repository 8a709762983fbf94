""" "After the course" built from its sketch by keyboard, then changed while people are inside."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from django.test import Client

from dripstone.accounts.models import Account
from dripstone.automations import verbs
from dripstone.automations.models import Automation
from dripstone.purchases.models import Product
from tests.automations import making
from tests.automations.making import stands, tag, wait
from tests.conftest import VirtualClock
from tests.factories import MONDAY_9, make_sequence, make_subscriber, make_tag

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("scripted", [True, False])
def test_an_automation_is_built_from_its_sketch_by_keyboard(
    opened: "Callable[..., Page]", account: Account, alice: Client, scripted: bool, clock: VirtualClock
) -> None:
    course, reader = make_tag(account, name="Course"), make_tag(account, name="Reader")
    make_sequence(account, {"delay_value": 0}, name="Write better emails")
    make_sequence(account, {"delay_value": 0}, name="Last chance")
    book = Product.objects.create(account=account, pid="book", name="The book", created_at=MONDAY_9)
    one = verbs.create(account, {"name": "After the course"}, MONDAY_9)
    page = opened(1440 if scripted else 390, who=alice, scripted=scripted)
    page.goto(f"/automations/{one.pk}/edit")

    page.get_by_role("link", name="Change who enters").press("Enter")
    page.get_by_label("What happens").select_option("tag_added")
    page.get_by_role("button", name="Add", exact=True).press("Enter")
    page.get_by_label("Tag", exact=True).select_option(label="Course")
    page.get_by_role("button", name="Save", exact=True).press("Enter")
    page.get_by_text("When somebody gets the tag “Course”").first.wait_for()

    def add(where: str, search: str, kind: str, **values: str) -> None:
        """From the plus at a place, found by typing; each value by the label of its control."""
        n_steps = page.locator(".is-step").count()
        page.get_by_role("link", name=re.compile(f"^Add a step {where}")).first.press("Enter")
        field = page.get_by_role("searchbox", name="Search the kinds of steps")
        field.wait_for()
        if scripted:
            page.wait_for_function("document.activeElement.id === 'step-q'")
            page.keyboard.type(search)
            page.keyboard.press("Enter")  # the first that was found
        else:
            page.get_by_role("link", name=kind, exact=True).press("Enter")
        page.get_by_role("heading", name=kind).wait_for()
        for label, value in values.items():
            put(page.get_by_label(label.replace("_", " "), exact=True), value)
        page.get_by_role("button", name="Add", exact=True).press("Enter")
        page.locator(".is-step").nth(n_steps).wait_for()

    add("at the beginning", "sequence", "Put them into a sequence", Sequence="Write better emails")
    page.get_by_text("wait until they have completed it").first.wait_for()

    page.get_by_role("link", name="Add a step after step 1").press("Enter")
    page.get_by_role("link", name="Yes or no, by a condition").press("Enter")
    page.get_by_label("At most", exact=True).fill("2")
    page.get_by_role("button", name="who …").press("Enter")
    page.get_by_role("button", name="bought something").wait_for()
    assert ("at=" in page.url) is not scripted, "with scripts it opens in its place"
    page.get_by_role("button", name="bought something").press("Enter")
    page.get_by_label("The book").check()
    page.get_by_role("button", name="Add", exact=True).first.press("Enter")
    page.get_by_role("button", name="bought “The book”").wait_for()  # the sentence says it, on a page of its own
    page.locator("#step-form").get_by_role("button", name="Add", exact=True).press("Enter")
    page.locator(".is-step").nth(1).wait_for()

    add("under step 2, .*, Not within 2 days", "some time", "Wait for some time", How_long="3")
    add("after step 3", "weekday", "Wait for a weekday and hour", Monday="on", Tuesday="on", At="11:00")
    add("after step 4", "sequence", "Put them into a sequence", Sequence="Last chance")
    add("under step 2, .*, Yes", "add tag", "Add a tag", Tag="Reader")
    add("after step 2", "goal buys", "Somebody buys a product", Product="The book")

    one.refresh_from_db()
    assert one.draft is not None
    nodes = {node["id"]: node for node in one.draft["nodes"]}
    assert [entry["tag_id"] for entry in one.draft["entries"]] == [course.pk] and one.draft["start"] == "sequence"
    assert nodes["sequence"]["next"] == "condition" and nodes["condition"]["within"] == {"days": 2}
    assert (nodes["condition"]["yes"], nodes["condition"]["no"]) == ("tag", "wait")
    assert nodes["wait"]["for"] == {"days": 3} and nodes["wait"]["next"] == "wait-2"
    assert nodes["wait-2"]["until"] == {"weekdays": ["monday", "tuesday"], "hour": 11}
    assert (nodes["wait-2"]["next"], nodes["sequence-2"]["next"], nodes["tag"]["next"]) == (
        "sequence-2",
        "event",
        "event",
    )
    assert nodes["tag"]["tag_id"] == reader.pk
    assert nodes["event"]["product_id"] == book.pk and nodes["event"]["next"] is None

    page.get_by_role("link", name="Publish changes…").press("Enter")
    page.get_by_text("Nobody is inside").wait_for()
    page.get_by_role("button", name="Publish", exact=True).press("Enter")
    page.get_by_text("Published. It does not run yet").wait_for()
    page.get_by_role("button", name="Switch on").press("Enter")
    page.get_by_text("It runs.").wait_for()


def put(control: "Locator", value: str) -> None:
    kind = control.evaluate("one => one.type")
    if kind == "select-one":
        control.select_option(label=value)
    elif kind == "checkbox":
        control.check()
    else:
        control.fill(value)


def test_with_people_inside_a_change_is_foretold_and_published(
    opened: "Callable[..., Page]", account: Account, alice: Client, clock: VirtualClock
) -> None:
    reader, noor = make_tag(account, name="Reader"), make_subscriber(account, first_name="Noor")
    one: Automation = making.automation(account, wait("pause", "mark"), tag("mark", reader), now=MONDAY_9)
    making.add(one, noor, now=MONDAY_9)
    making.work_off(MONDAY_9)
    page = opened(390, who=alice)
    page.goto(f"/automations/{one.pk}/edit")
    page.get_by_text("1 person").first.wait_for()
    page.get_by_role("link", name="Edit step 1").press("Enter")
    page.get_by_label("How long", exact=True).fill("5")
    page.get_by_label("How long", exact=True).press("Enter")
    page.get_by_text("Unpublished changes").wait_for()
    page.wait_for_function("document.activeElement.id === 'step-pause'")
    page.get_by_role("link", name="Publish changes…").press("Enter")
    page.wait_for_url("**/publication")  # and until its scripts have begun
    page.get_by_text("Keeps the date that they have").wait_for()
    page.get_by_label("Whoever waits there").select_option("anew")
    page.get_by_text("Gets a new date").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it fits a phone"
    page.get_by_role("button", name="Publish", exact=True).press("Enter")
    page.get_by_text("Published. It holds for everybody inside").wait_for()
    assert stands(one, noor) == "pause"
    one.refresh_from_db()
    assert one.draft is None
