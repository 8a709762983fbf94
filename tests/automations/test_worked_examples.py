"""Each rule of docs/reference/automations.md in a few examples, worked out by hand: the model and the engine agree with
one another, after each act, and with what is written here."""

from datetime import timedelta
from typing import Any

import pytest

from dripstone.automations.steps import Sequences
from dripstone.events import causes
from tests.automations import nodes
from tests.automations.nodes import (
    ask,
    completed,
    event,
    has,
    lacks,
    move,
    reached,
    sequence,
    shares,
    sort,
    tag,
    tagged,
    unsubscribe,
    untag,
    untagged,
    until,
    wait,
)  # fmt: skip
from tests.automations.stage import Stage
from tests.conftest import VirtualClock
from tests.driving import Engine

pytestmark = pytest.mark.django_db


@pytest.fixture
def stage(engine: Engine, clock: VirtualClock) -> Stage:
    return Stage(clock)


@pytest.fixture
def berlin(engine: Engine, clock: VirtualClock) -> Stage:
    return Stage(clock, "Europe/Berlin")


# --- A1: inside once ----------------------------------------------------------------------------------------------


def test_an_entry_while_inside_changes_nothing_and_is_logged(stage: Stage) -> None:
    one = stage.automation(wait("w", days=1), on=tagged(stage.tag("in")))
    ann = stage.person()
    stage.put_tag(ann, "in")
    stage.passes(hours=20)
    stage.take_tag(ann, "in")
    stage.put_tag(ann, "in")
    assert stage.log(one, ann)[-1] == ("not_entered", "", "inside_already")
    stage.passes(hours=4)
    assert stage.stands(one, ann) is None, "the wait was not begun again"


def test_whoever_has_left_may_enter_again_unless_told_otherwise(stage: Stage) -> None:
    always, never = (
        stage.automation(tag("t", stage.tag("x")), on=tagged(stage.tag("in")), reenter=how)
        for how in ("always", "never")
    )
    ann = stage.person()
    for _ in range(2):
        stage.put_tag(ann, "in")
        stage.take_tag(ann, "in")
    assert [walk.run for walk in stage.world.one(ann).walks if walk.automation == always] == [1, 2]
    assert stage.log(never, ann)[-1] == ("not_entered", "", "never_again")
    stage.add(never, ann)
    assert stage.log(never, ann)[-1] == ("not_entered", "", "never_again")
    stage.add(never, ann, again=True)
    assert [walk.run for walk in stage.world.one(ann).walks if walk.automation == never] == [1, 2]


def test_a_run_that_never_got_past_the_entry_does_not_count(stage: Stage) -> None:
    one = stage.automation(wait("w", days=1), on=tagged(stage.tag("in")), reenter="never", status="paused")
    ann = stage.person()
    stage.put_tag(ann, "in")
    stage.remove(one, ann)
    stage.activate(one)
    stage.take_tag(ann, "in")
    stage.put_tag(ann, "in")
    assert stage.stands(one, ann) == "w"


# --- A2: unconfirmed people, and those who may not be mailed --------------------------------------------------------


def test_nobody_unconfirmed_walks_and_confirming_lets_them_walk_first(stage: Stage) -> None:
    one = stage.automation(
        tag("t", stage.tag("x"), "e"), event("e", nodes.ACTIVE, "w", already=False), wait("w", days=1),
        on=tagged(stage.tag("in")),
    )  # fmt: skip
    ann = stage.person("inactive")
    stage.put_tag(ann, "in")
    stage.passes(days=2)
    assert stage.stands(one, ann) == "" and not stage.has(ann, "x")
    stage.confirm(ann)
    assert stage.has(ann, "x")
    assert stage.stands(one, ann) == "w", "they walked to the event first, and then it counted"


def test_of_a_confirmation_that_lets_them_walk_nobody_says_that_it_let_nobody_in(stage: Stage) -> None:
    ann = stage.person("inactive")
    one = stage.automation(nodes.wait("w", days=1), on=nodes.ACTIVE)
    stage.add(one, ann)
    stage.confirm(ann)
    assert stage.log(one, ann) == [("entered", "", ""), ("walked", "w", "started")]


def test_waits_of_unconfirmed_people_run_on(stage: Stage) -> None:
    one = stage.automation(
        event("e", tagged(stage.tag("go")), "w"), wait("w", "u", hours=3), wait("u", hours=1),
        on=tagged(stage.tag("in")),
    )  # fmt: skip
    ann = stage.person("inactive")
    stage.put_tag(ann, "in")
    stage.put_tag(ann, "go")
    assert stage.stands(one, ann) == "e", "pulled all the same: the place moves, the walking waits"
    stage.passes(hours=5)
    stage.confirm(ann)
    assert stage.stands(one, ann) == "w"


@pytest.mark.parametrize("state", ["cancelled", "bounced"])
def test_whoever_may_not_be_mailed_leaves_at_once_and_does_not_enter(stage: Stage, state: str) -> None:
    course = stage.course(5)
    one = stage.automation(sequence("s", course, "t"), tag("t", stage.tag("x")), on=tagged(stage.tag("in")))
    ann = stage.person()
    stage.put_tag(ann, "in")
    stage.cancel(ann) if state == "cancelled" else stage.bounce(ann)
    assert stage.log(one, ann)[-1] == ("left", "", f"state_{state}")
    assert not stage.has(ann, "x")
    stage.take_tag(ann, "in")
    stage.put_tag(ann, "in")
    assert stage.log(one, ann)[-1] == ("not_entered", "", "not_mailable")


# --- A3: a step ---------------------------------------------------------------------------------------------------


