"""Publishing, switching and deleting automations on pages: what it does to whom is said first, and done only then."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from dripstone.accounts.models import Account
from dripstone.automations import people, verbs
from dripstone.automations.models import Automation
from dripstone.events import causes
from dripstone.sequences.models import Sequence
from dripstone.subscribers.models import Subscriber, Tag
from tests.automations import making
from tests.automations.making import ask, counts, sequence, stands, tag, wait
from tests.conftest import VirtualClock
from tests.factories import MONDAY_9, make_sequence, make_subscriber, make_tag
from tests.web.reading import hidden_members, text_of

PART = {"HX-Request": "true"}
IN_DIALOG = PART | {"HX-Target": "ask"}


@pytest.fixture(autouse=True)
def at_nine(clock: VirtualClock) -> None:
    """MONDAY_9."""


@pytest.fixture
def reader(account: Account) -> Tag:
    return make_tag(account, name="Reader")


@pytest.fixture
def course(account: Account) -> Sequence:
    return make_sequence(account, {"delay_value": 0}, {"delay_value": 2}, name="Write better emails")


@pytest.fixture
def noor(account: Account) -> Subscriber:
    return make_subscriber(account, first_name="Noor", email_address="noor@example.org")


@pytest.fixture
def one(account: Account, reader: Tag, noor: Subscriber) -> Automation:
    """Noor waits there."""
    made = making.automation(account, wait("pause", "mark"), tag("mark", reader), now=MONDAY_9, name="After the course")
    making.add(made, noor, now=MONDAY_9)
    making.work_off(MONDAY_9)
    assert stands(made, noor) == "pause"
    return made


def token(shown: Any) -> str:
    return str(hidden_members(shown)["seen"][-1])


# --- Publishing ---------------------------------------------------------------------------------------------------


def test_publishing_says_where_each_goes_and_does_it_to_those_alone(
    alice: Client, account: Account, one: Automation, reader: Tag, noor: Subscriber
) -> None:
    path = f"/automations/{one.pk}/publication"
    assert "everything is published already" in text_of(alice.get(path, follow=True))
    making.draft(one, wait("longer", "mark"), tag("mark", reader), now=MONDAY_9)
    shown = alice.get(path)
    said = text_of(shown)
    assert "1 person is inside" in said and "Noor" in said
    assert "Waits on at “Wait 3 days”, which is deleted, as they would have, and then goes on to “Add the tag" in said
    making.add(one, make_subscriber(account, first_name="Bo"), now=MONDAY_9)
    making.work_off(MONDAY_9)
    again = alice.post(path, {"seen": token(shown)})
    assert again.status_code == 409 and "Things have moved since you asked" in text_of(again) and "Bo" in text_of(again)
    assert verbs.published(one).start == "pause"
    done = alice.post(path, {"seen": token(again)}, follow=True)
    assert "Published. It holds for everybody inside" in text_of(done)
    one.refresh_from_db()
    assert one.start == "longer" and one.draft is None and counts(one) == {"pause": 2}


def test_choices_are_shown_with_what_they_do_before_they_are_made(
    alice: Client, one: Automation, reader: Tag, noor: Subscriber
) -> None:
    path = f"/automations/{one.pk}/publication"
    making.draft(one, wait("pause", "mark", minutes=1), tag("mark", reader), now=MONDAY_9)
    shown = alice.get(path)
    assert "Keeps the date that they have" in text_of(shown) and "Give them new dates" in text_of(shown)
    chosen = {"choice:pause:dates": "anew"}
    looked = alice.post(path, {"seen": token(shown), "look": "1", **chosen}, headers=PART | {"HX-Target": "act-on"})
    assert "<html" not in looked.content.decode() and "gets a new date" in text_of(looked).lower()
    assert one.status == "active" and verbs.published(one).nodes["pause"].settings == {"for": {"days": 3}}
    refused = alice.post(path, {"seen": token(shown), **chosen})
    assert refused.status_code == 409, "it was told of something else"
    done = alice.post(path, {"seen": token(refused), **chosen}, follow=True)
    assert "Published" in text_of(done)
    making.work_off(MONDAY_9 + timedelta(minutes=2))
    assert stands(one, noor) is None, "the minute is over"


def test_with_the_choices_as_they_are_offered_it_is_published_at_once(
    alice: Client, one: Automation, reader: Tag, noor: Subscriber
) -> None:
    path = f"/automations/{one.pk}/publication"
    making.draft(one, wait("pause", "mark", days=5), tag("mark", reader), now=MONDAY_9)
    shown = alice.get(path)
    assert "Whoever waits there" in text_of(shown)
    done = alice.post(path, {"seen": token(shown), "choice:pause:dates": "keep"}, follow=True)
    assert "Published." in text_of(done)
    assert stands(one, noor) == "pause"


def test_of_a_changed_limit_it_says_until_which_date_they_wait(
    alice: Client, account: Account, reader: Tag, noor: Subscriber
) -> None:
    made = making.automation(account, ask("ask", reader, within={"days": 1}), now=MONDAY_9)
    making.add(made, noor, now=MONDAY_9)
    making.work_off(MONDAY_9)
    making.draft(made, ask("ask", reader, within={"days": 3}), now=MONDAY_9)
    path = f"/automations/{made.pk}/publication"
    assert "is looked at again at once" in (said := text_of(alice.get(path)).lower())
    assert "and waits on until the date that they have" in said
    looked = alice.post(path, {"look": "1", "choice:ask:dates": "anew"})
    assert "and waits on until a new date, counted from when they came there" in text_of(looked)


def test_where_nobody_stands_nothing_is_to_be_chosen(
    alice: Client, account: Account, one: Automation, reader: Tag, noor: Subscriber
) -> None:
    people.remove(one, noor.pk, MONDAY_9, cause=causes.OWNER)
    making.draft(one, wait("pause", "mark", days=5), tag("mark", reader), now=MONDAY_9)
    assert "Whoever waits there" not in text_of(alice.get(f"/automations/{one.pk}/publication"))


def test_where_nobody_is_inside_a_draft_is_just_published(alice: Client, account: Account, reader: Tag) -> None:
    made = making.automation(account, wait("pause"), status="inactive", now=MONDAY_9)
    making.draft(made, tag("mark", reader), now=MONDAY_9)
    shown = alice.get(f"/automations/{made.pk}/publication")
    assert "Nobody is inside" in text_of(shown)
    said = text_of(alice.post(f"/automations/{made.pk}/publication", {"seen": token(shown)}, follow=True))
    made.refresh_from_db()
    assert "It does not run yet" in said and verbs.published(made).start == "mark"


# --- Switching ----------------------------------------------------------------------------------------------------


def test_switches_ask_when_somebody_is_inside_and_only_then(alice: Client, account: Account, one: Automation) -> None:
    path = f"/automations/{one.pk}/switching"
    asked = alice.post(path, {"status": "paused"}, headers=IN_DIALOG)
    assert "Pause “After the course”?" in text_of(asked) and "keeps their place" in text_of(asked)
    alice.post(path, {"status": "paused", "seen": token(asked)})
    one.refresh_from_db()
    assert one.status == "paused"
    empty = making.automation(account, wait("pause"), status="inactive", now=MONDAY_9)
    said = text_of(alice.post(f"/automations/{empty.pk}/switching", {"status": "active"}, follow=True))
    assert "It runs." in said
    empty.refresh_from_db()
    assert empty.status == "active"
    assert alice.post(f"/automations/{empty.pk}/switching", {"status": "else"}).status_code == 302


def test_of_the_overdue_somebody_says_what_becomes(
    alice: Client, one: Automation, noor: Subscriber, clock: VirtualClock
) -> None:
    making.switch(one, "inactive", MONDAY_9)
    clock.set(MONDAY_9 + timedelta(days=10))
    path = f"/automations/{one.pk}/switching"
    there = alice.post(path, {"status": "active"}, headers=IN_DIALOG)
    assert there["HX-Redirect"] == f"{path}?status=active"
    shown = alice.get(path, {"status": "active"})
    assert "Those whose wait was over while it did not run" in text_of(shown)
    look = {"status": "active", "overdue": "leave", "older_than": "3"}
    looked = alice.post(path, look | {"look": "1", "seen": token(shown)})
    assert "leaves, since their wait was over too long ago" in text_of(looked).lower()
    said = text_of(alice.post(path, look | {"seen": token(looked)}, follow=True))
    assert "It runs." in said
    one.refresh_from_db()
    assert one.status == "active" and stands(one, noor) is None


def test_who_matches_already_is_counted_before_it_runs(alice: Client, account: Account) -> None:
    bo, al = make_subscriber(account, first_name="Bo"), make_subscriber(account, first_name="Al")
    entry = {"id": "a", "trigger": "tag_added", "tag_id": make_tag(account, bo, al, name="Course").pk}
    made = making.automation(account, wait("pause"), entries=[entry], status="inactive", now=MONDAY_9)
    shown = alice.get(f"/automations/{made.pk}/switching", {"status": "active"})
    assert "is so already for 2 people who are not inside" in text_of(shown)
    assert f'href="/automations/{made.pk}/people/matching"' in shown.content.decode()


# --- Deleting -----------------------------------------------------------------------------------------------------


def test_deleting_says_who_leaves_and_what_becomes_of_their_sequences(
    alice: Client, account: Account, course: Sequence, noor: Subscriber
) -> None:
    made = making.automation(account, sequence("welcome", course.pk), now=MONDAY_9)
    making.add(made, noor, now=MONDAY_9)
    making.work_off(MONDAY_9)
    path = f"/automations/{made.pk}/deletion"
    shown = alice.get(path)
    said = text_of(shown)
    assert "Delete the automation “Course”?" in said and "Leaves the automation" in said
    assert "Stays in the sequence" in said and "They are taken out of them" in said
    asked = alice.post(path, {"seen": token(shown), "sequences": "end"})
    assert asked.status_code == 409 and "Is taken out of the sequence" in text_of(asked)
    done = alice.post(path, {"seen": token(asked), "sequences": "end"}, follow=True)
    assert "The automation “Course” is deleted" in text_of(done)
    assert not Automation.objects.filter(pk=made.pk).exists()


def test_a_viewer_sees_and_changes_nothing(viewer: Client, one: Automation) -> None:
    for path in ("publication", "switching", "deletion", "edit/steps", "edit/entries", "settings"):
        assert viewer.post(f"/automations/{one.pk}/{path}", {"status": "paused"}).status_code == 403
    shown = viewer.get(f"/automations/{one.pk}/edit")
    assert shown.status_code == 200 and "Add a step" not in shown.content.decode()


def test_nobody_elses_is_found(mallory: Client, one: Automation) -> None:
    for path in ("edit", "edit/steps/pause", "edit/steps/pause/moving", "publication", "deletion", "settings"):
        assert mallory.get(f"/automations/{one.pk}/{path}").status_code == 404
    assert mallory.post(f"/automations/{one.pk}/switching", {"status": "paused"}).status_code == 404
