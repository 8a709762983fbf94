"""Rules on pages: listed as sentences, written in a form of rows, switched, copied, deleted, applied; and their log."""

import re
from typing import Any

import pytest
from django.test import Client

from dripstone.accounts.models import Account
from dripstone.bulk.models import BulkAction
from dripstone.events import causes
from dripstone.events.models import Event
from dripstone.rules.models import Rule
from dripstone.subscribers import tags
from dripstone.subscribers.models import Subscriber, Tag
from tests.automations.making import automation
from tests.conftest import VirtualClock
from tests.factories import MONDAY_9, make_sequence, make_subscriber, make_tag
from tests.rules.making import has, rule, tag, tag_added, tags_of, untag, work_off
from tests.web.reading import hidden_members

NEW = "/rules/new"


@pytest.fixture(autouse=True)
def at_nine(clock: VirtualClock) -> None:
    """MONDAY_9."""


@pytest.fixture
def course(account: Account) -> Tag:
    return make_tag(account, make_subscriber(account), name="Course")


@pytest.fixture
def reader(account: Account) -> Tag:
    return make_tag(account, name="Reader")


@pytest.fixture
def noor(account: Account) -> Subscriber:
    return make_subscriber(account, first_name="Noor", email_address="noor@example.org")


def text(answer: Any) -> str:
    return " ".join(answer.content.decode().split())


def made(account: Account, course: Tag, reader: Tag, **more: Any) -> Rule:
    return rule(account, tag(reader), when=tag_added(course), now=MONDAY_9, **more)


def typed(course: Tag, reader: Tag, **more: str) -> dict[str, str]:
    """A form with one trigger and one action."""
    rows = {"triggers-0-kind": "tag_added", "triggers-0-tag_id": str(course.pk)}
    return {"name": "Page", **rows, "actions-0-kind": "tag", "actions-0-tag_id": str(reader.pk), **more}


def rows_of(page: str) -> list[str]:
    """The kinds of rows, in their order."""
    return [found[1] for found in re.finditer(r'name="(?:triggers|actions)-\d+-kind" value="(\w+)"', page)]


# --- The list, and a rule -----------------------------------------------------------------------------------------


def test_each_reads_as_a_sentence_with_what_it_did(alice: Client, account: Account, course: Tag, reader: Tag) -> None:
    assert "No rule yet" in text(alice.get("/rules"))
    one = made(account, course, reader)
    loop = rule(account, untag(course), when={"trigger": "link_clicked"}, now=MONDAY_9)
    Rule.objects.filter(pk=loop.pk).update(name="Clicks", is_on=False)
    page = text(alice.get("/rules"))
    assert "When somebody gets the tag “Course”: add the tag “Reader”." in page
    assert "1 to mend" in page and page.count('<span class="pill good">On</span>') == 1
    assert "Clicks" not in text(alice.get("/rules", {"on": "yes"}))
    assert "Clicks" in text(alice.get("/rules", {"q": "cli"}))
    assert "No rule is like that" in text(alice.get("/rules", {"q": "nothing like it"}))
    tags.add(course, make_subscriber(account), MONDAY_9, cause=causes.API)
    work_off(MONDAY_9)
    assert f'<a href="/rules/{one.pk}?show=fired#log">1</a>' in text(alice.get("/rules"))


def test_the_search_of_every_page_finds_it(alice: Client, account: Account, course: Tag, reader: Tag) -> None:
    one = made(account, course, reader)
    Rule.objects.filter(pk=one.pk).update(name="Greet buyers", is_on=False)
    page = text(alice.get("/search", {"q": "buy"}))
    assert f'href="/rules/{one.pk}"' in page and "Off" in page