def test_a_step_goes_through_all_that_passes_at_once(stage: Stage) -> None:
    one = stage.automation(
        tag("a", stage.tag("x"), "b"), ask("b", has(stage.tag("x")), "c"), untag("c", stage.tag("x"), "d"),
        nodes.fill("d", stage.city, "Bonn", "f"), nodes.mail_owner("f", "w"), wait("w", hours=1),
        on=tagged(stage.tag("in")),
    )  # fmt: skip
    ann = stage.person()
    stage.put_tag(ann, "in")
    assert stage.stands(one, ann) == "w"
    (line,) = stage.world.one(ann).steps
    assert [key for key, *_ in line[5]] == ["a", "b", "c", "d", "f", "w"]


def test_a_hundred_nodes_are_enough_for_one_step(stage: Stage) -> None:
    row = [tag(f"t{n}", stage.tag(f"x{n % 3}"), f"t{n + 1}") for n in range(105)]
    one = stage.automation(*row, wait("t105", days=1), on=tagged(stage.tag("in")))
    ann = stage.person()
    stage.put_tag(ann, "in")
    assert stage.stands(one, ann) == "t100"
    stage.passes(seconds=1)
    assert stage.stands(one, ann) == "t105"


def test_a_node_acts_once_in_a_run(stage: Stage) -> None:
    first, second = tag("t", stage.tag("x"), "w"), wait("w", days=1)
    one = stage.automation(first, second, on=tagged(stage.tag("in")))
    ann = stage.person()
    stage.put_tag(ann, "in")
    stage.take_tag(ann, "x")
    stage.publish(one, wait("w", "t", days=1), tag("t", stage.tag("x")), start="w")
    stage.passes(days=1)
    assert not stage.has(ann, "x")
    assert stage.world.one(ann).steps[-1][5] == [("t", "passed", "acted_before")]


def test_moving_somebody_back_by_hand_begins_a_new_run(stage: Stage) -> None:
    one = stage.automation(
        wait("v", "t", days=1), tag("t", stage.tag("x"), "w"), wait("w", days=1), on=tagged(stage.tag("in"))
    )
    ann = stage.person()
    stage.put_tag(ann, "in")
    stage.move(one, ann, "t")
    assert stage.stands(one, ann) == "w" and stage.has(ann, "x")
    stage.take_tag(ann, "x")
    stage.move(one, ann, "t")
    assert stage.has(ann, "x"), "it acts once more"
    assert [walk.run for walk in stage.world.one(ann).walks] == [1, 2]


# --- A4 and A5: a sequence node ---------------------------------------------------------------------------------------


def test_they_are_enrolled_and_wait_until_it_is_completed(stage: Stage) -> None:
    course = stage.course(0, 5)
    one = stage.automation(sequence("s", course, "w"), wait("w", days=1), on=tagged(stage.tag("in")))
    ann = stage.person()
    stage.put_tag(ann, "in")
    stage.passes(hours=4)
    assert (stage.stands(one, ann), stage.mails(ann, course)) == ("s", 1)
    stage.passes(hours=1)
    assert (stage.stands(one, ann), stage.mails(ann, course)) == ("w", 2)


def test_with_wait_false_they_pass_at_once_and_keep_the_place(stage: Stage) -> None:
    course = stage.course(5)
    one = stage.automation(sequence("s", course, "w", wait=False), wait("w", days=1), on=tagged(stage.tag("in")))
    ann = stage.person()
    stage.put_tag(ann, "in")
    assert stage.stands(one, ann) == "w"
    stage.passes(days=2)
    assert stage.mails(ann, course) == 1


def test_where_the_sequence_holds_they_go_on_after_its_last_email_and_stay_in_it(stage: Stage) -> None:
    course = stage.course(2, 2, hold=True)
    one = stage.automation(sequence("s", course, "w", wait="last_email"), wait("w", days=1), on=tagged(stage.tag("in")))
    ann, bob = stage.person(), stage.person()
    stage.enroll(bob, course)
    stage.put_tag(ann, "in")
    stage.passes(hours=5)
    assert stage.stands(one, ann) == "w"
    assert stage.world.one(ann).places[course].status == "active"
    stage.put_tag(bob, "in")
    assert stage.stands(one, bob) == "w", "who had them all passes at once"


def test_who_is_in_it_already_waits_with_it_and_who_completed_it_passes(stage: Stage) -> None:
    course = stage.course(2, 2)
    one = stage.automation(sequence("s", course, "w"), wait("w", days=1), on=tagged(stage.tag("in")))
    ann, bob = stage.person(), stage.person()
    stage.enroll(ann, course)
    stage.enroll(bob, course)
    stage.passes(hours=3)
    stage.put_tag(ann, "in")
    stage.passes(hours=1)
    assert stage.stands(one, ann) == "w" and stage.mails(ann, course) == 2
    stage.put_tag(bob, "in")
    assert stage.stands(one, bob) == "w"


def test_with_repeat_it_restarts_and_whoever_waited_waits_for_the_new_run(stage: Stage) -> None:
    course = stage.course(2, 2, repeat=True)
    first, second = (
        stage.automation(sequence("s", course, "w"), wait("w", days=1), on=tagged(stage.tag(name)))
        for name in ("one", "two")
    )
    ann = stage.person()
    stage.put_tag(ann, "one")
    stage.passes(hours=3)
    stage.put_tag(ann, "two")
    stage.passes(hours=2)
    assert (stage.stands(first, ann), stage.stands(second, ann)) == ("s", "s")
    stage.passes(hours=2)
    assert (stage.stands(first, ann), stage.stands(second, ann)) == ("w", "w")
    assert stage.mails(ann, course) == 3


def test_who_is_taken_out_of_it_goes_on_and_the_log_says_why(stage: Stage) -> None:
    course = stage.course(5)
    one = stage.automation(sequence("s", course, "w"), wait("w", days=1), on=tagged(stage.tag("in")))
    ann = stage.person()
    stage.put_tag(ann, "in")
    stage.take_out(ann, course)
    assert stage.log(one, ann)[-1] == ("walked", "w", "sequence_left")


