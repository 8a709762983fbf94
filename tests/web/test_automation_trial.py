"""The page of a test run: what it asks, every step with its time and reason, and nothing that stays."""

from typing import Any

import pytest
from django.test import Client

from dripstone.accounts.models import Account
from dripstone.automations import verbs
from dripstone.automations.models import Automation, Step
from dripstone.subscribers.models import Subscriber, Tag
from tests.conftest import VirtualClock
from tests.factories import MONDAY_9, make_account, make_sequence, make_tag
from tests.web.reading import text_of


@pytest.fixture(autouse=True)
def at_nine(clock: VirtualClock) -> None:
    clock.set(MONDAY_9)


@pytest.fixture
def course(account: Account) -> Tag:
    return make_tag(account, name="Course")


@pytest.fixture
def automation(account: Account, course: Tag) -> Automation:
    sequence = make_sequence(account, {"subject": "Day one", "delay_value": 0}, name="Write better emails")
    customer = make_tag(account, name="Customer")
    nodes: list[dict[str, Any]] = [
        {"id": "course", "kind": "sequence", "sequence_id": sequence.pk, "next": "ask"},
        {"id": "ask", "kind": "condition", "if": {"type": "tags", "ids": [customer.pk]}, "yes": None, "no": "buys"},
        {"id": "buys", "kind": "event", "trigger": "tag_added", "tag_id": customer.pk, "within": {"days": 3},
         "next": None, "otherwise": "tell"},
        {"id": "tell", "kind": "mail_owner", "text": "{{ subscriber.first_name }} did not buy", "next": None},
    ]  # fmt: skip
    entries = [{"id": "a", "trigger": "tag_added", "tag_id": course.pk}]
    given = {"name": "After the course", "entries": entries, "start": "course", "nodes": nodes}
    return verbs.create(account, given, MONDAY_9)


def url(automation: Automation, **asked: str) -> str:
    query = "&".join(f"{name}={value}" for name, value in asked.items())
    return f"/automations/{automation.pk}/trial?{query}"


def test_it_asks_what_the_automation_asks_about(alice: Client, automation: Automation) -> None:
    page = alice.get(url(automation))
    text = text_of(page)
    assert "Nobody has been tried yet" in text
    assert "When somebody gets the tag “Course”" in text
    assert 'name="after-buys"' in page.content.decode()
    assert 'name="way-ask"' in page.content.decode()
    assert {label for _, label in page.context["things"]["tag"]} == {"Course", "Customer"}
    assert not page.context["things"]["product"]


def test_every_step_has_its_time_and_its_reason(alice: Client, automation: Automation) -> None:
    page = alice.get(url(automation, go="1", name="Noor", entry="a", day="2026-11-24", hour="10"))
    assert page.status_code == 200
    text = text_of(page)
    assert "What becomes of Noor" in text
    assert "Noor gets the tag “Course”" in text
    assert "“Day one” of “Write better emails” would be sent" in text
    assert "The owners would be mailed" in text
    assert "“Noor did not buy”" in text
    assert "That is all: nothing waits any more." in text
    [(first, lines), *others] = page.context["days"]
    assert first == "24 November 2026" or first.endswith("24 November 2026")
    assert {at for at, _ in lines} == {"10:00"}
    assert len(others) == 1
    assert not Step.objects.exists()
    assert not Subscriber.objects.exists()


def test_what_happens_and_which_way_they_go_is_said(alice: Client, automation: Automation) -> None:
    asked = {"go": "1", "entry": "a", "day": "2026-11-24", "hour": "10"}
    buying = text_of(alice.get(url(automation, **asked, **{"after-buys": "90", "unit-buys": "minutes"})))
    assert "11:30 Ann gets the tag “Customer”" in buying
    assert "The owners would be mailed" not in buying
    other = text_of(alice.get(url(automation, **asked, **{"way-ask": "yes"})))
    assert "by “yes”" in other
    assert "The owners would be mailed" not in other


def test_all_of_it_stands_in_the_form_again(alice: Client, automation: Automation, course: Tag) -> None:
    page = alice.get(url(automation, go="1", name="Noor", tags=str(course.pk), state="unconfirmed", confirms="2"))
    values = page.context["form"].values
    assert (values["name"], values["tags"], values["state"], values["confirms"]) == (
        "Noor", [str(course.pk)], "unconfirmed", "2",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"), [("day", "tomorrow"), ("hour", "25"), ("after-buys", "soon"), ("after-buys", "-1")]
)
def test_what_is_wrong_stands_beside_its_field(alice: Client, automation: Automation, name: str, value: str) -> None:
    page = alice.get(url(automation, go="1", **{name: value}))
    assert page.status_code == 422
    assert page.context["form"].problem(name)
    assert page.context["told"] is None


def test_the_draft_is_tried_unless_one_asks_for_what_is_published(alice: Client, automation: Automation) -> None:
    draft = {"entries": [], "start": "x", "nodes": [{"id": "x", "kind": "wait", "for": {"hours": 5}, "next": None}]}
    verbs.save_draft(automation, draft, MONDAY_9)
    assert "Wait 5 hours" in text_of(alice.get(url(automation, go="1")))
    published = text_of(alice.get(url(automation, go="1", of="published")))
    assert "Wait 5 hours" not in published
    assert "Day one" in published


def test_a_viewer_may_try_it(viewer: Client, automation: Automation) -> None:
    assert "would be sent" in text_of(viewer.get(url(automation, go="1")))
    assert viewer.post(url(automation)).status_code in (403, 405)


def test_another_accounts_is_not_there(mallory: Client, automation: Automation) -> None:
    assert mallory.get(url(automation, go="1")).status_code == 404


def test_things_of_another_account_are_not_theirs(alice: Client, automation: Automation) -> None:
    foreign = make_tag(make_account("Mallory"), name="Foreign")
    page = alice.get(url(automation, go="1", tags=str(foreign.pk)))
    assert page.status_code == 200
    assert "Foreign" not in text_of(page)


def test_an_empty_automation_can_be_tried(alice: Client, account: Account) -> None:
    empty = verbs.create(account, {"name": "Empty", "entries": [], "start": None, "nodes": []}, MONDAY_9)
    assert "Entered" in text_of(alice.get(url(empty, go="1")))
