"""Editing an automation on pages: steps added at any place, changed, moved, copied, deleted; all of it in a draft."""

import json
import re
from typing import Any

import pytest
from django.test import Client

from dripstone.accounts.models import Account
from dripstone.automations import verbs
from dripstone.automations.models import Automation, Walk
from dripstone.events import causes
from dripstone.sequences.models import Sequence
from dripstone.subscribers import fields
from dripstone.subscribers.models import Subscriber, Tag
from dripstone.web.pages import automation_editor
from tests.conftest import VirtualClock
from tests.factories import MONDAY_9, make_sequence, make_subscriber, make_tag
from tests.web.reading import hidden_members, text_of

PART = {"HX-Request": "true"}


@pytest.fixture(autouse=True)
def at_nine(clock: VirtualClock) -> None:
    """MONDAY_9."""


@pytest.fixture
def buyer(account: Account) -> Tag:
    return make_tag(account, name="Buyer")


@pytest.fixture
def course(account: Account) -> Sequence:
    return make_sequence(account, name="Write better emails")


@pytest.fixture
def one(account: Account, buyer: Tag) -> Automation:
    """pause, then if: yes → mark, no → bye."""
    nodes = [
        {"id": "pause", "kind": "wait", "for": {"days": 3}, "next": "if"},
        {"id": "if", "kind": "condition", "if": {"type": "tags", "ids": [buyer.pk]}, "yes": "mark", "no": "later"},
        {"id": "mark", "kind": "untag", "tag_id": buyer.pk, "next": None},
        {"id": "later", "kind": "mail_owner", "text": "Not yet", "next": None},
    ]
    entries = [{"id": "a", "trigger": "tag_added", "tag_id": buyer.pk}]
    given = {"name": "After the course", "entries": entries, "start": "pause", "nodes": nodes}
    return verbs.create(account, given, MONDAY_9)


def page(one: Automation) -> str:
    return f"/automations/{one.pk}/edit"


def revision(one: Automation) -> str:
    """As the page has it, which takes longer."""
    one.refresh_from_db()
    return automation_editor.revision(automation_editor.graph_of(one))


def post(client: Client, one: Automation, path: str, **members: Any) -> Any:
    return client.post(f"{page(one)}/{path}", {"revision": revision(one)} | members)


def send(client: Client, one: Automation, path: str, **members: Any) -> Any:
    """And see the page it leads to."""
    answer = post(client, one, path, **members)
    return client.get(answer["Location"]) if answer.status_code == 302 else answer


def as_typed(values: dict[str, Any]) -> dict[str, Any]:
    return {f"step-{name}": value for name, value in values.items()}


def add(client: Client, one: Automation, place: str, step: str, **values: Any) -> Any:
    return send(client, one, "steps", place=place, step=step, **as_typed(values))


def draft(one: Automation) -> dict[str, Any]:
    """By id."""
    one.refresh_from_db()
    assert one.draft is not None
    return {node["id"]: node for node in one.draft["nodes"]}


def standing(one: Automation, person: Subscriber, node: str) -> None:
    Walk.objects.create(
        account_id=one.account_id, automation=one, subscriber_id=person.pk, node=node, entered_at=MONDAY_9,
        arrived_at=MONDAY_9,
    )  # fmt: skip


# --- The page -----------------------------------------------------------------------------------------------------


def test_the_page_has_a_place_on_every_connection(alice: Client, one: Automation) -> None:
    shown = alice.get(page(one))
    assert hidden_members(shown)["revision"] == [revision(one)] * len(hidden_members(shown)["revision"])
    places = re.findall(r'href="/automations/\d+/edit/steps\?place=([^"]+)"', shown.content.decode())
    assert places == [
        "%3Anext", "pause%3Aafter", "if%3Ayes", "mark%3Aafter", "if%3Ano", "later%3Aafter", "if%3Aafter",
    ]  # fmt: skip
    said = text_of(shown)
    assert "All of it is published" in said and "Wait 3 days" in said and "Take the tag “Buyer” away" in said
    assert "Then they leave" in said