@pytest.mark.parametrize("is_ours", [True, False])
def test_whoever_is_pulled_out_of_it_loses_the_place_if_this_walk_made_it(stage: Stage, is_ours: bool) -> None:
    course = stage.course(5)
    one = stage.automation(
        sequence("s", course, "e"), event("e", tagged(stage.tag("buyer")), "w"), wait("w", days=1),
        on=tagged(stage.tag("in")),
    )  # fmt: skip
    ann = stage.person()
    if not is_ours:
        stage.enroll(ann, course)
    stage.put_tag(ann, "in")
    stage.put_tag(ann, "buyer")
    assert stage.stands(one, ann) == "w"
    stage.passes(hours=6)
    assert stage.mails(ann, course) == (0 if is_ours else 1)


def test_by_hand_one_may_keep_the_place(stage: Stage) -> None:
    course = stage.course(5)
    one = stage.automation(sequence("s", course, "w"), wait("w", days=1), on=tagged(stage.tag("in")))
    ann, bob = stage.person(), stage.person()
    for person in (ann, bob):
        stage.put_tag(person, "in")
    stage.move(one, ann, "w", keep_place=True)
    stage.move(one, bob, "w")
    stage.passes(hours=6)
    assert (stage.mails(ann, course), stage.mails(bob, course)) == (1, 0)


# --- A6 and A7: events --------------------------------------------------------------------------------------------


def test_an_event_pulls_from_before_it_and_not_from_behind_or_beside(stage: Stage) -> None:
    bought = event("e", tagged(stage.tag("buyer")), "z", already=False)
    one = stage.automation(
        sort("s", (has(stage.tag("left")), "a"), otherwise="b"), wait("a", "e", days=9), wait("b", "y", days=9),
        bought, wait("z", days=9), wait("y", days=9),
        on=tagged(stage.tag("in")),
    )  # fmt: skip
    before, beside, behind = stage.person(), stage.person(), stage.person()
    for person in (before, behind):
        stage.put_tag(person, "left")
    for person in (before, beside, behind):
        stage.put_tag(person, "in")
    stage.move(one, behind, "z")
    for person in (before, beside, behind):
        stage.put_tag(person, "buyer")
    assert [stage.stands(one, person) for person in (before, beside, behind)] == ["z", "b", "z"]
    assert stage.log(one, before)[-1] == ("pulled", "z", "happened")
    assert stage.log(one, behind)[-1] == ("walked", "z", "goes_on"), "since they were moved there"


def test_one_happening_does_one_thing_to_a_person(stage: Stage) -> None:
    """The nearest event only, and who waits for it is not pulled further."""
    bought = tagged(stage.tag("buyer"))
    one = stage.automation(
        event("e", bought, "w", already=False), wait("w", "f", days=1), event("f", bought, "z", already=False),
        wait("z", days=1),
        on=bought,
    )  # fmt: skip
    ann = stage.person()
    stage.put_tag(ann, "buyer")
    assert stage.stands(one, ann) == "e", "it let them in"
    for expected in ("w", "z"):
        stage.take_tag(ann, "buyer")
        stage.put_tag(ann, "buyer")
        assert stage.stands(one, ann) == expected


def test_of_equally_near_events_the_first_listed_counts(stage: Stage) -> None:
    bought = tagged(stage.tag("buyer"))
    one = stage.automation(
        ask("a", has(stage.tag("x")), "e", "f", days=9), event("f", bought, "v"), event("e", bought, "w"),
        wait("w", days=1), wait("v", days=1),
        on=tagged(stage.tag("in")),
    )  # fmt: skip
    ann = stage.person()
    stage.put_tag(ann, "in")
    stage.put_tag(ann, "buyer")
    assert stage.stands(one, ann) == "v"


def test_already_looks_at_what_is_so_on_arrival(stage: Stage) -> None:
    bought = tagged(stage.tag("buyer"))
    sees, blind = (
        stage.automation(event("e", bought, "w", already=already), wait("w", days=1), on=tagged(stage.tag("in")))
        for already in (None, False)
    )
    ann = stage.person()
    stage.put_tag(ann, "buyer")
    stage.put_tag(ann, "in")
    assert (stage.stands(sees, ann), stage.stands(blind, ann)) == ("w", "e")


def test_a_wait_for_an_event_ends_by_otherwise(stage: Stage) -> None:
    one = stage.automation(
        event("e", tagged(stage.tag("buyer")), "w", otherwise="v", hours=5), wait("w", days=1), wait("v", days=1),
        on=tagged(stage.tag("in")),
    )  # fmt: skip
    ann = stage.person()
    stage.put_tag(ann, "in")
    stage.passes(hours=5)
    assert stage.log(one, ann)[-1] == ("walked", "v", "within_over")


def test_a_condition_within_a_time_goes_yes_as_soon_as_it_is_so_and_no_when_the_time_is_over(stage: Stage) -> None:
    one = stage.automation(
        ask("a", has(stage.tag("buyer")), "w", "v", hours=5), wait("w", days=1), wait("v", days=1),
        on=tagged(stage.tag("in")),
    )  # fmt: skip
    ann, bob = stage.person(), stage.person()
    for person in (ann, bob):
        stage.put_tag(person, "in")
    stage.passes(hours=4)
    stage.put_tag(ann, "buyer", quiet=True)
    assert stage.stands(one, ann) == "w"
    stage.passes(hours=1)
    assert stage.stands(one, bob) == "v"


def test_every_event_is_looked_at_and_not_only_those_that_the_condition_names(stage: Stage) -> None:
    """Nobody is any more in a sequence that they completed, by time alone."""
    course = stage.course(3)
    inside = {"type": "sequences", "ids": [course], "place": "inside"}
    one = stage.automation(
        ask("a", {"not": inside}, "w", "v", hours=9), wait("w", days=1), wait("v", days=1), on=tagged(stage.tag("in"))
    )
    ann = stage.person()
    stage.enroll(ann, course)
    stage.put_tag(ann, "in")
    assert stage.stands(one, ann) == "a"
    stage.passes(hours=3)
    assert stage.stands(one, ann) == "w"


