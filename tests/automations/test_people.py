"""People put into an automation, moved in it and taken out of it by hand; what it foretells; and who is deleted."""

import pytest

from dripstone.accounts.models import Account
from dripstone.automations import people, reasons
from dripstone.automations.models import Automation, Step, Walk
from dripstone.engine.acts import forget
from dripstone.engine.models import Enrollment
from dripstone.errors import Invalid, NotFound
from dripstone.events import causes
from dripstone.foresight import automation_impact
from dripstone.sequences.models import Sequence
from dripstone.subscribers.models import Subscriber
from tests.automations.making import DAY, NOW, add, automation, left, log, sequence, stands, switch, tag, wait, work_off
from tests.factories import make_account, make_enrollment, make_sequence, make_subscriber, make_tag

pytestmark = pytest.mark.django_db

BY_HAND = causes.OWNER


def move(one: Automation, person: Subscriber, key: str, **choice: bool) -> Walk | None:
    return people.move(one, person.pk, key, NOW, cause=BY_HAND, **choice)


@pytest.fixture
def course(alice: Account) -> Sequence:
    return make_sequence(alice, {"subject": "welcome", "delay_value": 0}, {"subject": "second", "delay_value": 2})


def places(person: Subscriber) -> list[str]:
    return list(Enrollment.objects.filter(subscriber=person).values_list("status", flat=True))


# --- Adding -------------------------------------------------------------------------------------------------------


def test_who_is_added_walks_at_once(alice: Account) -> None:
    a, person = make_tag(alice), make_subscriber(alice)
    one = automation(alice, tag("t", a, "w"), wait("w"))
    assert people.add(one, [person.pk], NOW, cause=BY_HAND) == {person.pk: ""}
    assert stands(one, person) == "w" and person.taggings.filter(tag=a).exists()
    assert log(one, person) == [("entered", "w", "")]


def test_it_says_why_somebody_did_not_enter(alice: Account) -> None:
    inside, gone, fresh = make_subscriber(alice), make_subscriber(alice, state="bounced"), make_subscriber(alice)
    theirs = make_subscriber(make_account("Mallory"))
    one = automation(alice, wait("w"))
    add(one, inside)
    told = people.add(one, [inside.pk, gone.pk, fresh.pk, theirs.pk], NOW, cause=BY_HAND)
    assert told == {inside.pk: reasons.INSIDE_ALREADY, gone.pk: reasons.NOT_MAILABLE, fresh.pk: ""}
    switch(one, "inactive")
    other = make_subscriber(alice)
    assert people.add(one, [other.pk], NOW, cause=BY_HAND) == {other.pk: reasons.NOT_RUNNING}


def test_who_may_not_enter_again_may_if_the_owner_says_so(alice: Account) -> None:
    person = make_subscriber(alice)
    one = automation(alice, wait("w"), reenter="never")
    add(one, person)
    people.remove(one, person.pk, NOW, cause=BY_HAND)
    assert people.add(one, [person.pk], NOW, cause=BY_HAND) == {person.pk: reasons.NEVER_AGAIN}
    assert people.add(one, [person.pk], NOW, cause=BY_HAND, again=True) == {person.pk: ""}


# --- Moving -------------------------------------------------------------------------------------------------------


def test_forward_is_the_same_run_and_what_acted_does_not_act_again(alice: Account) -> None:
    a, b, person = make_tag(alice), make_tag(alice), make_subscriber(alice)
    one = automation(alice, tag("t", a, "w"), wait("w", "u"), tag("u", b, "x"), wait("x"))
    add(one, person)
    where = move(one, person, "u")
    assert where is not None and (where.run, where.node) == (1, "x")
    assert person.taggings.filter(tag=b).exists()


def test_back_begins_a_new_run_in_which_everything_acts_again(alice: Account) -> None:
    a, person = make_tag(alice), make_subscriber(alice)
    one = automation(alice, tag("t", a, "w"), wait("w"))
    add(one, person)
    person.taggings.all().delete()
    where = move(one, person, "t")
    assert where is not None and (where.run, where.node) == (2, "w")
    assert person.taggings.filter(tag=a).exists()
    assert left(one, person) == "" and Walk.objects.filter(left_because=reasons.NEW_RUN).count() == 1


def test_moved_past_the_end_they_have_left(alice: Account) -> None:
    a, person = make_tag(alice), make_subscriber(alice)
    one = automation(alice, wait("w", "t"), tag("t", a))
    add(one, person)
    assert move(one, person, "t") is None
    assert left(one, person) == "end"


def test_from_a_sequence_they_lose_the_place_unless_it_is_kept(alice: Account, course: Sequence) -> None:
    first, second, third = (make_subscriber(alice) for _ in range(3))
    make_enrollment(course, third)
    one = automation(alice, sequence("s", course.pk, "w"), wait("w"))
    add(one, first, second, third)
    move(one, first, "w")
    move(one, second, "w", keep_place=True)
    move(one, third, "w")  # they were in it before
    assert [places(person) for person in (first, second, third)] == [["removed"], ["active"], ["active"]]