def test_what_is_changed_is_a_draft_until_it_is_published_or_discarded(alice: Client, one: Automation) -> None:
    said = text_of(add(alice, one, "pause:after", "wait_for", **{"for": "2", "unit": "hours"}))
    assert "Unpublished changes" in said and "Saved today, 04:00 by" in said and "Added to the draft" in said
    assert draft(one)["pause"]["next"] == "wait" and draft(one)["wait"]["next"] == "if"
    assert draft(one)["wait"]["for"] == {"hours": 2}
    assert not verbs.published(one).nodes.keys() & {"wait"}
    said = text_of(send(alice, one, "discarding"))
    assert "The changes are gone" in said and "All of it is published" in said
    one.refresh_from_db()
    assert one.draft is None


def test_the_menu_has_groups_and_a_search(alice: Client, one: Automation) -> None:
    whole = text_of(alice.get(f"{page(one)}/steps", {"place": "pause:after"}))
    assert "Add a step after step 1, Wait 3 days" in whole
    for label in ("Add a tag", "Wait for a weekday and hour", "Yes or no, by a condition", "Somebody buys a product"):
        assert label in whole
    found = text_of(alice.get(f"{page(one)}/steps", {"place": "pause:after", "q": "random a/b"}))
    assert "Several ways, by chance" in found and "Add a tag" not in found
    assert "There is no such step" in text_of(alice.get(f"{page(one)}/steps", {"place": "if:yes", "q": "nothing"}))
    gone = alice.get(f"{page(one)}/steps", {"place": "gone:after"}, follow=True)
    assert "That place is not there any more" in text_of(gone)


def test_in_its_place_the_menu_is_no_page(alice: Client, one: Automation) -> None:
    part = alice.get(f"{page(one)}/steps", {"place": "pause:after"}, headers=PART)
    assert "<html" not in part.content.decode() and "Add a tag" in text_of(part)
    done = alice.post(
        f"{page(one)}/steps",
        {"revision": revision(one), "place": "pause:after", "step": "unsubscribe"},
        headers=PART,
    )
    assert done.status_code == 422 and "Nothing can follow it" in text_of(done) and "<html" not in done.content.decode()
    done = alice.post(
        f"{page(one)}/steps",
        {"revision": revision(one), "place": "later:after", "step": "unsubscribe"},
        headers=PART,
    )
    assert done["HX-Retarget"] == "#flow" and 'data-open="step-unsubscribe"' in done.content.decode()


# --- Every kind of step -------------------------------------------------------------------------------------------