# --- Waits ----------------------------------------------------------------------------------------------------------


def test_hours_elapse_and_days_keep_the_wall_clock(berlin: Stage) -> None:
    """On 28 March 2027 the clocks go forward in Berlin."""
    stage = berlin
    hours, days = (
        stage.automation(one, on=tagged(stage.tag("in"))) for one in (wait("w", hours=24), wait("w", days=1))
    )
    stage.until("2027-03-27T11:00:00+00:00")
    ann = stage.person()
    stage.put_tag(ann, "in")
    stage.until("2027-03-28T10:00:00+00:00")
    assert (stage.stands(hours, ann), stage.stands(days, ann)) == ("w", None)
    stage.until("2027-03-28T11:00:00+00:00")
    assert stage.stands(hours, ann) is None


def test_a_skipped_hour_means_the_first_instant_after_the_gap(berlin: Stage) -> None:
    stage = berlin
    one = stage.automation(wait("w", days=1), on=tagged(stage.tag("in")))
    stage.until("2027-03-27T01:20:00+00:00")  # 02:20 in Berlin
    ann = stage.person()
    stage.put_tag(ann, "in")
    stage.until("2027-03-28T00:59:59+00:00")
    assert stage.stands(one, ann) == "w"
    stage.until("2027-03-28T01:00:00+00:00")
    assert stage.stands(one, ann) is None


def test_the_next_weekday_at_an_hour_is_strictly_later(stage: Stage) -> None:
    one = stage.automation(until("w", "v", weekdays=["monday"], hour=9), wait("v", days=9), on=tagged(stage.tag("in")))
    ann = stage.person()
    stage.put_tag(ann, "in")  # on a Monday at 9
    stage.passes(days=6)
    assert stage.stands(one, ann) == "w"
    stage.passes(days=1)
    assert stage.stands(one, ann) == "v"


def test_an_instant_that_is_past_is_passed_at_once(stage: Stage) -> None:
    one = stage.automation(
        until("w", "v", at="2026-11-01T09:00:00+00:00"), until("v", at="2026-12-01T09:00:00+00:00"),
        on=tagged(stage.tag("in")),
    )  # fmt: skip
    ann = stage.person()
    stage.put_tag(ann, "in")
    assert stage.stands(one, ann) == "v"
    stage.passes(days=8)
    assert stage.stands(one, ann) is None


def test_a_date_in_a_field_is_waited_for_and_moves_with_the_field(stage: Stage) -> None:
    one = stage.automation(
        until("w", "v", "o", custom_field_id=stage.day, days=-1, hour=8), wait("v", days=1), wait("o", days=99),
        on=tagged(stage.tag("in")),
    )  # fmt: skip
    ann, bob = stage.person(), stage.person()
    stage.fill(ann, stage.day, "2026-12-24")
    for person in (ann, bob):
        stage.put_tag(person, "in")
    assert (stage.stands(one, ann), stage.stands(one, bob)) == ("w", "o"), "bob has no date"
    stage.fill(ann, stage.day, "2026-11-26")
    stage.until("2026-11-25T08:00:00+00:00")
    assert stage.stands(one, ann) == "v"


def test_a_changed_field_that_has_no_date_any_more_goes_by_otherwise(stage: Stage) -> None:
    one = stage.automation(
        until("w", "v", "o", custom_field_id=stage.day, days=0, hour=8), wait("v", days=1), wait("o", days=99),
        on=tagged(stage.tag("in")),
    )  # fmt: skip
    ann = stage.person()
    stage.fill(ann, stage.day, "2026-12-24")
    stage.put_tag(ann, "in")
    stage.fill(ann, stage.day, "soon")
    assert stage.stands(one, ann) == "o"


# --- Forks and joins ------------------------------------------------------------------------------------------------


def test_a_split_takes_the_first_branch_that_is_met_and_branches_join_again(stage: Stage) -> None:
    one = stage.automation(
        sort("s", (has(stage.tag("a")), "x"), (has(stage.tag("b")), "y"), otherwise="w"),
        tag("x", stage.tag("by x"), "w"), tag("y", stage.tag("by y"), "w"), wait("w", days=1),
        on=tagged(stage.tag("in")),
    )  # fmt: skip
    both, second, neither = stage.person(), stage.person(), stage.person()
    for person, names in ((both, "ab"), (second, "b"), (neither, "")):
        for name in names:
            stage.put_tag(person, name)
        stage.put_tag(person, "in")
    found = [(stage.has(one_, "by x"), stage.has(one_, "by y")) for one_ in (both, second, neither)]
    assert found == [(True, False), (False, True), (False, False)]
    assert [stage.stands(one, person) for person in (both, second, neither)] == ["w", "w", "w"]


def test_a_split_by_shares_is_a_hash_of_automation_person_run_and_node(stage: Stage) -> None:
    one = stage.automation(shares("s", (30, "x"), (70, None)), wait("x", days=1), on=tagged(stage.tag("in")))
    people = [stage.person() for _ in range(12)]
    stage.is_hasty = True
    for person in people:
        stage.put_tag(person, "in")
    stage.passes(seconds=0)
    assert {stage.stands(one, person) for person in people} <= {"x", None}