def test_its_log_says_what_it_did_and_why_not_in_words(
    alice: Client, account: Account, course: Tag, reader: Tag, noor: Subscriber
) -> None:
    one = made(account, course, reader, only_if={"not": has(reader)})
    tags.add(course, noor, MONDAY_9, cause=causes.form(2**30))
    work_off(MONDAY_9)
    tags.remove(course, noor, MONDAY_9, cause=causes.OWNER)
    tags.add(course, noor, MONDAY_9, cause=causes.OWNER)
    work_off(MONDAY_9)
    page = text(alice.get(f"/rules/{one.pk}"))
    assert "<li>add the tag “Reader”</li>" in page
    assert "because they did not meet its condition" in page
    assert "Somebody gets the tag “Course”" in page and "by hand" in page
    fired = text(alice.get(f"/rules/{one.pk}", {"show": "fired"}))
    assert "did not meet" not in fired and "<li>add the tag" in fired
    assert "<li>add the tag" not in text(alice.get(f"/rules/{one.pk}", {"show": "not-fired"}))
    assert "noor@example.org" in text(alice.get(f"/rules/{one.pk}", {"person": " NOOR@example.org"}))
    other = make_subscriber(account, email_address="ada@example.org")
    for address in (other.email_address, "nobody@example.org"):
        empty = text(alice.get(f"/rules/{one.pk}", {"person": address}))
        assert "Noor" not in empty and address in empty
    assert "Nobody on the list has the address nobody@example.org" in empty


def test_it_is_switched_copied_and_deleted(alice: Client, account: Account, course: Tag, reader: Tag) -> None:
    one = made(account, course, reader)
    page = f"/rules/{one.pk}"
    assert "Switch off" in text(alice.get(page))
    assert "is off: it hears of nothing" in text(alice.post(f"{page}/switching", {"active": "false"}, follow=True))
    assert "Switch on" in text(alice.get(page))
    alice.post(f"{page}/switching", {"active": "true"})
    one.refresh_from_db()
    assert one.is_on and one.changed_by == "alice@example.com"
    assert "This is the copy" in text(alice.post(f"{page}/copy", follow=True))
    copy = Rule.objects.exclude(pk=one.pk).get()
    assert not copy.is_on and copy.actions == one.actions
    assert "It has never fired" in text(alice.get(f"{page}/deletion"))
    assert "is deleted. What it did stays done" in text(alice.post(f"{page}/deletion", follow=True))
    assert alice.get(page).status_code == 404


# --- The form -----------------------------------------------------------------------------------------------------


def test_it_is_made_off_and_says_what_it_does(alice: Client, account: Account, course: Tag, reader: Tag) -> None:
    answer = alice.post(NEW, typed(course, reader, do="save"), follow=True)
    one = Rule.objects.get(account=account)
    assert (one.name, one.is_on, one.triggers, one.actions) == ("Page", False, [tag_added(course)], [tag(reader)])
    assert "When somebody gets the tag “Course”: add the tag “Reader”." in text(answer)
    assert "off. Switch it on" in text(answer)


def test_rows_are_added_moved_and_removed_and_nothing_is_saved(alice: Client, course: Tag, reader: Tag) -> None:
    form = typed(course, reader)
    page = text(alice.post(NEW, form | {"do": "add-triggers", "new-triggers": "became_active"}))
    assert rows_of(page) == ["tag_added", "became_active", "tag"]
    page = text(alice.post(NEW, form | {"do": "add-actions", "new-actions": "unsubscribe"}))
    assert rows_of(page) == ["tag_added", "tag", "unsubscribe"] and 'value="Page"' in page
    form |= {"actions-1-kind": "unsubscribe"}
    page = text(alice.post(NEW, form | {"do": "up-actions-1"}))
    assert rows_of(page) == ["tag_added", "unsubscribe", "tag"]
    assert f'<option value="{reader.pk}" selected>Reader</option>' in page
    assert rows_of(text(alice.post(NEW, form | {"do": "down-actions-0"}))) == ["tag_added", "unsubscribe", "tag"]
    assert rows_of(text(alice.post(NEW, form | {"do": "remove-actions-0"}))) == ["tag_added", "unsubscribe"]
    assert rows_of(text(alice.post(NEW, form | {"do": "remove-triggers-0"}))) == ["tag", "unsubscribe"]
    for nonsense in ("remove-actions-99", "up-nothing-0", "dance"):
        assert rows_of(text(alice.post(NEW, form | {"do": nonsense}))) == ["tag_added", "tag", "unsubscribe"]
    assert not Rule.objects.exists()