def test_each_kind_of_step_is_made_by_its_form_and_shown_by_it_again(
    alice: Client, account: Account, one: Automation, buyer: Tag, course: Sequence
) -> None:
    birthday = fields.create(account.pk, {"label": "Birthday"}, MONDAY_9, cause=causes.OWNER)[0]
    other = verbs.create(account, {"name": "Other"}, MONDAY_9)
    tag = {"tag_id": str(buyer.pk)}
    field = {"custom_field_id": str(birthday.pk)}
    forms: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        ("sequence", {"sequence_id": str(course.pk), "wait": ""}, {"sequence_id": course.pk, "wait": "completed"}),
        ("sequence", {"sequence_id": str(course.pk), "wait": "false"}, {"wait": False}),
        ("tag", tag, {"kind": "tag", "tag_id": buyer.pk}),
        ("field", field | {"value": "x"}, {"custom_field_id": birthday.pk, "value": "x"}),
        ("call", {"url": "https://example.org/hook", "body": ""}, {"url": "https://example.org/hook"}),
        ("mail_owner", {"text": "Hello"}, {"text": "Hello"}),
        ("move_in", {"automation_id": str(other.pk), "and_leave": "on"}, {"way": "in", "and_leave": True}),
        ("move_out", {"automation_id": str(other.pk)}, {"way": "out", "automation_id": other.pk}),
        ("wait_for", {"for": "2", "unit": "weeks"}, {"for": {"weeks": 2}}),
        ("wait_weekday", {"weekdays": ["monday", "friday"], "hour": "7"},
         {"until": {"weekdays": ["monday", "friday"], "hour": 7}}),
        ("wait_until", {"at": "2027-01-05T08:00"}, {"kind": "wait"}),
        ("wait_field", field | {"days": "3", "side": "before", "hour": "10", "otherwise": "on"},
         {"until": {"custom_field_id": birthday.pk, "days": -3, "hour": 10}, "otherwise": "if"}),
        ("split_share", {"percent-0": "30", "was-0": "", "percent-1": "70", "was-1": ""},
         {"branches": [{"percent": 30, "next": "if"}, {"percent": 70, "next": "if"}]}),
        ("event_tag_added", tag | {"within": "5", "within_unit": "days", "already": "on"},
         {"trigger": "tag_added", "within": {"days": 5}, "already": True, "otherwise": "if"}),
        ("event_field_changed", field | {"to": "", "value": "", "within": "", "within_unit": "days"}, {"next": "if"}),
        ("event_field_date", field | {"days": "1", "side": "before", "hour": "9", "within": ""}, {"days": -1}),
        ("event_purchased", {"product_id": "", "within": "", "already": "false"}, {"already": False}),
        ("event_date", {"at": "2027-01-05T08:00", "within": "", "already": "on"}, {"already": True}),
    ]  # fmt: skip
    for step, typed, kept in forms:
        before = set(verbs.published(one).nodes)
        answer = post(alice, one, "steps", place="pause:after", step=step, **as_typed(typed))
        assert answer.status_code == 302, (step, text_of(answer)[:600])
        [key] = set(draft(one)) - before
        assert {name: draft(one)[key].get(name) for name in kept} == kept, step
        assert draft(one)[key].get("next", "if") == "if"
        shown = alice.get(f"{page(one)}/steps/{key}")
        again = _typed(shown, typed)
        assert again == {name: value for name, value in typed.items() if name in again}, step
        saved = draft(one)
        answer = post(alice, one, f"steps/{key}", **as_typed(_all(shown)))
        assert answer.status_code == 302, (step, text_of(answer)[:600])
        assert draft(one) == saved, step
        post(alice, one, f"steps/{key}/deletion")


def _typed(shown: Any, typed: dict[str, Any]) -> dict[str, Any]:
    """What the form shows of what was typed and is not empty, but for what the server filled in."""
    now = _all(shown)
    return {
        name: now.get(name)
        for name in typed
        if name != "wait" and not name.startswith("was-") and typed[name] not in ("", "false")
    }


def _all(shown: Any) -> dict[str, Any]:
    form = shown.context["page"].form.values
    values = {name.removeprefix("step-"): value for name, value in form.items()}
    values |= {f"was-{place}": was for place, (_, was) in enumerate(shown.context["page"].step.shares)}
    return {name: "on" if value == "true" else value for name, value in values.items()}


def test_a_condition_is_written_as_a_sentence_and_keeps_its_place_and_limit(
    alice: Client, one: Automation, buyer: Tag
) -> None:
    given = json.dumps({"type": "tags", "ids": [buyer.pk]})
    shown = alice.get(f"{page(one)}/steps", {"place": "later:after", "step": "condition"})
    assert "Everybody" in text_of(shown)
    query = {
        "place": "later:after",
        "step": "condition",
        "step-within": "2",
        "step-within_unit": "days",
        "filter": given,
    }
    shown = alice.get(f"{page(one)}/steps", query)
    members = hidden_members(shown)
    assert members["place"][-1] == "later:after" and given.replace(" ", "") in members["filter"][-1].replace(" ", "")
    assert shown.context["page"].form.values["step-within"] == "2"
    refused = add(alice, one, "later:after", "condition", within="2", within_unit="days")
    assert refused.status_code == 422 and "Say what the condition is" in text_of(refused)
    answer = send(
        alice, one, "steps",
        place="later:after", step="condition", filter=given, **{"step-within": "2", "step-within_unit": "days"},
    )  # fmt: skip
    assert "Added to the draft" in text_of(answer)
    made = draft(one)["condition"]
    assert made["if"] == {"type": "tags", "ids": [buyer.pk]} and made["within"] == {"days": 2}
    assert (made["yes"], made["no"], draft(one)["later"]["next"]) == (None, None, "condition")