# --- A9: time -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("minutes", [None, 331, 960])
def test_a_leap_does_what_small_steps_do(stage: Stage, minutes: int | None) -> None:
    """The model goes from instant to instant; the engine leaps, or is moved in steps, some of them too long."""
    course = stage.course(0, 7)
    one = stage.automation(
        sequence("s", course, "w"), wait("w", "a", hours=3), ask("a", lacks(stage.tag("x")), "t", "t", hours=4),
        tag("t", stage.tag("x"), "m"), until("m", weekdays=["tuesday", "thursday"], hour=7),
        on=[tagged(stage.tag("in")), completed(course)],
    )  # fmt: skip
    ann = stage.person()
    stage.put_tag(ann, "in")
    stage.pace = timedelta(minutes=minutes) if minutes else None
    stage.passes(days=4)
    assert stage.stands(one, ann) is None


def test_at_one_instant_come_dates_then_waits_then_emails(stage: Stage) -> None:
    """The wait and the email are due at the same instant: who goes on by the wait is out of the sequence before."""
    course = stage.course(3)
    other = stage.automation(sequence("s", course), on=tagged(stage.tag("in")))
    stage.automation(wait("w", "m", hours=3), move("m", other, "out"), on=tagged(stage.tag("in")))
    ann = stage.person()
    stage.put_tag(ann, "in")
    stage.passes(hours=3)
    assert stage.stands(other, ann) is None
    assert stage.mails(ann, course) == 0


# --- A10 and A11: switching -----------------------------------------------------------------------------------------


def test_nothing_that_happened_while_it_was_inactive_enters_by_itself(stage: Stage) -> None:
    one = stage.automation(wait("w", days=1), on=tagged(stage.tag("in")), status="inactive")
    ann = stage.person()
    stage.put_tag(ann, "in")
    stage.activate(one)
    assert stage.stands(one, ann) is None


def test_while_it_is_paused_people_enter_and_wait_at_the_entry(stage: Stage) -> None:
    one = stage.automation(
        tag("t", stage.tag("x"), "w"), wait("w", days=1), on=tagged(stage.tag("in")), status="paused"
    )
    ann = stage.person()
    stage.put_tag(ann, "in")
    assert stage.stands(one, ann) == "" and not stage.has(ann, "x")
    stage.activate(one)
    assert stage.stands(one, ann) == "w" and stage.has(ann, "x")


def test_the_places_of_those_who_stand_at_a_sequence_are_still_while_it_does_not_run(stage: Stage) -> None:
    course = stage.course(2, 5)
    one = stage.automation(sequence("s", course), on=tagged(stage.tag("in")))
    ann, bob = stage.person(), stage.person()
    stage.enroll(bob, course)
    for person in (ann, bob):
        stage.put_tag(person, "in")
    stage.stop(one, "inactive")
    stage.passes(hours=6)
    assert (stage.mails(ann, course), stage.mails(bob, course)) == (0, 1), "bob was in it by himself"
    stage.activate(one)
    stage.passes(hours=0)
    assert stage.mails(ann, course) == 1


def test_what_fell_due_meanwhile_walks_on_or_leaves_and_weekdays_take_their_next_slot(stage: Stage) -> None:
    plain, weekly = (
        stage.automation(first, wait("v", days=9), on=tagged(stage.tag("in")))
        for first in (wait("w", "v", hours=5), until("w", "v", weekdays=["tuesday"], hour=9))
    )
    ann = stage.person()
    stage.put_tag(ann, "in")
    for one in (plain, weekly):
        stage.stop(one, "paused")
    stage.passes(days=2)
    for one in (plain, weekly):
        stage.activate(one)
    assert (stage.stands(plain, ann), stage.stands(weekly, ann)) == ("v", "w")
    stage.until("2026-12-01T09:00:00+00:00")
    assert stage.stands(weekly, ann) == "v"


def test_who_is_overdue_for_too_long_may_leave(stage: Stage) -> None:
    one = stage.automation(wait("w", "v", hours=5), wait("v", days=9), on=tagged(stage.tag("in")))
    ann, bob = stage.person(), stage.person()
    stage.put_tag(ann, "in")
    stage.passes(hours=4)
    stage.put_tag(bob, "in")
    stage.stop(one, "paused")
    stage.passes(hours=7)
    stage.activate(one, overdue="leave", older_than=timedelta(hours=4))
    assert stage.log(one, ann)[-1] == ("left", "", "overdue")
    assert stage.stands(one, bob) == "v"


def test_who_may_not_walk_is_pulled_all_the_same(stage: Stage) -> None:
    course = stage.course(5)
    one = stage.automation(
        sequence("s", course, "e"), event("e", tagged(stage.tag("buyer")), "w"), wait("w", days=1),
        on=tagged(stage.tag("in")),
    )  # fmt: skip
    ann = stage.person()
    stage.put_tag(ann, "in")
    stage.stop(one, "inactive")
    stage.put_tag(ann, "buyer")
    assert stage.stands(one, ann) == "e"
    assert stage.world.one(ann).places[course].status == "removed"
    stage.activate(one)
    assert stage.stands(one, ann) == "w"


# --- A12 and A13: edits ---------------------------------------------------------------------------------------------


def test_who_stands_at_a_deleted_wait_keeps_the_date_and_goes_on_to_what_is_left_behind_it(stage: Stage) -> None:
    one = stage.automation(
        wait("w", "t", hours=5), tag("t", stage.tag("x"), "v"), wait("v", days=1), on=tagged(stage.tag("in"))
    )
    ann = stage.person()
    stage.put_tag(ann, "in")
    stage.publish(one, wait("v", days=1))
    stage.passes(hours=4)
    assert stage.stands(one, ann) == "w"
    stage.passes(hours=1)
    assert stage.stands(one, ann) == "v"
    assert not stage.has(ann, "x"), "what is deleted on the way does nothing"