def test_htmx_gets_the_form_alone(alice: Client, course: Tag, reader: Tag) -> None:
    form = typed(course, reader, do="remove-triggers-0")
    part = alice.post(NEW, form, headers={"HX-Request": "true", "HX-Target": "rule-form"})
    assert "<html" not in text(part) and rows_of(text(part)) == ["tag"]


def test_a_kind_that_was_chosen_and_not_added_counts(alice: Client, account: Account, reader: Tag) -> None:
    form = {"name": "Page", "new-triggers": "became_active", "new-actions": "tag", "do": "save"}
    page = text(alice.post(NEW, form))
    assert rows_of(page) == ["became_active", "tag"] and "Choose a tag" in page
    alice.post(NEW, {"name": "Page", "new-triggers": "became_active", "new-actions": "unsubscribe", "do": "save"})
    assert Rule.objects.get(account=account).triggers == [{"trigger": "became_active"}]


def test_what_is_wrong_stands_beside_its_field(alice: Client, course: Tag, reader: Tag) -> None:
    empty = alice.post(NEW, {"name": "", "do": "save"})
    assert empty.status_code == 422
    for sentence in ("Name can&#x27;t be blank", "Say when it fires", "Say what it does"):
        assert sentence in text(empty)
    form = typed(course, reader) | {"triggers-0-tag_id": "", "actions-1-kind": "unsubscribe", "actions-2-kind": "call"}
    page = text(alice.post(NEW, form | {"actions-2-url": "http://localhost/"}))
    assert '<a href="#f-triggers-0-tag_id">Choose a tag</a>' in page
    assert '<a href="#f-actions-1-kind">' in page and "must be the last action" in page
    assert re.search(r'id="f-actions-2-url-problem">[^<]*must be public', page)
    assert not Rule.objects.exists()


KEPT: list[dict[str, Any]] = [
    {"trigger": "form_joined"},
    {"trigger": "purchased"},
    {"trigger": "field_changed", "custom_field_id": 0},
    {"trigger": "field_changed", "custom_field_id": 0, "value": "Bonn"},
    {"trigger": "field_changed", "custom_field_id": 0, "value": ""},
    {"trigger": "field_date", "custom_field_id": 0, "days": -3, "hour": 8, "yearly": True},
    {"trigger": "field_date", "custom_field_id": 0, "days": 0, "hour": 0, "yearly": False},
    {"trigger": "link_clicked", "url": "https://example.com/a"},
    {"trigger": "cancelled"},
]
DONE: list[dict[str, Any]] = [
    {"kind": "field", "custom_field_id": 0, "value": None},
    {"kind": "field", "custom_field_id": 0, "value": "{{ subscriber.first_name }}"},
    {"kind": "mail_owner", "text": "Somebody\nbought"},
    {"kind": "call", "url": "https://example.com/in"},
    {"kind": "call", "url": "https://example.com/in", "body": {"a": ["{{ subscriber.id }}"]}},
    {"kind": "unsubscribe"},
]


def test_every_kind_comes_back_from_the_form_as_it_was_kept(alice: Client, account: Account) -> None:
    """What a browser sends of the form that it is shown, untouched, changes nothing."""
    field = account.custom_fields.create(label="City", key="city", created_at=MONDAY_9)
    triggers = [one | ({"custom_field_id": field.pk} if "custom_field_id" in one else {}) for one in KEPT]
    actions = [one | ({"custom_field_id": field.pk} if "custom_field_id" in one else {}) for one in DONE]
    moves = [{"kind": "move", "automation_id": automation(account).pk, "way": way} for way in ("in", "out")]
    actions = [*moves, *actions]
    one = rule(account, *actions, when=triggers, now=MONDAY_9)
    page = alice.get(f"/rules/{one.pk}/editing")
    form = page.context["page"].form.values
    sent = {name: "on" if value == "true" else value for name, value in form.items()}
    alice.post(f"/rules/{one.pk}/editing", sent | {"name": "Renamed", "do": "save"})
    after = Rule.objects.get(pk=one.pk)
    assert (after.name, after.triggers) == ("Renamed", one.triggers)
    assert [{**each, "body": None} for each in after.actions] == [{**each, "body": None} for each in one.actions]
    assert "subscriber.id" in str(after.actions[6]["body"])