def test_a_blank_pressed_without_scripts_keeps_what_was_typed_beside_it(alice: Client, one: Automation) -> None:
    typed = {
        "step": "condition",
        "place": "later:after",
        "step-within": "2",
        "step-within_unit": "hours",
        "at": "top:and",
    }
    opened = send(alice, one, "steps", **typed)
    one.refresh_from_db()
    assert "What about them?" in text_of(opened) and one.draft is None
    values = opened.context["page"].form.values
    assert (values["step-within"], values["step-within_unit"]) == ("2", "hours")
    assert hidden_members(opened)["place"][-1] == "later:after"


def test_ways_by_conditions_are_added_put_in_order_and_removed(alice: Client, one: Automation, buyer: Tag) -> None:
    given = json.dumps({"type": "tags", "ids": [buyer.pk]})
    other = json.dumps({"not": {"type": "tags", "ids": [buyer.pk]}})
    send(alice, one, "steps", place="pause:after", step="split_if", filter=given)
    assert draft(one)["split"]["otherwise"] == "if" and len(draft(one)["split"]["branches"]) == 1
    send(alice, one, "steps/split", branch="new", filter=other)
    assert [branch["next"] for branch in draft(one)["split"]["branches"]] == ["if", "if"]
    assert "not" in draft(one)["split"]["branches"][1]["if"]
    assert "have the tag “Buyer”" in text_of(alice.get(f"{page(one)}/steps/split"))
    send(alice, one, "steps/split", do="up-1")
    assert "not" in draft(one)["split"]["branches"][0]["if"]
    send(alice, one, "steps/split", branch="0", filter=given)
    assert "not" not in draft(one)["split"]["branches"][0]["if"]
    send(alice, one, "steps/split", do="remove-0")
    assert len(draft(one)["split"]["branches"]) == 1
    assert "One way has to stay" in text_of(send(alice, one, "steps/split", do="remove-0"))


def test_ways_by_chance_are_rows_that_come_and_go(alice: Client, one: Automation) -> None:
    rows = {"step-percent-0": "50", "step-was-0": "", "step-percent-1": "50", "step-was-1": ""}
    more = send(alice, one, "steps", place="if:after", step="split_share", do="add-share", **rows)
    assert "Way 3, percent" in text_of(more) and one.draft is None
    fewer = send(alice, one, "steps", place="if:after", step="split_share", do="remove-share-0", **rows)
    assert "Way 2, percent" not in text_of(fewer)
    wrong = send(alice, one, "steps", place="if:after", step="split_share", **rows | {"step-percent-1": "60"})
    assert wrong.status_code == 422 and "add up to 100 percent, not to 110" in text_of(wrong)
    assert 'value="60"' in wrong.content.decode()


def test_what_is_wrong_is_said_beside_its_field_and_what_was_typed_stays(alice: Client, one: Automation) -> None:
    wrong = add(alice, one, "pause:after", "wait_for", **{"for": "soon", "unit": "hours"})
    assert wrong.status_code == 422 and 'value="soon"' in wrong.content.decode()
    assert "How long must be an integer between 1 and" in text_of(wrong)
    assert "Choose a tag" in text_of(add(alice, one, "pause:after", "tag", tag_id=""))
    one.refresh_from_db()
    assert one.draft is None


def test_a_step_becomes_another_kind_in_its_place(alice: Client, one: Automation) -> None:
    assert "Make it another kind" in text_of(alice.get(f"{page(one)}/steps/pause"))
    assert "The next" in text_of(alice.get(f"{page(one)}/steps/pause", {"as": "wait_weekday"}))
    send(alice, one, "steps/pause", **{"as": "wait_weekday", "step-weekdays": ["monday"], "step-hour": "8"})
    assert draft(one)["pause"]["until"] == {"weekdays": ["monday"], "hour": 8} and draft(one)["pause"]["next"] == "if"


