"""Switching an automation on, pausing it, switching it off (A10, A11)."""

from datetime import timedelta
from typing import Any

import pytest

from dripstone.accounts.models import Account
from dripstone.automations import switching
from dripstone.automations.models import Automation
from dripstone.engine.models import Enrollment
from dripstone.errors import NotFound, Unseen
from dripstone.events import causes
from dripstone.foresight import automation_impact
from dripstone.subscribers import tags
from dripstone.subscribers.models import Subscriber
from tests.automations.making import (
    DAY,
    NOW,
    add,
    ask,
    automation,
    counts,
    due,
    left,
    log,
    sequence,
    stands,
    switch,
    tag,
    tagged,
    wait,
    work_off,
)
from tests.driving import Engine
from tests.factories import make_account, make_enrollment, make_sequence, make_subscriber, make_tag

pytestmark = pytest.mark.django_db

LATER = NOW + 5 * DAY  # a Saturday
WELCOME = {"subject": "welcome", "delay_value": 0}
SECOND = {"subject": "second", "delay_value": 1, "delay_unit": "hours"}


def told(one: Automation, status: str, now: Any = NOW, **choices: Any) -> automation_impact.AutomationImpact:
    one.refresh_from_db()
    return automation_impact.of_switch(one, status, now, **choices)


# --- What each status means -----------------------------------------------------------------------------------------


def test_a_new_one_is_inactive_and_hears_nothing_of_what_happened_before_it_is_switched_on(alice: Account) -> None:
    a, early, late = make_tag(alice), make_subscriber(alice), make_subscriber(alice)
    entries = [{"trigger": "tag_added", "tag_id": a.pk}]
    one = automation(alice, wait("w"), entries=entries, status="inactive")
    assert one.status == "inactive"
    tags.add(a, early, NOW, cause=causes.OWNER)
    switch(one, "active")
    tags.add(a, late, NOW, cause=causes.OWNER)
    work_off()
    assert (stands(one, early), stands(one, late)) == (None, "w")


def test_while_it_is_paused_people_enter_and_wait_at_the_entry(alice: Account) -> None:
    a, person = make_tag(alice), make_subscriber(alice)
    entries = [{"trigger": "tag_added", "tag_id": a.pk}]
    one = automation(alice, wait("w"), entries=entries, status="paused")
    tags.add(a, person, NOW, cause=causes.OWNER)
    work_off()
    assert stands(one, person) == ""
    impact = told(one, "active")
    assert (impact.n_inside, impact.going.n, impact.going.stops) == (1, 1, {"w": 1})
    switch(one, "active")
    work_off()
    assert stands(one, person) == "w"


def test_what_happened_while_it_was_paused_lets_in_when_it_is_read(alice: Account) -> None:
    a, person = make_tag(alice), make_subscriber(alice)
    entries = [{"trigger": "tag_added", "tag_id": a.pk}]
    one = automation(alice, wait("w"), entries=entries)
    switch(one, "paused")
    tags.add(a, person, NOW, cause=causes.OWNER)
    switch(one, "active")
    work_off()
    assert stands(one, person) == "w"


def test_while_it_is_inactive_nobody_enters_and_nobody_walks_and_places_are_kept(alice: Account) -> None:
    a, b, inside, other = make_tag(alice), make_tag(alice), make_subscriber(alice), make_subscriber(alice)
    entries = [{"trigger": "tag_added", "tag_id": a.pk}]
    one = automation(alice, wait("w", "t"), tag("t", b), entries=entries)
    add(one, inside)
    stopped = switch(one, "inactive")
    assert (stopped.stopped_at, stopped.status_at) == (NOW, NOW)
    tags.add(a, other, NOW, cause=causes.OWNER)
    work_off(LATER)
    assert (stands(one, inside), stands(one, other)) == ("w", None)
    assert not inside.taggings.exists()


def test_switching_to_what_it_is_changes_nothing(alice: Account) -> None:
    one = automation(alice, wait("w"))
    edition = Automation.objects.get(pk=one.pk).edition
    add(one, make_subscriber(alice))
    assert switching.activate(one, LATER).status_at == NOW  # no token is asked for
    switch(one, "active", LATER)
    assert Automation.objects.get(pk=one.pk).edition == edition