def test_what_is_gone_is_shown_and_may_stay(alice: Client, account: Account, course: Tag, reader: Tag) -> None:
    one = made(account, course, reader)
    tags.delete(course, MONDAY_9, cause=causes.OWNER)
    page = f"/rules/{one.pk}/editing"
    assert f"number {course.pk}, which is gone" in text(alice.get(page))
    assert alice.post(page, typed(course, reader, name="New name", do="save")).status_code == 302
    assert "It waits for the tag number" in text(alice.get(f"/rules/{one.pk}"))


def test_the_condition_is_a_sentence_with_blanks(alice: Client, account: Account, course: Tag, reader: Tag) -> None:
    answer = alice.post(NEW, typed(course, reader, do="condition"))
    one = Rule.objects.get(account=account)
    page = f"/rules/{one.pk}/condition"
    assert answer["Location"] == page
    assert "Everybody" in text(alice.get(page))
    filter = f'{{"type":"tags","ids":[{reader.pk}]}}'
    changed = alice.get(page, {"filter": filter})
    assert "have the tag “Reader”" in text(changed) and filter in hidden_members(changed)["filter"]
    assert alice.post(page, {"filter": filter})["Location"] == f"/rules/{one.pk}"
    assert "and they have the tag “Reader”: add the tag" in text(alice.get(f"/rules/{one.pk}"))
    assert "They have the tag “Reader”." in text(alice.get(f"/rules/{one.pk}/editing"))
    assert alice.post(page, {"filter": '{"type":"tags","ids":[]}'}).status_code == 422
    alice.post(page, {"filter": ""})
    one.refresh_from_db()
    assert one.condition is None


# --- People already there -----------------------------------------------------------------------------------------


def test_it_is_applied_to_people_already_there_after_it_was_counted(
    alice: Client, account: Account, course: Tag, reader: Tag
) -> None:
    one = made(account, course, reader)
    page = f"/rules/{one.pk}/applying"
    shown = alice.get(page)
    assert "for people who have the tag “Course”" in text(shown)
    assert "Apply it to 1 person" in text(shown) and not BulkAction.objects.exists()
    seen = shown.context["counted"].token
    tags.add(reader, Subscriber.objects.get(account=account), MONDAY_9, cause=causes.API)
    again = alice.post(page, {"seen": seen})
    assert again.status_code == 409 and "Things have moved" in text(again)
    assert not BulkAction.objects.exists()
    seen = again.context["counted"].token
    answer = alice.post(page, {"seen": seen, "is_quiet": "on"})
    begun = BulkAction.objects.get(account=account)
    assert answer["Location"].endswith(f"/{begun.pk}")
    assert (begun.because, begun.fires_rules, begun.asked_by) == ([f"rule {one.pk}"], False, "alice@example.com")


def test_what_leaves_no_trace_is_not_applied(alice: Client, account: Account, course: Tag, reader: Tag) -> None:
    one = rule(account, tag(reader), when={"trigger": "tag_removed", "tag_id": course.pk}, now=MONDAY_9)
    page = alice.get(f"/rules/{one.pk}/applying")
    assert page.status_code == 422 and "leaves a trace" in text(page)
    both = rule(account, tag(reader), when=[tag_added(course), {"trigger": "link_clicked"}], now=MONDAY_9)
    assert "somebody clicks a link: that leaves no trace" in text(alice.get(f"/rules/{both.pk}/applying"))


# --- Elsewhere ----------------------------------------------------------------------------------------------------