# --- Moving, copying, leading, deleting ---------------------------------------------------------------------------


def test_steps_move_are_copied_and_led_elsewhere(alice: Client, one: Automation) -> None:
    assert "At the beginning" in text_of(alice.get(f"{page(one)}/steps/if/moving"))
    assert "2 steps that only it leads to come along" in text_of(alice.get(f"{page(one)}/steps/if/moving"))
    send(alice, one, "steps/if/moving", to=":next")
    assert one.draft is None and (draft(one)["mark"]["next"], draft(one)["later"]["next"]) == ("pause", "pause")
    assert one.draft["start"] == "if"  # type: ignore[index]
    send(alice, one, "steps/pause/copy")
    assert draft(one)["pause"]["next"] == "wait" and draft(one)["wait"]["for"] == {"days": 3}
    where = text_of(alice.get(f"{page(one)}/leading", {"place": "mark:next"}))
    assert "Where does it lead, after step 2, Take away “Buyer”?" in where
    assert "They leave" in where and "step 4, Wait 3 days" in where
    send(alice, one, "leading", place="mark:next", to="wait")
    assert draft(one)["mark"]["next"] == "wait"
    assert "circle" in text_of(send(alice, one, "leading", place="wait:next", to="if"))
    send(alice, one, "leading", place="mark:next", to="")
    assert draft(one)["mark"]["next"] is None


def test_buttons_move_a_step_by_one(alice: Client, one: Automation) -> None:
    [down] = re.findall(
        r'name="to" value="([^"]+)"><button class="plain" id="down-pause"', alice.get(page(one)).content.decode()
    )
    send(alice, one, "steps/pause/moving", to=down)
    assert one.draft is None and draft(one)["mark"]["next"] == "pause" and draft(one)["later"]["next"] == "pause"
    [up] = re.findall(
        r'name="to" value="([^"]+)"><button class="plain" id="up-pause"', alice.get(page(one)).content.decode()
    )
    send(alice, one, "steps/pause/moving", to=up)
    one.refresh_from_db()
    assert one.draft is None, "it says the same as what is published"


def test_a_deletion_says_what_goes_with_it_and_who_stands_there(
    alice: Client, account: Account, one: Automation
) -> None:
    standing(one, make_subscriber(account), "mark")
    asked = text_of(alice.get(f"{page(one)}/steps/if/deletion"))
    assert "Which way stays?" in asked and "Take the tag “Buyer” away" in asked
    assert "which is deleted, and leaves the automation" in asked and "Delete 2 steps" in asked
    assert "Nothing happens to the people there until you publish" in asked
    assert "Mail the owners" in text_of(alice.get(f"{page(one)}/steps/if/deletion", {"way": "yes"}))
    send(alice, one, "steps/if/deletion", way="no")
    assert set(draft(one)) == {"pause", "later"} and draft(one)["pause"]["next"] == "later"


# --- Two at once --------------------------------------------------------------------------------------------------


def test_a_stale_tab_is_refused_and_loses_nothing_that_was_typed(alice: Client, one: Automation) -> None:
    seen = revision(one)
    add(alice, one, "pause:after", "wait_for", **{"for": "2", "unit": "hours"})
    saved = draft(one)
    typed = {"revision": seen, "place": "mark:after", "step": "mail_owner", "step-text": "My long text"}
    stale = alice.post(f"{page(one)}/steps", typed)
    assert stale.status_code == 409 and "Somebody has changed this automation meanwhile" in text_of(stale)
    assert "My long text" in stale.content.decode() and draft(one) == saved
    again = alice.post(f"{page(one)}/steps", typed | {"revision": hidden_members(stale)["revision"][0]}, follow=True)
    assert "Added to the draft" in text_of(again) and draft(one)["mail_owner"]["text"] == "My long text"
    for path, more in (("steps/mark/copy", {}), ("steps/mark/moving", {"to": ":next"}), ("discarding", {})):
        refused = alice.post(f"{page(one)}/{path}", {"revision": seen, **more}, follow=True)
        assert "Nothing was done" in text_of(refused)
    part = alice.post(f"{page(one)}/steps/mark/copy", {"revision": seen}, headers=PART)
    assert part.status_code == 409 and part["HX-Retarget"] == "#flow" and "mail_owner" in part.content.decode()