def test_mallory_switches_nothing_of_alices(alice: Account) -> None:
    one = automation(alice, wait("w"), status="inactive")
    one.account = make_account("Mallory")
    for verb in (switching.activate, switching.pause, switching.deactivate):
        with pytest.raises(NotFound):
            verb(one, NOW)


# --- The impact first -------------------------------------------------------------------------------------------------


def test_with_people_inside_its_impact_must_have_been_seen(alice: Account) -> None:
    one = automation(alice, wait("w"))
    add(one, make_subscriber(alice))
    switch(one, "paused")
    with pytest.raises(Unseen):
        switching.activate(one, NOW)
    token = told(one, "active").token
    add(one, make_subscriber(alice))
    with pytest.raises(Unseen):
        switching.activate(one, NOW, token=token)
    assert switching.activate(one, NOW, token=told(one, "active").token).status == "active"


def test_stopping_needs_no_token_but_refuses_a_void_one(alice: Account) -> None:
    one = automation(alice, wait("w"))
    token = told(one, "paused").token
    add(one, make_subscriber(alice))
    with pytest.raises(Unseen):
        switching.pause(one, NOW, token=token)
    assert switching.pause(one, NOW).status == "paused"
    assert switching.deactivate(one, NOW).status == "inactive"


def test_it_says_who_stands_where_and_who_walks_on_at_once(alice: Account) -> None:
    a, people = make_tag(alice), [make_subscriber(alice, first_name=name) for name in ("Ann", "Ben", "Cem")]
    course = make_sequence(alice, WELCOME)
    one = automation(alice, wait("w", "c"), ask("c", a, "s", None), sequence("s", course.pk))
    add(one, *people)
    tags.add(a, people[0], NOW, cause=causes.OWNER)
    switch(one, "inactive")
    unconfirmed = make_subscriber(alice, state="inactive")
    switch(one, "active")
    add(one, unconfirmed)
    switch(one, "inactive")
    impact = told(one, "active", LATER)
    assert {at.key: (at.n, at.names[:3], at.n_late) for at in impact.nodes} == {
        "": (1, [unconfirmed.first_name], 0),
        "w": (3, ["Ann", "Ben", "Cem"], 3),
    }
    going = impact.going
    assert (going.n, impact.n_unconfirmed) == (3, 1)
    assert (going.mailed, going.enters, going.leaves, going.stops) == ({course.pk: 1}, {course.pk: 1}, 2, {"s": 1})
    switch(one, "active", LATER)
    work_off(LATER)
    assert counts(one) == {"": 1, "s": 1}
    assert [left(one, person) for person in people[1:]] == ["end", "end"]


def test_conditions_are_asked_again_when_it_runs_again(alice: Account) -> None:
    a, person = make_tag(alice), make_subscriber(alice)
    one = automation(alice, ask("c", a, "yes", None, within={"days": 9}), wait("yes"))
    add(one, person)
    switch(one, "paused")
    tags.add(a, person, NOW, cause=causes.OWNER)
    impact = told(one, "active")
    assert impact.going.stops == {"yes": 1}
    switch(one, "active")
    work_off()
    assert stands(one, person) == "yes"


# --- The overdue ----------------------------------------------------------------------------------------------------


def two_overdue(alice: Account) -> tuple[Automation, Subscriber, Subscriber]:
    """One for four days, the other for a day."""
    one, first, second = (
        automation(alice, wait("w", "b", days=1), wait("b")),
        *(make_subscriber(alice) for _ in range(2)),
    )
    add(one, first)
    add(one, second, now=NOW + 3 * DAY)
    switch(one, "inactive", NOW + 3 * DAY)
    return one, first, second


def test_what_fell_due_meanwhile_walks_on(alice: Account) -> None:
    one, first, second = two_overdue(alice)
    assert told(one, "active", LATER).going.stops == {"b": 2}
    switch(one, "active", LATER)
    work_off(LATER)
    assert counts(one) == {"b": 2}
    assert due(one, first) == due(one, second) == LATER + 3 * DAY