def test_while_it_does_not_run_they_stand_there_and_walk_later(alice: Account, course: Sequence) -> None:
    a, person = make_tag(alice), make_subscriber(alice)
    one = automation(alice, sequence("s", course.pk, "t"), tag("t", a, "w"), wait("w"))
    add(one, person)
    switch(one, "paused")
    move(one, person, "t")
    assert stands(one, person) == "t" and places(person) == ["removed"]
    work_off()
    assert stands(one, person) == "t" and not person.taggings.exists()
    switch(one, "active")
    work_off()
    assert stands(one, person) == "w" and person.taggings.exists()


def test_a_place_that_is_kept_while_it_does_not_run_is_not_still_for_ever(alice: Account, course: Sequence) -> None:
    moved, removed = make_subscriber(alice), make_subscriber(alice)
    one = automation(alice, sequence("s", course.pk, "w"), wait("w"))
    add(one, moved, removed)
    switch(one, "paused")
    move(one, moved, "w", keep_place=True)
    people.remove(one, removed.pk, NOW, cause=BY_HAND, keep_place=True)
    assert not Enrollment.objects.filter(paused_at__isnull=False).exists()


def test_to_no_node_and_from_outside_it_is_refused(alice: Account) -> None:
    one, person = automation(alice, wait("w")), make_subscriber(alice)
    with pytest.raises(Invalid, match="not inside"):
        move(one, person, "w")
    add(one, person)
    with pytest.raises(Invalid, match="no such node"):
        move(one, person, "x")


# --- Removing -----------------------------------------------------------------------------------------------------


def test_out_of_it_they_lose_the_place_unless_it_is_kept(alice: Account, course: Sequence) -> None:
    first, second = make_subscriber(alice), make_subscriber(alice)
    one = automation(alice, sequence("s", course.pk))
    add(one, first, second)
    people.remove(one, first.pk, NOW, cause=BY_HAND)
    people.remove(one, second.pk, NOW, cause=BY_HAND, keep_place=True)
    assert (stands(one, first), left(one, first), places(first)) == (None, "by_hand", ["removed"])
    assert (stands(one, second), places(second)) == (None, ["active"])
    with pytest.raises(Invalid):
        people.remove(one, first.pk, NOW, cause=BY_HAND)


def test_mallory_reaches_nobody(alice: Account) -> None:
    mallory = make_account("Mallory")
    one, theirs = automation(alice, wait("w")), make_subscriber(mallory)
    with pytest.raises(NotFound):
        move(one, theirs, "w")
    with pytest.raises(NotFound):
        people.remove(one, theirs.pk, NOW, cause=BY_HAND)
    assert people.add(one, [theirs.pk], NOW, cause=BY_HAND) == {}
    gone = Automation(pk=one.pk + 1, account=alice)
    with pytest.raises(NotFound):
        people.add(gone, [theirs.pk], NOW, cause=BY_HAND)


# --- Before it is done ------------------------------------------------------------------------------------------------


def test_a_move_is_foretold_by_what_does_it_and_changes_nothing(alice: Account, course: Sequence) -> None:
    a, person = make_tag(alice), make_subscriber(alice)
    one = automation(alice, sequence("s", course.pk, "t"), tag("t", a, "w"), wait("w"))
    add(one, person)
    told = automation_impact.of_move(one, person.pk, "t", NOW, cause=BY_HAND)
    assert told.before is not None and told.after is not None
    assert (told.before.node, told.after.node, told.left, told.entered) == ("s", "w", [course.pk], [])
    assert [step.what for step in told.steps] == ["moved", "walked"]
    assert (stands(one, person), places(person), Step.objects.count()) == ("s", ["active"], 1)
    assert not person.taggings.exists()
    out = automation_impact.of_leaving(one, person.pk, NOW, cause=BY_HAND, keep_place=True)
    assert (out.after, out.left) == (None, []) and stands(one, person) == "s"
    again = automation_impact.of_move(one, person.pk, "s", NOW + DAY, cause=BY_HAND)
    assert again.entered == [course.pk] and again.after is not None and again.after.run == 2


def test_so_is_adding(alice: Account) -> None:
    one, inside, other = automation(alice, wait("w")), make_subscriber(alice), make_subscriber(alice)
    add(one, inside)
    told = automation_impact.of_adding(one, [inside.pk, other.pk], NOW, cause=BY_HAND)
    assert told.reasons == {inside.pk: reasons.INSIDE_ALREADY, other.pk: ""}
    assert {step.subscriber_id: step.node for step in told.steps if step.what == "entered"} == {other.pk: "w"}
    assert stands(one, other) is None


# --- A person is deleted ----------------------------------------------------------------------------------------------


def test_their_runs_and_log_go_and_counts_stay(alice: Account) -> None:
    one, person, other = automation(alice, wait("w")), make_subscriber(alice), make_subscriber(alice)
    add(one, person, other)
    people.remove(one, person.pk, NOW, cause=BY_HAND)
    add(one, person)
    forget.forget(alice, person.pk, "owner", NOW)
    assert not Walk.objects.filter(subscriber_id=person.pk).exists()
    assert not Step.objects.filter(subscriber_id=person.pk).exists()
    one.refresh_from_db()
    assert (one.n_entered, one.n_left) == (3, 2)
    assert stands(one, other) == "w"
    forget.forget_all(alice, [other.pk], NOW, cause=BY_HAND)
    one.refresh_from_db()
    assert (one.n_entered, one.n_left) == (3, 3)