def test_what_was_typed_into_a_step_that_is_gone_can_be_added_as_a_new_one(alice: Client, one: Automation) -> None:
    shown = alice.get(f"{page(one)}/steps/later")
    send(alice, one, "steps/later/deletion")
    members = {name: values[-1] for name, values in hidden_members(shown).items()}
    stale = alice.post(f"{page(one)}/steps/later", members | {"step-text": "My long text"})
    assert stale.status_code == 409 and "Somebody has deleted this step meanwhile" in text_of(stale)
    assert "My long text" in stale.content.decode() and "Where it comes" in text_of(stale)
    again = {name: values[-1] for name, values in hidden_members(stale).items()}
    done = alice.post(f"{page(one)}/steps", again | {"place": "mark:after", "step-text": "My long text"}, follow=True)
    assert "Added to the draft" in text_of(done)
    assert [node["text"] for node in draft(one).values() if node["kind"] == "mail_owner"] == ["My long text"]


def test_a_place_that_is_gone_is_chosen_anew(alice: Client, one: Automation) -> None:
    answer = add(alice, one, "gone:after", "mail_owner", text="My long text")
    assert answer.status_code == 422 and "My long text" in answer.content.decode()
    assert "Where it comes" in text_of(answer) and "After step 1, Wait 3 days" in text_of(answer)


def test_steps_that_nobody_reaches_are_listed_apart(alice: Client, one: Automation) -> None:
    send(alice, one, "leading", place="pause:next", to="")
    said = text_of(alice.get(page(one)))
    assert "Nobody comes here" in said and "Take the tag “Buyer” away" in said.partition("Nobody comes here")[2]


# --- Entries and settings -----------------------------------------------------------------------------------------


def test_entries_are_rows_and_keep_their_ids(alice: Client, account: Account, one: Automation, buyer: Tag) -> None:
    shown = alice.get(f"{page(one)}/entries")
    assert "unsubscribes" not in text_of(shown)
    rows = {"triggers-0-kind": "tag_added", "triggers-0-tag_id": str(buyer.pk)}
    more = send(alice, one, "entries", do="add-triggers", **{"new-triggers": "became_active"}, **rows)
    assert "Becomes active" in text_of(more)
    wrong = send(alice, one, "entries", **rows, **{"triggers-1-kind": "tag_added", "triggers-1-tag_id": ""})
    assert wrong.status_code == 422 and "Choose a tag" in text_of(wrong)
    send(alice, one, "entries", **rows, **{"triggers-1-kind": "became_active"})
    one.refresh_from_db()
    assert one.draft is not None
    assert [(entry["id"], entry["trigger"]) for entry in one.draft["entries"]] == [
        ("a", "tag_added"),
        ("e1", "became_active"),
    ]
    send(alice, one, "entries", **{"triggers-0-kind": "became_active"})
    one.refresh_from_db()
    assert [entry["id"] for entry in one.draft["entries"]] == ["e1"]


def test_the_name_and_entering_again_hold_at_once(alice: Client, one: Automation) -> None:
    path = f"/automations/{one.pk}/settings"
    assert "once in a life" in text_of(alice.get(path))
    assert alice.post(path, {"name": " ", "reenter": "never"}).status_code == 422
    assert "Saved" in text_of(alice.post(path, {"name": "Course", "reenter": "never"}, follow=True))
    one.refresh_from_db()
    assert (one.name, one.reenter, one.draft) == ("Course", "never", None)
