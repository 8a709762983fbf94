"""Ticks: what is due, of whom first, by several workers, and on the virtual clock; and what is kept for how long."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext

from dripstone import leap
from dripstone.accounts.models import Account
from dripstone.automations import log as automations_log
from dripstone.automations import removal, run, standing, tick, walk
from dripstone.automations.book import Book
from dripstone.automations.models import Automation, Step, Walk
from dripstone.errors import Unseen
from dripstone.ops import doctor, prune
from tests.automations.making import (
    DAY,
    NOW,
    add,
    ask,
    automation,
    log,
    sequence,
    stands,
    switch,
    tag,
    tagged,
    wait,
    work_off,
)
from tests.conftest import VirtualClock
from tests.driving import Engine
from tests.factories import make_account, make_sequence, make_subscriber, make_tag
from tests.racing import together

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
LATER = NOW + 3 * DAY


def one_batch(now: Any = LATER, limit: int = 250) -> int:
    with transaction.atomic():
        return tick._some(now, limit, Book()).n_done


def test_each_account_has_its_turn(alice: Account) -> None:
    many = automation(alice, wait("w", "v"), wait("v"))
    add(many, *(make_subscriber(alice) for _ in range(30)))
    bob = make_account("Bob")
    few = automation(bob, wait("w", "v"), wait("v"), name="Bob's", now=NOW)
    late = make_subscriber(bob)
    add(few, late, now=NOW + HOUR)
    one_batch(LATER + HOUR, limit=10)
    assert stands(few, late) == "v", "though thirty others have waited for longer"
    assert Walk.objects.filter(automation=many, node="v").count() == 5


def test_of_each_person_one_at_a_time_and_what_it_causes_before_the_next(alice: Account) -> None:
    a, person = make_tag(alice, name="a"), make_subscriber(alice)
    first = automation(alice, wait("w", "t"), tag("t", a), name="First")
    second = automation(alice, wait("w", "c"), ask("c", a, "yes", "no"), wait("yes"), wait("no"), name="Second")
    third = automation(alice, tagged("e", a, "w", already=False), wait("w", "x"), wait("x"), name="Third")
    for one in (first, second, third):
        add(one, person)
    assert one_batch() == 1 and stands(second, person) == "w"
    work_off(LATER)
    assert stands(second, person) == "yes" and stands(third, person) == "w"
    assert (
        Step.objects.filter(automation_id=third.pk).latest("pk").pk
        < Step.objects.filter(automation_id=second.pk).latest("pk").pk
    )


def test_a_tick_finds_what_is_due_however_many_wait(alice: Account) -> None:
    one = automation(alice, wait("w", "v"), wait("v"))
    add(one, *(make_subscriber(alice) for _ in range(20)), now=NOW + DAY)
    due = make_subscriber(alice)
    add(one, due)
    with CaptureQueriesContext(connection) as captured:
        assert work_off(LATER) == 1
    n_before = len(captured)
    add(one, *(make_subscriber(alice) for _ in range(60)), now=LATER + DAY)
    other = make_subscriber(alice)
    add(one, other)
    with CaptureQueriesContext(connection) as captured:
        assert work_off(LATER) == 1
    assert len(captured) <= n_before and stands(one, other) == "v"


def test_those_of_an_automation_that_does_not_run_are_not_looked_at(alice: Account) -> None:
    one = automation(alice, wait("w", "v"), wait("v"))
    person = make_subscriber(alice)
    add(one, person)
    due_at = Walk.objects.get().due_at
    switch(one, "paused")
    assert work_off(LATER) == 0 and Walk.objects.get().due_at == due_at and run.next_instant(NOW) is None
    switch(Automation.objects.get(), "active", LATER)
    assert work_off(LATER) == 1 and stands(one, person) == "v"


@pytest.mark.django_db(transaction=True)
def test_several_workers_move_each_person_once(alice: Account) -> None:
    one = automation(alice, wait("w", "t"), tag("t", make_tag(alice), "v"), wait("v"))
    people = [make_subscriber(alice) for _ in range(60)]
    add(one, *people)

    def work() -> int:
        book, n_done = Book(), 0
        for _ in range(12):
            with transaction.atomic():
                n_done += tick._some(LATER, 10, book).n_done
        return n_done

    done = together(work, times=3)
    while (passed := tick.some(LATER, Book())).is_more:
        done.append(passed.n_done)
    assert sum(done) == 60 == Step.objects.filter(what="walked").count()
    assert Counter(stands(one, person) for person in people) == {"v": 60}


@pytest.mark.django_db(transaction=True)
def test_who_is_held_by_somebody_else_is_passed_over_and_has_their_turn_later(alice: Account) -> None:
    one = automation(alice, wait("w", "v"), wait("v"))
    held, free = make_subscriber(alice), make_subscriber(alice)
    add(one, held, free)
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT FROM subscribers_subscriber WHERE id = %s FOR UPDATE", [held.pk])
            assert one_batch() == 1
            cursor.execute("ROLLBACK")
    finally:
        other.close()
    assert (stands(one, held), stands(one, free)) == ("w", "v")
    assert one_batch() == 1 and stands(one, held) == "v"


@pytest.mark.django_db(transaction=True)
def test_who_edits_it_keeps_walkers_out_and_they_wait_for_nobody(alice: Account) -> None:
    one = automation(alice, wait("w", "v"), wait("v"))
    other = automation(alice, wait("w", "v"), wait("v"), name="Other")
    first, second = make_subscriber(alice), make_subscriber(alice)
    add(one, first)
    add(other, second)
    editor = connection.copy()
    try:
        with editor.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT FROM automations_automation WHERE id = %s FOR UPDATE", [one.pk])
            assert one_batch() == 1 and (stands(one, first), stands(other, second)) == ("w", "v")
            cursor.execute("ROLLBACK")
        with transaction.atomic():
            walk.hold([one.pk], [first.pk])
            with editor.cursor() as cursor:
                cursor.execute("SET lock_timeout = '50ms'")
            with editor.cursor() as cursor, pytest.raises(OperationalError):
                cursor.execute("SELECT FROM automations_automation WHERE id = %s FOR UPDATE", [one.pk])
    finally:
        editor.close()
    assert one_batch() == 1 and stands(one, first) == "v"


# --- The virtual clock ----------------------------------------------------------------------------------------------


def told_after(account: Account, clock: VirtualClock, *hours: int) -> list[tuple[Any, ...]]:
    """The log of somebody who enters now, with how long after that, once the clock has been moved by these."""
    course = make_sequence(account, {"subject": "one", "delay_value": 0}, {"subject": "two"}, {"subject": "three"})
    monday = wait("m", "t", until={"weekdays": ["monday"], "hour": 9})
    one = automation(
        account, wait("w", "s"), sequence("s", course.pk, "m"), monday, tag("t", make_tag(account), "v"), wait("v"),
        now=clock.now(),
    )  # fmt: skip
    began = clock.now()
    add(one, make_subscriber(account), now=began)
    for several in hours:
        leap.to(clock.now() + timedelta(hours=several), account.pk)
    rows = Step.objects.filter(automation_id=one.pk).order_by("pk")
    return [(str(row.what), row.node, row.reason, row.at - began) for row in rows]


def test_a_leap_does_what_small_steps_do(alice: Account, engine: Engine, clock: VirtualClock) -> None:
    at_once = told_after(alice, clock, 14 * 24)
    clock.set(NOW + 28 * DAY)
    assert told_after(make_account("Bob"), clock, 1, 5, 48, *[24] * 11, 18) == at_once
    assert at_once == [
        ("entered", "w", "", 0 * DAY),
        ("walked", "s", "wait_over", 3 * DAY),
        ("walked", "m", "sequence_completed", 5 * DAY),
        ("walked", "v", "wait_over", 7 * DAY),
        ("left", "", "end", 10 * DAY),
    ]


def test_the_clock_stops_at_each_instant_at_which_somebody_is_due(
    alice: Account, engine: Engine, clock: VirtualClock
) -> None:
    one = automation(alice, {**wait("w", "v"), "for": {"minutes": 7}}, wait("v", "w2"), wait("w2"))
    person = make_subscriber(alice)
    add(one, person)
    leap.to(NOW + 4 * DAY, alice.pk)
    assert log(one, person) == [("entered", "w", ""), ("walked", "v", "wait_over"), ("walked", "w2", "wait_over")]
    instants = list(Step.objects.order_by("pk").values_list("at", flat=True))
    assert instants == [NOW, NOW + timedelta(minutes=7), NOW + timedelta(minutes=7) + 3 * DAY]


# --- Standing and keeping -------------------------------------------------------------------------------------------


def test_it_is_told_how_far_they_are_behind(alice: Account, clock: VirtualClock) -> None:
    assert standing.now(NOW) == standing.Standing(0, 0, None)
    one = automation(alice, wait("w", "v"), wait("v"))
    add(one, make_subscriber(alice), make_subscriber(alice))
    assert standing.now(LATER) == standing.Standing(1, 2, LATER)
    clock.set(LATER + 2 * timedelta(minutes=1))
    result = doctor._automations()
    assert not result.is_well and "2 people late, by up to 120 s" in result.sentence
    work_off(LATER)
    assert doctor._automations().is_well


def test_the_log_goes_after_a_year_and_what_was_of_a_deleted_automation_at_night(alice: Account) -> None:
    person = make_subscriber(alice)
    one = automation(alice, wait("w", "v"), wait("v"))
    add(one, person)
    work_off(LATER)
    prune.everything(NOW + 364 * DAY)
    assert Step.objects.count() == 2
    prune.everything(NOW + 366 * DAY)
    assert Step.objects.count() == 1 and Walk.objects.count() == 1
    two = automation(alice, wait("w"), name="Two")
    add(two, person)
    gone = Automation.objects.get(pk=one.pk)

    with pytest.raises(Unseen):
        removal.delete(gone, NOW, sequences="finish")
    removal.delete(gone, NOW, sequences="finish", token=removal.token_of(gone, "finish"))
    work_off()
    while automations_log.delete_some_of_deleted(1):
        pass
    assert set(Walk.objects.values_list("automation_id", flat=True)) == {two.pk}
    assert set(Step.objects.values_list("automation_id", flat=True)) == {two.pk}