@pytest.mark.parametrize(("choice", "n_mails"), [("finish", 1), ("leave", 0)])
def test_who_stands_at_a_deleted_sequence_finishes_it_or_leaves_it(stage: Stage, choice: str, n_mails: int) -> None:
    course = stage.course(5)
    one = stage.automation(sequence("s", course, "w"), wait("w", days=1), on=tagged(stage.tag("in")))
    ann = stage.person()
    stage.put_tag(ann, "in")
    stage.publish(one, wait("w", days=1), choices={"s": {"sequence": choice}})
    assert stage.stands(one, ann) == ("s" if choice == "finish" else "w")
    stage.passes(hours=6)
    assert stage.stands(one, ann) == "w"
    assert stage.mails(ann, course) == n_mails


def test_a_changed_wait_leaves_dates_as_they_are_unless_asked(stage: Stage) -> None:
    kept, anew = (stage.automation(wait("w", days=5), on=tagged(stage.tag("in"))) for _ in range(2))
    ann = stage.person()
    stage.put_tag(ann, "in")
    stage.publish(kept, wait("w", days=1))
    stage.publish(anew, wait("w", days=1), choices={"w": {"dates": "anew"}})
    stage.passes(days=1)
    assert (stage.stands(kept, ann), stage.stands(anew, ann)) == ("w", None)
    stage.passes(days=4)
    assert stage.stands(kept, ann) is None


def test_who_waits_keeps_the_date_when_the_wait_becomes_one_for_a_field_in_which_they_have_none(stage: Stage) -> None:
    dated = until("w", "v", "o", custom_field_id=stage.day, days=0, hour=8)
    one = stage.automation(wait("w", "v", days=5), wait("v", days=99), wait("o", days=99), on=tagged(stage.tag("in")))
    ann, bob = stage.person(), stage.person()
    for person in (ann, bob):
        stage.put_tag(person, "in")
    stage.publish(one, dated, wait("v", days=99), wait("o", days=99))
    stage.fill(bob, stage.day, "soon")
    assert (stage.stands(one, ann), stage.stands(one, bob)) == ("w", "o"), "a changed field moves the date, as always"
    stage.passes(days=5)
    assert stage.stands(one, ann) == "v"


def test_another_condition_is_asked_at_once_and_another_event_counts_from_now(stage: Stage) -> None:
    asks = stage.automation(
        ask("a", has(stage.tag("x")), "w", "v", days=5),
        wait("w", days=1),
        wait("v", days=1),
        on=tagged(stage.tag("in")),
    )
    waits = stage.automation(event("e", tagged(stage.tag("x")), "w"), wait("w", days=1), on=tagged(stage.tag("in")))
    ann = stage.person()
    stage.put_tag(ann, "y")
    stage.put_tag(ann, "in")
    stage.publish(asks, ask("a", has(stage.tag("y")), "w", "v", days=5), wait("w", days=1), wait("v", days=1))
    stage.publish(waits, event("e", tagged(stage.tag("y")), "w"), wait("w", days=1))
    assert (stage.stands(asks, ann), stage.stands(waits, ann)) == ("w", "e")
    stage.take_tag(ann, "y")
    stage.put_tag(ann, "y")
    assert stage.stands(waits, ann) == "w"


def test_who_stands_at_a_sequence_that_is_changed_finishes_the_old_one(stage: Stage) -> None:
    old, new = stage.course(5), stage.course(5)
    one = stage.automation(sequence("s", old, "w"), wait("w", days=1), on=tagged(stage.tag("in")))
    ann, bob = stage.person(), stage.person()
    stage.put_tag(ann, "in")
    stage.publish(one, sequence("s", new, "w"), wait("w", days=1))
    stage.put_tag(bob, "in")
    stage.passes(hours=5)
    assert [stage.mails(ann, course) for course in (old, new)] == [1, 0]
    assert [stage.mails(bob, course) for course in (old, new)] == [0, 1]
    assert stage.stands(one, ann) == stage.stands(one, bob) == "w"


def test_an_event_whose_limit_is_edited_away_keeps_the_date_and_goes_on_by_the_way_that_is_left(stage: Stage) -> None:
    bought = tagged(stage.tag("buyer"))
    rest = wait("w", days=1), wait("v", days=1)
    one = stage.automation(event("e", bought, "w", otherwise="v", hours=5), *rest, on=tagged(stage.tag("in")))
    ann = stage.person()
    stage.put_tag(ann, "in")
    stage.publish(one, event("e", bought, "w"), *rest)
    stage.passes(hours=5)
    assert stage.stands(one, ann) == "w"


def test_what_happened_while_it_was_paused_is_overdue_when_it_runs_again(stage: Stage) -> None:
    one = stage.automation(event("e", tagged(stage.tag("buyer")), "w"), wait("w", days=9), on=tagged(stage.tag("in")))
    ann = stage.person()
    stage.put_tag(ann, "in")
    stage.stop(one, "paused")
    stage.put_tag(ann, "buyer")
    stage.passes(hours=5)
    stage.activate(one, overdue="leave", older_than=timedelta(hours=5))
    assert stage.log(one, ann)[-1] == ("left", "", "overdue")


def test_who_was_put_at_an_event_and_has_not_walked_yet_stands_before_it(stage: Stage) -> None:
    one = stage.automation(
        wait("v", "e", days=1), event("e", tagged(stage.tag("buyer")), "w", already=False), wait("w", days=9),
        on=tagged(stage.tag("in")),
    )  # fmt: skip
    ann = stage.person()
    stage.put_tag(ann, "in")
    stage.stop(one, "inactive")
    stage.move(one, ann, "e")
    stage.put_tag(ann, "buyer")
    stage.activate(one)
    assert stage.stands(one, ann) == "w"


def test_another_start_holds_for_whoever_is_still_at_the_entry(stage: Stage) -> None:
    both = wait("w", days=1), wait("v", days=1)
    one = stage.automation(*both, on=tagged(stage.tag("in")), status="paused")
    ann = stage.person()
    stage.put_tag(ann, "in")
    stage.publish(one, *both, start="v")
    stage.activate(one)
    assert stage.stands(one, ann) == "v"


