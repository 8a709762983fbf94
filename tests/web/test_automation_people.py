"""Acts by hand on people in automations: each says first what it does, and is done in the world it was told about."""

import pytest
from django.test import Client

from dripstone.accounts.models import Account
from dripstone.automations import people
from dripstone.automations.models import Automation, Step, Walk
from dripstone.bulk.models import BulkAction
from dripstone.engine.models import Enrollment
from dripstone.events import causes
from dripstone.subscribers import tags
from dripstone.subscribers.models import Subscriber, Tag
from tests.conftest import VirtualClock
from tests.factories import MONDAY_9, make_subscriber
from tests.web.reading import hidden_members, text_of
from tests.web.walks import make_automation, switch_on


@pytest.fixture(autouse=True)
def at_nine(clock: VirtualClock) -> None:
    """MONDAY_9."""


@pytest.fixture
def automation(account: Account) -> Automation:
    made = make_automation(account)
    switch_on(made)
    return made


@pytest.fixture
def noor(account: Account) -> Subscriber:
    return make_subscriber(account, first_name="Noor", email_address="noor@example.org")


@pytest.fixture
def inside(automation: Automation, noor: Subscriber) -> Walk:
    people.add(automation, [noor.pk], MONDAY_9, cause=causes.OWNER)
    return Walk.objects.get()


def path(automation: Automation, rest: str = "") -> str:
    return f"/automations/{automation.pk}/people{rest}"


def where(automation: Automation, person: Subscriber) -> str | None:
    walk = people.walk_of(automation, person.pk)
    return None if walk is None else walk.node


# --- Putting in ---------------------------------------------------------------------------------------------------


def test_putting_in_says_first_what_it_does(alice: Client, automation: Automation, noor: Subscriber) -> None:
    typed = {"email_address": "noor@example.org"}
    asked = alice.post(path(automation, "/new"), typed)
    said = text_of(asked)
    assert "Put Noor into “After the course”?" in said
    assert "Put them into the sequence “Write better emails”" in said and "waits here" in said
    assert "“Write better emails” begins for them; “Email 0” goes now" in said
    assert not Walk.objects.exists() and not Step.objects.exists() and not Enrollment.objects.exists()
    done = alice.post(path(automation, "/new"), hidden_members(asked))
    assert done["Location"] == path(automation, f"/{noor.pk}")
    assert where(automation, noor) == "welcome"
    assert Enrollment.objects.get().status == "active"


def test_whom_it_does_not_let_in_is_said_why(alice: Client, automation: Automation, inside: Walk) -> None:
    answer = alice.post(path(automation, "/new"), {"email_address": "noor@example.org"}, follow=True)
    assert "They do not enter, because they were inside already." in text_of(answer)
    assert Step.objects.filter(what="not_entered").count() == 0


def test_an_address_that_nobody_has_is_refused_beside_its_field(alice: Client, automation: Automation) -> None:
    answer = alice.post(path(automation, "/new"), {"email_address": "who@example.org"})
    assert answer.status_code == 422
    assert "Nobody on the list has this address" in text_of(answer)
    assert 'value="who@example.org"' in answer.content.decode()
    assert "Their address is missing" in text_of(alice.post(path(automation, "/new"), {}))


def test_a_second_time_only_if_told_so(alice: Client, automation: Automation, noor: Subscriber, inside: Walk) -> None:
    Automation.objects.update(reenter="never")
    people.remove(automation, noor.pk, MONDAY_9, cause=causes.OWNER)
    typed = {"email_address": "noor@example.org"}
    refused = text_of(alice.post(path(automation, "/new"), typed, follow=True))
    assert "They do not enter, because they have been through it before" in refused
    asked = alice.post(path(automation, "/new"), typed | {"again": "on"})
    alice.post(path(automation, "/new"), hidden_members(asked))
    assert where(automation, noor) == "welcome"


# --- Those who match already ----------------------------------------------------------------------------------------


def test_whoever_matches_already_is_counted_and_put_in(
    alice: Client, account: Account, automation: Automation, noor: Subscriber
) -> None:
    matching = path(automation, "/matching")
    assert "Nobody is like that now" in text_of(alice.get(matching))
    tags.add(Tag.objects.get(name="course 0"), noor, MONDAY_9, cause=causes.quietly(causes.OWNER))
    asked = alice.get(matching)
    assert "1 person . They walk on at once" in text_of(asked).replace("person.", "person .")
    assert not Walk.objects.exists()
    begun = alice.post(matching, hidden_members(asked))
    assert begun["Location"] == f"/bulk_actions/{BulkAction.objects.get().pk}"


def test_while_it_is_off_nobody_who_matches_is_put_in(
    alice: Client, account: Account, automation: Automation, noor: Subscriber
) -> None:
    Automation.objects.update(status="inactive")
    tags.add(Tag.objects.get(name="course 0"), noor, MONDAY_9, cause=causes.OWNER)
    assert "Switch it on first: 1 person would be put in then." in text_of(alice.get(path(automation, "/matching")))


def test_who_has_been_through_it_is_put_in_only_if_told_so(alice: Client, automation: Automation) -> None:
    Automation.objects.update(reenter="never")
    tags.add(
        Tag.objects.get(name="course 0"),
        make_subscriber(automation.account),
        MONDAY_9,
        cause=causes.quietly(causes.OWNER),
    )
    matching = path(automation, "/matching")
    assert "Let them in, too" in text_of(alice.get(matching))
    asked = alice.get(matching, {"again": "on"})
    assert "Leave them out" in text_of(asked)
    alice.post(matching, hidden_members(asked))
    assert BulkAction.objects.get().actions[0]["again"] is True