def test_pages_of_things_show_the_rules_that_name_them(
    alice: Client, account: Account, course: Tag, reader: Tag
) -> None:
    sequence = make_sequence(account, {}, name="Welcome")
    form = account.forms.create(name="News", created_at=MONDAY_9)
    segment = account.segments.create(name="Readers", filter=has(reader), created_at=MONDAY_9)
    enter = {"kind": "enter_sequence", "sequence_id": sequence.pk}
    condition = {"type": "segments", "ids": [segment.pk]}
    joined = {"trigger": "form_joined", "form_id": form.pk}
    one = rule(account, enter, when=[tag_added(course), joined], only_if=condition, now=MONDAY_9)
    Rule.objects.filter(pk=one.pk).update(name="Greeting")
    for path in (f"/tags/{course.pk}", f"/segments/{segment.pk}", f"/forms/{form.pk}"):
        assert f'href="/rules/{one.pk}">Greeting' in text(alice.get(path)), path
    assert f'href="/rules/{one.pk}">Greeting' in text(alice.get(f"/sequences/{sequence.pk}/settings"))
    assert "through the segment “Readers”" in text(alice.get(f"/tags/{reader.pk}"))
    assert "1 rule" in text(alice.get("/tags")) and "1 rule" in text(alice.get("/segments"))
    said = "The rule “Greeting” names it: what waits for it rests"
    assert said in text(alice.get(f"/tags/{course.pk}/deletion"))
    assert said in text(alice.post(f"/sequences/{sequence.pk}/deletion"))
    asked = alice.get(f"/tags/{course.pk}/deletion")
    Rule.objects.all().delete()
    moved = alice.post(f"/tags/{course.pk}/deletion", {"seen": asked.context["seen"]})
    assert moved.status_code == 409, "it was asked about with the rule"


def test_a_persons_page_has_what_rules_did_to_them(
    alice: Client, account: Account, course: Tag, reader: Tag, noor: Subscriber
) -> None:
    made(account, course, reader)
    tags.add(course, noor, MONDAY_9, cause=causes.API)
    work_off(MONDAY_9)
    page = f"/people/{noor.pk}"
    assert f'hx-get="{page}/rules"' in text(alice.get(page))
    part = alice.get(f"{page}/rules", headers={"HX-Request": "true", "HX-Target": "rules-of-person"})
    assert "Rule</a> fired" in text(part) and "<html" not in text(part)
    assert "<li>add the tag “Reader”</li>" in text(alice.get(f"{page}/rules"))
    assert "No rule has had to do with them" in text(
        alice.get(f"/people/{make_subscriber(account).pk}/rules", headers={"HX-Target": "rules-of-person"})
    )


def test_an_owner_may_act_without_firing_rules(
    alice: Client, account: Account, course: Tag, reader: Tag, noor: Subscriber
) -> None:
    page, box = f"/people/{noor.pk}", 'name="quietly"'
    assert box not in text(alice.get(page))
    made(account, course, reader)
    assert box in text(alice.get(page))
    alice.post(f"{page}/tags", {"name": "Course", "quietly": "on"})
    work_off(MONDAY_9)
    assert tags_of(noor) == {"Course"}
    alice.post(f"{page}/tags/{course.pk}/removal", {"quietly": "on"})
    alice.post(f"{page}/details", {"first_name": "Nora", "email_address": noor.email_address, "quietly": "on"})
    sequence = make_sequence(account, {}, name="Welcome")
    entry = {"sequence_id": str(sequence.pk), "quietly": "on"}
    asked = alice.post(f"{page}/entry", entry)
    assert hidden_members(asked)["quietly"] == ["on"]
    alice.post(f"{page}/entry", hidden_members(asked))
    of_noor = Event.objects.filter(subscriber_id=noor.pk).exclude(cause=["api"])
    assert of_noor.count() >= 3 and all(one.cause == ["owner", "quiet"] for one in of_noor)
    alice.post(f"{page}/tags", {"name": "Course"})
    work_off(MONDAY_9)
    assert tags_of(noor) == {"Course", "Reader"}


def test_a_viewer_sees_all_of_it_and_changes_nothing(
    viewer: Client, account: Account, course: Tag, reader: Tag
) -> None:
    one = made(account, course, reader)
    page = text(viewer.get(f"/rules/{one.pk}"))
    assert "add the tag “Reader”" in page and "Switch off" not in page
    assert "New rule" not in text(viewer.get("/rules"))
    assert viewer.post(f"/rules/{one.pk}/switching", {"active": "false"}).status_code == 403