# --- A14: deletions -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("choice", "n_mails"), [("finish", 1), ("end", 0)])
def test_when_an_automation_is_deleted_its_sequences_end_or_go_on(
    stage: Stage, choice: Sequences, n_mails: int
) -> None:
    course = stage.course(5)
    one = stage.automation(sequence("s", course), on=tagged(stage.tag("in")))
    ann = stage.person()
    stage.put_tag(ann, "in")
    stage.delete(one, choice)
    stage.passes(hours=6)
    assert stage.mails(ann, course) == n_mails


def test_who_waits_for_a_tag_that_is_deleted_goes_on(stage: Stage) -> None:
    one = stage.automation(
        event("e", tagged(stage.tag("buyer")), "t"), tag("t", stage.tag("buyer"), "a"),
        ask("a", lacks(stage.tag("buyer")), "y", "n"), wait("y", days=1), wait("n", days=1),
        on=tagged(stage.tag("in")),
    )  # fmt: skip
    ann = stage.person()
    stage.put_tag(ann, "in")
    stage.delete_tag("buyer")
    assert stage.stands(one, ann) == "n", "the node passes, and the condition is never met, under not as well"


# --- A15 to A17: order, chains, quiet acts ----------------------------------------------------------------------------


def test_each_event_goes_to_the_rules_and_then_to_the_automations(stage: Stage) -> None:
    one = stage.automation(ask("a", has(stage.tag("x")), "y", "n"), wait("y", days=1), wait("n", days=1),
                           on=tagged(stage.tag("in")))  # fmt: skip
    stage.rule(tagged(stage.tag("in")), {"kind": "tag", "tag_id": stage.tag("x")})
    ann = stage.person()
    stage.put_tag(ann, "in")
    assert stage.stands(one, ann) == "y"


def test_what_a_run_does_itself_neither_pulls_nor_readmits(stage: Stage) -> None:
    one = stage.automation(
        tag("t", stage.tag("x"), "w"), wait("w", "e", hours=1), event("e", tagged(stage.tag("x")), already=False),
        on=[tagged(stage.tag("in")), tagged(stage.tag("x"))],
    )  # fmt: skip
    two = stage.automation(untag("u", stage.tag("y"), "t"), tag("t", stage.tag("y")), on=tagged(stage.tag("y")))
    ann = stage.person()
    stage.put_tag(ann, "in")
    assert stage.stands(one, ann) == "w"
    stage.put_tag(ann, "y")
    assert stage.log(two, ann)[-1] == ("not_entered", "", "in_its_own_chain")


def test_one_chain_admits_a_person_to_an_automation_once(stage: Stage) -> None:
    first = stage.automation(untag("u", stage.tag("b"), "t"), tag("t", stage.tag("b")), on=tagged(stage.tag("a")))
    second = stage.automation(untag("u", stage.tag("a"), "t"), tag("t", stage.tag("a")), on=tagged(stage.tag("b")))
    ann = stage.person()
    stage.put_tag(ann, "a")
    assert stage.log(first, ann)[-1] == ("not_entered", "", "in_its_own_chain")
    assert [walk.automation for walk in stage.world.one(ann).walks] == [first, second]


def test_at_depth_ten_an_event_admits_nobody_and_still_moves_who_is_inside(stage: Stage) -> None:
    for n in range(10):
        stage.rule(tagged(stage.tag(f"t{n}")), {"kind": "tag", "tag_id": stage.tag(f"t{n + 1}")})
    last = tagged(stage.tag("t10"))
    waits = stage.automation(event("e", last, "w"), wait("w", days=1), on=tagged(stage.tag("in")))
    enters = stage.automation(wait("w", days=1), on=last)
    ann = stage.person()
    stage.put_tag(ann, "in")
    stage.put_tag(ann, "t0")
    assert stage.stands(waits, ann) == "w"
    assert stage.log(enters, ann) == [("not_entered", "", "too_deep")]


def test_an_automation_takes_a_person_ten_times_a_day_by_anything_but_an_act_of_outside(stage: Stage) -> None:
    """Two sequences that enter each other on completion begin new chains with each email."""
    a, b = stage.course(0, repeat=True), stage.course(0, repeat=True)
    one = stage.automation(sequence("s", b, wait=False), on=completed(a))
    stage.automation(sequence("s", a, wait=False), on=completed(b))
    ann = stage.person()
    stage.enroll(ann, a)
    assert [what for what, _, _ in stage.log(one, ann)].count("entered") == 10
    assert stage.log(one, ann)[-1] == ("not_entered", "", "too_often")


def test_told_not_to_fire_nobody_enters_and_those_inside_are_moved_all_the_same(stage: Stage) -> None:
    bought = tagged(stage.tag("buyer"))
    inside = stage.automation(event("e", bought, "w"), wait("w", days=1), on=tagged(stage.tag("in")))
    outside = stage.automation(wait("w", days=1), on=bought)
    ann = stage.person()
    stage.put_tag(ann, "in")
    stage.put_tag(ann, "buyer", causes.OWNER, quiet=True)
    assert (stage.stands(inside, ann), stage.stands(outside, ann)) == ("w", None)


# --- Moves, ends and dates --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["active", "inactive"])
def test_who_is_moved_into_another_leaves_if_that_lets_them_in(stage: Stage, status: str) -> None:
    other = stage.automation(wait("w", days=1), status=status)
    one = stage.automation(
        move("m", other, "in", "t", and_leave=True), tag("t", stage.tag("x"), "v"), wait("v", days=1),
        on=tagged(stage.tag("in")),
    )  # fmt: skip
    ann = stage.person()
    stage.put_tag(ann, "in")
    if status == "active":
        assert (stage.stands(one, ann), stage.stands(other, ann)) == (None, "w")
    else:
        assert (stage.stands(one, ann), stage.stands(other, ann)) == ("v", None)
        assert stage.log(other, ann) == [("not_entered", "", "not_running")]