# --- Moving -------------------------------------------------------------------------------------------------------


def test_moving_ahead_says_what_ends_and_where_they_come_to(
    alice: Client, automation: Automation, noor: Subscriber, inside: Walk
) -> None:
    moving = path(automation, f"/{noor.pk}/moving")
    asked = alice.post(moving, {"node": "pause"})
    said = text_of(asked)
    assert "Move Noor to “Wait 3 days”?" in said and "What stands in between is passed over" in said
    assert "“Write better emails” ends for them" in said
    assert where(automation, noor) == "welcome", "nothing was done yet"
    done = alice.post(moving, hidden_members(asked), follow=True)
    assert "Noor was moved to “Wait 3 days”." in text_of(done)
    assert where(automation, noor) == "pause"
    assert Enrollment.objects.get().status == "removed"


def test_the_place_in_the_sequence_is_kept_if_told_so(
    alice: Client, automation: Automation, noor: Subscriber, inside: Walk
) -> None:
    moving = path(automation, f"/{noor.pk}/moving")
    asked = alice.post(moving, {"node": "pause", "keep_place": "on"})
    assert "ends for them" not in text_of(asked)
    alice.post(moving, hidden_members(asked))
    assert (where(automation, noor), Enrollment.objects.get().status) == ("pause", "active")


def test_moving_back_begins_another_run(alice: Client, automation: Automation, noor: Subscriber, inside: Walk) -> None:
    people.move(automation, noor.pk, "pause", MONDAY_9, cause=causes.OWNER)
    moving = path(automation, f"/{noor.pk}/moving")
    asked = alice.post(moving, {"node": "welcome"})
    assert "another run begins" in text_of(asked)
    alice.post(moving, hidden_members(asked))
    walk = people.walk_of(automation, noor.pk)
    assert walk is not None and (walk.run, walk.node) == (2, "welcome")


def test_who_moved_on_meanwhile_is_asked_about_again(
    alice: Client, automation: Automation, noor: Subscriber, inside: Walk
) -> None:
    moving = path(automation, f"/{noor.pk}/moving")
    asked = alice.post(moving, {"node": "sold"})
    people.move(automation, noor.pk, "pause", MONDAY_9, cause=causes.OWNER)
    again = alice.post(moving, hidden_members(asked))
    assert "Things have moved since you asked" in text_of(again)
    assert where(automation, noor) == "pause"


def test_no_step_is_refused(alice: Client, automation: Automation, noor: Subscriber, inside: Walk) -> None:
    moving = path(automation, f"/{noor.pk}/moving")
    assert "Choose a step to move them to." in text_of(alice.post(moving, {"node": ""}, follow=True))
    assert "no such node" in text_of(alice.post(moving, {"node": "vanished"}, follow=True))


# --- Taking out ---------------------------------------------------------------------------------------------------


def test_taking_out_asks_and_says_what_ends(
    alice: Client, automation: Automation, noor: Subscriber, inside: Walk
) -> None:
    removal = path(automation, f"/{noor.pk}/removal")
    asked = alice.post(removal)
    assert "Take Noor out of “After the course”?" in text_of(asked)
    assert "“Write better emails” ends for them" in text_of(asked)
    assert where(automation, noor) == "welcome"
    done = alice.post(removal, hidden_members(asked), follow=True)
    assert "Noor is out of “After the course”." in text_of(done)
    assert where(automation, noor) is None
    assert Step.objects.order_by("-pk")[0].reason == "by_hand"


def test_who_is_outside_is_not_taken_out(alice: Client, automation: Automation, noor: Subscriber) -> None:
    answer = alice.post(path(automation, f"/{noor.pk}/removal"), follow=True)
    assert "This person is not inside the automation" in text_of(answer)


def test_what_a_person_passes_is_on_the_picture(
    alice: Client, automation: Automation, noor: Subscriber, inside: Walk
) -> None:
    """As the engine writes it."""
    page = text_of(alice.get(path(automation, f"/{noor.pk}")))
    assert "Noor Inside" in page and "What comes" in page
    assert (
        "1 . Put them into the sequence “Write better emails” , and wait until they have completed it. Here now" in page
    )
    assert "Entered, by hand" in page or "Entered" in page
    people.move(automation, noor.pk, "pause", MONDAY_9, cause=causes.OWNER)
    answer = alice.get(path(automation, f"/{noor.pk}"))
    assert "4 . Wait 3 days. Here now" in text_of(answer)


def test_strangers_are_out_of_reach(mallory: Client, automation: Automation, noor: Subscriber, inside: Walk) -> None:
    for rest in (f"/{noor.pk}/moving", f"/{noor.pk}/removal", "/new"):
        assert mallory.post(path(automation, rest), {"node": "pause"}).status_code == 404
    assert where(automation, noor) == "welcome"


def test_who_is_outside_is_told_why(alice: Client, automation: Automation, noor: Subscriber) -> None:
    said = text_of(alice.get(path(automation, f"/{noor.pk}")))
    assert "Why not inside?" in said and "that has not happened to them." in said
    people.add(automation, [noor.pk], MONDAY_9, cause=causes.OWNER)
    assert "Why not inside?" not in text_of(alice.get(path(automation, f"/{noor.pk}")))