def test_or_leaves_if_it_is_overdue_for_too_long(alice: Account) -> None:
    one, first, second = two_overdue(alice)
    choice: dict[str, Any] = {"overdue": "leave", "older_than": timedelta(days=2)}
    impact = told(one, "active", LATER, **choice)
    assert (impact.n_let_go, impact.going.n, impact.going.stops) == (1, 1, {"b": 1})
    switch(one, "active", LATER, **choice)
    work_off(LATER)
    assert (stands(one, first), left(one, first), stands(one, second)) == (None, "overdue", "b")
    assert log(one, first)[-1][0] == "left"


def test_all_the_overdue_leave_where_no_age_is_given(alice: Account) -> None:
    one, *_ = two_overdue(alice)
    impact = told(one, "active", LATER, overdue="leave")
    assert (impact.n_let_go, impact.going.n) == (2, 0)
    switch(one, "active", LATER, overdue="leave")
    work_off(LATER)
    assert counts(one) == {}


def test_nobody_unconfirmed_is_overdue(alice: Account) -> None:
    """They wait to be confirmed, whether a tick has met them or not (A2)."""
    one, first, second = two_overdue(alice)
    Subscriber.objects.filter(pk=first.pk).update(state="inactive")
    impact = told(one, "active", LATER, overdue="leave")
    assert impact.n_let_go == 1
    switch(one, "active", LATER, overdue="leave")
    work_off(LATER)
    assert (stands(one, first), stands(one, second)) == ("w", None)


def test_waits_for_a_weekday_and_hour_take_their_next_slot(alice: Account) -> None:
    one, person = automation(alice, wait("w", until={"weekdays": ["tuesday"], "hour": 9})), make_subscriber(alice)
    add(one, person)
    assert due(one, person) == NOW + DAY
    switch(one, "inactive")
    impact = told(one, "active", LATER, overdue="leave")
    assert (impact.n_slots, impact.n_let_go, impact.going.n) == (1, 0, 0)
    switch(one, "active", LATER, overdue="leave")
    work_off(LATER)
    assert (stands(one, person), due(one, person)) == ("w", NOW + 8 * DAY)


def test_whoever_waits_for_an_event_waits_on(alice: Account) -> None:
    a, person = make_tag(alice), make_subscriber(alice)
    one = automation(alice, tagged("e", a, "b"), wait("b"))
    add(one, person)
    switch(one, "inactive")
    assert told(one, "active", LATER, overdue="leave").going.n == 0
    switch(one, "active", LATER, overdue="leave")
    work_off(LATER)
    assert stands(one, person) == "e"


def test_an_event_that_happened_meanwhile_has_pulled_them(alice: Account) -> None:
    a, person = make_tag(alice), make_subscriber(alice)
    one = automation(alice, wait("w", "e"), tagged("e", a, "b"), wait("b"))
    add(one, person)
    switch(one, "inactive")
    tags.add(a, person, NOW, cause=causes.OWNER)
    work_off()
    assert stands(one, person) == "e"
    impact = told(one, "active")
    assert impact.going.stops == {"b": 1}
    switch(one, "active")
    work_off()
    assert stands(one, person) == "b"


# --- Places that it made ----------------------------------------------------------------------------------------------


def test_the_places_it_made_are_still_while_it_does_not_run(alice: Account, engine: Engine) -> None:
    now = engine.clock.now()
    course, person, other = make_sequence(alice, WELCOME, SECOND), make_subscriber(alice), make_subscriber(alice)
    one = automation(alice, sequence("s", course.pk), now=now)
    add(one, person, now=now)
    engine.run()
    impact = told(one, "paused", now)
    assert impact.n_places == 1
    switch(one, "paused", now)
    make_enrollment(course, other)
    engine.run_until(now + DAY)
    assert [subject for subject, _ in engine.sent(person)] == ["welcome"]
    assert [subject for subject, _ in engine.sent(other)] == ["second"] or len(engine.sent(other)) >= 1
    assert told(one, "active", now + DAY).n_mailed == 1
    switch(one, "active", now + DAY)
    engine.run_until(now + DAY)
    assert [subject for subject, _ in engine.sent(person)] == ["welcome", "second"]
    assert Enrollment.objects.get(subscriber=person).status == "completed"
