"""People of a sequence are counted together where no rule can tell them apart, and only there."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from dripstone.accounts.models import Account
from dripstone.engine.models import Delivery, Enrollment, Reordering
from dripstone.foresight import crowds, timetable
from dripstone.foresight.crowds import Crowd, Question
from dripstone.sequences.models import Sequence
from tests.driving import Engine
from tests.factories import MONDAY_9, make_email, make_enrollment, make_sequence, make_subscriber, make_tag

pytestmark = pytest.mark.django_db

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
BY_HOUR = {"subject": "by hour", "delay_value": 5, "delay_unit": "hours"}
LETTERS = ({"subject": "a", "delay_value": 0}, {**BY_HOUR, "position": 10}, {**BY_HOUR, "position": 20})


def told(sequence: Sequence, engine: Engine, *, goes_by_order: bool = False) -> list[Crowd]:
    now = engine.clock.now()
    itinerary = timetable.itinerary(sequence, sequence.emails.all())
    question = Question(itinerary, now, now + timedelta(days=30), "e.status = 'active'", goes_by_order=goes_by_order)
    found = list(crowds.of(question, sequence))
    each = list(crowds.each(question, sequence))
    assert sum(crowd.n_people for crowd in found) == len(each)
    assert {crowd._replace(n_people=1) for crowd in map(_plain, found)} <= set(map(_plain, each))  # told by a member
    return found


def _plain(crowd: Crowd) -> Crowd:
    lists = ("unmet", "had", "lows", "ends")
    plain: dict[str, Any] = {name: tuple(getattr(crowd, name)) for name in lists}
    return crowd._replace(**plain)


def enter(sequence: Sequence, engine: Engine, *minutes: int) -> None:
    """People who come in so many minutes after nine, and get the first email at once."""
    account = Account.objects.get(pk=sequence.account_id)
    for late in minutes:
        engine.run_until(MONDAY_9 + late * MINUTE)
        make_enrollment(sequence, make_subscriber(account), engine.clock.now())
        engine.run()


def test_minutes_apart_is_one_crowd_and_an_hour_apart_is_two(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, *LETTERS)
    enter(sequence, engine, 1, 3, 9, 14, 60)
    engine.clock.set(MONDAY_9 + 2 * HOUR)
    assert Counter(crowd.n_people for crowd in told(sequence, engine)) == {4: 1, 1: 1}


def test_now_and_every_hour_before_and_after_it_cut_a_crowd_in_two(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, *LETTERS)
    enter(sequence, engine, 1, 3, 9, 14)
    engine.clock.set(MONDAY_9 + 5 * HOUR + 4 * MINUTE)  # two of them are due by now
    assert [crowd.n_people for crowd in told(sequence, engine)] == [2, 2]


def test_an_instant_on_the_quarter_is_told_from_both_sides(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, *LETTERS)
    enter(sequence, engine, 0, 5, 9, 15)
    engine.clock.set(MONDAY_9 + HOUR)
    assert [crowd.n_people for crowd in told(sequence, engine)] == [1, 2, 1]


def test_what_people_had_tells_them_apart_and_so_does_what_excludes_them(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, *LETTERS)
    enter(sequence, engine, 1, 3, 9, 14)
    first, second = Enrollment.objects.order_by("pk")[:2]
    first.deliveries.all().delete()
    sequence.exclude_subscriber_sources = [{"type": "tag", "ids": [make_tag(alice, second.subscriber).pk]}]
    engine.clock.set(MONDAY_9 + HOUR)
    found = told(sequence, engine)
    assert [(crowd.n_people, crowd.excluded, len(crowd.had)) for crowd in found] == [(1, 0, 1), (1, 1, 2), (2, 0, 2)]


def test_ends_that_count_no_more_tell_nobody_apart(alice: Account, engine: Engine) -> None:
    """Behind whoever has had them all another email is inserted: once its delay is over, it goes right away."""
    sequence = make_sequence(alice, *LETTERS, hold=True)
    enter(sequence, engine, 0, 20, 40)
    engine.run_until(MONDAY_9 + 30 * HOUR)
    make_email(sequence, subject="new", position=5, delay_value=2, delay_unit="days")
    engine.clock.set(MONDAY_9 + 36 * HOUR)
    assert [crowd.n_people for crowd in told(sequence, engine)] == [1, 1, 1]
    engine.clock.set(MONDAY_9 + timedelta(days=11))
    (crowd,) = told(sequence, engine)
    assert (crowd.n_people, crowd.at) == (3, None)


def test_deliveries_are_read_of_those_alone_who_saw_the_emails_change_order(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, *LETTERS)
    enter(sequence, engine, 0, 1)
    make_email(sequence, subject="new", position=5, delay_value=2, delay_unit="days")
    enter(sequence, engine, 30, 31)
    first, _, third, _ = Enrollment.objects.order_by("pk")
    engine.clock.set(MONDAY_9 + HOUR)
    assert told(sequence, engine, goes_by_order=True) == told(sequence, engine)
    Delivery.objects.filter(enrollment__in=[first, third]).delete()  # the engine does no such thing
    assert [len(crowd.had) for crowd in told(sequence, engine, goes_by_order=True)] == [1, 2, 2]


@pytest.mark.parametrize(
    ("change", "is_reordering"),
    [
        ({"published": False}, False),
        ({"subject": "other"}, False),
        ({"position": 30}, True),
        ({"position": 11}, True),
    ],
)
def test_an_email_that_moves_changes_the_order(
    alice: Account, engine: Engine, change: dict[str, Any], is_reordering: bool
) -> None:
    sequence = make_sequence(alice, *LETTERS)
    enter(sequence, engine, 0)
    sequence.emails.filter(position=10).update(**change)
    assert (newest(sequence) == Enrollment.objects.get().pk) is is_reordering


def test_an_email_published_behind_another_changes_the_order_and_one_at_the_end_does_not(
    alice: Account, engine: Engine
) -> None:
    sequence = make_sequence(alice, *LETTERS)
    draft = make_email(sequence, position=5, published=False)
    enter(sequence, engine, 0)
    make_email(sequence, position=30)
    assert newest(sequence) < Enrollment.objects.get().pk
    draft.published = True
    draft.save()
    assert newest(sequence) == Enrollment.objects.get().pk


def newest(sequence: Sequence) -> int:
    """0: the order never changed."""
    row = Reordering.objects.filter(sequence=sequence).first()
    return row.newest_place if row else 0