def test_who_is_moved_out_of_another_and_leaves_waits_for_no_answer(stage: Stage) -> None:
    other = stage.automation(wait("w", days=1), on=tagged(stage.tag("other")))
    one = stage.automation(move("m", other, "out", "v", and_leave=True), wait("v", days=1), on=tagged(stage.tag("in")))
    ann = stage.person()
    stage.put_tag(ann, "other")
    stage.put_tag(ann, "in")
    assert stage.log(other, ann)[-1] == ("left", "", "by_move")
    assert stage.log(one, ann) == [("entered", "", "moved_on")]


def test_unsubscribing_ends_the_run(stage: Stage) -> None:
    one = stage.automation(unsubscribe("u"), on=tagged(stage.tag("in")))
    ann = stage.person()
    stage.put_tag(ann, "in")
    assert stage.world.one(ann).state == "cancelled"
    assert stage.world.one(ann).walks[0].left_because == "unsubscribed"
    assert stage.stands(one, ann) is None


def test_a_date_in_a_field_lets_in_or_pulls_whoever_is_inside(stage: Stage) -> None:
    one = stage.automation(
        wait("w", "e", days=90), event("e", reached(stage.day, -1, 8), "z", already=False), wait("z", days=90),
        on=[tagged(stage.tag("in")), reached(stage.day, -1, 8)],
    )  # fmt: skip
    ann, bob = stage.person(), stage.person()
    stage.put_tag(ann, "in")
    for person in (ann, bob):
        stage.fill(person, stage.day, "2026-12-24")
    stage.until("2026-12-23T08:00:00+00:00")
    assert (stage.stands(one, ann), stage.stands(one, bob)) == ("z", "w")


def test_a_date_that_lies_in_the_past_when_it_is_set_is_not_reached(stage: Stage) -> None:
    one = stage.automation(wait("w", days=1), on=reached(stage.day, 0, 8))
    ann, bob = stage.person(), stage.person()
    stage.fill(ann, stage.day, "2026-11-23")  # at 9
    stage.fill(bob, stage.day, "2026-11-24")
    stage.passes(days=1)
    assert (stage.stands(one, ann), stage.stands(one, bob)) == (None, "w")


def test_a_yearly_date_comes_every_year_and_a_leap_day_on_the_28th(stage: Stage) -> None:
    one = stage.automation(tag("t", stage.tag("x")), on=reached(stage.day, 0, 8, yearly=True))
    ann = stage.person()
    stage.fill(ann, stage.day, "1992-02-29")
    stage.until("2027-02-28T08:00:00+00:00")
    assert [walk.run for walk in stage.world.one(ann).walks if walk.automation == one] == [1]
    stage.until("2028-02-29T07:59:00+00:00")
    assert len(stage.world.one(ann).walks) == 1
    stage.until("2028-02-29T08:00:00+00:00")
    assert len(stage.world.one(ann).walks) == 2


def test_a_date_pulls_whoever_stands_before_it_and_a_past_one_nobody(stage: Stage) -> None:
    launch = nodes.on_date("2026-12-01T09:00:00+00:00")
    one = stage.automation(
        wait("w", "e", days=90), event("e", launch, "z"), wait("z", days=90), on=tagged(stage.tag("in"))
    )
    before, late = stage.person(), stage.person()
    stage.put_tag(before, "in")
    stage.until("2026-12-01T09:00:00+00:00")
    assert stage.stands(one, before) == "z"
    stage.put_tag(late, "in")
    assert stage.stands(one, late) == "w"
    stage.move(one, late, "e")
    assert stage.stands(one, late) == "z", "it is past already"


def launch_that_tags(stage: Stage) -> dict[str, Any]:
    """A date; another automation puts the tag x on its people when it comes."""
    launch = nodes.on_date("2026-12-01T09:00:00+00:00")
    stage.automation(
        wait("w", "e", days=90), event("e", launch, "t"), tag("t", stage.tag("x"), "z"), wait("z", days=90),
        on=tagged(stage.tag("in")),
    )  # fmt: skip
    return launch


def test_who_moves_on_by_what_a_date_has_caused_elsewhere_is_pulled_by_the_same_date_all_the_same(stage: Stage) -> None:
    launch = launch_that_tags(stage)
    two = stage.automation(
        event("x", tagged(stage.tag("x")), "w"), wait("w", "e", days=90), event("e", launch, "z"), wait("z", days=90),
        on=tagged(stage.tag("in")),
    )  # fmt: skip
    ann = stage.person()
    stage.put_tag(ann, "in")
    stage.until("2026-12-01T09:00:00+00:00")
    assert stage.stands(two, ann) == "z"
    assert stage.log(two, ann)[1:] == [("walked", "w", "happened"), ("pulled", "z", "happened")]


def test_a_date_pulls_whom_the_same_date_has_let_in_elsewhere(stage: Stage) -> None:
    launch = launch_that_tags(stage)
    two = stage.automation(
        wait("w", "e", days=90), event("e", launch, "z"), wait("z", days=90), on=tagged(stage.tag("x"))
    )
    ann = stage.person()
    stage.put_tag(ann, "in")
    stage.until("2026-12-01T09:00:00+00:00")
    assert stage.stands(two, ann) == "z"


def test_losing_a_tag_buying_and_joining_a_form_let_people_in(stage: Stage) -> None:
    product, form = stage.product(), stage.form()
    ways = [untagged(stage.tag("x")), {"trigger": "purchased", "product_id": product}, {"trigger": "form_joined"}]
    found = [stage.automation(wait("w", days=1), on=way) for way in ways]
    ann = stage.person()
    stage.put_tag(ann, "x")
    stage.take_tag(ann, "x")
    stage.buy(ann, product)
    stage.join(ann, form)
    assert [stage.stands(one, ann) for one in found] == ["w", "w", "w"]
